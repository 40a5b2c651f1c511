"""Oracles: a cache of the hub laid out by hand; what was fetched of repositories, counted by a stand-in for the hub."""

import json
import shutil

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from extract.__main__ import main
from extract.models.loading import load_model
from extract.models.weights.files import find_files
from schemas.errors import HeadflowError
from tests.support import tiny_originals as tiny
from tests.support.hub import COMMIT, Hub, cache_files

CPU = torch.device("cpu")
WEIGHTS = (".bin", ".safetensors")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, which is offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def released(tmp_path_factory, texts):
    return tiny.Original(tmp_path_factory.mktemp("released"), tiny.make_corpus(texts))


@pytest.fixture(scope="module")
def lora(tmp_path_factory, texts):
    return tiny.Original(tmp_path_factory.mktemp("lora"), tiny.make_corpus(texts), **tiny.FORMS["lora"])


def names(folder):
    return [path.name for path in folder.iterdir()]


def weights(fetched):
    return sorted(name for name in fetched if name.endswith(WEIGHTS))


def test_the_commit_of_a_model_in_the_cache(cache, checkpoint_path, released):
    cache_files(cache, "owner/hf", checkpoint_path, names(checkpoint_path))
    cache_files(cache, "owner/llava", released.path, names(released.path))
    for name, path in (("owner/hf", checkpoint_path), ("owner/llava", released.path)):
        there, here = (load_model(each, device=CPU) for each in (name, str(path)))
        assert (there.revision, here.revision) == (COMMIT, None)
        assert there.manifest_fields()["revision"] == COMMIT
        assert there.weights == here.weights


def test_a_model_that_another_program_has_cached_in_part(cache, checkpoint_path):
    """With a list of the repository's files beside it, by which the hub calls the cache incomplete."""
    snapshot = cache_files(cache, "owner/hf", checkpoint_path, names(checkpoint_path))
    trees = snapshot.parents[1] / "trees"
    trees.mkdir()
    entry = {"size": 1, "blob_id": "0", "lfs_sha256": None, "lfs_size": None, "xet_hash": None}
    (trees / f"{COMMIT}.json").write_text(json.dumps({"more.json": entry}))
    assert load_model("owner/hf", device=CPU).revision == COMMIT


def test_a_model_that_is_not_there(cache):
    with pytest.raises(HeadflowError, match="no model at nowhere/at-all: "):
        find_files("nowhere/at-all")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./models/llava-v1.5-7b", "there is no such directory, and it is no id of a model on the hub"),
        ("/data/llava", "there is no such directory, and it is no id of a model on the hub"),
        ("a/b/c", "there is no such directory, and it is no id of a model on the hub"),
        ("bad name", "there is no such directory, and it is no id of a model on the hub"),
        (__file__, "it is a file; give the directory that has the checkpoint"),
        (
            "owner/name",
            "there is no such directory, it is not in the hub's cache, and the hub cannot be asked: HF_HUB_OF",
        ),
    ],
)
def test_a_name_that_is_neither_a_directory_nor_on_the_hub(cache, name, says):
    with pytest.raises(HeadflowError) as error:
        find_files(name)
    assert f"no model at {name}: {says}" in str(error.value)


def test_a_hub_that_is_not_reached_is_said_in_whole_words(cache, monkeypatch):
    why = "Got: ConnectError: [Errno -2] Name or service not known\n" + "An error happened at the Hub. " * 20

    def fail(*_, **__):
        raise LocalEntryNotFoundError(why)

    monkeypatch.setattr("extract.models.weights.files.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("extract.models.weights.files.snapshot_download", fail)
    with pytest.raises(HeadflowError) as error:
        find_files("owner/name")
    assert str(error.value) == (
        "no model at owner/name: there is no such directory, it is not in the hub's cache, and the hub cannot be "
        "asked: ConnectError: [Errno -2] Name or service not known; give a directory, or see to the network"
    )


def test_a_model_that_the_hub_does_not_give(hub):
    with pytest.raises(HeadflowError, match="no model at owner/gone: there is no such directory, and the hub does not"):
        find_files("owner/gone")


@pytest.fixture
def hub(tmp_path, monkeypatch, checkpoint_path, released, lora):
    """The hub with a model in transformers' format, a released one, and a LoRA with its base in both formats."""
    base = shutil.copytree(lora.base, tmp_path / "base")
    tiny.write_weights(base, lora.state, "safetensors shards")
    hf = shutil.copytree(checkpoint_path, tmp_path / "hf")
    for path in (base, hf):
        (path / "consolidated.safetensors").write_bytes(b"the same once more")
    torch.save({}, hf / "pytorch_model.bin")
    models = {"owner/hf": hf, "owner/llava-tiny": released.path, "owner/lora": lora.path, "owner/base": base}
    made = Hub(tmp_path / "cache", models)
    made.install(monkeypatch)
    return made


@pytest.mark.parametrize("flags", [["owner/hf"], ["owner/llava-tiny"], ["owner/lora", "--model-base", "owner/base"]])
def test_prompts_are_shown_without_any_weights(hub, tmp_path, capsys, flags):
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps([{"image_file": "x.png", "question": "Is it?"}]))
    assert main(["--model-path", *flags, "--question-file", str(questions), "--show-prompt", "1"]) == 0
    assert "tokens: bos 1, system" in capsys.readouterr().out
    assert hub.fetched[flags[0]]
    assert [weights(fetched) for fetched in hub.fetched.values()] == [[]] * 4


def test_weights_are_fetched_in_one_format(hub, lora):
    load_model("owner/hf", device=CPU)
    assert weights(hub.fetched["owner/hf"]) == ["model.safetensors"]
    load_model("owner/llava-tiny", device=CPU)
    assert weights(hub.fetched["owner/llava-tiny"]) == ["pytorch_model.bin"]
    load_model("owner/lora", "owner/base", device=CPU)
    assert weights(hub.fetched["owner/base"]) == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert weights(hub.fetched["owner/lora"]) == ["adapter_model.bin", "non_lora_trainables.bin"]
