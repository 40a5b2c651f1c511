"""The images of a run in two halves: one ranks heads and layers, the other tests sets of them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.statistics.clusters import Shown, joined_rows
from analyze.statistics.reliability import halves
from analyze.tables.frames import Heads
from analyze.tables.values import answered, observed_samples
from schemas.errors import HeadflowError
from schemas.text import listed

Flags = npt.NDArray[np.bool_]


def answered_samples(heads: Heads) -> pd.DataFrame:
    """The rows of `answered` of a run, with their positions in `observed_samples` as index.

    Raises:
        HeadflowError: there is none.
    """
    samples = answered(observed_samples(heads, first_token=True))
    if samples.empty:
        raise HeadflowError(f"{heads.run.path}: no observed sample has a right answer that is {heads.task.either}")
    return samples


def divide(samples: pd.DataFrame, seed: int) -> Flags:
    """Which samples test, bool [samples]; the others rank. All questions on an image are in one half.

    So are those that `joined_rows` joins. Each category is divided in two; an image that is in several categories
    counts in the first of them.

    Raises:
        HeadflowError: no category has two images.
    """
    image = joined_rows(samples, Shown.of(samples))
    category, _ = pd.factorize(samples["category"].astype(str).groupby(image).first())
    if np.bincount(category).max() < 2:
        raise HeadflowError("no category has two images: one half of them ranks, the other tests")
    half = halves(category.astype(np.int64), np.random.default_rng(seed))
    return half[image] == 1


def divided_as(samples: pd.DataFrame, testing: Iterable[str]) -> tuple[Flags, Flags]:
    """The samples that rank and those that test, bool [samples] each, from the ids of those that test.

    A sample that was added since on an image that tests does neither.

    Raises:
        HeadflowError: one of the ids is not among the samples, or none is left to rank.
    """
    wanted, ids = set(testing), samples["sample_id"].astype(str)
    if missing := sorted(wanted - set(ids)):
        raise HeadflowError(f"the run has no observed sample {listed(missing)}, which the sets were to be tested on")
    tests = ids.isin(wanted).to_numpy()
    images = joined_rows(samples, Shown.of(samples))
    ranks = ~np.isin(images, images[tests])
    if not (tests.any() and ranks.any()):
        raise HeadflowError("no sample is left to rank, or none to test")
    return ranks, tests
