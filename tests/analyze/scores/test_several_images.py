"""Oracle: sets of images counted by hand, and brute force; coverage is in `tests.simulations.several_images`."""

import numpy as np
import pandas as pd
import pytest

from analyze.diagnose import pairs_of_questions
from analyze.prune.halves import divide
from analyze.scores.accuracy import category_scores, total_scores
from analyze.scores.intervals import score_intervals
from analyze.statistics.clusters import Clusters
from schemas.tasks import MME, PLAIN
from tests.simulations.several_images import World, made_up


def asked(*lists: str, category: str = "pair") -> pd.DataFrame:
    """Rows of `samples`, each about the images that a text names, a letter each; every second answer is no."""
    table = pd.DataFrame({"image_sha256": lists, "answer": [("Yes", "No")[place % 2] for place in range(len(lists))]})
    table["pictures"] = [[{"image_sha256": each} for each in own] if len(own) > 1 else None for own in lists]
    ids = table.index.astype(str)
    return table.assign(image=None, sample_id=ids, question_id=None, category=category, status="ok", prediction="Yes")


def test_questions_that_share_an_image_are_resampled_together():
    """Of a chain of images, whose ends have none in common, in both orders; of two others; and of one by itself."""
    table = asked("ab", "ba", "bc", "cd", "xy", "y", "z")
    clusters = Clusters.of(table)
    assert clusters.image.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert (clusters.images, clusters.different()) == (3, 7)
    assert clusters.different(np.array([True, False, True])) == 5
    assert clusters.units == ("set of images that questions share", "sets of images that questions share")
    assert Clusters.of(table[-1:]).units == ("image", "images")


def test_a_set_in_two_categories_is_one():
    table = pd.concat([asked("ab", "cd"), asked("bc", "e", category="other")], ignore_index=True)
    clusters = Clusters.of(table)
    assert (clusters.images, clusters.together(), clusters.different()) == (3, 2, 5)
    assert (clusters.once().images, clusters.once().different()) == (2, 5)


@pytest.mark.parametrize("task", [PLAIN, MME], ids=lambda task: task.name)
def test_scores_have_the_interval_of_sets(task):
    """As if each set were one image, which the six questions of a set are on; three pairs of one list, in MME."""
    table = made_up(np.random.default_rng(0), World(30), 30)
    sets = table.assign(pictures=None, image_sha256=table["image_sha256"].str.partition("_")[0])
    ids = table["image_sha256"].map(lambda names: "".join(sorted(names)))
    bounds = [
        score_intervals(category_scores(each, task), each, task).loc[0, ["score", "low", "high"]].tolist()
        for each in (table, sets.assign(question_id=ids))
    ]
    assert bounds[0] == pytest.approx(bounds[1])
    scores = category_scores(table, task)
    assert scores.loc[0, ["questions", "images", "left_out"]].tolist() == [180, 90, 0]
    assert total_scores(scores, table, task)["images"].tolist() == ([90] if task is PLAIN else [])


def test_a_pair_of_questions_is_on_the_same_images_in_any_order():
    table = asked("ab", "ba", "bc", "bc", "cd").assign(expected=[0, 1, 0, 1, 0], says=[0, 0, 0, 1, 0])
    pairs = pairs_of_questions(table, Clusters.of(table))
    assert pairs[["first", "second", "image"]].to_numpy().tolist() == [[0, 1, 0], [2, 3, 0]]


def test_images_that_rank_heads_do_not_test_them():
    table = asked("ab", "bc", "de", "ef", "gh", "ha", "ij", "kl")
    tests = divide(table, 0)
    images = [set("".join(table["image_sha256"][own])) for own in (tests, ~tests)]
    assert all(images)
    assert not images[0] & images[1]
