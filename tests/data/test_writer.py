"""Oracle: texts one by one through transformers' own forward pass; a recipe in miniature; the committed texts."""

import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from data import evaluation, train_writer
from data.captions import FILE, QUESTION, caption
from data.evaluation import Checkpoint
from data.scenes import COLORS, SHAPES, shapes
from data.train_writer import BEGINS_AS, NAME, begin, make_tokenizer
from data.training_examples import Split
from data.writing_examples import PLAIN, THINKING, THOUGHT, Writer, thought
from extract.prompts.prompt_builder import DEFAULT_WORDING

DEMO = Path(__file__).parents[2] / "data" / "demo"
CAPTIONS = DEMO / "captions" / FILE
COMMITTED = DEMO / NAME
LARGEST = 4_000_000  # bytes of the model's folder


@pytest.fixture(scope="module")
def tokenizer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_writer, "SCENES", 300)
        return make_tokenizer(1)


@pytest.fixture(scope="module")
def writer(tokenizer):
    return Writer(tokenizer)


@pytest.fixture(scope="module")
def model(tokenizer):
    return begin(tokenizer, DEMO / BEGINS_AS, 1).eval()


def test_tokens_of_a_text(tokenizer, writer):
    text = "There are two red circles, a blue star and a cross."
    assert tokenizer.decode(writer.tokens(text)) == f"{text}</s>"
    assert tokenizer.convert_ids_to_tokens(writer.tokens("<think> left </think> Yes")) == [
        "<think>", "▁left", "</think>", "▁Yes", "</s>"
    ]  # fmt: skip
    assert tokenizer.decode(writer.tokens("<think> left </think> Yes")) == "<think> left</think> Yes</s>"


@torch.no_grad()
def test_packed_texts_are_those_one_by_one(writer, model):
    rng = random.Random(2)
    scenes = [shapes(rng) for _ in range(3)]
    split = Split.of(scenes)
    asked = []
    for scene in scenes:
        question, text = thought(scene, rng)
        first = writer.prompt(QUESTION, PLAIN), caption(scene)
        asked.append(
            [first, (writer.prompt(question, THINKING), text), (writer.prompt(question, DEFAULT_WORDING), "No")]
        )
    packed = writer.lay_out(asked)
    found = packed.logits(model, split.pixels([0, 1, 2]))
    number = 0
    for image, texts in enumerate(asked):
        for prompt, text in texts:
            tokens = writer.tokens(text)
            own = packed.text == number
            assert packed.tokens[own].tolist() == tokens
            whole = torch.tensor([[*prompt.input_ids, *tokens[:-1]]])
            expected = model(input_ids=whole, pixel_values=split.pixels([image])).logits[0, -len(tokens) :]
            assert (found[own] - expected).abs().max() <= 1e-4
            number += 1


