"""The contract as tables in Markdown: those of the README, and of dataset cards."""

from collections.abc import Iterable, Sequence

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


def columns_table(columns: Iterable[Column]) -> str:
    """Columns with type, unit and meaning."""
    rows = (
        (
            f"`{column.name}`",
            TYPE_NAMES.get(column.type, str(column.type)) + (", nullable" if column.nullable else ""),
            column.unit,
            column.meaning,
        )
        for column in columns
    )
    return markdown(("column", "type", "unit", "meaning"), rows)


def fields_table(record: type) -> str:
    """The fields of a JSON record with their meanings."""
    return markdown(("field", "meaning"), ((f"`{name}`", text) for name, text in meanings(record).items()))


def contract() -> dict[str, str]:
    """The contract's tables by title."""
    return {
        "Roles": markdown(("role", "tokens"), ((f"`{role.name}`", role.meaning) for role in ROLES)),
        **{table.name: columns_table(table.columns) for table in TABLES.values()},
        "reasons": markdown(("reason", "meaning"), ((f"`{code}`", text) for code, text in REASONS.items())),
        "run.json": fields_table(Manifest),
        "job of run.json": fields_table(JobSettings),
        "chunks/*.json": fields_table(Ledger),
        "parts of a ledger": fields_table(Part),
        "sessions of a ledger": fields_table(Session),
    }
