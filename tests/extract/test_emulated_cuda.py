"""The path of CUDA without a GPU. Oracle: the same commands on the CPU; what waits is in the emulated device's log."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from extract.__main__ import main
from extract.attention.kernels import EFFICIENT_CUDA, FLASH_CUDA
from extract.attention.packing import pack
from extract.knockouts.passes import KnockOutPasses
from extract.models import self_check
from extract.models.loading import load_model
from extract.models.transfer import Download
from extract.passes.forward import Passes
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.extract.test_choices import run as run_of_choices
from tests.support.emulated_cuda import ReadsLists, emulated, why_not
from tests.support.tiny_families import make_family
from tests.support.witness import PICTURES, QUESTIONS

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),  # there is no device to pin memory for
]
NUMBER = 4
EXTRAS = {"contributions": True, "layer_profile": True, "maps": True}
TABLES = ["heads", "samples", "contributions", "layers", "maps"]
KEYS = ["sample_id", "category", "step", "layer", "head", "of", "token_id", "text"]
TWO = "cuda:0,cuda:1"
CHECKED = 2  # streams: one for each model, which is another object once it is checked
NO_SHARES = ["entropy", "sink", "centre_x", "centre_y"]  # of maps


@pytest.fixture(scope="module")
def on_cpu(extract, tmp_path_factory):
    """A run of the CPU in float32; not to be changed."""
    run = tmp_path_factory.mktemp("cpu") / "run"
    assert extract(run, num_samples=NUMBER, num_workers=0, **EXTRAS) == 0
    return run


@pytest.fixture
def unchecked(monkeypatch):
    """Load a model without the self-check, which other tests of this file make on the same devices."""
    monkeypatch.setattr(self_check, "check_observation", lambda model, *_, **__: replace(model, causal=True))


def logging(monkeypatch, machine, kind, name):
    """Log what the host waits for in each call of a method; returns the list of what calls waited for."""
    method, calls = getattr(kind, name), []

    def call(*arguments):
        before = machine.waits.copy()
        found = method(*arguments)
        calls.append(machine.waits - before)
        return found

    monkeypatch.setattr(kind, name, call)
    return calls


def of_lines(waits, folder):
    """The waits that lines of a folder made."""
    return Counter({wait: number for wait, number in waits.items() if wait[1].startswith(folder)})


def apart(run, other, table):
    """How far the numbers of two runs are apart at most."""
    found, expected = (pd.read_parquet(each / table) for each in (run, other))
    keys = [name for name in KEYS if name in found]
    assert found[keys].equals(expected[keys])
    numbers = [name for name in found.select_dtypes("number") if name not in KEYS and found[name].notna().any()]
    largest = [np.nanmax(np.abs(found[name] - expected[name])) for name in numbers]
    if "map" in found:
        largest.append(np.abs(np.concatenate(found["map"]) - np.concatenate(expected["map"])).max())
    return max(largest)


def test_a_run_equals_that_of_the_cpu_and_no_launch_waits(extract, on_cpu, tmp_path, monkeypatch):
    with emulated() as machine:
        launches = logging(monkeypatch, machine, Passes, "launch")
        flags = {"device": "cuda", "dtype": "float32", "batch_size": 1, "num_samples": NUMBER, "num_workers": 0}
        assert extract(tmp_path / "run", **flags, **EXTRAS) == 0
    assert list(validate(tmp_path / "run")) == []
    for table in TABLES:
        assert apart(tmp_path / "run", on_cpu, table) <= 2e-5, table
    assert open_run(tmp_path / "run").ledgers[0].sessions[0].kernel == EFFICIENT_CUDA.description
    assert len(launches) == NUMBER // 2  # two questions on each image
    for waits in launches:
        assert of_lines(waits, "extract/") == {}
        assert of_lines(waits, "transformers/")  # which the log sees
    assert machine.made <= CHECKED


@pytest.mark.usefixtures("unchecked")
def test_contributions_to_leads_equal_those_of_the_cpu_and_no_launch_waits(tmp_path, monkeypatch):
    """On the demo's model, which has a token for each letter."""
    flags = {"contributions": True, "layer-profile": True, "dtype": "float32", "batch-size": 1}
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cuda").mkdir()
    on_cpu = run_of_choices(tmp_path / "cpu", device="cpu", **flags)
    with emulated() as machine:
        launches = logging(monkeypatch, machine, Passes, "launch")
        found = run_of_choices(tmp_path / "cuda", device="cuda", **flags)
    assert list(validate(found)) == []
    for table in ("samples", "contributions", "layers"):
        assert apart(found, on_cpu, table) <= 1e-4, table
    assert launches
    for waits in launches:
        assert of_lines(waits, "extract/") == {}


