"""Which samples the page has images of, and which heads it has maps of: those that the page links to.

Every second sample is one that the page names beside a head: those of the heads of its first picture, a head after the
other, then those of the highest heads of other measures. The others come in turn from wrong answers by category, and
from one of each state and category. Heads come in turn from the measures: the highest of what heads look at, and the
highest and the lowest of what they add and matter for. Images are taken until `images` are there, and
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


def linked_samples(first: Sequence[Measure], others: Sequence[Measure]) -> list[int]:
    """The samples with the highest values of the heads that stand out.

    Args:
        first: measures that the page shows first: all samples of a head of each in turn.
        others: the highest sample of each of their heads, then the second, a measure in turn.
    """
    heads = chain.from_iterable(zip_longest(*(_highest(each).T for each in first), fillvalue=()))
    rows = chain(chain.from_iterable(heads), in_turn(*(_highest(each).ravel().tolist() for each in others)))
    return list(dict.fromkeys(int(row) for row in rows if row >= 0))


def _highest(one: Measure) -> Codes:
    """The samples that the page names beside heads that stand out, [samples, heads]; -1 where there are no more."""
    found: Codes = one.found.top[:, by_standing(one)[: STANDING_OUT * (1 if one.kind == LOOKING else 2)]]
    return found


def by_kind(rows: npt.NDArray[np.int64], *codes: Codes) -> list[int]:
    """Some rows, a kind in turn; what has the same codes is of one kind."""
    frame = pd.DataFrame({str(place): code[rows] for place, code in enumerate(codes)}, rows)
    turn = frame.groupby(list(frame.columns)).cumcount() if len(frame) else pd.Series(dtype=int)
    return turn.sort_values(kind="stable").index.tolist()


def linked(measured: Measured, states: Codes, category: Codes, of: str | None) -> list[int]:
    """All rows of `measured.samples`, those first that the page links to."""
    everyone = np.arange(len(measured.samples))
    wrong = np.flatnonzero([right is not None and not right for right in measured.samples["right"]])
    shown = [measured.first_looking() or measured.measures[0], *filter(None, [measured.first_mattering()])]
    others = dict.fromkeys(each.key for each in (*of_image(measured.measures, of), *measured.measures))
    by_key = {each.key: each for each in measured.measures if each not in shown}
    links = linked_samples(shown, [by_key[key] for key in others if key in by_key])
    return list(in_turn(links[::2], by_kind(wrong, category), links[1::2], by_kind(everyone, states, category)))


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
