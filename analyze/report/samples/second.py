"""A second run in the page, B: its answers, maps and values, by the rows of the first run, A.

In the page (types: `app/src/data.ts`): `second` has B's layers and heads, and for each row of A `right`, `prediction`
and the numbers of a card, None where no sample of B is paired with it. The pieces `evidence_b` and `values_b` are as
those of A, of the samples that are paired: maps are drawn on the page's one scale. Where both runs have as many layers
and heads, they are of the same heads as A's; else of those that stand out in B.
"""

from collections.abc import Sequence
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
from analyze.report.samples.values import VALUES, cells_of, choose_values, values_piece
from analyze.statistics.clusters import Codes
from analyze.tables.frames import Heads
from analyze.tables.values import observed_rows

SUFFIX = "_b"


@dataclass(frozen=True)
class Chosen:
    """What the page has of the first run: its maps, and the heads whose values it has, by the key of a measure."""

    maps: ChosenMaps | None
    values: dict[str, list[int]]


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
    if chosen.maps is not None and b.run.manifest.maps_of == chosen.maps.of:
        named = dict(zip(own.tolist(), rows.tolist(), strict=True))
        maps = choose_maps(b, measured, own[np.isin(rows, chosen.maps.rows)].tolist(), budget)
        if maps is not None and a.shape == b.shape:
            there = has_map(b.run).ravel()
            maps = replace(maps, cells=[cell for cell in chosen.maps.cells if there[cell]])
        piece, top = evidence(b, maps, [], unread, EVIDENCE + SUFFIX, named)
        pieces.append(piece)
    second = {"layers": b.run.manifest.attending, "heads": b.heads, "values": cells_of(pieces[0])}
    return second | _answers(b, measured, numbers, samples, rows, own), pieces, top


def _answers(
    b: Heads, measured: Measured, numbers: Sequence[str], samples: int, rows: Codes, own: Codes
) -> dict[str, list[Any]]:
    """What B answers, by the rows of A."""
    spelled = measured.samples if b.task.opposite else with_texts_of_options(measured.samples)
    columns = rows_of(spelled, b.categories, np.full(len(spelled), -1), numbers)
    names = ["right", "prediction", *(["text"] if "text" in columns else []), *numbers]
    found: dict[str, list[Any]] = {name: [None] * samples for name in names}
    for name, values in found.items():
        for row, place in zip(rows.tolist(), own.tolist(), strict=True):
            values[row] = columns[name][place]
    return found