@pytest.mark.usefixtures("unchecked")
def test_what_is_written_equals_that_of_the_cpu(extract, tmp_path, monkeypatch):
    """Each step but the first waits once: for whether all texts have ended."""
    flags = {"generate": 4, "step_maps": ["L1H0"], "num_samples": 2, "batch_size": 1, "dtype": "float32"}
    assert extract(tmp_path / "cpu", **flags) == 0
    with emulated() as machine:
        launches = logging(monkeypatch, machine, Passes, "launch")
        assert extract(tmp_path / "run", device=TWO, **flags) == 0
    assert list(validate(tmp_path / "run")) == []
    for table in ("tokens", "steps", "step_maps"):
        assert apart(tmp_path / "run", tmp_path / "cpu", table) <= 2e-5, table
    (waits,) = launches
    assert [number for _, number in of_lines(waits, "extract/").items()] == [3]


def test_the_second_gpu_in_half_precision_is_near_the_cpu(extract, on_cpu, tmp_path):
    """What stayed on the first GPU would be refused, and what was not waited for is far from right."""
    with emulated() as machine:
        flags = {"dtype": "float16", "batch_size": 1, "num_samples": 2, "num_workers": 0, "maps": True}
        assert extract(tmp_path / "run", device="cuda:1", **flags) == 0
        assert machine.current == 1
    for table in ("heads", "maps"):
        found = (
            pd.read_parquet(tmp_path / "run" / table).select_dtypes("float32").drop(columns=NO_SHARES, errors="ignore")
        )
        expected = pd.read_parquet(on_cpu / table)[found.columns].head(len(found))
        assert np.abs(found - expected).max(axis=None) <= 0.02, table
    assert open_run(tmp_path / "run").ledgers[0].sessions[0].kernel == FLASH_CUDA.description


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "flags", [["--heads", "L0H0,L1H2,L3H7", "--kind", "swap"], ["--layers", "each", "--kind", "skip"]], ids=str
)
def test_knock_outs_equal_those_of_the_cpu_and_wait_once_for_each_image(flags, on_cpu, tmp_path, monkeypatch):
    run = shutil.copytree(on_cpu, tmp_path / "run")
    flags = ["knock-out", str(run), *flags, "--num-workers", "0"]
    assert main([*flags, "--job", "cpu", "--device", "cpu"]) == 0
    with emulated() as machine:
        images = logging(monkeypatch, machine, KnockOutPasses, "_rows")
        assert main([*flags, "--job", "cuda", "--device", "cuda"]) == 0
    expected, found = (pd.read_parquet(run / "jobs" / job / "knockouts") for job in ("cpu", "cuda"))
    assert np.abs(found["margin"] - expected["margin"]).max() <= 1e-5
    assert np.abs(found["margin"] - found["margin_untouched"]).max() > 1e-3
    assert len(images) == NUMBER // 2
    for waits in images[1:]:  # the first is compared with the run
        assert [(why, number) for (why, _), number in of_lines(waits, "extract/").items()] == [("event", 1)]
    assert machine.made <= CHECKED


def test_results_arrive_with_an_event_of_their_own_gpu():
    with emulated() as machine:
        there = torch.arange(3, device="cuda:1")
        assert machine.current == 0
        download = Download(there, there + 1)
        assert download._tensors[0].tolist() != [0, 1, 2]  # the copy has not arrived
        assert [each.tolist() for each in download.wait()] == [[0, 1, 2], [1, 2, 3]]


