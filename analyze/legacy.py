"""The `.pt` of the earlier tool: a list with one dict per sample,

    {"id": str, "image_file": str | None, "category": str, "per_layer": [{"text_to_visual": {head: float},
     "visual_to_text": {head: float}, "total": {head: float}}, ...]}

Older files have `id` and no category, or no id. The earlier tool left the system prompt out of "text": so do records
without `text_scope`. Those that count all text say so by `"text_scope": "all"`, which that tool's readers pass over.
Only this module imports torch, and only when called.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from analyze.tables.frames import Heads, check_flows
from analyze.tables.text_scope import TextScope
from analyze.tables.values import sample_values
from schemas.columns import CROSSINGS, UNKNOWN
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.writing import publishing
from schemas.manifest import EXTRACTED, IMPORTED, ORIGINAL, TEXT_SCOPES, Manifest, Session
from schemas.store.run import Run
from schemas.store.writer import RunWriter
from schemas.text import SampleIds, one_line, short, storable
from schemas.validation.limits import TOLERANCE_OF_HALF

_FLOWS = {"t2v": "text_to_visual", "v2t": "visual_to_text"}
EARLIER = "no-system"  # the text scope of the earlier tool
HELD = re.compile(r"safe_globals\(\[([\w.]+)")  # where torch names what it does not load


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise HeadflowError("the .pt format needs torch: pip install -e '.[legacy]'") from error
    return torch


def export_scope(heads: Heads, asked: str | None) -> TextScope:
    """The text scope to export: the one asked for, else that of the earlier tool, or what an imported run has.

    Raises:
        HeadflowError: the run cannot be read in it.
    """
    return heads.scope(asked or (EARLIER if heads.run.manifest.source == EXTRACTED else None))


def export_records(heads: Heads, scope: TextScope, path: Path) -> int:
    """Write the observed samples of a run as a `.pt` that loads with `weights_only=True`; returns how many.

    Values are those of float32, as in runs, so that importing the file gives the same values.

    Raises:
        HeadflowError: the run is of counterfactual images, or does not have each (layer, head) of each sample once.
        OSError: the file cannot be written.
    """
    if heads.manifest.images != ORIGINAL:
        raise HeadflowError(f"{heads.run.path} is of {heads.manifest.images} images, which records do not say")
    check_flows([*_FLOWS], heads.run)
    if heads.run.manifest.without_heads:
        raise HeadflowError(
            f"{heads.run.path} has layers without heads, which records, a list of all layers, cannot say"
        )
    torch = _torch()
    values = np.stack(list(sample_values(heads, list(_FLOWS), scope).values()), axis=-1)
    observed = heads.observed.to_numpy()
    imported = heads.run.manifest.source == IMPORTED
    records = [
        {
            "id": _id(sample, imported=imported),
            "image_file": sample.image if isinstance(sample.image, str) else None,
            "category": str(sample.category),
            "per_layer": [_head_dicts(layer) for layer in layers.astype(np.float64)],
        }
        | ({} if scope.name == EARLIER else {"text_scope": scope.name})
        for sample, layers in zip(heads.samples[observed].itertuples(), values, strict=True)
    ]
    rows_in_file = heads.samples.loc[observed, "row"]
    if rows_in_file.notna().all():  # the earlier tool's order; a run merged from several files has no `row`
        records = [records[place] for place in np.argsort(rows_in_file.to_numpy(np.int64), kind="stable")]
    content = io.BytesIO()  # torch tells of a file that it cannot write by any error
    torch.save(records, content)
    with publishing(path) as aside:
        aside.write_bytes(content.getbuffer())
    return len(records)


def _id(sample: Any, *, imported: bool) -> str:
    """The id that an imported sample came with, which need not be unique; else the `sample_id`."""
    return str(sample.question_id if imported and isinstance(sample.question_id, str) else sample.sample_id)


def _head_dicts(values: np.ndarray) -> dict[str, dict[int, float]]:
    """One layer of a record, from float64 [heads, 2]."""
    columns = dict(zip(_FLOWS.values(), values.T, strict=True))
    columns["total"] = values.sum(axis=1)
    return {name: dict(enumerate(column.tolist())) for name, column in columns.items()}


def import_records(file: Path, path: Location, *, text_scope: str | None, overwrite: bool) -> Run:
    """Write a run from the records of a `.pt`; returns the run.

    Values are stored as float32, in which values of float16 and float32 models are exact. `total` is not stored: it is
    the sum of the other two. Questions, answers and token counts are null, as the records have none.

    Args:
        text_scope: of the records; `None`: what they say, or `no-system`, as in the earlier tool, if they say nothing.

    Raises:
        HeadflowError: not such a file, a value that is missing, not a number or not in 0..1, or records that say
            another text scope.
    """
    content, digest = _load(file)
    flows = _flows(content[0], f"{file}: record 0")
    checked = [_flows(record, f"{file}: record {number}", flows.shape) for number, record in enumerate(content)]
    scope = _scope(content, text_scope, file)
    manifest = Manifest(
        source=IMPORTED,
        layers=flows.shape[0],
        heads=flows.shape[1],
        flows=[column.name for column in CROSSINGS],
        text_scope=scope,
        question_file=str(file),
        question_file_sha256=digest,
    )
    session = Session(arguments={"file": str(file), "text_scope": text_scope, "overwrite": overwrite})
    with closing(RunWriter(path, manifest, session, samples=len(content), overwrite=overwrite)) as writer:
        for sample, values in zip(_samples(content), checked, strict=True):
            if sample["sample_id"] not in writer.done:
                writer.add(sample, {"heads": values})
        writer.finish()
    return writer.run


def _load(file: Path) -> tuple[list[Any], str]:
    """The records of a file, not yet checked one by one, and the file's hash."""
    torch = _torch()
    if not file.is_file():
        raise HeadflowError(f"{file} is not a file; give the .pt of the earlier tool")
    try:
        with warnings.catch_warnings(action="ignore"):  # about odd pickles
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises anything, with advice that is not for files of others
        raise HeadflowError(f"{file} cannot be read as a .pt of plain data: {_why(error)}") from None
    if not isinstance(content, list) or not content:
        raise HeadflowError(f"{file} holds {type(content).__name__} of no records, not a list of them")
    with file.open("rb") as opened:
        return content, hashlib.file_digest(opened, "sha256").hexdigest()


