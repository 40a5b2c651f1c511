"""Oracle: checkpoints that load, with one thing changed by hand; `load_model` and the command on them."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import transformers as tf
from PIL import Image
from safetensors.torch import load_file, save_file

from extract.images.preprocessing import ImageSettings
from extract.models.loading import load_model, load_prompt_format
from extract.models.self_check import check_observation
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.tiny_families import INSTRUCT, make_or_skip, tokenizer

CPU = torch.device("cpu")


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy of a family's checkpoint, free to be changed."""
    return lambda name: shutil.copytree(checkpoint(name), tmp_path / name)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_weights_that_are_left_over_are_a_warning_that_names_them(copied, capsys):
    path = copied("llava")
    state = load_file(path / "model.safetensors")
    name = "model.language_model.layers.0.self_attn.rotary_emb.frequencies"
    save_file(state | {name: torch.ones(8)}, path / "model.safetensors", metadata={"format": "pt"})
    model = load_model(str(path), device=CPU)
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert said == [
        f"warning: {path}: 1 unexpected weights, such as {name}; the model has no place for them, and runs without"
    ]
    assert all(torch.equal(state[key], each) for key, each in model.model.state_dict().items() if key in state)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda name, state: {key: each for key, each in state.items() if key != name}, "1 missing weights, such as "),
        (lambda name, state: state | {name: torch.ones(3)}, "1 mismatched weights, such as "),
    ],
)
def test_weights_that_are_missing_or_of_another_shape_are_an_error(copied, change, says):
    path = copied("llava")
    state = load_file(path / "model.safetensors")
    name = next(key for key in state if key.endswith("layers.1.self_attn.q_proj.weight"))
    save_file(change(name, state), path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(HeadflowError, match=says):
        load_model(str(path), device=CPU)


def test_a_config_without_its_language_model_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    """What transformers puts in its place has billions of weights."""
    path = make_or_skip(tmp_path / "model", "qwen3_vl")
    edit_json(path / "config.json", text_config=None)
    monkeypatch.setattr(tf.AutoModelForImageTextToText, "from_pretrained", lambda *_, **__: pytest.fail("allocated"))
    stored = (path / "model.safetensors").stat().st_size
    with pytest.raises(HeadflowError, match=rf"its config.json asks for \d{{10,}} weights, .* {stored} bytes; the"):
        load_model(str(path), device=CPU)


@pytest.mark.parametrize(
    ("name", "template", "default"),
    [
        ("llava", None, "vicuna_v1"),
        ("llava", "", "vicuna_v1"),
        ("llava", INSTRUCT, "hf"),
        ("llava", "{{ fails }", "hf"),
        ("llava_qwen", None, "hf"),
        ("llava_qwen", "", "hf"),
        ("vipllava", None, "hf"),
    ],
)
def test_the_template_of_vicuna_is_the_default_of_its_family_alone(copied, name, template, default):
    path = copied(name)
    if template is not None:
        file = path / "chat_template.jinja"
        file.write_text(template) if template else file.unlink()
    prompt_format, _ = load_prompt_format(str(path))
    assert prompt_format.default_template == default
    assert load_model(str(path), device=CPU).prompt_format.default_template == default


def test_a_llava_on_llama_2_without_a_template_has_llava_s_own(copied):
    path = copied("llava")
    (path / "chat_template.jinja").unlink()
    path = path.rename(path.with_name("llava-llama-2-13b-hf"))
    assert load_prompt_format(str(path))[0].default_template == "llava_llama_2"


def test_a_llava_on_qwen_is_asked_by_its_own_template(checkpoint):
    prompt_format, reader = load_prompt_format(str(checkpoint("llava_qwen")))
    prompts = prompt_format.prompt_builder(prompt_format.find_template(None, ""))
    prompt = prompts.build("Is it red?", reader(Image.new("RGB", (28, 28))).image_ids)
    assert prompt_format.tokenizer.decode(prompt.input_ids[:1]) == "<|im_start|>"
    assert prompt.counts()["n_bos"] == 1
    assert prompt_format.tokenizer.decode(prompt.input_ids).startswith("<|im_start|>system\nYou answer.<|im_end|>\n")


def test_a_model_with_an_encoder_of_its_own_for_questions_is_refused_by_name(tmp_path):
    path = tmp_path / "blip"
    tf.InstructBlipConfig(text_config={"model_type": "opt"}).save_pretrained(path)
    tokenizer({}, template=None).save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "BlipImageProcessor"}))
    with pytest.raises(
        HeadflowError, match="is a instructblip, which is not supported: its processor needs a qformer_"
    ):
        load_prompt_format(str(path))


