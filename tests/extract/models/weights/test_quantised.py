"""Oracles: the same model with the plain matrices that its packed weights stand for; where bitsandbytes is installed,
the same quantised model in transformers' own eager attention, reduced row by row."""

import copy
import json
import shutil

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from extract.attention.packing import pack
from extract.models.answers import AnswerReader
from extract.models.loading import load_model
from extract.models.self_check import check_observation
from extract.models.weights.parts import model_sizes, remove
from extract.models.weights.quantised import Quantisation, matrix_of
from extract.prompts.prompt_builder import Prompts
from extract.tables.contributions import DirectContributions
from extract.tables.decoder import Decoder
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from schemas.store.run import open_run
from tests.support.eager_reference import reduce
from tests.support.witness import CPU, PICTURES, QUESTIONS, FamilyWitness, hf


class Packed(nn.Module):
    """A linear module whose weights are of 8 bits."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        weight = linear.weight.detach()
        self.register_buffer("scale", weight.abs().amax(dim=1, keepdim=True) / 127)
        self.register_buffer("packed", (weight / self.scale).round().to(torch.int8))

    def matrix(self):
        return self.packed.float() * self.scale

    def forward(self, given):
        return nn.functional.linear(given, self.matrix(), self.bias)


@pytest.fixture(scope="module")
def packed_and_plain(checkpoint):
    """A model with packed weights, the same with the matrices they stand for, and what writes their prompts."""
    packed, prompts = hf(checkpoint("llava"))
    plain = copy.deepcopy(packed)
    for of_packed, of_plain in zip(packed.stack.layers, plain.stack.layers, strict=True):
        for part, name in (("self_attn", "q_proj"), ("self_attn", "o_proj"), ("mlp", "down_proj")):
            module = Packed(getattr(getattr(of_packed, part), name))
            setattr(getattr(of_packed, part), name, module)
            getattr(getattr(of_plain, part), name).weight.data = module.matrix()
    packed.model.lm_head = Packed(packed.model.lm_head)
    plain.model.lm_head.weight.data = packed.model.lm_head.matrix()
    return packed, plain, prompts


def observe(model, prompts, image=PICTURES[0]):
    """Logits, flows and final hidden states of an image with its questions."""
    pixels = model.preprocessor(image)
    asked = [prompts.build(question, pixels.image_ids) for question in QUESTIONS]
    groups = [asked] if model.packs else [[prompt] for prompt in asked]
    return model.forward(*model.uploader.send(pack(groups), [pixels] * len(groups)))


def test_margins_contributions_and_sizes_are_of_the_matrices(packed_and_plain):
    read = []
    for model in packed_and_plain[:2]:
        prompts = packed_and_plain[2]
        tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
        answers = AnswerReader.of(model, tokens)
        hidden = observe(model, prompts)[2]
        heads = torch.stack(list(DirectContributions(Decoder.of(model), answers)._heads))
        read.append((answers.margin(hidden), answers.option_logits(hidden), heads, model_sizes(model)))
    (*found, sizes), (*expected, plain_sizes) = read
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5
        assert one.abs().max() > 1e-3
    assert sizes == plain_sizes


@pytest.mark.parametrize("chosen", [HeadSet(frozenset({(0, 1), (2, 0)})), HeadSet(layers=frozenset({1}))])
def test_heads_and_layers_are_taken_out(packed_and_plain, chosen):
    *models, prompts = packed_and_plain
    found = []
    for whole in models:
        model = copy.deepcopy(whole)
        before = observe(model, prompts)[0]
        remove(model, chosen)
        found.append(observe(model, prompts)[0])
        assert (found[-1] - before).abs().max() > 1e-2
    assert (found[0] - found[1]).abs().max() <= 1e-5


def test_a_module_that_is_no_matrix():
    class Bent(nn.Linear):
        def forward(self, given):
            return super().forward(given).abs()

    for module in (Bent(8, 4), nn.Identity()):
        with pytest.raises(HeadflowError, match="is no matrix"):
            matrix_of(module, torch.float32)
    packed = Packed(nn.Linear(600, 5))
    assert (matrix_of(packed, torch.float32, [3, 1]) - packed.matrix()[[3, 1]]).abs().max() <= 1e-5


BITS_4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


@pytest.mark.parametrize(
    ("said", "described", "missing"),
    [
        (BITS_4, {"bits": 4, "type": "nf4"}, "bitsandbytes accelerate"),
        ({"load_in_8bit": True, "load_in_4bit": False}, {"bits": 8}, "bitsandbytes accelerate"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, {"bits": 4, "group_size": 128}, "gptqmodel optimum"),
        ({"quant_method": "awq", "bits": 4, "version": "gemm"}, {"bits": 4}, "gptqmodel accelerate"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, {"weight_block_size": [128, 128]}, "accelerate"),
        ({"quant_method": "compressed-tensors", "format": "int4"}, {"format": "int4"}, "compressed-tensors accelerate"),
        ({"quant_method": "hqq"}, {}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_what_is_not_installed_is_said_before_weights_are_read(
    checkpoint, tmp_path, monkeypatch, said, described, missing, nested
):
    path = shutil.copytree(checkpoint("llava"), tmp_path / "model")
    (path / "model.safetensors").write_bytes(b"not read")
    config = json.loads((path / "config.json").read_text())
    (config["text_config"] if nested else config)["quantization_config"] = said
    (path / "config.json").write_text(json.dumps(config))
    method = said.get("quant_method", "bitsandbytes")
    assert Quantisation.of(config).described == {"method": method} | described
    monkeypatch.setattr("extract.models.weights.quantised.find_spec", lambda _: None)
    with pytest.raises(HeadflowError) as error:
        hf(path)
    if missing is None:
        assert f"the weights of {path} are quantised by 'hqq', which is not read here; known are" in str(error.value)
    else:
        assert f"quantised by {method}, which takes packages that are not installed: pip install" in str(error.value)
        assert missing in str(error.value)


def test_weights_that_cannot_be_quantised(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("extract.models.weights.quantised.find_spec", lambda _: None)
    path = shutil.copytree(checkpoint("llava"), tmp_path / "model")
    with pytest.raises(HeadflowError, match=r"weights that are to be quantised by bitsandbytes, which takes packages"):
        load_model(str(path), device=CPU, quantize="4bit")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"quantization_config": BITS_4}))
    with pytest.raises(HeadflowError, match="are quantised already"):
        load_model(str(path), device=CPU, quantize="4bit")
    released = {"architectures": ["LlavaLlamaForCausalLM"], "mm_vision_tower": "clip"}
    (path / "config.json").write_text(json.dumps(config | released))
    with pytest.raises(HeadflowError, match="released format, of which no quantised weights are read"):
        load_model(str(path), device=CPU, quantize="8bit")


OPTIONS = {"4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "8bit": {"load_in_8bit": True}}


@pytest.mark.parametrize(("bits", "described"), [("4bit", {"bits": 4, "type": "nf4"}), ("8bit", {"bits": 8})])
def test_bitsandbytes_equals_its_own_eager_pass(checkpoint, tmp_path, bits, described):
    """Quantised as it is loaded, and saved so."""
    pytest.importorskip("bitsandbytes")
    plain = checkpoint("qwen2_vl")
    settings = BitsAndBytesConfig(**OPTIONS[bits], bnb_4bit_compute_dtype=torch.float32)
    quantised = {"quantization_config": settings, "device_map": {"": "cpu"}, "dtype": torch.float32}
    eager = AutoModelForImageTextToText.from_pretrained(plain, attn_implementation="eager", **quantised)
    saved = shutil.copytree(plain, tmp_path / "saved", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    eager.save_pretrained(saved)
    witness = FamilyWitness(plain, "qwen2_vl")
    witness.loaded[torch.float32, "eager"] = eager
    for loaded in (load_model(str(plain), device=CPU, quantize=bits), load_model(str(saved), device=CPU)):
        assert loaded.quantised == {"method": "bitsandbytes"} | described
        assert loaded.dtype == torch.float32
        prompts = loaded.prompt_format.prompt_builder(loaded.prompt_format.find_template("hf", str(plain)))
        logits, flows, _ = observe(check_observation(loaded, prompts), prompts)
        for number, question in enumerate(QUESTIONS):
            read = witness.read(PICTURES[0], question)
            output = witness.run(read, dtype=torch.float32, attention="eager", output_attentions=True)
            roles = witness.roles(read["input_ids"][0].tolist())
            expected = reduce(torch.stack(output.attentions)[:, 0].double().numpy(), roles)
            worst = max(
                abs(flows[number, ..., FLOW_NAMES.index(name)].numpy() - values).max()
                for name, values in expected.items()
            )
            wrong = float((logits[number] - output.logits[0, -1]).abs().max())
            print(f"{bits}: flows {worst:.1e}, logits {wrong:.1e}")
            assert worst <= 5e-6
            assert wrong <= 5e-6


def test_a_run_of_quantised_weights(extract, tmp_path, capsys):
    pytest.importorskip("bitsandbytes")
    assert extract(tmp_path / "run", num_samples=2, quantize="4bit") == 0
    assert open_run(tmp_path / "run").manifest.quantised == {"method": "bitsandbytes", "bits": 4, "type": "nf4"}
    said = {"method, is 'bitsandbytes', this command's is None": {}, "bits, is 4, this": {"quantize": "8bit"}}
    for words, flags in said.items():
        capsys.readouterr()
        assert extract(tmp_path / "run", num_samples=3, **flags) == 2
        assert f"holds another run: its quantised, {words}" in capsys.readouterr().err
