"""Runs of version 1: one `run.json` that lists the parts and is rewritten. They are read, and not written any more."""

import re
from dataclasses import dataclass, field
from typing import Any

from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.files.json_objects import build
from schemas.manifest import AS_CHECKPOINT, CROP, PAD, ROWS, Manifest, Session
from schemas.store.ledger import COMPLETE, RUNNING, Ledger, Part
from schemas.text import short

VERSION = 1
MASKED = "softmax in float32 under the model's own mask"  # `attention` of models that are not causal
FORMATS = {"transformers": "transformers", "released": "released", "llava-torch": "llava-package"}
SHORTEST = re.compile(r"shortest edge to (\d+)")
RESIZE = re.compile(r"resize to (\d+) x (\d+)")
CENTRE = re.compile(r"centre crop (\d+) x (\d+)")
PROCESSOR = re.compile(r"\((\w+)\)$")


@dataclass(kw_only=True)
class _Part:
    name: str
    chunk: int
    heads_rows: int
    samples_rows: int


@dataclass(kw_only=True)
class _Manifest:
    """`run.json` of version 1."""

    state: str
    source: str
    layers: int
    heads: int
    samples: int
    flows: list[str] = field(default_factory=lambda: list(FLOW_NAMES))
    text_scope: str = "all"
    num_chunks: int = 1
    chunks_complete: list[int] = field(default_factory=list)
    model: str | None = None
    revision: str | None = None
    checkpoint: str | None = None
    dtype: str | None = None
    device: str | None = None
    attention: str | None = None
    sequences: str | None = None
    batch_size: int | None = None
    conv_mode: str | None = None
    system_span: str | None = None
    prompt_suffix: str | None = None
    image_preprocessing: str | None = None
    question_file: str | None = None
    question_file_sha256: str | None = None
    git_commit: str | None = None
    started: str | None = None
    finished: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    parts: list[_Part] = field(default_factory=list)


def read_version_1(content: dict[str, Any], where: object) -> tuple[Manifest, dict[int, Ledger]]:
    """The manifest and the ledgers that a run of version 1 would have; `where` names its `run.json` in errors.

    Raises:
        HeadflowError: a field is missing, of the wrong type, or cannot be.
    """
    old: _Manifest = build(_Manifest, content, str(where))
    same = {name: getattr(old, name) for name in vars(old).keys() & Manifest.__dataclass_fields__.keys()}
    form, _, rest = (old.checkpoint or "").partition(" ")
    fields = same | {
        "schema_version": VERSION,
        "format": FORMATS.get(form),
        "architecture": rest.split(" ")[-1] or None,
        "causal": None if old.attention is None else old.attention != MASKED,
        "image_preprocessing": preprocessing(old.image_preprocessing),
    }
    manifest = Manifest.from_object(fields | {"schema_version": 2}, where)
    manifest.schema_version = VERSION
    for chunk in (*old.chunks_complete, *(part.chunk for part in old.parts)):
        if not 0 <= chunk < old.num_chunks:
            raise HeadflowError(f"{where}: chunk {short(chunk)} is not one of {old.num_chunks}, from 0")
    if old.state not in (RUNNING, COMPLETE) or not 0 <= old.samples <= ROWS:
        raise HeadflowError(f"{where}: state is {short(old.state)}, of {short(old.samples)} samples; that cannot be")
    return manifest, _ledgers(old, where)


def _ledgers(old: _Manifest, where: object) -> dict[int, Ledger]:
    complete = {*old.chunks_complete, *([0] if old.state == COMPLETE and old.num_chunks == 1 else [])}
    fields = {name: getattr(old, name) for name in vars(old).keys() & Session.__dataclass_fields__.keys()}
    session = Session(**fields, kernel=old.attention)
    ledgers = {}
    for chunk in sorted({*complete, *(part.chunk for part in old.parts)}):
        parts = [
            Part(name=part.name, rows={"heads": part.heads_rows, "samples": part.samples_rows})
            for part in old.parts
            if part.chunk == chunk
        ]
        written = sum(part.rows["samples"] for part in parts)
        ledgers[chunk] = Ledger(
            chunk=chunk,
            state=COMPLETE if chunk in complete else RUNNING,
            samples=old.samples if old.num_chunks == 1 else written,  # of a part of a chunk, it is not known
            samples_in_run=old.samples,
            parts=parts,
            sessions=[session],
        )
        ledgers[chunk].check(where)
    return ledgers


def preprocessing(text: str | None) -> dict[str, Any]:
    """The plain values that version 1 gave in words, such as `shortest edge to 336, centre crop 336 x 336 (Class)`."""
    if text is None:
        return {}
    processor, shortest, resize, centre = (each.search(text) for each in (PROCESSOR, SHORTEST, RESIZE, CENTRE))
    square = bool(shortest or resize)
    values: dict[str, Any] = {"aspect": PAD if text.startswith("padded") else CROP if square else AS_CHECKPOINT}
    if processor:
        values["processor"] = processor[1]
    if shortest:
        values["shortest_edge"] = int(shortest[1])
    if resize:
        values["size"] = [int(resize[1]), int(resize[2])]
    if centre:
        values["crop"] = [int(centre[1]), int(centre[2])]
    return values
