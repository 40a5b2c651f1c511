"""The contract as tables in Markdown: those of the guide, and of dataset cards."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from schemas.columns import (
    CATEGORICAL,
    OBJECTS,
    OF_PICTURE,
    PICTURE_LIST,
    REASONS,
    RECTANGLE,
    RECTANGLES,
    TABLES,
    TEXTS,
    Column,
)
from schemas.jobs.settings import JobSettings
from schemas.manifest import Manifest, Session, meanings
from schemas.roles import ROLES
from schemas.store.ledger import Ledger, Part
from schemas.tasks import TASKS

TYPE_NAMES = {
    CATEGORICAL: "categorical",
    pa.float32(): "float32",
    RECTANGLE: "list of float32",  # `PATCHES` is the same type
    RECTANGLES: "list of lists of float32",
    TEXTS: "list of string",
    OBJECTS: "list of {name, words, boxes}",
    PICTURE_LIST: f"list of {{{', '.join(OF_PICTURE)}}}",
}


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Table(NamedTuple):
    """A table of cells."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def columns_table(columns: Iterable[Column]) -> Table:
    """Columns with type, unit and meaning."""
    rows = [
        (
            f"`{column.name}`",
            TYPE_NAMES.get(column.type, str(column.type)) + (", nullable" if column.nullable else ""),
            column.unit,
            column.meaning,
        )
        for column in columns
    ]
    return Table(("column", "type", "unit", "meaning"), rows)


def fields_table(record: type) -> Table:
    """The fields of a JSON record with their meanings."""
    return Table(("field", "meaning"), [(f"`{name}`", text) for name, text in meanings(record).items()])


def roles_table() -> Table:
    """The roles of tokens."""
    return Table(("role", "tokens"), [(f"`{role.name}`", role.meaning) for role in ROLES])


def tasks_table() -> Table:
    """The tasks, with the columns of `analyze summary` whose values make up the score of a category, and of several."""
    rows = [
        (
            f"`{task.name}`",
            task.meaning,
            " + ".join(f"`{part}`" for part in task.parts),
            task.together,
            ", ".join(f"`{name}`" for name in task.further),
        )
        for task in TASKS.values()
    ]
    return Table(("task", "meaning", "score of a category", "of several", "also"), rows)


def contract() -> dict[str, Table]:
    """The contract's tables by title."""
    return {
        "roles": roles_table(),
        **{table.name: columns_table(table.columns) for table in TABLES.values()},
        "reasons": Table(("reason", "meaning"), [(f"`{code}`", text) for code, text in REASONS.items()]),
        "run.json": fields_table(Manifest),
        "job": fields_table(JobSettings),
        "ledger": fields_table(Ledger),
        "parts": fields_table(Part),
        "sessions": fields_table(Session),
        "tasks": tasks_table(),
    }
