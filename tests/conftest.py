"""A tiny checkpoint, the demo's questions, and a run of one on the other; each made once."""

import copy
import json
import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported; no test needs a hub
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models here are tiny: threads would only wait for each other

from data.questions import make_questions
from extract.__main__ import main as extract_main
from extract.models import loading
from schemas.files.locations import _store
from tests.support.object_store import Store
from tests.support.ray_cluster import started
from tests.support.runs import write_run
from tests.support.tiny_llava import make_checkpoint

ROOT = Path(__file__).parents[1]
LEGACY_PT = ROOT.parent / "shared" / "legacy" / "scienceqa_attention_head_records.pt"


KEPT = 8  # loaded checkpoints


@pytest.fixture(scope="session", autouse=True)
def _loaded_once():
    """Let commands in this process read the weights of a checkpoint once: they get copies of it, free to be changed.

    A checkpoint is that of before while its files have the same names, sizes and times. Tests of loading call
    `load_model` itself, as they import it.
    """
    load, kept = loading.load_model, {}

    def files(path: str | None) -> list[tuple[str, int, int]]:
        found = [file for file in Path(path).rglob("*") if file.is_file()] if path else []
        return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(found)]

    def loaded(path, base=None, **options):
        if not Path(path).is_dir() or options["device"].type != "cpu":
            return load(path, base, **options)
        key = repr((path, base, Path.cwd(), options, files(path), files(base)))
        if key not in kept:
            checkpoint = load(path, base, **options)
            while len(kept) >= KEPT:
                del kept[next(iter(kept))]
            kept[key] = checkpoint
        checkpoint = kept[key]
        return copy.deepcopy(checkpoint, {id(checkpoint.kernel): checkpoint.kernel})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", loaded)
        yield


@pytest.fixture(scope="session")
def questions(tmp_path_factory) -> Path:
    """The folder of the demo's images, and of its MME_test.json."""
    folder = tmp_path_factory.mktemp("questions")
    make_questions(folder, images_per_category=2)
    return folder


@pytest.fixture(scope="session")
def texts(questions) -> list[str]:
    return [row["question"] for row in json.loads((questions / "MME_test.json").read_text())]


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory, texts) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_checkpoint(folder, texts)
    return folder


@pytest.fixture(scope="session")
def extract(checkpoint_path, questions):
    """Call `python -m extract` in this process; returns its exit code."""

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
        return extract_main(argv)

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
    return write_run(tmp_path / "made_up")


@pytest.fixture(scope="session")
def legacy_pt() -> Path:
    if not LEGACY_PT.is_file():
        pytest.skip("the earlier tool's .pt is not here")
    return LEGACY_PT


@pytest.fixture(scope="session")
def ray_address(_server):
    """The address of a Ray cluster of two CPUs on this machine, whose processes find the S3 server."""
    pytest.importorskip("ray")
    with started(cpus=2, environment=_server.environment) as address:
        yield address


@pytest.fixture(scope="session")
def _server():
    server = Store()
    yield server
    server.stop()


@pytest.fixture
def store(_server, monkeypatch):
    """An empty S3 server with a bucket, and its environment variables."""
    for name, value in _server.environment.items():
        monkeypatch.setenv(name, value)
    _store.cache_clear()
    _server.empty()
    return _server
