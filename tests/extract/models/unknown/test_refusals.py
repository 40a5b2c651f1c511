"""Oracle: a config.json by itself; the versions that are installed."""

import json

import pytest
import transformers

from extract.__main__ import main
from extract.models.families import FAMILIES
from extract.models.loading import describe_model, load_model
from extract.models.unknown.refusals import twin
from schemas.errors import HeadflowError
from tests.support.tiny_families import VISION
from tests.support.witness import CPU

INSTALLED = transformers.__version__
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}
KINDS = ["conv", "conv"]


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
