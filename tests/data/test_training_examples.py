"""Oracle: the same questions one by one through `extract`, prompts and all."""

import random

import numpy as np
import pytest
import torch

from data.demo_model import SIDE, build_model, image_processor, train_tokenizer
from data.scenes import COLORS, SHAPES
from data.training_examples import INKS, NAMES, UNKNOWN, ExampleMaker, Split, ask, training_scenes
from extract.attention.packing import pack
from extract.prompts.conversation_templates import find_template
from tests.support.tiny_llava import observe_llava


@pytest.fixture(scope="module")
def split():
    return Split.of(training_scenes(30, 1))


@pytest.fixture(scope="module")
def tokenizer(split):
    rng = random.Random(0)
    return train_tokenizer([text for scene in split.scenes for words in ask(scene, 20, 0.3, rng) for text in words])


def test_a_batch_equals_one_by_one(split, tokenizer):
    rng = random.Random(0)
    asked = [ask(scene, number, 0.5, rng) for scene, number in zip(split.scenes, (3, 1, 5), strict=False)]
    model = build_model(tokenizer, layers=3, heads=2, seed=0).eval()
    batch = ExampleMaker(tokenizer).batch(split.scenes[:3], asked)
    with torch.no_grad():
        found = batch.logits(model, split.pixels([0, 1, 2]))
    checkpoint = observe_llava(model, tokenizer, image_processor(), torch.device("cpu"))
    prompts = checkpoint.prompt_format.prompt_builder(find_template("vicuna_v1"))
    number = 0
    for scene, questions in zip(split.scenes, asked, strict=False):
        pixels = checkpoint.preprocessor(scene.draw())
        for question, fact, answer in questions:
            prompt = prompts.build(question, pixels.image_ids)
            logits, *_ = checkpoint.forward(pack([[prompt]]), pixels.inputs)
            assert (found[number] - logits[0]).abs().max() <= 1e-4
            assert tokenizer.decode([int(batch.answers[number])]).strip() == answer
            assert tokenizer.decode([int(batch.facts[number])]).strip() == fact
            image, column = batch.marks[:, number].tolist()
            assert tokenizer.decode(batch.ids[image, column]) == "?"
            number += 1
    assert number == len(found) == 9


def test_labels_are_of_what_the_patches_show(split):
    for scene, labels in zip(split.scenes, split.labels, strict=True):
        assert labels[2].sum() == len(scene.things)
        for thing in scene.things:
            patch = int(thing.y * SIDE / 96) * SIDE + int(thing.x * SIDE / 96)
            assert labels[2, patch] == 1
        shown = {(NAMES[name], INKS[ink]) for name, ink in zip(*labels[:2].tolist(), strict=True)} - {("", "")}
        assert shown == {(thing.name, thing.color) for thing in scene.things}
        assert ((labels[0] > 0) == (labels[1] > 0)).all()


def test_names_are_told_what_they_name(split, tokenizer):
    scenes = [scene for scene in split.scenes if scene.things[0].name in SHAPES]
    lonely = next(scene for scene in scenes if scene.unique())
    thing = lonely.unique()[0]
    absent = next(name for name in SHAPES if name not in [each.name for each in lonely.things])
    questions = [(f"Is the {thing.name} {side} the {absent}?", "", "Yes") for side in ("above", "below")]
    batch = ExampleMaker(tokenizer).batch([lonely], [questions])
    assert batch.inks.tolist() == [INKS.index(thing.color), 0] * 2
    for place in batch.places[[0, 2]]:
        assert place.tolist() == pytest.approx([thing.x / 24 - 2, thing.y / 24 - 2])
    assert batch.places[[1, 3]].isnan().all()
    assert [tokenizer.decode(batch.ids[tuple(at)]).strip() for at in batch.mentions.T] == [thing.name, absent] * 2
    many = next(scene for scene in scenes if [each.name for each in scene.things].count(scene.things[0].name) > 1)
    batch = ExampleMaker(tokenizer).batch([many], [[(f"Is the {many.things[0].name} red?", "", "No")]])
    assert batch.inks.tolist() == [UNKNOWN]
    assert batch.places.isnan().all()


def test_questions_of_both_kinds_in_their_share(split):
    rng = random.Random(0)
    words = [word for scene in split.scenes for *_, word in ask(scene, 200, 0.5, rng)]
    assert 0.45 < sum(word not in ("Yes", "No") for word in words) / len(words) < 0.55
    assert abs(words.count("Yes") - words.count("No")) < 0.05 * len(words)
    assert {word for scene in split.scenes for *_, word in ask(scene, 40, 0.0, rng)} == {"Yes", "No"}
    assert {*COLORS} < {word for scene in split.scenes for *_, word in ask(scene, 40, 1.0, rng)}


def test_splits_are_told_apart(split):
    other = Split.of(training_scenes(30, 2))
    assert len(split.hashes()) == 30
    assert not split.hashes() & other.hashes()
    assert split.hashes() & Split.of(split.scenes[5:6]).hashes()
    assert np.array_equal(split.images[3], np.asarray(split.scenes[3].draw()))
