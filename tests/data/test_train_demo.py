"""Oracle: recipes in miniature, trained for a few steps; and the schedule by hand."""

import json

import pytest

from data import evaluation, head_effects, model_card, recipes, train_demo, train_vision
from data.evaluation import Checkpoint, demo_files
from data.recipes import RECIPES, Phase, Recipe, Record, Stage
from data.training_examples import TOPICS

LATE = {"count": 1.0}
STAGE = Stage(10, 1e-3, (Phase(0.4, (1, 1), TOPICS), Phase(0.8, (1, 0.5), TOPICS), Phase(1, (0.2, 0.2), LATE)))


def test_what_is_asked_at_each_step():
    shares = [STAGE.at(step)[0] for step in range(1, 11)]
    assert shares == pytest.approx([1, 1, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.2, 0.2])
    assert [STAGE.at(step)[1] for step in (8, 9)] == [TOPICS, LATE]
    with pytest.raises(ValueError, match="beyond the 10 of the stage"):
        STAGE.at(11)


def test_every_step_of_a_recipe_has_a_phase():
    for recipe in RECIPES.values():
        for stage in recipe.stages:
            assert all(0.2 <= stage.at(step)[0] <= 1 for step in range(1, stage.steps + 1))
        assert recipe.steps == sum(stage.steps for stage in recipe.stages)


@pytest.mark.parametrize("guided", [True, False])
def test_a_recipe_in_miniature(tmp_path, monkeypatch, guided):
    """From nothing to a checkpoint and its card; and the effects of heads, which do not depend on how it was guided."""
    small = Stage(2, 1e-3, (Phase(1, (0.5, 0.5), TOPICS),))
    layers = 5 if guided else 2  # the guided losses need layers 2 and 4
    monkeypatch.setitem(RECIPES, "tiny-llava", Recipe(layers, 2, 3, guided, (small, small)))
    for module, name, value in (
        *((train_demo, "SCENES", 40), (train_demo, "EVERY", 1), (model_card, "EVERY", 1)),
        *((train_vision, "STEPS", 2), (train_vision, "BATCH", 4), (evaluation, "HELD_OUT", 2)),
        *((evaluation, "DEMO_IMAGES", 1), (evaluation, "HARD_IMAGES", 1), (head_effects, "RESAMPLES", 20)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("sys.argv", ["train_demo", "tiny-llava", "--out", str(tmp_path), "--seed", "10"])
    train_demo.main()
    record = json.loads((tmp_path / recipes.RECORD).read_text())
    assert (record["recipe"], record["seed"]) == ("tiny-llava", 10)
    assert (tmp_path / "training.png").stat().st_size > 10_000
    text = model_card.card(tmp_path)
    assert f"a LLaMA of {layers} layers x 2 heads" in text
    assert "--seed 10" in text
    assert max(map(len, text.splitlines())) <= 120
    if guided:
        effects = head_effects.head_effects(tmp_path)
        assert len(effects) == layers * 2
        assert set(effects["seed"]) == {10}
        assert (effects["low"] <= effects["high"]).all()


def test_images_of_the_demo_are_never_trained_on(tmp_path, monkeypatch):
    monkeypatch.setattr(train_demo, "SCENES", 4)
    monkeypatch.setattr(evaluation, "HELD_OUT", 1)
    shown = demo_files()["demo"][0]
    monkeypatch.setattr(train_demo, "training_scenes", lambda number, seed: [shown[2]] * number)
    monkeypatch.setattr("sys.argv", ["train_demo", "tiny-llava", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="share an image"):
        train_demo.main()


def test_hiding_the_image_in_all_heads_leaves_nothing_of_it(tmp_path):
    """The logits are then the same whatever the image; hiding nothing changes nothing."""
    checkpoint = Checkpoint(model_card.Path("data/demo/tiny-llava"))
    drawn = [each for each in demo_files()["demo"] if each[0] == "color"][:4]
    questions = checkpoint.questions(drawn)
    plain = questions.ask(checkpoint.model)["margin"]
    assert (questions.ask(checkpoint.model, hidden={0: []})["margin"] == plain).all()
    hidden = dict.fromkeys(range(6))
    blind, swapped = (questions.ask(checkpoint.model, swapped=each, hidden=hidden)["margin"] for each in (False, True))
    assert (blind - swapped).abs().max() < 1e-4
    assert (plain - blind).abs().max() > 1
    assert Record("tiny-llava", 1).recipe.guided
