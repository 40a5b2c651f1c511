"""A tiny checkpoint, the demo's questions, and a run of one on the other; each made once.

With xdist, the process that hands out the tests imports this file and runs none of them: fixtures import what they use.
"""

import copy
import gc
import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:
    from torch import nn

    from extract.models.checkpoint import Checkpoint

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported; no test needs a hub
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models here are tiny: threads would only wait for each other

ROOT = Path(__file__).parents[1]
LEGACY_PT = ROOT.parent / "shared" / "legacy" / "scienceqa_attention_head_records.pt"


KEPT = 8  # loaded checkpoints


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect no garbage while tests are imported, and look for none among them later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # a figure has many objects, and few are garbage
        gc.enable()


def pytest_collection_modifyitems(items):
    """Run the files that need a Ray cluster first, one after another: they wait much, and one process starts it."""
    on_ray = {item.path for item in items if "ray_address" in item.fixturenames}
    items.sort(key=lambda item: item.path not in on_ray)


@pytest.fixture(scope="session", autouse=True)
def _not_flushed():
    """Do not wait for the disk: what is flushed to it survives a power cut, and no test makes one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_commit():
    """Ask git once which commit this is, which each run and each job writes down."""
    from extract.chunks import asked
    from extract.knockouts import command
    from extract.provenance import git_commit

    commit = cache(git_commit)
    with pytest.MonkeyPatch.context() as patch:
        for module in (asked, command):
            patch.setattr(module, "git_commit", commit)
        yield


@pytest.fixture(scope="session", autouse=True)
def _configs_are_not_printed():
    """Let no config be written as text for transformers' log, which nobody reads, each time one is loaded."""
    from transformers import PreTrainedConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PreTrainedConfig, "__repr__", object.__repr__)
        yield


@pytest.fixture(scope="session", autouse=True)
def _loaded_once():
    """Let commands in this process read and check a checkpoint once.

    A checkpoint is that of before while its files have the same names, sizes and times, and nothing wrote into its
    weights. One that is observed under its mask is copied and checked for each command, which may give it a kernel.
    Tests of loading and of the check call them as they import them.
    """
    from extract.models import loading, self_check

    load, check = loading.load_model, self_check.check_observation
    kept: dict[str, tuple[Checkpoint, int]] = {}
    passed: WeakKeyDictionary[nn.Module, dict[str, bool | None]] = WeakKeyDictionary()

    def loaded(path, base=None, **options):
        if not Path(path).is_dir() or options["device"].type != "cpu":
            return load(path, base, **options)
        key = repr((path, base, Path.cwd(), options, _files(path), _files(base)))
        checkpoint, writes = kept.get(key, (None, None))
        if checkpoint is None or _writes(checkpoint) != writes:
            checkpoint = load(path, base, **options)
            while len(kept) >= KEPT:
                del kept[next(iter(kept))]
            kept[key] = checkpoint, _writes(checkpoint)
            passed[checkpoint.model] = {}
        return checkpoint if checkpoint.kernel is not None else copy.deepcopy(checkpoint)

    def checked(model, prompts, images=1):
        before = passed.get(model.model)
        if before is None or model.kernel is None:
            return check(model, prompts, images=images)
        key = repr((replace(prompts, encode=None), images))
        if key not in before:
            before[key] = check(model, prompts, images=images).causal
        return replace(model, causal=before[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", loaded)
        patch.setattr(self_check, "check_observation", checked)
        yield


def _files(path: str | None) -> list[tuple[str, int, int]]:
    """The names, sizes and times of the files of a folder."""
    found = [file for file in Path(path).rglob("*") if file.is_file()] if path else []
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(found)]


def _writes(checkpoint: "Checkpoint") -> int:
    """How often something wrote into the weights of a checkpoint since they were made."""
    return sum(weight._version for weight in checkpoint.model.parameters())


@pytest.fixture(scope="session")
def questions(tmp_path_factory) -> Path:
    """The folder of the demo's images, and of its MME_test.json."""
    from data.questions import make_questions

    folder = tmp_path_factory.mktemp("questions")
    make_questions(folder, images_per_category=2)
    return folder


@pytest.fixture(scope="session")
def texts(questions) -> list[str]:
    return [row["question"] for row in json.loads((questions / "MME_test.json").read_text())]


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory, texts) -> Path:
    from tests.support.tiny_llava import make_checkpoint

    folder = tmp_path_factory.mktemp("model")
    make_checkpoint(folder, texts)
    return folder


@pytest.fixture(scope="session")
def extract(checkpoint_path, questions):
    """Call `python -m extract` in this process; returns its exit code."""
    from extract.__main__ import main

    def call(run: Path, **flags: object) -> int:
        values = {
            "model-path": checkpoint_path,
            "image-folder": questions / "images",
            "question-file": questions / "MME_test.json",
            "output-dir": run,
            "device": "cpu",
            "num-workers": 0,
        } | {name.replace("_", "-"): value for name, value in flags.items()}
        argv = []
        for name, value in values.items():
            if name == "answer-tokens":  # two words
                argv += [f"--{name}", *value]
            elif value is True:
                argv += [f"--{name}"]
            else:
                argv += [f"--{name}={','.join(map(str, value)) if isinstance(value, list) else value}"]
        return main(argv)

    return call


@pytest.fixture(scope="session")
def extracted(tmp_path_factory, extract) -> Path:
    """A run of the tiny checkpoint; not to be changed."""
    run = tmp_path_factory.mktemp("extracted") / "run"
    assert extract(run, num_workers=1) == 0
    return run


@pytest.fixture(scope="session")
def llava_python() -> Path:
    """The Python of the environment that `make setup-llava` makes."""
    python = Path(os.environ.get("LLAVA_VENV", ROOT / ".venv-llava")) / "bin" / "python"
    if not python.is_file():
        pytest.skip("the llava package is not here: make setup-llava")
    return python


@pytest.fixture
def made_up(tmp_path) -> Path:
    """A small made-up run, free to be broken."""
    from tests.support.runs import write_run

    return write_run(tmp_path / "made_up")


@pytest.fixture(scope="session")
def legacy_pt() -> Path:
    if not LEGACY_PT.is_file():
        pytest.skip("the earlier tool's .pt is not here")
    return LEGACY_PT


@pytest.fixture(scope="session")
def ray_address(_server):
    """The address of a Ray cluster of two CPUs on this machine, whose processes find the S3 server."""
    from tests.support.ray_cluster import started

    pytest.importorskip("ray")
    with started(cpus=2, environment=_server.environment) as address:
        yield address


@pytest.fixture(scope="session")
def _server():
    from tests.support.object_store import Store

    server = Store()
    yield server
    server.stop()


@pytest.fixture
def store(_server, monkeypatch):
    """An empty S3 server with a bucket, and its environment variables."""
    from schemas.files.locations import _store

    for name, value in _server.environment.items():
        monkeypatch.setenv(name, value)
    _store.cache_clear()
    _server.empty()
    return _server