def test_what_cuda_refuses_is_refused_and_waits_are_logged():
    with emulated() as machine:
        first, second = (torch.ones(2, device=device) for device in ("cuda:0", "cuda:1"))
        for other in (second, torch.ones(2)):
            with pytest.raises(RuntimeError, match="to be on the same device"):
                first + other
        assert not machine.waits
        assert float(first.sum()) == 2
        assert first[[0]].device == first.device
        assert {why for why, _ in machine.waits} == {"_local_scalar_dense", "copied to the device"}


def test_layers_on_two_gpus_give_what_one_device_does(extract, on_cpu, tmp_path, monkeypatch):
    """Observed, with all tables; no launch waits; knock-outs too."""
    flags = {"dtype": "float32", "batch_size": 1, "num_samples": NUMBER, "num_workers": 0}
    with emulated() as machine:
        launches = logging(monkeypatch, machine, Passes, "launch")
        assert extract(tmp_path / "run", device=TWO, **flags, **EXTRAS) == 0
        assert machine.current == 0
        flags = ["knock-out", str(tmp_path / "run"), "--heads", "L0H0,L3H7", "--num-workers", "0"]
        assert main([*flags, "--device", TWO, "--job", "two"]) == 0
    assert main([*flags, "--device", "cpu", "--job", "one"]) == 0
    assert list(validate(tmp_path / "run")) == []
    for table in TABLES:
        assert apart(tmp_path / "run", on_cpu, table) <= 2e-5, table
    for waits in launches:
        assert of_lines(waits, "extract/") == {}
    found, expected = (pd.read_parquet(tmp_path / "run" / "jobs" / job / "knockouts") for job in ("two", "one"))
    assert np.abs(found["margin"] - expected["margin"]).max() <= 1e-5
    assert open_run(tmp_path / "run").ledgers[0].sessions[0].device.count(",") == 1


def results_of(model, name):
    """What a pass over one question gives, on the CPU, and the devices that it was on."""
    prompts = model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", name))
    pixels = model.preprocessor(PICTURES[0])
    batch = pack([[prompts.build(QUESTIONS[0], pixels.image_ids)]])
    results = model.forward(*model.uploader.send(batch, [pixels]))
    return Download(*results).wait(), {str(each.device) for each in results}


@pytest.mark.parametrize("name", ["gemma3", "qwen3_vl", "qwen3_5", "chameleon"])
def test_layers_of_other_families_on_two_gpus_give_what_one_device_does(tmp_path, monkeypatch, name):
    """Under masks; with features that are added between layers; with layers that do not attend; that give tuples."""
    make_family(tmp_path, name)
    if name.startswith("qwen3"):
        monkeypatch.setattr(f"transformers.models.{name}.modeling_{name}.torch", ReadsLists())
    expected, _ = results_of(load_model(str(tmp_path), device=torch.device("cpu"), dtype="float32"), name)
    with emulated():
        others = [torch.device("cuda:1")]
        model = load_model(str(tmp_path), device=torch.device("cuda:0"), others=others, dtype="float32")
        found, devices = results_of(model, name)
        layers = {str(each.device) for layer in model.stack.layers for each in layer.parameters()}
    assert layers == {"cuda:0", "cuda:1"}
    assert devices == {"cuda:0"}
    for one, two in zip(expected, found, strict=True):
        assert (one - two).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:0,cuda:0", "are not several GPUs, each named once with its number"),
        ("cuda:0,cpu", "are not several GPUs, each named once with its number"),
        ("cuda:0,mps", "the device mps cannot be used: it is neither the CPU nor CUDA"),
    ],
)
def test_devices_that_cannot_be_used_together(extract, tmp_path, capsys, device, message):
    with emulated():
        assert extract(tmp_path / "run", device=device) == 2
    assert message in capsys.readouterr().err