def _why(error: Exception) -> str:
    """What is wrong with a file that torch does not load as plain data."""
    if held := HELD.search(str(error)):
        return f"it holds a {held[1]}, and only lists, dicts, text, numbers and tensors are read"
    return "it is damaged, or no .pt at all"


def _scope(content: list[dict[str, Any]], asked: str | None, file: Path) -> str:
    """The text scope of records: what they say, else the one asked for, else that of the earlier tool."""
    said = [record.get("text_scope", EARLIER) for record in content]
    for number, scope in enumerate(said):
        if scope not in TEXT_SCOPES or scope != said[0]:
            raise HeadflowError(f"{file}: record {number} has the text scope {short(scope)}, record 0 {short(said[0])}")
    if "text_scope" in content[0] and asked not in (None, said[0]):
        raise HeadflowError(f"{file}: its records have the text scope `{said[0]}`", setting="text_scope")
    return asked or str(said[0])


def _samples(content: list[Any]) -> Iterator[dict[str, Any]]:
    """The row of `samples` for each record."""
    ids = SampleIds()
    for number, record in enumerate(content):
        identity, image, category = (
            None if record.get(name) is None else storable(str(record[name]))
            for name in ("id", "image_file", "category")
        )
        yield {
            "sample_id": ids.give(identity, number),
            "category": category or UNKNOWN,
            "row": number,
            "question_id": identity,
            "image": image,
        }


def _flows(record: Any, where: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The masses of one record, float32 [layers, heads, 2]; raises `HeadflowError` if a value is missing or wrong."""
    layers = record.get("per_layer") if isinstance(record, dict) else None
    if not isinstance(layers, list) or not layers:
        raise HeadflowError(f"{where} has no `per_layer`; this is not a .pt of attention head records")
    try:
        values = np.array(
            [
                [[layer[name][head] for name in _FLOWS.values()] for head in range(len(layer[_FLOWS["t2v"]]))]
                for layer in layers
            ],
            np.float64,
        )
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise HeadflowError(f"{where} lacks a head or a value, or its layers differ: {one_line(error)}") from None
    if not values.size:
        raise HeadflowError(f"{where} has no heads")
    if shape is not None and values.shape != shape:
        raise HeadflowError(f"{where} has {values.shape[:2]} layers and heads, the first record {shape[:2]}")
    bad = np.argwhere(~((values >= -TOLERANCE_OF_HALF) & (values <= 1 + TOLERANCE_OF_HALF)))
    if len(bad):
        layer, head, flow = bad[0]
        name = list(_FLOWS.values())[flow]
        raise HeadflowError(f"{where}, layer {layer}, head {head}: {name} is {values[layer, head, flow]}, not in 0..1")
    return values.astype(np.float32)
