"""Oracles, for each family: the ids of its own processor's `apply_chat_template`; an eager pass of the model in float64
reduced row by row (tests/support/measured.py); the unobserved model, for logits. For a family that is taken for an
unknown one: the same model, known."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from extract.__main__ import main
from extract.attention.packing import pack
from extract.images.processors import ProcessorPreprocessor, find_token_types
from extract.models.answers import AnswerReader
from extract.models.families import FAMILIES
from extract.models.self_check import check_observation
from extract.models.transfer import Uploader
from extract.models.weights.parts import remove
from extract.passes.batching import ImageQuestions, Question
from extract.passes.forward import Passes
from extract.passes.samples import Observed
from extract.prompts.prompt_builder import Prompts
from extract.questions.samples import Sample, Unusable
from extract.tables.maps import MapMaker
from schemas.columns import FLOW_NAMES, OF_LAST, PARTITIONS
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import NOTHING, HeadSet
from schemas.roles import IMAGE
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.knockouts import Reference
from tests.support.measured import FamilyCase
from tests.support.tiny_families import OF_TABLE, make_family, make_or_skip
from tests.support.witness import CPU, PICTURES, QUESTIONS, SHORT, FamilyWitness, hf, picture


def observe(model, asked):
    """Logits, flows and final hidden states of images with their prompts."""
    batch = pack([prompts for _, prompts in asked])
    return model.forward(*Uploader(CPU, torch.float32).send(batch, [pixels for pixels, _ in asked]))


@pytest.mark.parametrize("name", OF_TABLE)
def test_a_family_equals_its_witness(tmp_path, name):
    """Masses, answers, tables and two knock-outs, as `python -m tests.measured_families` prints them."""
    try:
        found = FamilyCase(make_or_skip(tmp_path, name), name).measure()
    except HeadflowError as error:
        if "needs torchvision" in str(error):  # as of Gemma 4's processor in transformers 5.17
            pytest.skip(str(error))
        raise
    print(name, {what: f"{error:.1e}" for what, error in found.errors.items()}, found.refused)
    assert max(found.errors.values()) <= 5e-6
    assert found.spread > 0.1
    assert min(found.effects.values(), default=1) > 1e-5
    assert set(found.refused) == set(OF_TABLE[name].lacks)


def test_every_family_of_the_table_has_a_recipe():
    assert [name for name in FAMILIES if (name.partition("/")[2] or name) not in OF_TABLE] == []


@pytest.mark.parametrize("name", ["qwen3_vl_moe", "ernie4_5_vl_moe"])
def test_layers_with_experts_can_be_taken_out(tmp_path, name):
    """Features that are added after a layer which is taken out, in Qwen3-VL, are there still."""
    case = FamilyCase(make_or_skip(tmp_path, name), name)
    read = case.witness.read(PICTURES[0], QUESTIONS[0])
    reference = Reference(case.eager.model)
    reference.skipped = [1]
    expected = float(reference.hidden(case.witness.inputs(read, torch.float64)) @ case.direction)
    prompts, margins = [case.prompts.build(QUESTIONS[0], case.pixels[0].image_ids)], []
    for chosen in (NOTHING, HeadSet(layers=frozenset({1}))):
        remove(case.model, chosen)
        margins.append(float(case.answers.margin(observe(case.model, [(case.pixels[0], prompts)])[2])))
    assert abs(margins[1] - expected) <= 1e-5
    assert abs(margins[0] - expected) > 1e-3


@pytest.mark.parametrize("name", ["qwen3_vl", "ernie4_5_vl_moe", "qwen3_5"])
def test_a_family_that_is_not_known_equals_its_witness(tmp_path, monkeypatch, name):
    """ERNIE's processor writes token types of its own, by which its experts are chosen; Qwen3.5 is a hybrid."""
    make_family(tmp_path, name)
    monkeypatch.delitem(FAMILIES, name)
    model, prompts = hf(tmp_path)
    model = check_observation(model, prompts)
    assert model.causal
    assert model.kernel is not None
    assert_like_the_witness(name, FamilyWitness(tmp_path, name), model, prompts)


