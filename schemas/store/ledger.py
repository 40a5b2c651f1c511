"""A chunk's ledger: the parts that count, and the sessions that wrote them. The only file of a run that is rewritten.

Readers see the parts that a ledger names. So a part counts from the moment at which its ledger is replaced, which is
one rename.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from schemas.errors import HeadflowError
from schemas.files import build, read_object, write_text
from schemas.manifest import ROWS, Session, to_json
from schemas.text import short

CHUNKS, JOBS = "chunks", "jobs"  # the folders of a run's ledgers, and of later jobs on it
RUNNING, COMPLETE = "running", "complete"
JOB_NAME = re.compile(r"[a-z][a-z0-9_]*")
PART_NAME = re.compile(rf"part-({JOB_NAME.pattern}-)?([0-9]+-)?[0-9]+\.parquet")
TABLE_NAME = re.compile(r"[a-z_]+")  # those of a later version may be unknown here
LEDGER_NAME = re.compile(r"[0-9]+\.json")


@dataclass(kw_only=True)
class Part:
    """The rows of some samples: a Parquet file of the same name in the folder of each table."""

    name: Annotated[str, "file name, the same in each table's folder"]
    rows: Annotated[dict[str, int], "rows of each table"] = field(default_factory=dict)


@dataclass(kw_only=True)
class Ledger:
    """The fields of `chunks/NNNNN.json`, in their order."""

    chunk: Annotated[int, "the chunk, from 0"] = 0
    state: Annotated[str, f"`{RUNNING}` from the start, `{COMPLETE}` at the end"] = RUNNING
    samples: Annotated[int, "samples asked of the chunk, those to be skipped included"] = 0
    samples_in_run: Annotated[int, "samples asked of all chunks together"] = 0
    weights: Annotated[str | None, "fingerprint of the weights: sizes, headers and sampled bytes of their files"] = None
    settings: Annotated[
        str | None, "fingerprint of the settings and the tokenizer of a model in a directory; null for one of the hub"
    ] = None
    images: Annotated[dict[str, str], "fingerprint of each image, or of some: size and hash of sampled bytes"] = field(
        default_factory=dict
    )
    parts: Annotated[list[Part], "the parts that are complete, with their numbers of rows"] = field(
        default_factory=list
    )
    sessions: Annotated[list[Session], "each start and resume of the chunk"] = field(default_factory=list)

    def lacking(self, tables: Iterable[str]) -> Iterator[str]:
        """What is wrong with parts that do not say how many rows they have of some tables."""
        for part in self.parts:
            if lacking := set(tables) - part.rows.keys():
                yield f"{part.name} does not say how many rows it has of {', '.join(sorted(lacking))}"

    @property
    def complete(self) -> bool:
        """Whether the chunk is written to its end."""
        return self.state == COMPLETE

    def rows(self, table: str) -> int:
        """Rows of a table in the parts that count."""
        return sum(part.rows.get(table, 0) for part in self.parts)

    @classmethod
    def from_object(cls, content: dict[str, Any], where: object) -> "Ledger":
        """Read a ledger from its JSON object; `where` names it in errors.

        Raises:
            HeadflowError: a field is of the wrong type, or cannot be.
        """
        ledger: Ledger = build(cls, content, str(where))
        ledger.check(where)
        return ledger

    def check(self, where: object) -> None:
        """Raise `HeadflowError` if a value cannot be, though it has the right type."""
        if wrong := next(self._wrong(), None):
            raise HeadflowError(f"{where}: {wrong}")

    def _wrong(self) -> Iterator[str]:
        if self.state not in (RUNNING, COMPLETE):
            yield f"state is {short(self.state)}, not one of {RUNNING}, {COMPLETE}"
        for name in ("chunk", "samples", "samples_in_run"):
            if not 0 <= getattr(self, name) <= ROWS:
                yield f"{name} is {short(getattr(self, name))}, not from 0 to {ROWS}"
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            yield "parts names one of its members twice"
        for part in self.parts:
            if not PART_NAME.fullmatch(part.name):
                yield f"{short(part.name)} is not the name of a part"
            for table, rows in part.rows.items():
                if not TABLE_NAME.fullmatch(table):
                    yield f"{short(table)} is not the name of a table"
                if not 0 <= rows <= ROWS**2:
                    yield f"{part.name} has {short(rows)} rows of {table}, which cannot be"


def ledger_path(folder: Path, chunk: int) -> Path:
    """The path of a chunk's ledger in the folder of ledgers, of a run or of a job."""
    return folder / f"{chunk:05d}.json"


def commit(folder: Path, ledger: Ledger) -> None:
    """Replace a chunk's ledger on disk; from then on the parts that it names count."""
    write_text(ledger_path(folder, ledger.chunk), to_json(ledger))


def read_ledgers(folder: Path, num_chunks: int, tables: Iterable[str]) -> dict[int, Ledger]:
    """The ledgers of a run or a job by chunk, in order.

    Args:
        tables: those that each part has.

    Raises:
        HeadflowError: one cannot be read, or is not of the chunk that its name says.
    """
    ledgers = {}
    for path in sorted(folder.glob("*.json")):
        if not LEDGER_NAME.fullmatch(path.name):
            continue
        ledger = Ledger.from_object(read_object(path, str(path)), path)
        if ledger.chunk >= num_chunks:
            raise HeadflowError(f"{path}: chunk {ledger.chunk} is not one of {num_chunks}, from 0")
        if wrong := next(ledger.lacking(tables), None):
            raise HeadflowError(f"{path}: {wrong}")
        if path != ledger_path(folder, ledger.chunk):
            raise HeadflowError(f"{path}: it is the ledger of chunk {ledger.chunk}, under another name")
        ledgers[ledger.chunk] = ledger
    names = [part.name for ledger in ledgers.values() for part in ledger.parts]
    if len(set(names)) < len(names):
        raise HeadflowError(f"{folder}: two ledgers name the same part")
    return dict(sorted(ledgers.items()))


def changed_images(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the images that have a fingerprint in both, and not the same one."""
    return [name for name, fingerprint in now.items() if before.get(name, fingerprint) != fingerprint]


def mostly_other_images(one: Ledger, other: Ledger) -> list[str]:
    """Names of the images that have a fingerprint in both ledgers and not the same one, if more than half have not.

    Fewer are images that were mended between two chunks, so that their samples could be tried again.
    """
    changed = changed_images(one.images, other.images)
    return changed if len(changed) > len(one.images.keys() & other.images.keys()) / 2 else []
