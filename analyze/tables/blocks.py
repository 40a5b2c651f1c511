"""The rows of `heads`, streamed as numpy arrays: memory does not grow with the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analyze.tables.flows import Array, TextScope
from schemas.columns import OK
from schemas.errors import HeadflowError
from schemas.files import reading
from schemas.store.run import Run, open_run

ROWS = 2**17  # of one block
SHOWN = 20  # missing chunks that are named
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Block:
    """Some rows of `heads`, one array for each column.

    Attributes:
        sample: position of the row's sample in the table `samples`.
        category: position of its sample's category in `Heads.categories`.
        flows: values by flow, in the text scope asked for.
    """

    sample: Codes
    category: Codes
    layer: Codes
    head: Codes
    flows: dict[str, Array]


@dataclass(frozen=True)
class Heads:
    """The table `heads` of a run, beside its table `samples`."""

    run: Run
    samples: pd.DataFrame
    categories: list[str]  # of the samples observed, in the order of the question file

    @cached_property
    def layers(self) -> int:
        """Layers of the run."""
        return self.run.manifest.layers

    @cached_property
    def heads(self) -> int:
        """Heads of each layer."""
        return self.run.manifest.heads

    def scope(self, asked: str | None) -> TextScope:
        """The text scope of the run's values; see `TextScope.of`."""
        return TextScope.of(self.run.manifest, self.samples, asked)

    def blocks(self, flows: Sequence[str], scope: TextScope) -> Iterator[Block]:
        """The rows of all parts, `ROWS` at a time, with these flows in this scope.

        Raises:
            HeadflowError: a part is missing, unreadable, or does not fit `samples` or the manifest; or, at the end, a
                category does not have as many rows of each (layer, head) as it has observed samples.
        """
        ok = (self.samples["status"] == OK).to_numpy()
        sample_codes = {name: code for code, name in enumerate(self.samples["sample_id"]) if ok[code]}
        category_of = pd.Index(self.categories).get_indexer(pd.Index(self.samples["category"].astype(str)))
        cells = np.zeros((len(self.categories), self.layers, self.heads), np.int64)
        columns = scope.columns(flows)
        for path in self.run.part_paths("heads"):
            file = self.run.open_part(path)
            with reading(path):
                for batch in file.iter_batches(ROWS, columns=["sample_id", "layer", "head", *columns]):
                    batch.validate(full=True)
                    sample = _codes(batch["sample_id"], sample_codes, f"{path}: sample_id")
                    read = {name: batch[name].to_numpy().astype(np.float64) for name in columns}
                    block = Block(
                        sample=sample,
                        category=category_of[sample],
                        layer=_below(batch["layer"], self.layers, f"{path}: layer"),
                        head=_below(batch["head"], self.heads, f"{path}: head"),
                        flows={flow: scope.values(flow, read, sample) for flow in flows},
                    )
                    _check_finite(block.flows, path)
                    cell = np.ravel_multi_index((block.category, block.layer, block.head), cells.shape)
                    cells += np.bincount(cell, minlength=cells.size).reshape(cells.shape)
                    yield block
        observed = np.bincount(category_of[ok], minlength=len(self.categories))
        if (cells != observed[:, None, None]).any():
            raise HeadflowError(f"{self.run.path} does not have each (layer, head) of each sample once; run validate")


def open_heads(path: Path) -> tuple[Heads, str | None]:
    """Open a run for reading, with a warning where it is not complete.

    Raises:
        HeadflowError: no run, unreadable, or without a single observed sample.
    """
    run = open_run(path)
    samples = run.samples().to_pandas()
    observed = samples[samples["status"] == OK]
    if observed.empty:
        raise HeadflowError(f"{path}: no sample was observed, all {len(samples)} were skipped; see the table `samples`")
    categories = [str(name) for name in observed["category"].astype(str).unique()]
    warning = None
    if not run.complete:
        number, complete = run.manifest.num_chunks, set(run.chunks_complete)
        missing = list(islice((str(chunk) for chunk in range(number) if chunk not in complete), SHOWN + 1))
        names = ", ".join(missing[:SHOWN]) + (" and more" if len(missing) > SHOWN else "")
        which = f"; chunks {names} of {number} are not complete" if number > 1 else ""
        warning = f"{path} is not complete: this covers {len(samples)} of {run.samples_asked} samples{which}"
    return Heads(run, samples, categories), warning


def _codes(column: pa.DictionaryArray, codes: dict[str, int], where: str) -> Codes:
    """Codes that hold for all parts, from those of one part."""
    try:
        table = np.array([codes[name] for name in column.dictionary.to_pylist()], np.intp)
    except KeyError as error:
        raise HeadflowError(f"{where} {error} is not among the observed rows of `samples`; run validate") from None
    return table[column.indices.to_numpy()]


def _check_finite(flows: dict[str, Array], path: Path) -> None:
    for flow, values in flows.items():
        if not np.isfinite(values).all():
            raise HeadflowError(f"{path}: `{flow}` is not finite in some rows; run validate")


def _below(column: pa.Array, limit: int, where: str) -> Codes:
    index = column.to_numpy().astype(np.intp)
    if len(index) and not (index.min() >= 0 and index.max() < limit):
        raise HeadflowError(f"{where} is beyond the manifest's {limit}; run validate")
    return index
