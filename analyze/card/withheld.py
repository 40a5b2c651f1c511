"""What of a run is not published: texts and pictures of the benchmark, and what names paths of the user's machine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import TOKENS
from schemas.manifest import SUBSET, Manifest
from schemas.store.ledger import Ledger, Part
from schemas.store.run import Run
from schemas.tasks import TASKS

_TEXTS = ("question", "answer", "boxes", "objects")  # columns of `samples` that are the benchmark's
_PRIVATE = ("detail",)  # those that may name paths
# Of texts that a model was given, by table: what columns have in the copy
_GIVEN: Mapping[str, Mapping[str, str | int]] = {
    "samples": {"text": ""},
    TOKENS: {"text": "", "token_id": 0},
}
ON_A_MACHINE = re.compile(
    r"[/\\~.]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://"
)  # how a path begins that is no name on the hub


def withheld_columns(run: Run, *, with_texts: bool) -> tuple[str, ...]:
    """The columns of `samples` that are null in the copy, with options where each question has its own."""
    own_options = () if TASKS[run.manifest.task].options else ("options",)
    return _PRIVATE if with_texts else (*_TEXTS, *own_options, *_PRIVATE)


def emptied_columns(run: Run, *, with_texts: bool) -> Mapping[str, Mapping[str, str | int]]:
    """By table, the columns that have one value in the copy, as they would tell the texts that the model was given."""
    return {} if with_texts or run.manifest.texts_sha256 is None else _GIVEN


def emptied(content: pa.Table, columns: Mapping[str, str | int]) -> pa.Table:
    """A table with one value in each of some columns, wherever they are not null."""
    for name, value in columns.items():
        place, field = content.schema.get_field_index(name), content.schema.field(name)
        found = content[name]
        found = pc.if_else(pc.is_valid(found), pa.scalar(value, field.type), found)
        content = content.set_column(place, field, found)
    return content


def without(samples: pa.Table, columns: Sequence[str]) -> pa.Table:
    """A table with nulls in some of its columns."""
    for name in columns:
        place = samples.schema.get_field_index(name)
        nulls = pa.nulls(samples.num_rows, samples.schema.field(name).type)
        samples = samples.set_column(place, samples.schema.field(name), nulls)
    return samples


def public_manifest(run: Run, model: str | None) -> Manifest:
    """The manifest of the copy, without the folders of the model and the question file.

    Its `derived` is set, so that no command goes on with a run that lacks its texts.
    """
    manifest, file = run.manifest, run.manifest.question_file
    return replace(
        manifest,
        model=model,
        question_file=file and last_name(file),
        derived=manifest.derived or SUBSET,
    )


def model_name(run: Run) -> str | None:
    """The model's name on its hub, or that of its directory."""
    name = run.manifest.model
    in_directory = any(ledger.settings for ledger in run.ledgers.values())
    return last_name(name) if name and (in_directory or ON_A_MACHINE.match(name)) else name


def public_ledger(ledger: Ledger, tables: Sequence[str]) -> Ledger:
    """A ledger without the arguments of commands, and with the tables that are copied."""
    return replace(
        ledger,
        parts=[Part(name=part.name, rows=_only(part.rows, tables)) for part in ledger.parts],
        sessions=[replace(session, arguments={}) for session in ledger.sessions],
    )


def last_name(path: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _only(rows: dict[str, int], tables: Sequence[str]) -> dict[str, int]:
    return {table: number for table, number in rows.items() if table in tables}
