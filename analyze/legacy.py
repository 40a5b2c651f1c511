"""The `.pt` of the earlier tool: a list with one dict per sample,

    {"id": str, "image_file": str | None, "category": str, "per_layer": [{"text_to_visual": {head: float},
     "visual_to_text": {head: float}, "total": {head: float}}, ...]}

Older files have `id` and no category, or no id. Only this module imports torch, and only when called.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope
from schemas.columns import CROSSINGS, UNKNOWN
from schemas.errors import HeadflowError
from schemas.manifest import IMPORTED, Manifest, Session
from schemas.sample_ids import SampleIds
from schemas.store.run import Run
from schemas.store.validate import TOLERANCE
from schemas.store.writer import RunWriter
from schemas.text import one_line, storable

FLOWS = {"t2v": "text_to_visual", "v2t": "visual_to_text"}


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise HeadflowError("the .pt format needs torch: pip install -e '.[legacy]'") from error
    return torch


def export_records(heads: Heads, scope: TextScope, path: Path) -> int:
    """Write the observed samples of a run as a `.pt` that loads with `weights_only=True`; returns how many."""
    torch = _torch()
    shape = (heads.layers, heads.heads)
    values = np.empty((len(heads.samples), *shape, len(FLOWS)))
    for frame in heads.frames(list(FLOWS), scope):
        values[frame["sample"], frame["layer"], frame["head"]] = frame[list(FLOWS)]
    observed = heads.observed.to_numpy()
    records = [
        {
            "id": str(sample.sample_id),
            "image_file": sample.image if isinstance(sample.image, str) else None,
            "category": str(sample.category),
            "per_layer": [_head_dicts(layer) for layer in layers],
        }
        for sample, layers in zip(heads.samples[observed].itertuples(), values[observed], strict=True)
    ]
    rows_in_file = heads.samples.loc[observed, "row"]
    if rows_in_file.notna().all():  # the earlier tool's order; a run of version 1 has no `row`
        records = [records[place] for place in np.argsort(rows_in_file.to_numpy(np.int64), kind="stable")]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(records, path)
    return len(records)


def _head_dicts(values: np.ndarray) -> dict[str, dict[int, float]]:
    """One layer of a record, from float64 [heads, 2]."""
    columns = dict(zip(FLOWS.values(), values.T, strict=True))
    columns["total"] = values.sum(axis=1)
    return {name: dict(enumerate(column.tolist())) for name, column in columns.items()}


def import_records(file: Path, path: Path, *, text_scope: str, overwrite: bool) -> Run:
    """Write a run from the records of a `.pt`; returns the run.

    Values are stored as float32, in which values of float16 and float32 models are exact. `total` is not stored: it is
    the sum of the other two. Questions, answers and token counts are null, as the records have none.

    Raises:
        HeadflowError: not such a file, or a value that is missing, not a number or not in 0..1.
    """
    content, digest = _load(file)
    flows = _flows(content[0], f"{file}: record 0")
    manifest = Manifest(
        source=IMPORTED,
        layers=flows.shape[0],
        heads=flows.shape[1],
        flows=[column.name for column in CROSSINGS],
        text_scope=text_scope,
        question_file=str(file),
        question_file_sha256=digest,
    )
    session = Session(arguments={"file": str(file), "text_scope": text_scope, "overwrite": overwrite})
    checked = [_flows(record, f"{file}: record {number}", flows.shape) for number, record in enumerate(content)]
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
    except Exception as error:  # the unpickler raises anything
        raise HeadflowError(f"{file} cannot be read as a .pt of plain data: {one_line(error)[:200]}") from None
    if not isinstance(content, list) or not content:
        raise HeadflowError(f"{file} holds {type(content).__name__} of no records, not a list of them")
    with file.open("rb") as opened:
        return content, hashlib.file_digest(opened, "sha256").hexdigest()


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
                [[layer[name][head] for name in FLOWS.values()] for head in range(len(layer[FLOWS["t2v"]]))]
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
    bad = np.argwhere(~((values >= -TOLERANCE) & (values <= 1 + TOLERANCE)))
    if len(bad):
        layer, head, flow = bad[0]
        name = list(FLOWS.values())[flow]
        raise HeadflowError(f"{where}, layer {layer}, head {head}: {name} is {values[layer, head, flow]}, not in 0..1")
    return values.astype(np.float32)
