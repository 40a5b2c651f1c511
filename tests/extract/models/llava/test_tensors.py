"""Oracle: what was broken by hand, in checkpoints that load, as `test_released.py` shows."""

import json
import shutil

import pandas as pd
import pytest
import torch

from extract.models.llava.tensors import read_state
from extract.models.loading import load_model
from extract.models.weights.files import find_files
from tests.support import tiny_originals as tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory, texts):
    return tiny.Original(tmp_path_factory.mktemp("whole"), tiny.make_corpus(texts))


@pytest.fixture(scope="module")
def lora(tmp_path_factory, texts):
    return tiny.Original(tmp_path_factory.mktemp("lora"), tiny.make_corpus(texts), **tiny.FORMS["lora"])


@pytest.fixture
def says(extract, tmp_path, capsys):
    """What `extract` says of a checkpoint that it refuses: one line, and nothing is written."""

    def call(**flags) -> str:
        assert extract(tmp_path / "run", num_samples=1, **flags) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith("error: ")
        assert not (tmp_path / "run" / "run.json").exists()
        return error

    return call


class Unpickled:
    """Runs code when it is unpickled, if it is."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def without(state: dict, name: str) -> dict:
    return {each: tensor for each, tensor in state.items() if each != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: without(state, "model.layers.1.mlp.up_proj.weight"), "1 missing weights, such as model.layers."),
        (lambda state: without(state, "lm_head.weight"), "1 missing weights, such as lm_head.weight"),
        (lambda state: without(state, "model.mm_projector.2.bias"), "1 missing weights, such as model.mm_projector.2"),
        (lambda state: state | {"model.mm_projector.4.bias": torch.ones(2)}, "1 unexpected weights, such as model.mm"),
        (lambda state: state | {"model.layers.9.w": torch.ones(2)}, "1 unexpected weights, such as model.layers.9.w"),
        (lambda state: state | {"model.norm.weight": torch.ones(2)}, "1 mismatched weights, such as model.norm.weight"),
        (lambda state: state | {"model.mm_projector.0.bias": torch.ones(2)}, "1 mismatched weights, such as model.mm_"),
        (lambda state: state | {"model.vision_tower.vision_tower.x": torch.ones(2)}, "missing weights, such as "),
        (lambda state: list(state), "is not a checkpoint: it has no tensors by name"),
        (lambda state: state | {"model.norm.weight": Unpickled()}, "is not a checkpoint: Weights only load failed"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(whole, says, tmp_path, change, message):
    path = shutil.copytree(whole.path, tmp_path / "model")
    (path / "config.json").write_text(json.dumps(whole.config() | {"unfreeze_mm_vision_tower": True}))
    torch.save(change(whole.state | whole.projector), path / "pytorch_model.bin")
    assert message in says(model_path=path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mm_projector_type": "identity"}, "mm_projector_type 'identity' is not known; known are linear"),
        ({"mm_projector_type": "mlp3x_gelu"}, "2 missing weights, such as model.mm_projector.4.bias"),
        ({"mm_vision_select_feature": "slice4"}, "mm_vision_select_feature is 'slice4', not one of patch, cls_patch"),
        ({"mm_vision_tower": "nowhere/clip"}, "its vision tower nowhere/clip cannot be loaded"),
        ({"mm_vision_tower": None}, "its vision tower None cannot be loaded"),
        ({"architectures": [], "model_type": "llava_mpt"}, "is a llava_mpt in LLaVA's released format"),
        ({"num_hidden_layers": 4}, "missing weights, such as model.layers.3."),
        ({"mm_use_im_start_end": True}, "too few for the"),
    ],
)  # fmt: skip
def test_configs_that_do_not_fit(whole, says, tmp_path, settings, message):
    path = shutil.copytree(whole.path, tmp_path / "model")
    (path / "config.json").write_text(json.dumps(whole.config() | settings))
    assert message in says(model_path=path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mm_patch_merge_type": "flat"}, "asks for image_aspect_ratio anyres with mm_patch_merge_type flat; known is"),
        ({"image_aspect_ratio": "anyres_max_9"}, "asks for image_aspect_ratio anyres_max_9 with mm_patch_merge_type"),
        ({}, "1 missing weights, such as model.image_newline"),
    ],
)
def test_tiles_that_are_not_known(whole, says, tmp_path, settings, message):
    path = shutil.copytree(whole.path, tmp_path / "model")
    (path / "config.json").write_text(json.dumps(whole.config() | tiny.ANY_RESOLUTION | settings))
    assert message in says(model_path=path, image_aspect_ratio="checkpoint")


def test_files_that_are_no_checkpoint(whole, says, tmp_path):
    path = shutil.copytree(whole.path, tmp_path / "model")
    weights = path / "pytorch_model.bin"
    for content in (b"", b"nothing of the kind", weights.read_bytes()[:1000]):
        weights.write_bytes(content)
        assert "pytorch_model.bin is not a checkpoint: " in says(model_path=path)
    weights.unlink()
    assert "has no weights: neither model.safetensors nor pytorch_model.bin" in says(model_path=path)
    (path / "model.safetensors").write_bytes(b"nothing of the kind")
    assert "model.safetensors is not a checkpoint: " in says(model_path=path)
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}))
    assert "model-00001-of-00001.safetensors is missing" in says(model_path=path)
    for content in ("[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        index.write_text(content)
        assert "model.safetensors.index.json" in says(model_path=path)
    (path / "tokenizer.model").write_bytes(b"nothing of the kind")
    assert "the tokenizer of" in says(model_path=path)


def test_code_in_a_checkpoint_of_transformers_does_not_run(says, tmp_path, checkpoint_path, monkeypatch):
    path = shutil.copytree(checkpoint_path, tmp_path / "model")
    (path / "model.safetensors").unlink()
    large_enough = torch.zeros(2**18)  # in bytes, for as many weights as its config.json asks for
    torch.save({"lm_head.weight": Unpickled(), "other": large_enough}, path / "pytorch_model.bin")
    assert "cannot be loaded: Weights only load failed" in says(model_path=path)
    config = json.loads((path / "config.json").read_text())
    (path / "theirs.py").write_text("raise SystemExit('run')")
    settings = {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Config"}}
    (path / "config.json").write_text(json.dumps(config | settings))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # to what transformers would ask
    assert "is a 'theirs', in code of its own, which is not run" in says(model_path=path)
    (path / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((path / "tokenizer_config.json").read_text())
    settings = {"tokenizer_class": "Theirs", "auto_map": {"AutoTokenizer": ["theirs.Tokenizer", None]}}
    (path / "tokenizer_config.json").write_text(json.dumps(tokenizer | settings))
    assert "error: " in says(model_path=path)


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("preprocessor_config.json", {"crop_size": None}, "cannot be loaded: "),
        ("tokenizer_config.json", {"model_max_length": {}}, "the checkpoint's tokenizer fails: "),
        ("config.json", {"image_token_index": 10**6}, ""),
    ],
)
def test_settings_of_transformers_that_do_not_fit(says, tmp_path, checkpoint_path, file, settings, message):
    path = shutil.copytree(checkpoint_path, tmp_path / "model")
    (path / file).write_text(json.dumps(json.loads((path / file).read_text()) | settings))
    assert message in says(model_path=path)


def test_bases_that_do_not_fit(whole, lora, says, tmp_path):
    assert "has adapter_config.json and no weights of its own" in says(model_path=lora.path)
    assert "a base is given, but" in says(model_path=whole.path, model_base=lora.base)
    base = shutil.copytree(lora.base, tmp_path / "base")
    shallow = {name: tensor for name, tensor in lora.state.items() if "layers.2" not in name}
    torch.save(shallow, base / "pytorch_model.bin")
    message = "it adapts model.layers.2.self_attn.q_proj.weight, and the base has no such weight"
    assert f"does not fit its base {base}: {message}; see --model-base" in says(model_path=lora.path, model_base=base)
    wide = lora.state | {"model.layers.0.mlp.down_proj.weight": torch.ones(2, 3)}
    torch.save(wide, base / "pytorch_model.bin")
    assert "and the base has it in the shape [2, 3]" in says(model_path=lora.path, model_base=base)
    assert "no model at nowhere/base" in says(model_path=lora.path, model_base="nowhere/base")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda adapter: adapter | {"base_model.model.x.lora_magnitude": torch.ones(2)}, "unexpected tensor in its"),
        (lambda adapter: without(adapter, next(iter(adapter))), "one half of a LoRA without the other"),
        (lambda adapter: without(adapter, list(adapter)[1]), "one half of a LoRA without the other"),
    ],
)  # fmt: skip
def test_adapters_that_do_not_fit(lora, says, tmp_path, change, message):
    path = shutil.copytree(lora.path, tmp_path / "llava-lora")
    torch.save(change(lora.adapter), path / "adapter_model.bin")
    assert message in says(model_path=path, model_base=lora.base)


def test_what_an_adapter_lacks(lora, says, tmp_path):
    path = shutil.copytree(lora.path, tmp_path / "llava-lora")
    settings = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(settings | {"use_qalora": True}))
    assert "asks for more than a LoRA that is merged here: use_qalora" in says(model_path=path, model_base=lora.base)
    (path / "adapter_config.json").write_text(json.dumps(without(settings, "lora_alpha")))
    assert "adapter_config.json has no lora_alpha" in says(model_path=path, model_base=lora.base)
    (path / "adapter_config.json").write_text(json.dumps(settings))
    (path / "adapter_model.bin").unlink()
    assert "adapter_model.safetensors is missing" in says(model_path=path, model_base=lora.base)
    (path / "non_lora_trainables.bin").unlink()
    assert "non_lora_trainables.bin is missing" in says(model_path=path, model_base=lora.base)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_lora_is_added_in_float32_and_cast_once(lora, dtype):
    """In float16 that is, to the bit, what adding it to half precision and rounding gives."""
    state = read_state(find_files(str(lora.path)), find_files(str(lora.base)))
    assert len(state.updates) == 3 * 3
    for target in state.updates:
        name = f"base_model.model.{target.removesuffix('.weight')}"
        down, up = (lora.adapter[f"{name}.lora_{half}.weight"] for half in "AB")
        exact = lora.state[target].double() + tiny.ALPHA / tiny.RANK * (up.double() @ down.double())
        found = state.read(target, dtype)
        assert found.dtype == dtype
        if dtype == torch.float32:
            assert (found - exact).abs().max() <= 1e-6
            assert not torch.equal(found, found.half().float())
        if dtype == torch.float16:
            change = tiny.ALPHA / tiny.RANK * (up.float() @ down.float())
            assert torch.equal(found, (lora.state[target].half().float() + change).half())


def test_a_tower_inside_that_was_not_trained_is_not_used(tmp_path, texts, capsys):
    """What is used instead is in `test_released.py`."""
    form = tiny.Original(tmp_path, tiny.make_corpus(texts), inside=True)
    load_model(str(form.path), device=torch.device("cpu"))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(said) == 1
    assert f"the vision tower inside {form.path} is not used" in said[0]
    assert f"{form.tower} is, as in the llava package" in said[0]


def test_tiles_are_the_default_of_a_checkpoint_that_asks_for_them(tmp_path, texts, extract, says, capsys):
    (tmp_path / "tiled").mkdir()
    form = tiny.Original(tmp_path / "tiled", tiny.make_corpus(texts), **tiny.FORMS["any resolution"])
    runs = {}
    for aspect in (None, "checkpoint", "crop"):
        flags = {"image_aspect_ratio": aspect} if aspect else {}
        assert extract(tmp_path / str(aspect), num_samples=2, **form.flags(), **flags) == 0
        runs[aspect] = pd.read_parquet(tmp_path / str(aspect) / "samples")["n_image"].tolist()
    assert runs[None] == runs["checkpoint"] != runs["crop"] == [16, 16]
    config = form.config() | {"mm_patch_merge_type": "flat"}
    (form.path / "config.json").write_text(json.dumps(config))
    capsys.readouterr()
    assert "choose crop or pad; see --image-aspect-ratio" in says(model_path=form.path)
