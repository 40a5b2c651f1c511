"""`run.json`, the manifest of a run: what makes a number traceable, and what refuses to mix two runs."""

import dataclasses
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.files import build
from schemas.text import short

SCHEMA_VERSION = 1
RUNNING, COMPLETE = "running", "complete"
EXTRACTED, IMPORTED = "extract", "legacy-pt"
PACKED, SEPARATE = "packed", "separate"
TEXT_SCOPES = ("all", "no-system")
CROP, PAD, AS_CHECKPOINT = ASPECTS = ("crop", "pad", "checkpoint")  # how non-square images are preprocessed
INDICES, ROWS = 2**15, 2**31  # most layers or heads, as `layer` and `head` are int16; most samples
PART_NAME = re.compile(r"part-([0-9]+-)?[0-9]+\.parquet")


@dataclass
class Part:
    """One pair of Parquet files, `heads/NAME` and `samples/NAME`."""

    name: Annotated[str, "file name, the same in `heads` and `samples`"]
    chunk: Annotated[int, "the chunk whose samples it has, from 0"]
    heads_rows: Annotated[int, "rows in `heads/NAME`"]
    samples_rows: Annotated[int, "rows in `samples/NAME`"]


@dataclass(kw_only=True)
class Manifest:
    """The fields of `run.json`, in their order; a field that may be null has a null default."""

    state: Annotated[str, f"`{RUNNING}` from the start, `{COMPLETE}` only at the end"] = RUNNING
    schema_version: Annotated[int, "version of the contract that the files follow"] = SCHEMA_VERSION
    source: Annotated[str, f"`{EXTRACTED}`, or `{IMPORTED}` for records of the earlier tool"]
    layers: Annotated[int, "decoder layers of the language model"]
    heads: Annotated[int, "attention heads of each layer"]
    flows: Annotated[list[str], "the flow columns that `heads` has"]
    text_scope: Annotated[str, "what `t2v` and `v2t` count as text: `all`, or `no-system` (without the system prompt)"]
    samples: Annotated[int, "samples asked for, those to be skipped included"]
    num_chunks: Annotated[int, "chunks that the samples are divided into, each written by a process of its own"] = 1
    chunks_complete: Annotated[list[int], "the chunks that are written to their end"] = field(default_factory=list)
    model: Annotated[str | None, "model id or path"] = None
    revision: Annotated[str | None, "commit of the model on its hub, where it has one"] = None
    checkpoint: Annotated[str | None, "the form of the checkpoint"] = None
    dtype: Annotated[str | None, "dtype of weights and activations"] = None
    device: Annotated[str | None, "device the model ran on"] = None
    attention: Annotated[str | None, "how attention was computed, and how it was observed"] = None
    sequences: Annotated[
        str | None,
        f"`{PACKED}`: questions on one image behind one prefix, or `{SEPARATE}`: each in a sequence of its own",
    ] = None
    batch_size: Annotated[int | None, "images that went through the model at once, at most"] = None
    conv_mode: Annotated[str | None, "conversation template of the prompts"] = None
    system_span: Annotated[str | None, "how the role `system` was assigned: `template` or `original`"] = None
    prompt_suffix: Annotated[str | None, "what was appended to each question"] = None
    image_preprocessing: Annotated[str | None, "how images were resized and cropped"] = None
    question_file: Annotated[str | None, "the question file, or the imported file"] = None
    question_file_sha256: Annotated[
        str | None, "hash of that file's bytes, or of the names and bytes of several files"
    ] = None
    git_commit: Annotated[str | None, "commit of headflow"] = None
    started: Annotated[str | None, "UTC time at the start, ISO 8601"] = None
    finished: Annotated[str | None, "UTC time at the end, ISO 8601"] = None
    versions: Annotated[dict[str, str], "versions of Python, torch, transformers ..."] = field(default_factory=dict)
    arguments: Annotated[dict[str, Any], "the command's arguments"] = field(default_factory=dict)
    parts: Annotated[list[Part], "the parts and their row counts"] = field(default_factory=list)

    def to_json(self) -> str:
        """The manifest as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_object(cls, content: dict[str, Any], where: object) -> "Manifest":
        """Read a manifest from its JSON object; `where` names it in errors.

        Raises:
            HeadflowError: another schema version, or a field that is missing, of the wrong type, or cannot be.
        """
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise HeadflowError(
                f"{where} has schema version {short(version)}, this headflow reads {SCHEMA_VERSION}: "
                "read it with the headflow that wrote it, or extract again"
            )
        manifest: Manifest = build(cls, content, str(where))
        if wrong := next(manifest._wrong(), None):
            raise HeadflowError(f"{where}: {wrong}")
        return manifest

    def _wrong(self) -> Iterator[str]:
        """What cannot be, though it is of its type."""
        for name, allowed in (("state", (RUNNING, COMPLETE)), ("text_scope", TEXT_SCOPES)):
            if getattr(self, name) not in allowed:
                yield f"{name} is {short(getattr(self, name))}, not one of {', '.join(allowed)}"
        for name, least, most in (
            ("layers", 1, INDICES),
            ("heads", 1, INDICES),
            ("samples", 0, ROWS),
            ("num_chunks", 1, ROWS),
        ):
            if not least <= getattr(self, name) <= most:
                yield f"{name} is {short(getattr(self, name))}, not from {least} to {most}"
        if unknown := [flow for flow in self.flows if flow not in FLOW_NAMES]:
            yield f"it names flows that are not in the contract: {', '.join(unknown)[:80]}"
        names, chunks = [part.name for part in self.parts], [part.chunk for part in self.parts]
        for what, values in (("flows", self.flows), ("parts", names), ("chunks_complete", self.chunks_complete)):
            if len(set(values)) < len(values):
                yield f"{what} names one of its members twice"
        for name in names:
            if not PART_NAME.fullmatch(name):
                yield f"{short(name)} is not the name of a part"
        for chunk in (*chunks, *self.chunks_complete):
            if not 0 <= chunk < self.num_chunks:
                yield f"chunk {short(chunk)} is not one of {self.num_chunks}, from 0"


def meanings() -> dict[str, str]:
    """What each field of the manifest means, in their order."""
    hints = typing.get_type_hints(Manifest, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}