def test_attention_under_a_window_equals_its_witness(tmp_path, checkpoint):
    path = shutil.copytree(checkpoint("llava_next_mistral"), tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    config["text_config"]["sliding_window"] = 48
    (path / "config.json").write_text(json.dumps(config))
    model, prompts = hf(path)
    model = check_observation(model, prompts)
    assert model.causal
    assert model.kernel is None
    assert_like_the_witness("window", FamilyWitness(path, "llava_next_mistral"), model, prompts)


def assert_like_the_witness(name, reference, model, prompts):
    """Masses and logits of some questions about two images, in one batch."""
    pixels = [model.preprocessor(image) for image in PICTURES]
    built = [[prompts.build(question, each.image_ids) for question in QUESTIONS] for each in pixels]
    if model.packs:
        logits, flows, _ = observe(model, list(zip(pixels, built, strict=True)))
    else:
        asked = [(each, [prompt]) for each, group in zip(pixels, built, strict=True) for prompt in group]
        logits, flows, _ = observe(model, asked)
    worst, wrong, spread = 0.0, 0.0, 0.0
    for number, (image, question) in enumerate((image, question) for image in PICTURES for question in QUESTIONS):
        prompt, read = built[number // 2][number % 2], reference.read(image, question)
        ids = read["input_ids"][0].tolist()
        assert prompt.input_ids == ids
        roles = reference.roles(ids)
        assert [SHORT[role] for role in prompt.roles] == roles
        expected = reference.flows(read)
        for column, flow in enumerate(FLOW_NAMES):
            worst = max(worst, np.abs(flows[number, ..., column].numpy() - expected[flow]).max())
        spread = max(spread, expected["a2v"].max() - expected["a2v"].min())
        attention = "sdpa" if model.kernel is not None else "eager"  # the only one that caps scores in all versions
        plain = reference.run(read, dtype=torch.float32, attention=attention, logits_to_keep=1).logits[0, -1]
        wrong = max(wrong, float((logits[number] - plain).abs().max()))
    print(f"{name}: flows {worst:.1e}, logits {wrong:.1e}, spread {spread:.2f}")
    assert worst <= 1e-5
    assert wrong <= 1e-5
    assert spread > 0.1
    for columns in PARTITIONS.values():
        total = flows[..., [FLOW_NAMES.index(column.name) for column in columns]].sum(dim=-1)
        assert (total - 1).abs().max() <= 1e-5


@pytest.mark.parametrize(("name", "spaced"), [("llava", True), ("idefics3", True), ("internvl", False)])
def test_options_begin_with_a_space_where_the_template_ends_without_one(checkpoint, name, spaced):
    model, prompts = hf(checkpoint(name))
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    assert [text.startswith("Ġ") for text in tokens.texts] == [spaced] * 2


def test_the_margin_is_before_the_cap_on_logits(checkpoint):
    """Of logits that are large beside the cap, which is undone here."""
    model, prompts = hf(checkpoint("paligemma2"))
    model.unembedding.weight.data *= 8
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    pixels = model.preprocessor(PICTURES[0])
    logits, _, hidden = observe(model, [(pixels, [prompts.build(QUESTIONS[0], pixels.image_ids)])])
    cap = model.model.config.text_config.final_logit_softcapping
    if logits.abs().max() > cap:  # as of transformers 5.17
        pytest.skip("this release of transformers does not cap PaliGemma's logits")
    yes, no = (cap * torch.atanh(logits[0, token].double() / cap) for token in tokens.ids)
    margin = float(AnswerReader.of(model, tokens).margin(hidden))
    print(f"margin {margin:.3f}, of capped logits {float(logits[0, tokens.ids[0]] - logits[0, tokens.ids[1]]):.3f}")
    assert abs(margin - float(yes - no)) <= 1e-5
    assert abs(margin - float(logits[0, tokens.ids[0]] - logits[0, tokens.ids[1]])) > 1e-3


@pytest.mark.parametrize("name", ["llava_next", "qwen2_vl", "internvl", "gemma3"])
def test_a_model_that_is_not_known_is_read_with_care(checkpoint, monkeypatch, name):
    known, prompts = hf(checkpoint(name))
    pixels = known.preprocessor(PICTURES[0])
    asked = [(pixels, [prompts.build(question, pixels.image_ids)]) for question in QUESTIONS]
    expected = observe(known, asked)
    monkeypatch.delitem(FAMILIES, name)
    unknown, prompts = hf(checkpoint(name))
    unknown = check_observation(unknown, prompts)
    assert unknown.packs == known.packs == (name in ("llava_next", "internvl"))
    assert unknown.causal == (name != "gemma3")
    assert (unknown.kernel is None) == (name == "gemma3")
    assert prompts.build(QUESTIONS[0], unknown.preprocessor(PICTURES[0]).image_ids) == asked[0][1][0]
    for found, right in zip(observe(unknown, asked), expected, strict=True):
        assert (found - right).abs().max() <= 1e-5


def test_what_a_processor_writes_of_tokens_must_follow_from_their_ids():
    def processor(text, **_):
        places = torch.arange(len(text[0]))[None]
        return {"input_ids": places * 0, "position_ids": places, "labels": places, "pixel_values": torch.zeros(1, 9)}

    assert find_token_types(processor, "x", "xyz", frozenset({"labels", "pixel_values"})) == {}
    with pytest.raises(HeadflowError, match="writes position_ids for the model, which does not follow from"):
        find_token_types(processor, "x", "xyz", frozenset({"position_ids"}))


def test_the_templates_of_llava_are_for_its_family(checkpoint, capsys, ask):
    path = checkpoint("llava_next")
    model, chat = hf(path)
    prompts = model.prompt_format.prompt_builder(model.prompt_format.find_template("vicuna_v1", str(path)))
    check_observation(model, prompts)
    ids = model.preprocessor(PICTURES[0]).image_ids
    prompt = prompts.build(QUESTIONS[0], ids)
    image = model.model.config.image_token_id
    assert prompt.input_ids.count(image) == prompt.roles.count(IMAGE) == len(ids[0])
    text = model.prompt_format.tokenizer.decode(prompt.input_ids)
    assert text.startswith("<s>A chat between a curious user")
    assert prompt.counts()["n_system"] > 0 == chat.build(QUESTIONS[0], ids).counts()["n_system"]
    assert ask("qwen2_vl", picture(40, 70), conv_mode="vicuna_v1")[0] == 2
    said = capsys.readouterr().err
    assert "the template vicuna_v1 is one of LLaVA's; a Qwen2-VL takes hf alone; see --conv-mode" in said


@pytest.fixture
def ask(tmp_path, checkpoint, extract):
    """Run `python -m extract` with a family's checkpoint over two questions on each of some images."""

    def call(name, *images, questions=QUESTIONS, **flags):
        for number, image in enumerate(images):
            image.save(tmp_path / f"{number}.png")
        rows = [
            {"question_id": f"{number}", "image_file": f"{number}.png", "question": question, "category": "OCR"}
            for number in range(max(1, len(images)))
            for question in questions
        ]
        (tmp_path / "questions.json").write_text(json.dumps(rows))
        values = {"image_folder": tmp_path, "question_file": tmp_path / "questions.json"} | flags
        return extract(tmp_path / "run", model_path=checkpoint(name), **values), tmp_path / "run"

    return call


@pytest.mark.parametrize(
    ("name", "sequences", "attention"),
    [
        ("llava_next", "packed", "flash kernel of the CPU, observed by its own logsumexp"),
        ("qwen2_vl", "separate", "flash kernel of the CPU, observed by its own logsumexp"),
        ("gemma3", "separate", "softmax in float32 under the model's own mask"),
    ],
)
def test_a_run_says_how_it_was_done(ask, name, sequences, attention):
    code, run = ask(name, *PICTURES, num_workers=1, batch_size=2)
    assert code == 0
    assert list(validate(run)) == []
    made = open_run(run)
    manifest, (session,) = made.manifest, made.ledgers[0].sessions
    assert (manifest.conv_mode, manifest.sequences, session.kernel) == ("hf", sequences, attention)
    assert manifest.image_preprocessing["aspect"] == "checkpoint"
    assert manifest.causal == (name != "gemma3")
    samples = pd.read_parquet(run / "samples")
    assert (samples["status"] == "ok").all()
    assert (samples["n_image"].nunique() > 1) == (name != "gemma3")
    assert ask(name, PICTURES[0], num_workers=0, overwrite=True)[0] == 0
    one = pd.read_parquet(run / "heads").select_dtypes("float32")
    assert ask(name, *PICTURES, num_workers=0, overwrite=True)[0] == 0
    both = pd.read_parquet(run / "heads").select_dtypes("float32").head(len(one))
    assert np.abs(one.to_numpy() - both.to_numpy()).max() <= 5e-6


SIZES = ((1, 1), (2, 3), (20, 1500), (20_000, 30), (3, 20_000))


@pytest.mark.parametrize(
    "name", ["llava", "llava_qwen", "llava_next", "llava_onevision", "qwen2_vl", "idefics3", "internvl", "gemma3"]
)
def test_images_of_every_size_are_read_as_the_processor_does(tmp_path, name):
    """One pass over each of them with its maps, which tell where all but the ends of rows lie."""
    path = make_or_skip(tmp_path, name)
    reference, (model, prompts) = FamilyWitness(path, name), hf(path)
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    maker = MapMaker(model, OF_LAST, [])
    passes = Passes(model, AnswerReader.of(model, tokens), [maker])
    sample = Sample("one", "OCR", None, ("",), QUESTIONS[0], None, row=0)
    for size in SIZES:
        image = Image.new("RGB", size, (200, 10, 30))
        if name.startswith("qwen") and max(size) > 200 * min(size):
            with pytest.raises(ValueError, match="aspect ratio") as own:
                reference.read(image, QUESTIONS[0])
            with pytest.raises(Unusable) as refused:
                model.preprocessor(image)
            assert (refused.value.reason, refused.value.detail) == ("image_refused", str(own.value))
            continue
        pixels = model.preprocessor(image)
        read, prompt = reference.read(image, QUESTIONS[0]), prompts.build(QUESTIONS[0], pixels.image_ids)
        assert prompt.input_ids == read["input_ids"][0].tolist()
        for each, values in pixels.inputs.items():
            assert torch.equal(values, read[each])
        (outcome,) = passes.over([[ImageQuestions("", pixels, [Question(sample, prompt)])]])
        assert isinstance(outcome, Observed), (name, size, outcome)
        (places,) = maker.places(pixels)
        laid = np.bincount(places.tokens.ravel(), places.shares.ravel(), len(places.outside))
        assert np.abs(laid + places.outside - 1).max() <= 1e-5
        assert laid.sum() > 0


def test_a_thin_image_costs_no_other_its_maps(ask):
    """Of its tiles, no row is left without padding: its map is that of the whole picture."""
    code, run = ask("llava_next", picture(40, 70), picture(300, 4), picture(90, 33), maps=True)
    assert code == 0
    assert list(validate(run)) == []
    samples = pd.read_parquet(run / "samples").drop_duplicates("image")
    assert (samples["status"] == "ok").all()
    assert samples[["grid_rows", "grid_columns", "n_image"]].values.tolist()[1] == [4, 4, 16]
    assert samples["grid_box"][2].tolist() == [0, 0, 300, 4]


def test_an_image_whose_tokens_have_no_known_place_is_skipped(ask, monkeypatch):
    def unknown(self, pixels, number):
        if pixels.sizes[number] == (90, 33):
            raise ValueError("87 tokens are no square of patches")
        return _places(self, pixels, number)

    _places = ProcessorPreprocessor._places
    monkeypatch.setattr(ProcessorPreprocessor, "_places", unknown)
    code, run = ask("llava_next", *PICTURES, maps=True, batch_size=2)
    assert code == 0
    samples = pd.read_parquet(run / "samples")
    assert samples["reason"].fillna("").tolist() == ["", "", "image_unplaced", "image_unplaced"]
    assert samples["detail"][3].startswith("where the tokens of an image of 90 x 33 lie in it is not known: 87 tokens")


def test_an_image_that_the_processor_refuses_is_skipped(ask):
    code, run = ask("qwen2_vl", picture(40, 70), Image.new("RGB", (300, 1)))
    assert code == 0
    assert list(validate(run)) == []
    samples = pd.read_parquet(run / "samples")
    assert samples["reason"].fillna("").tolist() == ["", "", "image_refused", "image_refused"]
    assert samples["image_sha256"].notna().all()


@pytest.mark.parametrize(
    ("name", "flags", "says"),
    [
        (
            "llava_next",
            {"image_aspect_ratio": "pad"},
            "whose own processor cuts images: leave it out; see --image-aspect-ratio",
        ),
        (
            "llava_next",
            {"system_span": "original"},
            "original goes with LLaVA's own templates, not with hf; see --system-span",
        ),
        (
            "paligemma",
            {"conv_mode": "auto"},
            "template auto is one of LLaVA's; a PaliGemma takes hf alone; see --conv-mode",
        ),
    ],
)
def test_flags_that_are_not_for_a_family(ask, capsys, name, flags, says):
    code, run = ask(name, picture(40, 70), **flags)
    assert code == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert says in error[0]
    assert not (run / "run.json").exists()


def test_a_checkpoint_without_a_chat_template(tmp_path, checkpoint):
    path = shutil.copytree(checkpoint("vipllava"), tmp_path / "model")
    (path / "chat_template.jinja").unlink()
    with pytest.raises(HeadflowError, match="has no chat template; name one of LLaVA's templates") as error:
        hf(path)
    assert error.value.setting == "conv_mode"


def test_prompts_are_shown_with_the_image_or_without(ask, capsys):
    assert ask("qwen2_vl", picture(40, 70), show_prompt=1)[0] == 0
    title, counts, *_ = capsys.readouterr().out.splitlines()
    assert title == "0 (OCR), template hf"
    assert "image 15," in counts
    assert ask("qwen2_vl", Image.new("RGB", (300, 1)), show_prompt=1)[0] == 0
    assert "skipped: image_refused" in capsys.readouterr().out


def test_prompts_are_shown_without_an_image(ask, checkpoint, tmp_path, capsys):
    assert ask("qwen2_vl", show_prompt=1)[0] == 0
    assert "skipped: image_missing" in capsys.readouterr().out
    flags = ["--model-path", str(checkpoint("qwen2_vl")), "--question-file", str(tmp_path / "questions.json")]
    assert main([*flags, "--show-prompt", "1"]) == 0
    title, counts, *_ = capsys.readouterr().out.splitlines()
    assert title == "0 (OCR), template hf, a black picture of 336 x 336 in the place of the image"
    assert "image 16," in counts
