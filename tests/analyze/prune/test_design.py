"""Oracles: counting by layer; the definition of a p value, on criteria that know nothing of what heads are worth."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyze.prune.controls import against, areas, mean_height, share_beyond
from analyze.prune.curves import _measured
from analyze.prune.design import LEAST, MOST, RANDOM, Design, design_sets, read_design, write_design
from analyze.prune.verdict import _curves
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from tests.support.runs import manifest

SHAPE = manifest(layers=4, heads=5)


def by(order, name: str = "a2v", unit: str = "heads") -> SimpleNamespace:
    """A criterion that puts cells in this order, the least first."""
    criterion = SimpleNamespace(unit=unit, name=name)
    return SimpleNamespace(criterion=criterion, order=np.array(order))


def counts(chosen: HeadSet) -> Counter:
    return Counter(layer for layer, _ in chosen.heads)


def test_sets_are_the_first_and_the_last_heads():
    order = np.random.default_rng(0).permutation(20)
    members, sets = design_sets([by(order)], SHAPE, [0.5, 0.1], 5, 0)
    named = {(each.order, each.number): sets[each.set] for each in members if each.order != RANDOM}
    assert set(named) == {(order, number) for order in (LEAST, MOST) for number in (2, 10)}
    for number in (2, 10):
        cells = {(cell // 5, cell % 5) for cell in order[:number].tolist()}
        assert named[LEAST, number].heads == cells
        assert named[MOST, number].heads == {(cell // 5, cell % 5) for cell in order[-number:].tolist()}
    assert {each.set for each in members if each.order == LEAST} == {"a2v least 10%", "a2v least 50%"}


def test_random_sets_have_as_many_heads_in_each_layer_and_are_nested():
    order = np.random.default_rng(1).permutation(20)
    members, sets = design_sets([by(order)], SHAPE, [0.1, 0.25, 0.5], 30, 0)
    least = [each for each in members if each.order == LEAST]
    before: dict[int, HeadSet] = {}
    for each in least:
        own = [other for other in members if other.order == RANDOM and other.group == each.group]
        assert [other.draw for other in own] == list(range(30))
        for other in own:
            assert counts(sets[other.set]) == counts(sets[each.set])
            assert before.get(other.draw, HeadSet()).heads <= sets[other.set].heads
            before[other.draw] = sets[other.set]


def test_criteria_of_equal_counts_share_random_sets_and_equal_sets_are_one():
    one = list(range(20))
    swapped = [1, 0, *range(2, 20)]  # the same set of two; as many heads in each layer for all
    members, sets = design_sets([by(one), by(swapped, "q2v")], SHAPE, [0.1, 0.5], 10, 0)
    least = [each for each in members if each.order == LEAST]
    assert [each.set for each in least] == ["a2v least 10%", "a2v least 50%"] * 2
    assert len({each.group for each in least}) == 2
    assert len(set(sets.values())) == len(sets)


def test_layers_are_cut_one_by_one_up_to_half():
    members, sets = design_sets([by([2, 0, 3, 1], "bi_last", "layers")], SHAPE, [0.1], 50, 0)
    least = [sets[each.set].layers for each in members if each.order == LEAST]
    assert least == [{2}, {2, 0}]
    assert not any(each.order == MOST for each in members)
    assert all(len(sets[each.set].layers) == each.number for each in members)
    assert len(sets) <= 4 + 6  # no more sets than there are, for 100 draws


def test_files_are_read_as_they_were_written(tmp_path):
    members, sets = design_sets([by(range(20)), by([1, 0, 2, 3], "bi_last", "layers")], SHAPE, [0.5], 5, 3)
    design = Design(seed=3, random=5, criteria=["a2v", "bi_last"], members=members)
    ids = ["a/0", "a/0#2", "line\u2028separator", "form\x0cfeed", "carriage\rreturn"]
    write_design(tmp_path, design, sets, ids)
    assert read_design(tmp_path) == (design, sets, ids)
    (tmp_path / "sets.json").write_text('{"x": {"heads": [1]}}')
    with pytest.raises(HeadflowError, match="the set 'x' has heads"):
        read_design(tmp_path)
    (tmp_path / "sets.json").write_text("{}")
    with pytest.raises(HeadflowError, match=r"sets\.json has no set 'a2v least 50%', which design\.json names"):
        read_design(tmp_path)


def p_values(*, matched: bool, repeats: int) -> np.ndarray:
    """The p of one set against 39 random ones, over worlds in which the heads of late layers are worth more.

    The set has three heads of each of the last two layers, which are no others than chance gives.
    """
    shape, found = (4, 8), []
    for seed in range(repeats):
        random = np.random.default_rng([seed, 5])
        worth = random.exponential(size=shape) + 2 * np.arange(shape[0])[:, None]
        first = [8 * layer + head for layer in (3, 2) for head in random.permutation(8)[:3]]
        order = [*first, *(cell for cell in range(32) if cell not in first)]
        members, sets = design_sets([by(order)], manifest(layers=4, heads=8), [6 / 32], 39, seed)
        if not matched:
            sets |= {
                each.set: HeadSet(frozenset((c // 8, c % 8) for c in random.permutation(32)[:6].tolist()))
                for each in members
                if each.order == RANDOM
            }
        effects = np.array([sum(worth[place] for place in each.heads) for each in sets.values()])
        place = {name: number for number, name in enumerate(sets)}
        table = _measured(members, ["order", "group", "draw", "set"], place, {"effect": effects})
        (row,) = table[table["order"] == LEAST].to_dict("records")
        found.append(against(row, table[table["order"] == RANDOM])["p"])
    return np.array(found)


def test_p_is_uniform_where_a_set_is_chosen_by_its_layers_alone():
    p = p_values(matched=True, repeats=150)
    for level in (0.05, 0.1, 0.5):
        assert abs((p <= level).mean() - level) <= 3.3 * np.sqrt(level * (1 - level) / len(p))
    spread = p - np.random.default_rng(0).uniform(0, 1 / 40, len(p))  # p has 40 steps
    assert stats.kstest(spread, "uniform").pvalue > 0.01


def test_p_would_not_be_without_matching_layers():
    assert (p_values(matched=False, repeats=60) <= 0.05).mean() > 0.5


def test_p_counts_the_set_itself():
    assert share_beyond(2.0, np.array([1.0, 2.0, 3.0])) == {"p": 3 / 4, "p_less": 3 / 4}
    assert share_beyond(5.0, np.array([1.0, np.nan])) == {"p": 2 / 3, "p_less": 2 / 3}  # the second counts as worst
    assert np.isnan(share_beyond(1.0, np.empty(0))["p"])


def test_a_random_set_counts_once_and_the_set_itself_not():
    random = pd.DataFrame({"group": "heads 1", "set": ["a", "a", "own", "b"], "effect": [3.0, 3.0, 2.0, 1.0]})
    row = {"order": LEAST, "group": "heads 1", "set": "own", "effect": 2.0}
    assert against(row, random) == {"random": 2, "p": 2 / 3, "p_less": 2 / 3}


def test_areas_are_trapezoids():
    shares, losses = np.array([0.25, 0.5]), np.array([[1.0, 3.0], [0.0, 0.0]])
    assert mean_height(shares, losses).tolist() == pytest.approx([(0.5 * 0.25 + 2 * 0.25) / 0.5, 0])


def test_random_sets_that_are_the_set_itself_compare_with_nothing():
    """Half of a model is its first two layers, which are cut whole, so that there is one set of as many in each."""
    members, sets = design_sets([by(range(20))], SHAPE, [0.5], 5, 0)
    place = {name: number for number, name in enumerate(sets)}
    table = _measured(members, ["unit", "criterion", "order", "share", "group", "draw", "set"], place,
                      dict.fromkeys(("effect", "loss"), np.arange(len(sets), dtype=float)))  # fmt: skip
    found = areas(table[table["order"] != RANDOM], table[table["order"] == RANDOM])
    assert found[["p", "p_less"]].isna().all(axis=None)
    (line,) = _curves(SimpleNamespace(areas=found))
    assert line.endswith("; no comparison is possible, as each random set with as many of each layer is the set itself")


def test_areas_of_random_sets_follow_draws():
    members, sets = design_sets([by(np.random.default_rng(0).permutation(20))], SHAPE, [0.25, 0.5], 20, 0)
    place = {name: number for number, name in enumerate(sets)}
    values = np.arange(len(sets), dtype=float)
    columns = ["unit", "criterion", "order", "share", "number", "group", "draw", "set"]
    table = _measured(members, columns, place, {"effect": values, "loss": values})
    random = table[table["order"] == RANDOM]
    found = areas(table[table["order"] != RANDOM], random)
    row = found[(found["order"] == LEAST) & (found["measure"] == "effect")].iloc[0]
    own = [random[random["draw"] == draw].sort_values("share")["effect"].to_numpy() for draw in range(20)]
    curves = mean_height(np.array([0.25, 0.5]), np.stack(own))
    assert row["random_median"] == pytest.approx(np.median(curves))
    assert row["p"] == (1 + (curves >= row["area"]).sum()) / 21
