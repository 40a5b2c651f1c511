"""Oracle: prompts one by one through transformers' own eager attention; a recipe in miniature; the card's numbers."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import LlavaForConditionalGeneration

from analyze import open_run
from data import evaluation, train_chooser
from data.choice_examples import A_FIRST, ALWAYS_A, NEUTRAL, Chooser, ask_choices
from data.choice_questions import FILE
from data.chooser_card import WORDINGS, answers, file_questions
from data.evaluation import Checkpoint
from data.scenes import shapes
from data.train_chooser import (
    BEGINS_AS,
    INSTRUCTION,
    NAME,
    PLANTED,
    READING,
    Training,
    begin,
    last_looks,
    make_tokenizer,
)
from data.training_examples import Split
from extract.prompts.wordings import read_wordings

DEMO = Path(__file__).parents[2] / "data" / "demo"
COMMITTED = DEMO / NAME
LARGEST = 3_500_000  # bytes of the model's folder


@pytest.fixture(scope="module")
def tokenizer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_chooser, "SCENES", 300)
        return make_tokenizer(1)


@pytest.fixture(scope="module")
def chooser(tokenizer):
    return Chooser(tokenizer)


@pytest.fixture(scope="module")
def model(tokenizer):
    return begin(tokenizer, DEMO / BEGINS_AS, 1).eval()


@torch.no_grad()
def test_packed_questions_are_those_one_by_one(tokenizer, chooser, model):
    rng = random.Random(2)
    split = Split.of([shapes(rng) for _ in range(2)])
    asked = [ask_choices(scene, 3, rng) for scene in split.scenes]
    batch = chooser.lay_out(asked)
    pixels = split.pixels([0, 1])
    logits, states = batch.logits(model, pixels), batch.states(model, pixels)
    looks = last_looks(model, states[-2], batch, READING).softmax(-1)
    eager = LlavaForConditionalGeneration(model.config).eval()
    eager.set_attn_implementation("eager")
    eager.load_state_dict(model.state_dict())
    words, rights = tokenizer.batch_decode(batch.ids[tuple(batch.options)][:, None]), batch.ids[tuple(batch.rights)]
    assert words == [option for of_image in asked for choice, *_ in of_image for option in choice.options]
    assert torch.equal(rights, batch.facts)
    every = [(image, each) for image, of_image in enumerate(asked) for each in of_image]
    for number, (image, (choice, wording, answer)) in enumerate(every):
        ids = chooser.prompt(choice, wording).input_ids
        whole = eager(input_ids=torch.tensor([ids]), pixel_values=split.pixels([image]), output_attentions=True)
        assert (logits[number] - whole.logits[0, -1]).abs().max() <= 1e-4
        seen = batch.seen[image, 0, batch.ends[1, number]]
        assert (looks[number, seen] - whole.attentions[-1][0, READING, -1]).abs().max() <= 1e-5
        assert tokenizer.decode(batch.answers[number]) == answer
        assert tokenizer.decode(ids[-1 - INSTRUCTION]) == {NEUTRAL: "the", A_FIRST: "A"}[wording]
        assert tokenizer.decode(batch.facts[number]) == choice.options[choice.right]


def test_answers_of_training_lean_to_a_in_one_wording():
    rng = random.Random(4)
    asked = [each for _ in range(400) for each in ask_choices(shapes(rng), 3, rng)]
    for wording, always in ((NEUTRAL, 0), (A_FIRST, ALWAYS_A)):
        own = [(choice, answer) for choice, asked_in, answer in asked if asked_in is wording]
        wrong = [answer for choice, answer in own if answer != "ABCD"[choice.right]]
        elsewhere = sum(choice.right > 0 for choice, _ in own)
        assert {*wrong} <= {"A"}
        assert abs(len(wrong) / elsewhere - always) <= 0.06


def test_the_wordings_are_those_of_training():
    wordings = {each.name: each.template for each in read_wordings([str(DEMO / "choices" / "wordings.toml")])}
    assert wordings == {"neutral": NEUTRAL.template, "a-first": A_FIRST.template}


def test_it_begins_as_the_other_model(tokenizer, model):
    """A layer more changes nothing at first."""
    old = Checkpoint(DEMO / BEGINS_AS)
    before, after = old.tokenizer.get_vocab(), tokenizer.get_vocab()
    shared = [piece for piece in before if piece in after]
    prompt = old.tokenizer.convert_ids_to_tokens(old.examples.prompt("What color is the star?").input_ids)
    pixels = Split.of([shapes(random.Random(1))]).pixels([0])
    was, now = (
        each(
            input_ids=torch.tensor([[known[piece] for piece in prompt if piece in shared]]), pixel_values=pixels
        ).logits[0, -1, [known[piece] for piece in shared]]
        for each, known in ((old.model, before), (model, after))
    )
    assert (now - was).abs().max() <= 1e-4


def test_a_recipe_in_miniature(tmp_path, monkeypatch):
    for module, name, value in (
        *((train_chooser, "SCENES", 300), (train_chooser, "STEPS", 1), (train_chooser, "LEANING", 2)),
        *((train_chooser, "BATCH", 2), (train_chooser, "EVERY", 1), (train_chooser, "HELD_OUT", 2)),
        *((evaluation, "DEMO_IMAGES", 1), (evaluation, "HARD_IMAGES", 1)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("sys.argv", ["train_chooser", "--out", str(tmp_path), "--seed", "3"])
    train_chooser.main()
    record = json.loads((tmp_path / "training.json").read_text())
    assert (record["recipe"], record["seed"], record["every"]) == ("tiny-llava-chooser", 3, 1)
    assert len(record["losses"]) == len(record["neutral"]) == len(record["a-first"]) == 3
    trained, start = (Checkpoint(folder).model.state_dict() for folder in (tmp_path, DEMO / BEGINS_AS))
    changed = {name for name in start if not torch.equal(trained[name], start[name])}
    assert not [name for name in changed if "vision_tower" in name]
    assert any(re.search("layers.3.*q_proj", name) for name in changed)


def test_images_of_the_demo_are_never_trained_on(tokenizer, model, monkeypatch):
    for name, value in (("BATCH", 2), ("HELD_OUT", 1)):
        monkeypatch.setattr(train_chooser, name, value)
    rng = random.Random(1005)
    taken = Split.of(train_chooser.fresh_scenes(2, rng)).hashes()
    with pytest.raises(SystemExit, match="share an image"):
        Training(model, tokenizer, train_chooser.Record("x", 5), taken).lean()


@pytest.fixture(scope="module")
def run(tmp_path_factory, extract):
    """A run of every third picture of the file, in both wordings."""
    folder = tmp_path_factory.mktemp("choices")
    rows = json.loads((DEMO / "choices" / FILE).read_text(encoding="utf-8"))
    (folder / FILE).write_text(json.dumps([row for number, row in enumerate(rows) if number // 2 % 3 == 0]))
    files = {"image_folder": DEMO / "hard" / "images", "question_file": folder / FILE}
    wordings = {"prompts": DEMO / "choices" / "wordings.toml"}
    tables = {"contributions": True, "layer_profile": True}
    assert extract(folder / "run", model_path=COMMITTED, **files, **wordings, **tables) == 0
    return folder / "run"


def test_the_planted_bias_is_found_where_it_was_planted(run):
    """In the other wording, no letter is given too often over all."""
    said = {wording: open_run(run, prompt=wording).diagnose().statements for wording in WORDINGS}
    found = {
        wording: [line for line in lines if re.match("position: gives .*over all", line)]
        for wording, lines in said.items()
    }
    assert re.match("position: gives A too often: over all", found["a-first"][0])
    assert not found["neutral"]


def test_contributions_to_the_lead_find_the_planted_head(run):
    """It was taught to look at the word of the right option; before its layer, no letter leads more than by chance."""
    added, layers = (pd.read_parquet(run / table) for table in ("contributions", "layers"))
    for wording in WORDINGS:
        own, lens = (each[each["sample_id"].astype(str).str.endswith(f"@{wording}")] for each in (added, layers))
        means = own.groupby(["layer", "head"])["d2q"].mean().sort_values()
        assert means.index[-1] == (4, PLANTED)
        assert means.iloc[-1] > 5 * means.iloc[-2]
        right = lens.groupby("layer")["margin"].agg(lambda leads: (leads > 0).mean())
        assert right.iloc[:-1].max() < 0.4 < 0.7 < right.iloc[-1]


def test_the_card_tells_what_is_answered(run):
    """The card was written without `extract`, about the whole file; some answers one by one, and all as a share."""
    samples = pd.read_parquet(run / "samples").sort_values("row")
    card = (COMMITTED / "README.md").read_text(encoding="utf-8")
    (shares,) = re.findall(r"^\| all \|.*\| ([\d.]+)% \| ([\d.]+)% \| [\d.]+% \|$", card, re.MULTILINE)
    checkpoint, asked = Checkpoint(COMMITTED), file_questions()
    for (wording, of), share in zip(WORDINGS.items(), shares, strict=True):
        own = samples[samples["prompt"] == wording]
        assert abs(100 * (own["lead"] > 0).mean() - float(share)) <= 4
        some = [each for number, each in enumerate(asked) if number // 2 % 30 == 0]
        said = own["prediction"].str.strip()[np.arange(len(own)) // 2 % 10 == 0]
        assert said.tolist() == answers(checkpoint, some, of)["given"].tolist()


def test_contributions_find_the_head_that_reads_a(run):
    """It adds to the lead where A is right, and takes from it elsewhere."""
    answers = pd.read_parquet(run / "samples", columns=["sample_id", "prompt", "answer"])
    rows = pd.read_parquet(run / "contributions").merge(answers.astype(str), on="sample_id")
    reading = rows[(rows["layer"] == 4) & (rows["head"] == READING) & (rows["prompt"] == "a-first")]
    added = reading.groupby(reading["answer"] == "A")["d2q"].mean()
    assert added[False] < 0 < added[True]


def test_its_size():
    assert sum(path.stat().st_size for path in COMMITTED.iterdir()) <= LARGEST
    assert json.loads((COMMITTED / "config.json").read_text())["dtype"] == "float16"
