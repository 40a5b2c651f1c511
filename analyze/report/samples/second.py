"""A second run in the page, B: its answers, maps and values, by the rows of the first run, A.

In the page (types: `app/src/data.ts`): `second` has B's layers and heads, and for each row of A `right`, `prediction`
and the numbers of a card, None where no sample of B is paired with it. The pieces `evidence_b`, `values_b` and, where
both runs wrote texts, `texts_b` are as those of A, of the samples that are paired: maps are drawn on the page's one
scale. Where both runs have as many layers and heads, they are of the same heads as A's; else of those that stand out
in B.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from analyze.compare.pairing import pair_samples
from analyze.diagnose import with_texts_of_options
from analyze.maps.reading import has_map
from analyze.report.measures import COMPARED, Measured, measure_looking
from analyze.report.packing import Piece
from analyze.report.samples.maps import EVIDENCE, ChosenMaps, Unread, choose_maps, evidence
from analyze.report.samples.rows import rows_of
from analyze.report.samples.texts import TEXTS, ChosenTexts, choose_texts, has_texts, with_heads_of, write_texts
from analyze.report.samples.values import VALUES, cells_of, choose_values, values_piece
from analyze.statistics.clusters import Codes
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows
from schemas.columns import N_GENERATED

SUFFIX = "_b"
_OF_TEXTS = ("text", "ended", N_GENERATED)


@dataclass(frozen=True)
class Chosen:
    """What the page has of the first run: its maps, and the heads whose values it has, by the key of a measure.

    Attributes:
        texts: None: it has none. `order`: rows, those first whose texts are needed most; `first`: how many these are.
    """

    maps: ChosenMaps | None
    values: dict[str, list[int]]
    texts: ChosenTexts | None
    order: Sequence[int]
    first: int


def measure_second(a: Heads, b: Heads, text_scope: str | None, file: BinaryIO, exact: Sequence[str]) -> Measured:
    """All that is read of the heads of a second run, in one pass.

    Args:
        file: where values of its samples are kept; `exact`: columns whose values are kept as they are.
    """
    flows = b.run.manifest.flows
    measures = list(dict.fromkeys(each for each in (*COMPARED, *flows[:1]) if each in flows))
    read = [flow for flow in flows if flow in (*a.run.manifest.flows, *measures)]
    return measure_looking(b, b.scope(text_scope), read, file, exact=exact, measures=measures)


def second_run(
    a: Heads,
    b: Heads,
    measured: Measured,
    chosen: Chosen,
    numbers: Sequence[str],
    budget: float,
    unread: Unread,
) -> tuple[dict[str, Any], list[Piece], float]:
    """What the page has of a second run, its pieces, and the end of the scale of its maps.

    Args:
        measured: of B, see `measure_second`.
        numbers: columns of `samples`.
        budget: bytes of maps.
        unread: is told of parts of B that cannot be read.
    """
    pairs = pair_samples(a, b).table
    samples, rows, own = int(a.observed.sum()), observed_rows(a)[pairs["a"]], observed_rows(b)[pairs["b"]]
    values = chosen.values
    if a.shape != b.shape:
        values = choose_values(measured.measures, b.run.manifest.maps_of, samples)
    pieces, top = [values_piece(measured.measures, values, (samples, rows, own), VALUES + SUFFIX)], 1.0
    named = dict(zip(own.tolist(), rows.tolist(), strict=True))
    texts = None
    if chosen.texts is not None and has_texts(b):
        budget /= 2
        texts, top = _texts(b, measured, chosen, named, budget, pieces.append, unread, alike=a.shape == b.shape)
    if chosen.maps is not None and b.run.manifest.maps_of == chosen.maps.of:
        maps = choose_maps(b, measured, own[np.isin(rows, chosen.maps.rows)].tolist(), budget)
        if maps is not None and a.shape == b.shape:
            there = has_map(b.run).ravel()
            maps = replace(maps, cells=[cell for cell in chosen.maps.cells if there[cell]])
        piece, top_of_maps = evidence(b, maps, [], unread, EVIDENCE + SUFFIX, named)
        pieces.append(piece)
        top = max(top, top_of_maps)
    second = {"layers": b.run.manifest.attending, "heads": b.heads, "values": cells_of(pieces[0]), "texts": texts}
    return second | _answers(b, measured, numbers, samples, rows, own), pieces, top


def _texts(
    b: Heads,
    measured: Measured,
    chosen: Chosen,
    named: Mapping[int, int],
    budget: float,
    add: Callable[[Piece], None],
    unread: Unread,
    *,
    alike: bool,
) -> tuple[dict[str, Any] | None, float]:
    """Add the texts of B to those rows that have one of A; returns what the page says of them, and the maps' end.

    Args:
        named: by the row of a sample of B its row in the page.
        alike: whether both runs have as many layers and heads.
    """
    assert chosen.texts is not None
    places, there = {row: own for own, row in named.items()}, set(chosen.texts.rows.tolist())
    order = [places[row] for row in chosen.order if row in places and row in there]
    first = sum(row in places and row in there for row in chosen.order[: chosen.first])
    taken = choose_texts(b, measured, order, first, budget, folder=False)
    if taken is None:
        return None, 1.0
    taken = with_heads_of(taken, chosen.texts) if alike else taken
    return write_texts(b, taken, add, unread, name=TEXTS + SUFFIX, named=named)


def _answers(
    b: Heads, measured: Measured, numbers: Sequence[str], samples: int, rows: Codes, own: Codes
) -> dict[str, list[Any]]:
    """What B answers, by the rows of A."""
    spelled = measured.samples if b.task.opposite else with_texts_of_options(measured.samples)
    columns = rows_of(spelled, b.categories, np.full(len(spelled), -1), numbers)
    names = ["right", "prediction", *(name for name in _OF_TEXTS if name in columns), *numbers]
    found: dict[str, list[Any]] = {name: [None] * samples for name in names}
    for name, values in found.items():
        for row, place in zip(rows.tolist(), own.tolist(), strict=True):
            values[row] = columns[name][place]
    return found
