"""Oracle: a config.json by itself; the versions that are installed."""

import json

import pytest
import transformers

from extract.__main__ import main
from extract.models.families import FAMILIES
from extract.models.loading import describe_model, load_model
from extract.models.unknown.refusals import check_modules, twin
from extract.models.unknown.refusals import without_weights as once
from schemas.errors import HeadflowError
from tests.support.tiny_families import VISION, make_family, tokenizer, turns
from tests.support.witness import CPU

INSTALLED = transformers.__version__
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}
KINDS = ["conv", "conv"]
QWEN = {"model_type": "qwen3_5_text", **SMALL, "head_dim": 16, "num_key_value_heads": 1}
LINEAR = "linear_attention"


def qwen(**changes):
    """A config.json of Qwen3.5 with changes of its language model."""
    return {"model_type": "qwen3_5", "text_config": {**QWEN, "layer_types": [LINEAR, "full_attention"], **changes}}


def quantised(**said):
    """A config.json with quantised weights."""
    return {"model_type": "llava", "quantization_config": said}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"model_type": "internvl_chat", "auto_map": {"AutoModel": "x.Y"}},
            "is a 'internvl_chat', in code of its own, which is not run; if there is the same model in transformers'",
        ),
        (
            {"model_type": "tomorrow_vl", "transformers_version": "99.1.0"},
            f"is a 'tomorrow_vl', which transformers {INSTALLED} does not know; its config.json is of transformers "
            "99.1.0: pip install -U transformers",
        ),
        (
            {"model_type": "yesterday_vl", "transformers_version": "4.40.0"},
            "does not know; its config.json is of transformers 4.40.0: it is in code of its own, or no longer in",
        ),
        (
            {"model_type": "odd_vl", "transformers_version": "?"},
            "it may need a newer version, or is in code of its own",
        ),
        ({"architectures": ["X"]}, "has a config.json without a model_type; if there is the same model"),
        ({"model_type": "bert"}, "is a bert, not a vision-language model"),
        (
            {"model_type": "florence2"},
            "is a florence2 with an encoder and a decoder, which reads the image",
        ),
        (
            {"model_type": "blip-2", "text_config": {"model_type": "t5"}},
            "is a blip-2 with an encoder and a decoder, which reads",
        ),
        (
            {"model_type": "mllama", "text_config": {"cross_attention_layers": [1, 3]}},
            "is a mllama, whose image enters by cross-attention in the layers 1, 3; that is not supported",
        ),
        (
            {"model_type": "lfm2_vl", "text_config": {"model_type": "lfm2", **SMALL, "layer_types": KINDS}},
            "is a lfm2_vl with layers of conv, none of which has an attention matrix: there is nothing to observe",
        ),
        (
            qwen(layer_types=[LINEAR] * 2),
            f"is a qwen3_5 with layers of {LINEAR}, none of which has an attention matrix",
        ),
        (
            qwen(layer_types=["mamba", "full_attention"]),
            "has layers of mamba (layer_types): whether such layers of a Qwen3.5",
        ),
        (
            qwen(layer_types=["conv", "full_attention"]),
            "has layers of conv (layer_types): whether such layers of a Qwen3.5",
        ),
        (
            {"model_type": "llava", "text_config": {"model_type": "lfm2", **SMALL, "full_attn_idxs": [1]}},
            "(layer_types): whether such layers of a LLaVA-1.5 attend is not known",
        ),
        (qwen(hidden_size="32"), "has text_config.hidden_size '32', where a whole number is needed; take the file as"),
        (qwen(rope_parameters=[1]), "has text_config.rope_parameters [1], where an object is needed; take the file as"),
        (qwen(layer_types="conv"), "has text_config.layer_types 'conv', where a list is needed; take the file as"),
        (qwen(rms_norm_eps="0.1"), "has text_config.rms_norm_eps '0.1', where a number is needed; take the file as"),
        (
            qwen(eos_token_id={"a": 1}),
            "has text_config.eos_token_id {'a': 1}, where a whole number or a list is needed",
        ),
        ({"model_type": "qwen2_vl", "dtype": ["a"]}, "has dtype ['a'], where text is needed; take the file as"),
        (
            {"model_type": "llava", "vision_feature_select_strategy": 7},
            "has vision_feature_select_strategy 7, where one of ('default', 'full') is needed; take the file as",
        ),
        (
            {"model_type": "gemma3", "text_config": {"rope_parameters": {"full_attention": 3}}},
            "has a value of another kind than is needed ('int' object has no attribute",
        ),
        (qwen(num_attention_heads=0), "has text_config.num_attention_heads 0, less than 1; take the file as the model"),
        (qwen(num_hidden_layers=-1), "has text_config.num_hidden_layers -1, less than 1; take the file as the model"),
        (
            qwen(num_attention_heads=4, num_key_value_heads=3),
            "has num_key_value_heads 3, which does not divide num_attention_heads 4; take the file as",
        ),
        (
            {"model_type": "qwen2_vl", "text_config": {**SMALL, "num_attention_heads": 3, "num_key_value_heads": 1}},
            "has num_attention_heads 3, which does not divide hidden_size 32; take the file as",
        ),
        (
            quantised(quant_method="hqq9"),
            "are quantised by 'hqq9', which is not read here; known are bitsandbytes, gptq",
        ),
        (quantised(bits=4), "has a quantization_config without a quant_method, which says how the weights are read"),
        (quantised(), "has a quantization_config without a quant_method, which says how the weights are read"),
        (
            {"model_type": "llava", "quantization_config": "4bit"},
            "has quantization_config '4bit', where an object is needed; take the file as the model was published",
        ),
        ({"model_type": ["a"]}, "has model_type ['a'], where text is needed; take the file as the model was published"),
        (
            {"model_type": "llava", "text_config": {"model_type": ["a"]}},
            "has text_config.model_type ['a'], where text is needed; take the file",
        ),
        (
            {"model_type": "llava", "text_config": "x"},
            "has text_config 'x', where an object is needed; take the file as the model was published",
        ),
        (
            {"model_type": "llava", "text_config": {"model_type": "llama", **SMALL, "num_attention_heads": 3}},
            "cannot be loaded: The hidden size (32) is not a multiple of the number of attention heads (3).",
        ),
        (
            {"model_type": "internvl", "text_config": {"model_type": "gpt_oss"}},
            "is a internvl on a gpt_oss, whose attention has learned sinks: rows of attention do not sum to 1",
        ),
        (
            {
                "model_type": "blip-2",
                "vision_config": VISION,
                "qformer_config": SMALL,
                "text_config": {"model_type": "opt", **SMALL, "ffn_dim": 32, "word_embed_proj_dim": 32},
            },
            "is a blip-2, whose class Blip2ForConditionalGeneration does not say where the layers",
        ),
    ],
)
def test_a_model_is_refused_by_its_config_alone(tmp_path, monkeypatch, capsys, config, says):
    for kind in ("mllama", "lfm2_vl"):
        monkeypatch.delitem(FAMILIES, kind, raising=False)
    (tmp_path / "config.json").write_text(json.dumps(config))
    for load in (describe_model, lambda path: load_model(path, device=CPU)):
        with pytest.raises(HeadflowError) as error:
            load(str(tmp_path))
        assert says in str(error.value)
    assert main(["families", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_quantiser_that_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("extract.models.weights.quantised.find_spec", lambda _: None)
    (tmp_path / "config.json").write_text(json.dumps(quantised(quant_method="bitsandbytes", load_in_8bit=True)))
    assert main(["families", str(tmp_path)]) == 2
    assert "packages that are not installed: pip install bitsandbytes accelerate\n" in capsys.readouterr().err


def test_learned_sinks_are_found_among_the_weights(tmp_path, monkeypatch):
    """Of a language model whose name says nothing of them."""
    monkeypatch.delitem(FAMILIES, "internvl")
    monkeypatch.setattr("extract.models.unknown.refusals.check_layers", lambda *_: None)
    monkeypatch.setattr("extract.models.transformers_format.check_layers", lambda *_: None)
    text = {"model_type": "gpt_oss", **SMALL, "num_key_value_heads": 2, "num_local_experts": 2, "head_dim": 16}
    config = {"model_type": "internvl", "vision_config": VISION, "text_config": text}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(HeadflowError, match="is a internvl on a gpt_oss, whose attention has learned sinks"):
        describe_model(str(tmp_path))


@pytest.mark.parametrize("layers", [[], [1, 40], [-1, 3]])
def test_some_layers_must_read_the_image(tmp_path, layers):
    config = {"model_type": "mllama", "text_config": {"num_hidden_layers": 40, "cross_attention_layers": layers}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(HeadflowError, match="where some of its 40 layers are needed"):
        describe_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("OpenGVLab/InternVL3-8B", "OpenGVLab/InternVL3-8B-hf"),
        ("OpenGVLab/InternVL3_5-8B", "OpenGVLab/InternVL3_5-8B-HF"),
        ("OpenGVLab/InternVL3_5-30B-A3B", "OpenGVLab/InternVL3_5-30B-A3B-HF"),
        ("OpenGVLab/InternVL3_5-8B-HF", None),
        ("AIDC-AI/Ovis2-2B", "thisisiron/Ovis2-2B-hf"),
        ("deepseek-ai/deepseek-vl-1.3b-chat", "deepseek-community/deepseek-vl-1.3b-chat"),
        ("someone/InternVL3-8B", None),
    ],
)
def test_the_same_model_in_the_format_of_transformers(name, other):
    assert twin(name) == other


@pytest.fixture
def without_weights(tmp_path):
    """A checkpoint without its weights."""

    def write(config, images, kind, image, *more):
        words = tokenizer({}, more=[*more, image], bos=False, template=turns(image, bos=False))
        for piece in (config(words.convert_tokens_to_ids(image), len(words)), words, images):
            piece.save_pretrained(tmp_path)
        (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": kind}))
        return str(tmp_path)

    return write


def test_kinds_of_layers_must_attend_as_their_names_say():
    """By their modules: all layers of a Qwen2 attend."""
    text = {"model_type": "qwen2", **SMALL, "num_key_value_heads": 2}
    config = transformers.InternVLConfig(vision_config=VISION, text_config=text)
    model = once(config)
    config.text_config.layer_types = ["full_attention", "minimax_m3_sparse"]
    with pytest.raises(
        HeadflowError, match=r"has layers of minimax_m3_sparse \(layer_types\): whether such layers of a"
    ):
        check_modules("M", config, model)


def test_a_model_is_made_without_weights_once(tmp_path, monkeypatch):
    """For its modules, its features and its size."""
    make_family(tmp_path, "internvl")
    monkeypatch.delitem(FAMILIES, "internvl")
    made = []
    monkeypatch.setattr(
        "extract.models.transformers_format.without_weights", lambda config: made.append(config) or once(config)
    )
    load_model(str(tmp_path), device=CPU)
    assert len(made) == 1


def test_a_processor_that_writes_other_tokens_than_there_are_features_is_named(without_weights):
    vision = {
        "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 48,
        "window_size": 2, "global_attn_indexes": [], "image_size": 64, "patch_size": 16,
    }  # fmt: skip

    def config(image, size):
        text = {"model_type": "qwen2", **SMALL, "num_key_value_heads": 2, "vocab_size": size}
        return transformers.GotOcr2Config(vision_config=vision, text_config=text, image_token_id=image)

    images = transformers.GotOcr2ImageProcessorPil(size={"height": 64, "width": 64})
    path = without_weights(config, images, "GotOcr2Processor", "<imgpad>", "<img>", "</img>")
    with pytest.raises(HeadflowError) as error:
        describe_model(path)
    assert str(error.value) == (
        f"{path} is a got_ocr2 whose vision tower gives 1 feature of a picture (vision_config in config.json), and "
        "whose processor writes 256 tokens for it: they do not fit each other"
    )


def test_a_processor_that_fails_where_the_image_is_placed_is_named(without_weights):
    """Fuyu's puts the image before any text by itself."""

    def config(image, size):
        return transformers.FuyuConfig(**SMALL | {"vocab_size": size}, patch_size=7, image_token_id=image)

    images = transformers.FuyuImageProcessorPil(size={"height": 56, "width": 56}, patch_size={"height": 7, "width": 7})
    path = without_weights(config, images, "FuyuProcessor", "|SPEAKER|", "|NEWLINE|", "<0x04>")
    with pytest.raises(HeadflowError) as error:
        describe_model(path)
    assert str(error.value).startswith(
        f"{path} is a fuyu, whose FuyuProcessor fails on a black picture and a prompt with |SPEAKER| in the image's "
    )
    assert str(error.value).endswith("); it is not supported")
