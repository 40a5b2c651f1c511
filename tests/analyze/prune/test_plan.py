"""Oracles: models whose true loss is known, so that false plans can be counted; savings by hand; pandas on a job."""

import json

import numpy as np
import pandas as pd
import pytest

from analyze.prune.curves import Answers, costs
from analyze.prune.design import LEAST, Design, Member
from analyze.prune.plan import add_savings, make_plan, savings, write_plan
from schemas.jobs.head_sets import HeadSet
from schemas.tasks import MME
from tests.support.runs import manifest, sample

SIZES = {
    "parameters": 1000, "lookup_parameters": 200, "layer_parameters": 100, "head_parameters": 5,
    "kv_head_parameters": 4, "kv_heads": 2,
}  # fmt: skip
SHAPE = manifest(layers=3, heads=4)
RUNS = 50


def questions(images: int, categories: int = 2) -> pd.DataFrame:
    rows = [sample(number, name) for name in ("OCR", "color", "count")[:categories] for number in range(2 * images)]
    for row in rows:
        row |= {
            "status": "ok",
            "image_sha256": f"{row['category']} {row['image']}",
            "expected": int(row["answer"] == "No"),
        }
    return pd.DataFrame(rows)


def candidates(criteria: int, sizes: int = 3) -> Design:
    members = [
        Member(set=f"c{each} {size}", unit="heads", order=LEAST, share=size / 12, number=size, criterion=f"c{each}",
               group=f"{each} {size}")
        for each in range(criteria)
        for size in range(1, sizes + 1)
    ]  # fmt: skip
    return Design(seed=0, random=0, criteria=[f"c{each}" for each in range(criteria)], members=members)