def test_it_begins_with_the_weights_of_the_other_model(tokenizer, model):
    old = Checkpoint(DEMO / BEGINS_AS)
    was, known = old.model.lm_head.weight, old.tokenizer.get_vocab()
    now = model.lm_head.weight
    vocab = tokenizer.get_vocab()
    assert torch.equal(now[vocab["▁Yes"]], was[known["▁Yes"]])
    assert "▁There" not in known
    pieces = [known[piece] for piece in old.tokenizer.tokenize(" There")]
    assert len(pieces) > 1
    assert torch.equal(now[vocab["▁There"]], was[pieces].mean(0))
    ours, theirs = (each.model.language_model.layers.state_dict() for each in (model, old.model))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def test_a_recipe_in_miniature(tmp_path, monkeypatch):
    for module, name, value in (
        *((train_writer, "SCENES", 300), (train_writer, "STEPS", 2), (train_writer, "BATCH", 2)),
        *((train_writer, "EVERY", 1), (train_writer, "HELD_OUT", 2)),
        *((evaluation, "DEMO_IMAGES", 1), (evaluation, "HARD_IMAGES", 1)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("sys.argv", ["train_writer", "--out", str(tmp_path), "--seed", "3"])
    train_writer.main()
    record = json.loads((tmp_path / "training.json").read_text())
    assert (record["recipe"], record["seed"], record["every"]) == ("tiny-llava-writer", 3, 1)
    assert len(record["losses"]) == len(record["captions"]) == 2
    trained, start = (Checkpoint(folder).model.state_dict() for folder in (tmp_path, DEMO / BEGINS_AS))
    changed = {name for name in start if not torch.equal(trained[name], start[name])}
    assert not [name for name in changed if "vision_tower" in name]
    assert any(re.search("layers.3.*q_proj", name) for name in changed)
    assert any("projector" in name for name in changed)


def test_images_of_the_demo_are_never_trained_on(writer, model, monkeypatch):
    for name, value in (("STEPS", 2), ("BATCH", 2), ("HELD_OUT", 1)):
        monkeypatch.setattr(train_writer, name, value)
    rng = random.Random(5)
    shapes(rng)  # held out
    taken = Split.of(train_writer.fresh_scenes(2, rng)).hashes()
    with pytest.raises(SystemExit, match="share an image"):
        train_writer.train(model, writer, train_writer.Record("x", 5), taken)


@pytest.fixture(scope="module")
def rows():
    return json.loads(CAPTIONS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written():
    return json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))


def test_the_committed_texts_are_what_extract_lets_it_write(tmp_path, extract, rows, written):
    """On each ninth picture: transformers' own `generate` wrote the committed ones."""
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(rows[::9]))
    run = tmp_path / "run"
    assert extract(run, model_path=COMMITTED, image_folder=DEMO, question_file=asked, generate=24) == 0
    samples = pd.read_parquet(run / "samples")
    assert len(samples) == 12
    assert samples["text"].str.strip().tolist() == [written[row["question_id"]] for row in rows[::9]]
    assert set(samples["ended"]) == {"stop"}
    assert pd.read_parquet(run / "tokens").groupby("sample_id").size().between(6, 24).all()


def test_some_of_what_it_names_is_made_up(rows, written):
    """Counted without the card's code: a colour and a shape beside each other that the picture does not have."""
    named = made_up = 0
    for row in rows:
        there = {each["name"] for each in row["objects"]}
        for color, shape in re.findall(rf"({'|'.join(COLORS)}) ({'|'.join(SHAPES)})", written[row["question_id"]]):
            named, made_up = named + 1, made_up + (f"{color} {shape}" not in there)
    assert len(written) == len(rows)
    assert named >= 2 * len(rows)
    assert 0.1 <= made_up / named <= 0.4
    card = (COMMITTED / "README.md").read_text(encoding="utf-8")
    assert f"| all | {named} | {made_up} | {100 * made_up / named:.0f} |" in card


def test_a_thought_comes_before_the_answer(tmp_path, extract):
    run, asked = tmp_path / "run", tmp_path / "asked.json"
    rows = json.loads((DEMO / "MME_test.json").read_text(encoding="utf-8"))
    asked.write_text(json.dumps([row for row in rows if row["category"] in ("count", "OCR")][::4]))
    flags = {"generate": 12, "prompt-suffix": THINKING.suffix, "answer-after": THOUGHT}
    assert extract(run, model_path=COMMITTED, image_folder=DEMO / "images", question_file=asked, **flags) == 0
    samples = pd.read_parquet(run / "samples")
    assert samples["text"].str.strip().str.fullmatch(r"<think> \w+</think> (Yes|No)").all()
    assert (samples["answer_step"] == samples["n_generated"] - 2).all()  # the last token ends the text
    assert (samples["text"].str.split().str[-1] == samples["answer"]).all()


def test_its_size():
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) <= LARGEST
    assert json.loads((COMMITTED / "config.json").read_text())["dtype"] == "float16"
