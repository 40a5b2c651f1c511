"""Oracles: each weight of the base with the update by its formula in float64, tensor by tensor, from adapters that are
written here by hand in peft's names; and peft itself, where it is installed."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from extract.models.fingerprint import fingerprint_settings
from extract.models.loading import load_model
from schemas.errors import HeadflowError
from tests.support.witness import CPU

PREFIX = "base_model.model."
QUERY, DOWN = "model.language_model.layers.1.self_attn.q_proj", "model.language_model.layers.0.mlp.down_proj"
VISION, EMBEDDING = "model.visual.blocks.0.attn.proj", "model.language_model.embed_tokens"
OLD = {QUERY: "model.layers.1.self_attn.q_proj", VISION: "visual.blocks.0.attn.proj"}  # as transformers 4 has them
HEAD = "lm_head.weight"


@pytest.fixture
def base(checkpoint):
    return checkpoint("qwen2_vl")


@pytest.fixture
def weights(base):
    """The weights of the base by the names that the model has for them."""
    return load(base).model.state_dict()


def load(path, base=None, dtype="auto"):
    return load_model(str(path), base and str(base), device=CPU, dtype=dtype)


def pair(shape, rank=4):
    rows, columns = shape
    return torch.randn(rank, columns) * 0.3, torch.randn(rows, rank) * 0.3


def write(out, base, tensors, **settings):
    out.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 12, "base_model_name_or_path": str(base)} | settings
    (out / "adapter_config.json").write_text(json.dumps(settings))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, out / "adapter_model.safetensors")
    return out


def assert_weights(model, weights, expected):
    """Weights are as expected, and all others those of the base."""
    for name, found in model.state_dict().items():
        if name in expected:
            assert (found.double() - expected[name]).abs().max() <= 1e-6, name
            assert (found - weights[name]).abs().max() > 1e-2, name
        else:
            assert torch.equal(found, weights[name]), name


@pytest.mark.parametrize("old", [False, True])
def test_updates_equal_the_formula(base, weights, tmp_path, old):
    """With ranks and alphas of their own, in the vision tower, of embeddings, and with a head that was trained."""
    torch.manual_seed(0)
    tensors, expected = {}, {}
    for target, rank, alpha in ((QUERY, 4, 12), (DOWN, 2, 12), (VISION, 4, 5)):
        down, up = pair(weights[f"{target}.weight"].shape, rank)
        name = PREFIX + (OLD.get(target, target) if old else target)
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        change = alpha / math.sqrt(rank) * (up.double() @ down.double())
        expected[f"{target}.weight"] = weights[f"{target}.weight"].double() + change
    rows, width = weights[f"{EMBEDDING}.weight"].shape
    down, up = pair((width, rows))
    tensors |= {f"{PREFIX}{EMBEDDING}.lora_embedding_{half}": each for half, each in (("A", down), ("B", up))}
    change = 12 / math.sqrt(4) * (up.double() @ down.double())
    expected[f"{EMBEDDING}.weight"] = weights[f"{EMBEDDING}.weight"].double() + change.T
    tensors[PREFIX + HEAD] = torch.randn_like(weights[HEAD])
    expected[HEAD] = tensors[PREFIX + HEAD].double()
    adapter = write(
        tmp_path / "adapter", base, tensors, use_rslora=True, rank_pattern={"layers.0.mlp.down_proj": 2},
        alpha_pattern={r"blocks\.\d+\.attn\.proj": 5}, modules_to_save=["lm_head"],
    )  # fmt: skip
    merged = load(adapter)
    assert_weights(merged.model, weights, expected)
    assert merged.weights not in (None, load(base).weights)


def test_a_dora_equals_the_formula(base, weights, tmp_path):
    torch.manual_seed(1)
    down, up = pair(weights[f"{QUERY}.weight"].shape)
    magnitude = torch.rand(len(up)) + 0.5
    name = PREFIX + QUERY
    tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up, f"{name}.lora_magnitude_vector": magnitude}
    whole = weights[f"{QUERY}.weight"].double() + 3 * (up.double() @ down.double())
    scaled = torch.stack([m * row / row.square().sum().sqrt() for m, row in zip(magnitude, whole, strict=True)])
    adapter = write(tmp_path / "adapter", "moved", tensors, use_dora=True)
    assert_weights(load(adapter, base).model, weights, {f"{QUERY}.weight": scaled})


def test_sums_are_of_float32_and_cast_once(base, weights, tmp_path):
    """Of a base whose files are of float32."""
    torch.manual_seed(2)
    name = f"{QUERY}.weight"
    down, up = pair(weights[name].shape)
    tensors = {f"{PREFIX}{QUERY}.lora_{half}.weight": each * 1e-2 for half, each in (("A", down), ("B", up))}
    adapter = write(tmp_path / "adapter", base, tensors)
    found = load(adapter, dtype="float16").model.get_parameter(name)
    exact = load(adapter).model.get_parameter(name)
    assert torch.equal(found, exact.half())
    assert not torch.equal(found, (weights[name].half().float() + exact - weights[name]).half())


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({f"{PREFIX}{QUERY}.lora_B.bias": torch.ones(64)}, {}, "has an unexpected tensor in its adapter: base_model"),
        ({f"{PREFIX}{QUERY}.hada_w1_a": torch.ones(2)}, {}, "it adapts model.language_model.layers.1.self_attn.q_proj"),
        ({"other.weight": torch.ones(2)}, {}, "has an unexpected tensor in its adapter: other.weight"),
        ({f"{PREFIX}{HEAD}": torch.ones(2, 2)}, {}, "adapts lm_head.weight, and the base has it in the shape ["),
        ({}, {"r": 8}, "has rank 4 for model.language_model.layers.1.self_attn.q_proj.weight, and its adapter_config"),
        ({}, {"modules_to_save": ["lm_head"]}, "names lm_head in modules_to_save, and has no tensors of it"),
        ({}, {"use_dora": True}, "has no magnitude for model.language_model"),
        ({}, {"peft_type": "LOHA"}, "asks for more than a LoRA that is merged here: peft_type LOHA"),
        ({}, {"init_lora_weights": "pissa_niter_4"}, "init_lora_weights pissa_niter_4, which changes the base"),
        ({}, {"alora_invocation_tokens": [1]}, "asks for more than a LoRA that is merged here: alora_invocation"),
        ({}, {"base_model_name_or_path": None}, "names no base: name it"),
        ({}, {"base_model_name_or_path": "their/gone folder"}, "names it as its base: name where the base is"),
        ({}, {"base_model_name_or_path": "their/model", "revision": "abc"}, "asks for the revision abc of their/model"),
    ],
)  # fmt: skip
def test_what_is_not_applied_is_an_error(base, tmp_path, change, settings, message):
    down, up = pair((64, 64))
    tensors = {f"{PREFIX}{QUERY}.lora_{half}.weight": each for half, each in (("A", down), ("B", up))}
    adapter = write(tmp_path / "adapter", base, tensors | change, **settings)
    with pytest.raises(HeadflowError) as error:
        load(adapter)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_bases_that_an_adapter_cannot_stand_on(base, tmp_path):
    down, up = pair((64, 64))
    tensors = {f"{PREFIX}{QUERY}.lora_{half}.weight": each for half, each in (("A", down), ("B", up))}
    adapter = write(tmp_path / "adapter", base, tensors)
    with pytest.raises(HeadflowError, match=r"a base is given, but .* has no adapter_config\.json"):
        load(base, adapter)
    with pytest.raises(HeadflowError, match="an adapter over an adapter is not read"):
        load(adapter, adapter)
    both = shutil.copytree(base, tmp_path / "both")
    shutil.copy(adapter / "adapter_config.json", both)
    with pytest.raises(HeadflowError, match="and weights of a whole model: name the base of the adapter, or remove"):
        load(both)
    quantised = shutil.copytree(base, tmp_path / "quantised")
    config = json.loads((base / "config.json").read_text()) | {"quantization_config": {"quant_method": "bitsandbytes"}}
    (quantised / "config.json").write_text(json.dumps(config))
    with pytest.raises(HeadflowError, match=r"are quantised, and .* cannot be merged into them: name the plain model"):
        load(adapter, quantised)


def test_a_run_of_an_adapter(extract, checkpoint_path, tmp_path, capsys):
    """Its settings, and those of the base that it names, are compared by a resume."""
    torch.manual_seed(3)
    name = f"{PREFIX}language_model.model.layers.0.self_attn.q_proj"
    down, up = pair((128, 128))
    base = shutil.copytree(checkpoint_path, tmp_path / "base")
    tensors = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    adapter = write(tmp_path / "adapter", base, tensors)
    (adapter / "tokenizer_config.json").write_text("{}")
    before = fingerprint_settings(str(adapter))
    assert extract(tmp_path / "run", model_path=adapter, num_samples=2) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert said == [f"warning: tokenizer_config.json of the adapter {adapter} are not read; those of {base} are"]
    write(adapter, base, tensors, lora_alpha=13)
    assert extract(tmp_path / "run", model_path=adapter, num_samples=3) == 2
    write(adapter, base, tensors)
    assert fingerprint_settings(str(adapter)) == before
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"changed": 1}))
    assert fingerprint_settings(str(adapter)) != before


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True, "use_dora": True}])
def test_peft_merges_the_same(checkpoint, tmp_path, settings):
    peft = pytest.importorskip("peft")
    path = checkpoint("llava")
    torch.manual_seed(4)
    model = load(path).model
    config = peft.LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "down_proj", "fc1"], init_lora_weights=False,
        modules_to_save=["multi_modal_projector"], rank_pattern={"fc1": 2}, alpha_pattern={"q_proj": 3}, **settings,
    )  # fmt: skip
    wrapped = peft.get_peft_model(model, config)
    for name, weight in wrapped.named_parameters():
        if "modules_to_save" in name:
            weight.data += 1
    wrapped.save_pretrained(tmp_path / "adapter")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any("magnitude" in name for name in saved) == bool(settings)
    merged = wrapped.merge_and_unload().state_dict()
    for name, weight in load(tmp_path / "adapter", path).model.state_dict().items():
        assert (weight - merged[name]).abs().max() <= 1e-6, name
