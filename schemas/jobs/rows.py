"""The rows of a job's table: one for each sample and knock-out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.columns import KNOCKOUT_COLUMNS, arrow_schema
from schemas.jobs.head_sets import HeadSet
from schemas.jobs.settings import JobSettings

GIVEN = ("sample_id", "category", "kind", "name", "query", "key", "layer", "head")  # by the sample and the settings
MEASURED = tuple(column.name for column in KNOCKOUT_COLUMNS if column.name not in GIVEN)


def rows_table(
    settings: JobSettings, samples: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Sequence[Any]]]
) -> pa.Table:
    """The table `knockouts` of some samples.

    Args:
        samples: their `sample_id` and `category`.
        rows: of each sample, values of `MEASURED` by column, one for each knock-out of the settings, in their order.
    """
    number = len(settings.knock_outs)
    places = [_place(each) for each in settings.sets.values()]
    own: dict[str, list[Any]] = {
        "kind": [settings.kind] * number,
        "query": [settings.query] * number,
        "key": [settings.key] * number,
        "name": list(settings.knock_outs),
        "layer": [layer for layer, _ in places],
        "head": [head for _, head in places],
    }
    made: dict[str, list[Any]] = {
        **{name: [each[name] for each in samples for _ in range(number)] for name in ("sample_id", "category")},
        **{name: values * len(samples) for name, values in own.items()},
        **{name: [value for each in rows for value in each[name]] for name in MEASURED},
    }
    return pa.table(made, schema=arrow_schema(KNOCKOUT_COLUMNS))


def _place(knocked_out: HeadSet) -> tuple[int | None, int | None]:
    """The layer and the head of a knock-out, each None if there are several."""
    heads, layers = knocked_out.heads, knocked_out.layers
    if len(heads) == 1 and not layers:
        return next(iter(heads))
    if len(layers) == 1 and not heads:
        return next(iter(layers)), None
    return None, None
