"""A chunk's ledger: the parts that count, and the sessions that wrote them. The only file of a run that is rewritten.

Readers see the parts that a ledger names. So a part counts from the moment at which its ledger is replaced, which is
one rename, or one put on an object store.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from schemas.errors import HeadflowError
from schemas.files.json_objects import build, read_object
from schemas.files.locations import Location
from schemas.files.writing import write_text
from schemas.manifest import ROWS, Session, to_json
from schemas.text import short

MANIFEST = "run.json"
CHUNKS, JOBS = "chunks", "jobs"  # the folders of a run's ledgers, and of later jobs on it
RUNNING, COMPLETE = "running", "complete"
JOB_NAME = re.compile(r"[a-z][a-z0-9_]*")
PART_NAME = re.compile(r"part-([0-9]+-)?(?P<number>[0-9]+)(-w[0-9a-f]+)?\.parquet")
TABLE_NAME = re.compile(r"[a-z_]+")  # those of a later version may be unknown here
LEDGER_NAME = re.compile(r"[0-9]+\.json")


def check_job_name(text: str) -> str:
    """The name of a job; raises `ValueError` if it is none."""
    if not JOB_NAME.fullmatch(text):
        raise ValueError(f"{short(text)} is no name of a job: write small letters, digits and _, a letter first")
    return text


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


class LedgerFile:
    """A chunk's ledger as one process writes it.

    Before each change it is compared with what this process knows of it. So where there are no locks, the process that
    began last goes on, and one that was there before stops.
    """

    def __init__(self, folder: Location, known: Ledger | None, chunk: int) -> None:
        """Write the ledger of a chunk.

        Args:
            folder: of the ledgers of a run.
            known: as it was read; None: there was none.
        """
        self._path, self._known = ledger_path(folder, chunk), known and to_json(known)

    def commit(self, ledger: Ledger) -> None:
        """Replace the ledger; from then on the parts that it names count.

        Raises:
            HeadflowError: another process has written it.
        """
        if (to_json(read_ledger(self._path)) if self._path.exists() else None) != self._known:
            raise HeadflowError(
                f"another process writes chunk {ledger.chunk} since this one began, as {self._path} shows: this one "
                "stops, and leaves to the other one what it has not written yet"
            )
        self._known = to_json(ledger)
        write_text(self._path, self._known)


def ledger_path(folder: Location, chunk: int) -> Location:
    """The path of a chunk's ledger in the folder of ledgers."""
    return folder / f"{chunk:05d}.json"


def read_ledger(path: Location) -> Ledger:
    """A ledger; raises `HeadflowError` if it cannot be read."""
    return Ledger.from_object(read_object(path, str(path)), path)


def read_ledgers(folder: Location, num_chunks: int, tables: Iterable[str]) -> dict[int, Ledger]:
    """The ledgers of a run by chunk, in order.

    Args:
        tables: those that each part has.

    Raises:
        HeadflowError: one cannot be read, or is not of the chunk that its name says.
    """
    ledgers = {}
    found: list[Location] = [*folder.glob("*.json")]
    for path in sorted(found, key=str):
        if not LEDGER_NAME.fullmatch(path.name):
            continue
        ledger = read_ledger(path)
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
    """Names of the images whose fingerprints in two ledgers differ, if these are more than half of the shared ones.

    A few are taken for files that were mended between two chunks, so that their samples could be tried again.
    """
    changed = changed_images(one.images, other.images)
    return changed if len(changed) > len(one.images.keys() & other.images.keys()) / 2 else []