def answers(samples: pd.DataFrame, design: Design, flips: np.ndarray, random: np.random.Generator) -> Answers:
    """All questions are right untouched; each is lost with a set's chance. Larger sets lose what smaller ones do."""
    names = [member.set for member in design.members]
    drawn = np.concatenate(
        [np.repeat(random.random((len(samples), 1)), 3, axis=1) for _ in range(len(names) // 3)], axis=1
    )
    right = drawn >= flips
    untouched = np.ones((len(samples), 1), bool)
    place = {name: number for number, name in enumerate(names)}
    return Answers(samples, 1.0 * ~right, right, untouched, 1.0, place, MME)


def loss(flip: np.ndarray, categories: int = 2) -> np.ndarray:
    """Points that are lost where each right answer is lost with this chance."""
    return categories * 100 * (flip + 1 - (1 - flip) ** 2)


def with_savings(found):
    return found.with_sets(add_savings(found.sets, {name: HeadSet() for name in found.points.place}, SHAPE, {}))


def planned(found, allowed: float):
    return make_plan(with_savings(found), allowed)


@pytest.mark.parametrize("criteria", [1, 3])
def test_the_plan_loses_no_more_than_it_says(criteria):
    """The second set loses a little more than is allowed and the third twice that: a plan of either is false."""
    design, samples = candidates(RUNS * criteria), questions(60)  # all runs at once
    flips = np.array([0.002, 0.042, 0.08])
    allowed = float(loss(np.array(0.04)))
    assert loss(flips)[0] < allowed < loss(flips)[1]
    drawn = answers(samples, design, np.tile(flips, RUNS * criteria), np.random.default_rng(2))
    found = with_savings(costs(drawn, design, 100, 0))
    false, plans, naive = 0, 0, 0
    for run in range(RUNS):
        sets = found.sets.iloc[3 * criteria * run :][: 3 * criteria]
        plan = make_plan(found.with_sets(sets), allowed)
        assert plan.level == 1 - 0.05 / criteria
        plans += plan.chosen is not None
        false += plan.chosen is not None and plan.chosen["number"] > 1
        naive += bool((sets.loc[sets["number"] > 1, "loss"] <= allowed).any())
    assert false / RUNS <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / RUNS)
    assert plans / RUNS > 0.9  # the first set is found to lose little
    assert naive / RUNS > 0.3  # what was found, without a bound, is no proof


@pytest.mark.parametrize("swapped", [False, True])
def test_the_largest_set_is_taken_and_of_equals_the_one_that_lost_least(swapped):
    design, samples = candidates(2), questions(100)
    flips = np.array([0.0, 0.0, 0.9, 0.01, 0.01, 0.9])
    flips = np.roll(flips, 3 * swapped)
    found = costs(answers(samples, design, flips, np.random.default_rng(0)), design, 100, 0)
    plan = planned(found, 100.0)
    assert (plan.candidates["loss"] > 0).sum() == 4
    assert plan.chosen["set"] == ("c1 2" if swapped else "c0 2")
    assert plan.chosen["loss"] == 0
    assert plan.candidates["passes"].tolist() == [True, True, False, True, True, False]
    assert plan.level == 1 - 0.05 / 2


def test_a_set_behind_one_that_may_lose_too_much_is_not_taken():
    design, samples = candidates(1), questions(100)
    found = costs(answers(samples, design, np.array([0.0, 0.5, 0.0]), np.random.default_rng(0)), design, 100, 0)
    assert planned(found, 100.0).chosen["number"] == 1


def test_few_images_can_show_no_small_loss():
    design, samples = candidates(1), questions(10)
    found = costs(answers(samples, design, np.zeros(3), np.random.default_rng(0)), design, 100, 0)
    plan = planned(found, 20.0)
    assert plan.chosen is None
    assert (plan.candidates["loss"] == 0).all()
    assert plan.smallest == pytest.approx(-200 / 10 * np.log(0.05))
    assert plan.candidates["bound"].to_numpy() == pytest.approx(plan.smallest)
    assert planned(found, plan.smallest + 0.01).chosen is not None


def test_savings_by_hand():
    chosen = HeadSet(frozenset({(0, 0), (0, 1), (0, 2), (1, 3)}), frozenset({2}))
    found = savings(chosen, SHAPE, SIZES)  # heads 0 and 1 of layer 0 share keys and values
    assert found["parameters_saved"] == pytest.approx((100 + 4 * 5 + 4) / 10)
    assert found["flops_saved"] == pytest.approx((100 + 4 * 5 + 4) / 8)
    assert found["kv_cache_saved"] == pytest.approx(100 * (1 + 2) / 6)
    inside = savings(HeadSet(frozenset({(2, 0)}), frozenset({2})), SHAPE, SIZES)
    assert inside["parameters_saved"] == 10  # a head of a layer that is gone saves nothing more
    assert np.isnan(list(savings(chosen, SHAPE, {}).values())).all()


def test_the_file_of_a_plan(tmp_path):
    design, samples = candidates(1), questions(100)
    named = {f"c0 {size}": HeadSet(frozenset({(0, head) for head in range(size)})) for size in (1, 2, 3)}
    found = costs(answers(samples, design, np.array([0.0, 0.0, 0.9]), np.random.default_rng(0)), design, 100, 0)
    found = found.with_sets(add_savings(found.sets, named, SHAPE, SIZES))
    plan = make_plan(found, 60.0)
    assert write_plan(tmp_path, plan, found, named, "prune", 7) == [tmp_path / "plan.json"]
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["heads"] == [[0, 0], [0, 1]]
    assert content["layers"] == []
    assert (content["criterion"], content["share"]) == ("c0", 2 / 12)
    evidence = content["evidence"]
    assert (evidence["score_untouched"], evidence["score"], evidence["loss"]) == (400, 400, 0)
    assert evidence["loss_low"] < 0 < evidence["loss_high"] < evidence["loss_bound"] + 60
    assert (evidence["samples"], evidence["images"]) == (400, 200)
    assert (evidence["job"], evidence["seed"], evidence["p"]) == ("prune", 7, None)
    assert evidence["parameters_saved"] == pytest.approx(1.4)
    none = make_plan(found, 0.0)
    assert write_plan(tmp_path, none, found, named, "prune", 7) == []
    assert not (tmp_path / "plan.json").exists()  # an old one would be taken for this run's


def test_a_set_that_could_not_be_computed_is_wrong_and_has_no_effect():
    design, samples = candidates(1), questions(30)
    given = answers(samples, design, np.zeros(3), np.random.default_rng(0))
    given.effects[:, 2], given.right[:, 2] = np.nan, False
    found = costs(given, design, 100, 0).sets
    assert found["effect"].isna().tolist() == [False, False, True]
    assert found["accuracy"].tolist() == [100, 100, 0]
    assert found["loss"].tolist() == pytest.approx([0, 0, 400])