@pytest.mark.parametrize(
    "left", [{}, {"patch_size": 7}, {"patch_size": 7, "vision_feature_select_strategy": "default"}]
)
def test_an_old_llava_next_that_leaves_out_what_its_config_says(copied, checkpoint, left):
    path = copied("llava_next")
    (path / "processor_config.json").write_text(json.dumps({"processor_class": "LlavaNextProcessor", **left}))
    model, whole = (load_model(str(each), device=CPU) for each in (path, checkpoint("llava_next")))
    prompt_format = model.prompt_format
    check_observation(model, prompt_format.prompt_builder(prompt_format.find_template("hf", "")))
    picture = Image.new("RGB", (90, 33))
    assert model.preprocessor(picture).image_ids == whole.preprocessor(picture).image_ids


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        (
            "processor_config.json",
            {"num_additional_image_tokens": 0},
            r"features .* not match.*; processor_config\.json has num_additional_image_tokens 0, and config\.json 1$",
        ),
        (
            "config.json",
            {"image_token_id": 7},
            r"config\.json names token 7 \(image_token_id\), and .*processor_config\.json",
        ),
        (
            "tokenizer_config.json",
            {"image_token": "<pad>"},
            r"writes <pad> 0 times, .* of its processor_config\.json or",
        ),
    ],
)
def test_files_that_do_not_fit_each_other_are_named(copied, file, changes, says):
    path = copied("llava_next")
    edit_json(path / file, **changes)
    if file == "config.json":
        edit_json(path / file, image_token_index=7)

    def check():
        model = load_model(str(path), device=CPU)
        check_observation(model, model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", "")))

    with pytest.raises(HeadflowError, match=says):
        check()


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings(copied):
    model = load_model(str(copied("llava_next")), device=CPU)
    model.model.resize_token_embeddings(9)
    prompts = model.prompt_format.prompt_builder(model.prompt_format.find_template("hf", ""))
    with pytest.raises(
        HeadflowError, match=r"\(tokenizer\.json\), and the model has 9 embeddings \(vocab_size in config"
    ):
        check_observation(model, prompts)


@pytest.mark.parametrize(("family", "token"), [("llava", 9999), ("llava", -1), ("qwen2_vl", 9999)])
def test_an_image_token_that_the_tokenizer_does_not_have(copied, family, token):
    path = copied(family)
    edit_json(path / "config.json", image_token_index=token, image_token_id=token)
    with pytest.raises(HeadflowError, match=rf"has image_token_id {token}, and its tokenizer\.json no such token"):
        load_prompt_format(str(path))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "PixtralProcessor requires the Torchvision library but it was not found in your environment. Check out the "
            "instructions on the installation page: https://x. Please note that you may restart after installation.",
            "PixtralProcessor requires the Torchvision library but it was not found in your environment; what needs",
        ),
        (
            "Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes>=0.46.1`",
            "Using `bitsandbytes` 4-bit quantization requires bitsandbytes; what needs",
        ),
    ],
)
def test_nobody_is_told_to_install_what_need_not_help(copied, monkeypatch, text, kept):
    def fail(*_, **__):
        raise ImportError(text)

    monkeypatch.setattr("extract.models.transformers_format.describe", fail)
    with pytest.raises(HeadflowError) as error:
        load_prompt_format(str(copied("llava")))
    assert f"cannot be loaded: {kept}" in str(error.value)
    assert "pip" not in str(error.value)


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_5_vl"])
def test_limits_of_pixels(checkpoint, name):
    """A patch has 14 x 14 pixels, a token 2 x 2 patches of 7 x 7."""
    path = str(checkpoint(name))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (140, 140, 3), np.uint8))
    tokens = {}
    for limits in ({}, {"max_pixels": 196 * 9}, {"min_pixels": 196 * 4, "max_pixels": 196 * 100}):
        model = load_model(path, device=CPU, images=ImageSettings(**limits))
        _, reader = load_prompt_format(path, images=ImageSettings(**limits))
        described = model.preprocessor.describe()
        assert described == reader.describe()
        assert described.items() >= limits.items()
        assert {"min_pixels", "max_pixels"} <= described.keys()
        ids = model.preprocessor(noise).image_ids
        assert ids == reader(noise).image_ids
        tokens[str(limits)] = ids[0].count(model.prompt_format.image_token_id)
    assert [*tokens.values()] == [16, 9, 100]


def test_limits_of_pixels_by_the_command(checkpoint, questions, extract, tmp_path, capsys):
    flags = {"num_samples": 2, "min_pixels": 196, "max_pixels": 196 * 5}
    assert extract(tmp_path / "run", model_path=checkpoint("qwen2_vl"), **flags) == 0
    assert open_run(tmp_path / "run").manifest.image_preprocessing["max_pixels"] == 196 * 5
    assert (pd.read_parquet(tmp_path / "run" / "samples")["n_image"] == 4).all()
    capsys.readouterr()
    for name, limits, says in (
        ("llava_next", {"min_pixels": 196}, "is a LLaVA-NeXT: leave them out; see --min-pixels"),
        ("llava", {"max_pixels": 196}, "is a LLaVA-1.5: leave them out; see --max-pixels"),
        ("qwen2_vl", {"min_pixels": 999, "max_pixels": 196}, "min_pixels is 999 and max_pixels 196"),
        ("qwen2_vl", {"min_pixels": 10**6}, "min_pixels is 1000000 and max_pixels 3136"),
    ):
        assert extract(tmp_path / "other", model_path=checkpoint(name), **limits) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert says in error
