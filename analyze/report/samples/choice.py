"""Which samples the page has images of, and which heads it has maps of: those that the page links to.

Samples come in turn from three groups: those with the highest values of the heads that stand out in a measure, wrong
answers by category, and one of each state and category. Heads come in turn from the measures: the highest of what heads
look at, and the highest and the lowest of what they add and matter for. Images are taken until `images` are there, and
maps of these images up to a budget in bytes, a byte a patch.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.report.measures import COMPARED, LOOKING, MATTERING, Measure, Measured
from analyze.statistics.clusters import Codes
from schemas.columns import PICTURES
from schemas.files.locations import Location
from schemas.files.pictures import hashes_of
from schemas.store.thumbnails import read_thumbnail

STANDING_OUT = 10  # heads of a measure whose highest samples are linked to: as many as the page names


def first_images(samples: pd.DataFrame) -> pd.Series:
    """The hash of the image of each sample; of several images, that of the first."""
    if PICTURES not in samples or samples[PICTURES].isna().all():
        return samples["image_sha256"]
    return pd.Series([next(iter(hashes_of(row)), None) for row in samples.to_dict("records")], samples.index)


def in_turn(*groups: Iterable[int]) -> Iterator[int]:
    """The members of some groups, one of each in turn, each number once."""
    seen: set[int] = set()
    for number in chain.from_iterable(zip_longest(*groups)):
        if number is not None and number not in seen:
            seen.add(number)
            yield number


def by_standing(one: Measure) -> list[int]:
    """The cells of the heads that have a measure, the highest first; in turn with the lowest where it has a sign."""
    means = one.found.means()[0]
    order: list[int] = np.argsort(-means, kind="stable")[: int(np.isfinite(means).sum())].tolist()
    return order if one.kind == LOOKING else list(in_turn(order, order[::-1]))


def of_image(measures: Sequence[Measure], of: str | None) -> list[Measure]:
    """The measures that say most of the image: what maps are of, effects, and what is compared with these."""
    first = list(dict.fromkeys([f"{of}2v", *(each.name for each in measures if each.kind == MATTERING), *COMPARED]))
    return sorted((each for each in measures if each.name in first), key=lambda one: first.index(one.name))


def linked_samples(measures: Sequence[Measure]) -> Iterator[int]:
    """The samples with the highest values of the heads that stand out, a measure in turn."""
    return in_turn(*(_highest(each) for each in measures))


def _highest(one: Measure) -> list[int]:
    """The samples that the page names beside heads that stand out, the highest of each head first."""
    chosen = by_standing(one)[: STANDING_OUT * (1 if one.kind == LOOKING else 2)]
    top: Codes = one.found.top[:, chosen].ravel()
    return top[top >= 0].tolist()


def by_kind(rows: npt.NDArray[np.int64], *codes: Codes) -> list[int]:
    """Some rows, a kind in turn; what has the same codes is of one kind."""
    frame = pd.DataFrame({str(place): code[rows] for place, code in enumerate(codes)}, rows)
    turn = frame.groupby(list(frame.columns)).cumcount() if len(frame) else pd.Series(dtype=int)
    return turn.sort_values(kind="stable").index.tolist()


def linked(measured: Measured, states: Codes, category: Codes, of: str | None) -> list[int]:
    """All rows of `measured.samples`, those first that the page links to."""
    everyone = np.arange(len(measured.samples))
    wrong = np.flatnonzero([right is not None and not right for right in measured.samples["right"]])
    first = of_image(measured.measures, of)
    measures = [*first, *(each for each in measured.measures if each not in first)]
    return list(in_turn(linked_samples(measures), by_kind(wrong, category), by_kind(everyone, states, category)))


def chosen_images(run: Location, samples: pd.DataFrame, order: Sequence[int], most: int) -> dict[str, bytes]:
    """The thumbnails that are in the page, by the hash of the image.

    Args:
        order: rows of `samples`, those first whose images are taken first.
    """
    found: dict[str, bytes] = {}
    for sha in dict.fromkeys(first_images(samples).iloc[list(order)].dropna()):
        if len(found) >= most:
            break
        if (content := read_thumbnail(run, sha)) is not None:
            found[sha] = content
    return found


def chosen_heads(measures: Sequence[Measure], there: npt.NDArray[np.int64], number: int) -> list[int]:
    """The heads whose maps are in the page, in order.

    Args:
        measures: those whose heads are taken, one of each in turn.
        there: heads that have maps.
    """
    known = set(there.tolist())
    found = [cell for cell in in_turn(*map(by_standing, measures), there.tolist()) if cell in known]
    return sorted(found[:number])
