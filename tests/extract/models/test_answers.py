"""Oracles: softmax over logits put together by hand; a margin in float64 of the same hidden states; for answer tokens,
the text that the template writes, tokenised whole."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from extract.attention.packing import pack
from extract.models.answers import AnswerReader, spelling_ids
from extract.models.loading import load_model
from extract.prompts.conversation_templates import TEMPLATES
from extract.prompts.prompt_builder import Prompts
from extract.questions.samples import Sample
from schemas.errors import HeadflowError
from schemas.tasks import CHOICES
from tests.support.tiny_llava import random_pixels, random_prompt

DEMO = Path(__file__).parents[3] / "data" / "demo" / "tiny-llava"
CPU = torch.device("cpu")
BEHIND_A_SPACE = {"vicuna_v1": True, "llava_llama_2": True, "mistral_instruct": True, "mpt": False, "plain": False}


def asked(answer, options=None):
    return Sample("1", "OCR", None, ("a.png",), "Is it?", answer, row=0, options=options)


@pytest.fixture(scope="module")
def tokenizer(checkpoint_path):
    return AutoTokenizer.from_pretrained(checkpoint_path)


def load(path, dtype="float32", template="vicuna_v1"):
    model = load_model(str(path), device=CPU, dtype=dtype)
    return model, model.prompt_format.prompt_builder(TEMPLATES[template])


@pytest.fixture(scope="module")
def reader(checkpoint_path):
    model, prompts = load(checkpoint_path)
    return AnswerReader.of(model, model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"]))


def test_every_spelling_counts(tokenizer):
    for word in ("yes", "no"):
        ids = spelling_ids(tokenizer, word)
        assert {tokenizer.decode([index]).strip().lower() for index in ids} == {word}
        everything = range(len(tokenizer))
        assert ids == [index for index in everything if tokenizer.decode([index]).strip().lower() == word]
    pieces = tokenizer.convert_ids_to_tokens(spelling_ids(tokenizer, "yes"))
    assert {"▁Yes", "▁yes"} <= set(pieces)


def test_probabilities(tokenizer, reader):
    logits = torch.zeros(2, len(tokenizer), dtype=torch.float16)
    (yes, *_), (no, *_) = reader.spelled["p_yes"], reader.spelled["p_no"]
    logits[0, yes] = logits[1, no] = 8
    rest = torch.tensor(8.0).exp() + len(tokenizer) - 1
    hidden = torch.zeros(2, len(reader.direction), dtype=torch.float16)
    found = reader.read(logits, hidden) | {"option_logits": reader.option_logits(hidden)}
    answer, other = (
        reader.row({name: values[index] for name, values in found.items()}, asked("Yes")) for index in range(2)
    )
    assert answer["prediction"] == tokenizer.decode([yes])
    assert answer["p_yes"] == pytest.approx(float((torch.tensor(8.0).exp() + len(reader.spelled["p_yes"]) - 1) / rest))
    assert answer["p_no"] == pytest.approx(float(len(reader.spelled["p_no"]) / rest))
    assert other["prediction"] == tokenizer.decode([no])
    assert other["p_no"] > 0.5 > other["p_yes"]
    assert answer["margin"] == other["margin"] == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_margin_in_half_precision_has_no_steps(checkpoint_path, dtype):
    """The head is made large, so that logits are near 20 and their steps wide."""
    model, prompts = load(checkpoint_path, dtype)
    reader = AnswerReader.of(model, model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"]))
    model.unembedding.weight.data *= 64
    reader = AnswerReader.of(model, reader.tokens)
    batch = pack([[random_prompt(model, 4 + seed, seed)] for seed in range(8)])
    logits, _, hidden = model.forward(batch, random_pixels(8, model.dtype))
    margin, (yes, no) = reader.margin(hidden), reader.tokens.ids
    rows = model.unembedding.weight.detach().double()
    expected = hidden.double() @ (rows[yes] - rows[no])
    assert hidden.dtype == model.dtype
    assert margin.dtype == torch.float32
    assert (margin - expected).abs().max() <= 1e-5 * float(expected.abs().max())
    steps = logits[:, yes].double() - logits[:, no].double()
    assert logits[:, [yes, no]].abs().max() > 8
    wrong = (steps - expected).abs().max()
    assert wrong > 100 * (margin - expected).abs().max()
    options = reader.option_logits(hidden)
    expected = hidden.double() @ rows[[yes, no]].T
    assert (options - expected).abs().max() <= 1e-5 * float(expected.abs().max())
    for answer, sign in (("Yes", 1), ("no.", -1)):
        found = {
            "token": torch.tensor(yes),
            "p_yes": 0.5,
            "p_no": 0.5,
            "margin": margin[0],
            "option_logits": options[0],
        }
        row = reader.row(found, asked(answer))
        assert row["lead"] == sign * float(margin[0])
        assert (row["options"], row["option_logits"]) == (["Yes", "No"], options[0].tolist())
    assert reader.row(found, asked("a cat"))["lead"] is None


def test_a_bias_of_the_head_counts(checkpoint_path):
    model, prompts = load(checkpoint_path)
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    yes, no = tokens.ids
    head = model.unembedding
    bias = torch.zeros(len(head.weight))
    bias[yes], bias[no] = 0.5, -0.25
    head.bias = torch.nn.Parameter(bias)
    logits, _, hidden = model.forward(pack([[random_prompt(model, 7)]]), random_pixels(1))
    reader = AnswerReader.of(model, tokens)
    assert float(reader.margin(hidden)) == pytest.approx(float(logits[0, yes] - logits[0, no]), abs=1e-5)
    assert reader.option_logits(hidden)[0].tolist() == pytest.approx(logits[0, [yes, no]].tolist(), abs=1e-5)
    head.bias = None
    assert float(reader.margin(hidden) - AnswerReader.of(model, tokens).margin(hidden)) == pytest.approx(0.75)


def test_a_head_that_is_not_a_matrix_is_refused(checkpoint_path):
    model, prompts = load(checkpoint_path)
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])

    class Bent(torch.nn.Linear):
        def forward(self, given):
            return super().forward(given).square()

    model.model.lm_head = Bent(*reversed(model.model.lm_head.weight.shape))
    with pytest.raises(HeadflowError, match="is a Bent, not a matrix, so that margins cannot be computed"):
        AnswerReader.of(model, tokens)


@pytest.mark.parametrize("name", BEHIND_A_SPACE)
def test_tokens_are_those_that_the_template_would_write(checkpoint_path, tokenizer, name):
    model, prompts = load(checkpoint_path, template=name)
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    prompt = prompts.template.render("Is it?").text
    for word, text, token in zip(("Yes", "No"), tokens.texts, tokens.ids, strict=True):
        assert text == tokenizer.convert_ids_to_tokens(token)
        assert text.startswith("▁") == BEHIND_A_SPACE[name]
        before = tokenizer(prompt).input_ids
        assert tokenizer.decode([*before, token], skip_special_tokens=True).endswith(
            f" {text[1:]}" if BEHIND_A_SPACE[name] else text
        )
        assert word.startswith(text.removeprefix("▁"))


def test_a_prompt_that_ends_with_the_space_before_the_answer(checkpoint_path, tokenizer):
    """The space would merge into `▁Yes`, which the model cannot give any more after it."""
    _, prompts = load(checkpoint_path)
    ids, whole = (tokenizer(text).input_ids for text in ("ASSISTANT: ", "ASSISTANT: Yes"))
    assert whole[: len(ids)] != ids

    class Spaced:
        name, system, separator = "spaced", "", ""

        def render(self, message):
            rendered = prompts.template.render(message)
            return type(rendered)(rendered.opening, rendered.system, rendered.rest + " ")

        def reply(self, text):
            return text

    spaced = type(prompts)(**vars(prompts) | {"template": Spaced()})
    token = spaced.answer_token("Yes")
    assert "Yes".startswith(tokenizer.convert_ids_to_tokens(token))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["Yes", "Yes"], "the answers 'Yes' and 'Yes' begin with one token after the prompt, '▁Yes'"),
        (["No", ""], "an answer is empty, and has no token"),
    ],
)
def test_words_that_are_not_two_answers(checkpoint_path, words, says):
    model, prompts = load(checkpoint_path, template="vicuna_v1" if words[1] else "plain")
    with pytest.raises(HeadflowError, match=says) as error:
        model.prompt_format.answer_tokens(Prompts({None: prompts}), words)
    assert error.value.setting == "answer_tokens"


def test_choices_are_compared_by_their_letters():
    model, prompts = load(DEMO)  # has a token for each letter
    tokenizer = model.prompt_format.tokenizer
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), "ABCD")
    reader = AnswerReader.of(model, tokens, CHOICES)
    for letter, ids in zip("ABCD", reader.letters, strict=True):
        assert {tokenizer.decode([index]).strip() for index in ids.tolist()} == {letter}  # not `a`
    logits, hidden = torch.randn(1, len(tokenizer)), torch.randn(1, len(reader.direction))
    found = reader.read(logits, hidden) | {"option_logits": reader.option_logits(hidden)}
    found = {name: values[0] for name, values in found.items()}
    of_letters = (hidden[0].double() @ model.unembedding.weight.detach().double()[tokens.ids].T).tolist()
    probabilities = logits[0].double().softmax(-1)
    for options, answer, right in (
        (("red", "blue", "green"), "C", 2),
        (("red", "blue"), "red", 0),
        (("x", "y"), "C", None),
    ):
        row = reader.row(found, asked(answer, options))
        own, number = of_letters[: len(options)], len(options)
        assert row["options"] == list(options)
        assert row["option_logits"] == pytest.approx(own, abs=1e-5)
        strongest = None if right is None else max(own[:right] + own[right + 1 :])
        assert row["lead"] == (None if right is None else pytest.approx(own[right] - strongest, abs=1e-5))
        assert row["margin"] == (pytest.approx(own[0] - own[1], abs=1e-5) if number == 2 else None)
        mass = float(sum(probabilities[ids].sum() for ids in reader.letters[:number]))
        assert row["p_options"] == pytest.approx(mass, abs=1e-6)
        assert "p_yes" not in row
