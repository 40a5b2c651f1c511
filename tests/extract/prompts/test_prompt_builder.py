"""Oracles: the text of LLaVA's own template, and counts of tokens worked out by hand on a toy tokenizer."""

from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from extract.prompts.conversation_templates import TEMPLATES, find_template
from extract.prompts.prompt_builder import PromptBuilder
from extract.prompts.wordings import Wording
from extract.questions.fields import MME_SUFFIX
from extract.questions.samples import Unusable
from schemas.errors import HeadflowError
from schemas.roles import BOS, IMAGE, QUESTION, SYSTEM, USER

IMAGE_ID = 7
IMAGE_IDS = [IMAGE_ID] * 4


def letters(text: str) -> list[int]:
    """A toy tokenizer: BOS (1), then one token a letter."""
    return [1, *(ord(letter) for letter in text)]


def builder(template="vicuna_v1", encode=letters, **options) -> PromptBuilder:
    values = {"bos_token_id": 1, "max_tokens": 1000} | options
    return PromptBuilder(encode=encode, template=find_template(template), **values)


def test_vicuna_v1_word_for_word():
    assert TEMPLATES["vicuna_v1"].render("<image>\nIs it red?").text == (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: <image>\nIs it red? ASSISTANT:"
    )


def test_tokens_and_roles():
    prompt = builder().build("Is it red?", [IMAGE_IDS])
    system = TEMPLATES["vicuna_v1"].system + " "
    tail = "\nIs it red?" + MME_SUFFIX + " ASSISTANT:"
    assert prompt.input_ids == letters(system + "USER: ") + [IMAGE_ID] * 4 + letters(tail)[1:]
    assert prompt.roles == (
        [BOS] + [SYSTEM] * len(system) + [USER] * len("USER: ") + [IMAGE] * 4 + [QUESTION] * len(tail)
    )
    assert prompt.counts() == {
        "n_bos": 1,
        "n_system": len(system),
        "n_user": 6,
        "n_image": 4,
        "n_question": len(tail),
    }


def test_the_span_of_the_earlier_tool_swallows_what_the_separator_merges_into(checkpoint_path):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path)

    def encode(text):
        return tokenizer(text).input_ids

    spans = {}
    for span in ("template", "original"):
        prompt = builder(encode=encode, system_span=span).build("Is it red?", [IMAGE_IDS])
        ids = [token for token, role in zip(prompt.input_ids, prompt.roles, strict=True) if role == SYSTEM]
        spans[span] = tokenizer.convert_ids_to_tokens(ids)
    assert spans["template"][-1] == "."
    assert spans["original"] == [*spans["template"], "▁USER"]
    system = TEMPLATES["vicuna_v1"].render("").system
    assert len(spans["original"]) == len(tokenizer(system, add_special_tokens=False).input_ids)


def test_without_a_bos_token_the_first_token_is_the_sink():
    prompt = builder(encode=lambda text: letters(text)[1:], bos_token_id=None).build("Is it?", [IMAGE_IDS])
    assert prompt.roles[:2] == [BOS, SYSTEM]
    assert prompt.counts()["n_system"] == len(TEMPLATES["vicuna_v1"].render("").system) - 1


def test_an_empty_span_before_the_image():
    bare = replace(TEMPLATES["vicuna_v1"], system="", user="U", assistant="A", separator="")
    options = {"bos_token_id": None, "max_tokens": 99}
    prompt = PromptBuilder(encode=lambda text: letters(text)[1:], template=bare, **options).build("Q", [IMAGE_IDS])
    assert prompt.roles[:5] == [BOS, USER, USER, IMAGE, IMAGE]


@pytest.mark.parametrize(
    "question",
    ["<image>\nIs it red?", "Is it red?<image>"],
)
def test_a_placeholder_in_the_question_is_taken_out(question):
    assert builder().build(question, [IMAGE_IDS]) == builder().build("Is it red?", [IMAGE_IDS])


@pytest.mark.parametrize(
    "question",
    [
        "<image>Is it red?<image>",
        "<ima<image>ge>Is it red?",
        "Is <image 1> as red as <image 2>?",
        "Is <image_1> as red as <image_2>?",
    ],
)
def test_a_question_about_several_images_is_not_asked_about_one(question):
    with pytest.raises(Unusable, match="the question places 2 images, and has one") as error:
        builder().build(question, [IMAGE_IDS])
    assert error.value.reason == "several_images"


def test_a_place_of_several_tokens_is_one_image():
    marks = ("<begin>", "<image>", "<end>")
    built = builder(placeholders=marks).build("<begin><image><end>Is it red?", [IMAGE_IDS])
    assert built == builder().build("Is it red?", [IMAGE_IDS])


def test_the_suffix_is_not_said_twice():
    assert builder().build("Is it red?" + MME_SUFFIX, [IMAGE_IDS]) == builder().build("Is it red?", [IMAGE_IDS])
    bare = builder(wording=Wording.of_suffix("")).build("Is it red?", [IMAGE_IDS])
    assert bare.counts()["n_question"] == len("\nIs it red? ASSISTANT:")


def test_other_white_space_is_left_alone():
    assert builder(wording=Wording.of_suffix("")).build(" a ", [IMAGE_IDS]).counts()["n_question"] == len(
        "\n a  ASSISTANT:"
    )


@pytest.mark.parametrize("question", ["", "  \n", "<image>"])
def test_an_empty_question(question):
    with pytest.raises(Unusable) as error:
        builder().build(question, [IMAGE_IDS])
    assert error.value.reason == "question_empty"


def test_a_prompt_that_is_too_long():
    with pytest.raises(Unusable) as error:
        builder().build("x" * 1000, [IMAGE_IDS])
    assert error.value.reason == "prompt_too_long"
    assert "1000" in error.value.detail


def test_an_unknown_template():
    with pytest.raises(HeadflowError, match="vicuna_v1"):
        find_template("v9")
