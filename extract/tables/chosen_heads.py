"""Which heads keep their maps, or their rows: named, or those of an earlier run that look most at the image."""

from collections.abc import Sequence

import numpy as np

from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import read_head
from schemas.store.run import Run, open_run
from schemas.text import counted, short

_BATCH = 2**20  # rows read at once


def read_heads(names: Sequence[str], column: str, *, setting: str = "maps_heads") -> list[list[int]]:
    """Heads as [layer, head], in order.

    Args:
        names: heads such as `L3H5`; or one `RUN:K` or `RUN:K:COLUMN`, the K heads of a run with the highest means.
        column: the column of `heads` whose mean ranks them, if none is named.
        setting: which one named them, for messages.

    Raises:
        HeadflowError: a name is of neither form, or the run cannot be read, or has not so many heads or the column.
    """
    if len(names) == 1 and ":" in names[0]:
        return _highest(names[0], column, setting)
    heads = [read_head(name) for name in names]
    for name, head in zip(names, heads, strict=True):
        if head is None and ":" in name:
            raise HeadflowError(f"{short(name)} stands alone, or heads are named without it", setting=setting)
        if head is None:
            raise HeadflowError(f"{short(name)} is neither a head such as L3H5 nor RUN:K", setting=setting)
    return [list(head) for head in sorted({head for head in heads if head is not None})]


def _highest(name: str, column: str, setting: str) -> list[list[int]]:
    path, _, number = name.rpartition(":")
    if number in FLOW_NAMES:
        column, (path, _, number) = number, path.rpartition(":")
    if not number.isdecimal() or not path:
        raise HeadflowError(
            f"{short(name)} is not RUN:K, with a number of heads, nor RUN:K:COLUMN, with a column of masses",
            setting=setting,
        )
    run = open_run(path)
    size = len(run.manifest.attending) * run.manifest.heads
    if not 1 <= int(number) <= size:
        raise HeadflowError(
            f"{short(name)} asks for {counted(int(number), 'head')}; of {run.path} give 1 to {size}", setting=setting
        )
    if column not in run.manifest.flows:
        raise HeadflowError(f"{run.path} has no column {column}", setting=setting)
    if run.manifest.crossing:
        raise HeadflowError(
            f"{run.path}: its image is read by cross-attention, so that {column} says which layers do, and not which "
            "heads look most: name heads",
            setting=setting,
        )
    highest = np.argsort(-_sums(run, column, setting), kind="stable")[: int(number)]
    layers, heads = run.manifest.attending, run.manifest.heads
    return [[layers[int(each) // heads], int(each) % heads] for each in sorted(highest)]


def _sums(run: Run, column: str, setting: str) -> np.ndarray:
    """The sum of a column of each head over samples, [layers that attend * heads].

    Raises:
        HeadflowError: there is no sample, or a head that the manifest does not have.
    """
    attending, heads = np.array(run.manifest.attending), run.manifest.heads
    sums = np.zeros(len(attending) * heads)
    rows = 0
    for path in run.part_paths("heads"):
        for batch in run.batches(path, ["layer", "head", column], _BATCH):
            layer, head = (batch[name].to_numpy() for name in ("layer", "head"))
            if not np.isin(layer, attending).all() or not ((head >= 0) & (head < heads)).all():
                raise HeadflowError(f"{path} has heads that its manifest does not have; run validate", setting=setting)
            cell = np.searchsorted(attending, layer) * np.int64(heads) + head
            sums += np.bincount(cell, batch[column].to_numpy(), len(sums))
            rows += len(head)
    if not rows:
        raise HeadflowError(f"{run.path} has no observed sample yet, so that its heads have no order", setting=setting)
    return sums
