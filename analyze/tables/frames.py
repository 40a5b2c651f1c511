"""A run opened for analysis: its samples, its categories, and the rows of `heads` as DataFrames."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analyze.tables.text_scope import TextScope
from schemas.columns import OK
from schemas.errors import HeadflowError
from schemas.files import reading
from schemas.manifest import Manifest
from schemas.store.run import Run, open_run

DEFAULT = ("t2v", "v2t")
ROWS = 2**19  # of one frame; with fewer, the fixed cost of each pandas call is felt
BATCH = 2**17  # rows read at once
SHOWN = 20  # missing chunks that are named
NOT_ONCE = "does not have each (layer, head) of each sample once; run validate"


@dataclass(frozen=True)
class Heads:
    """The table `heads` of a run, with its table `samples`.

    Attributes:
        samples: the table `samples`, skipped samples included.
        categories: names of the categories that have an observed sample, in the order of `samples`.
    """

    run: Run
    samples: pd.DataFrame
    categories: list[str]

    @cached_property
    def layers(self) -> int:
        """Layers of the run."""
        return self.run.manifest.layers

    @cached_property
    def heads(self) -> int:
        """Heads of each layer."""
        return self.run.manifest.heads

    @cached_property
    def observed(self) -> pd.Series:
        """Whether each row of `samples` was observed: bool [rows of `samples`]."""
        return self.samples["status"] == OK

    def scope(self, asked: str | None) -> TextScope:
        """The text scope of the run's values; see `TextScope.of`."""
        return TextScope.of(self.run.manifest, self.samples, asked)

    def frames(self, flows: Sequence[str], scope: TextScope) -> Iterator[pd.DataFrame]:
        """The rows of all parts, about `ROWS` in each DataFrame, so that memory does not grow with the run.

        A thread reads the next DataFrame while the caller works on one.

        Yields:
            `sample` (int32, position of the row's sample in `samples`), `category` (categorical, of `categories`),
            `layer`, `head` (int16), and each of `flows` (float64) in this text scope.

        Raises:
            HeadflowError: a part is missing, unreadable, or does not fit `samples` or the manifest.
        """
        with ThreadPoolExecutor(1) as pool:
            frames = self._frames(flows, scope)
            coming = pool.submit(next, frames, None)
            while (frame := coming.result()) is not None:
                coming = pool.submit(next, frames, None)
                yield frame

    def _frames(self, flows: Sequence[str], scope: TextScope) -> Iterator[pd.DataFrame]:
        gathered: list[pd.DataFrame] = []
        for frame in self._small_frames(flows, scope):
            gathered.append(frame)
            if sum(map(len, gathered)) >= ROWS:
                yield pd.concat(gathered, ignore_index=True)
                gathered = []
        if gathered:
            yield pd.concat(gathered, ignore_index=True)

    def _small_frames(self, flows: Sequence[str], scope: TextScope) -> Iterator[pd.DataFrame]:
        """As `frames`, at most `BATCH` rows of one part each."""
        position = dict(zip(self.samples["sample_id"][self.observed], np.flatnonzero(self.observed), strict=True))
        names = pd.CategoricalDtype(self.categories)
        category_of = names.categories.get_indexer(pd.Index(self.samples["category"].astype(str))).astype(np.int32)
        columns = scope.columns(flows)
        for path in self.run.part_paths("heads"):
            for batch in self._batches(path, ["sample_id", "layer", "head", *columns]):
                sample = _positions(batch["sample_id"], position, f"{path}: sample_id")
                _check_below(batch["layer"], self.layers, f"{path}: layer")
                _check_below(batch["head"], self.heads, f"{path}: head")
                read = {name: batch[name].to_numpy().astype(np.float64) for name in columns}
                values = {flow: scope.values(flow, read, sample) for flow in flows}
                for flow, value in values.items():
                    if not np.isfinite(value.sum()):
                        raise HeadflowError(f"{path}: `{flow}` is not finite in some rows; run validate")
                keys = {
                    "sample": sample,
                    "category": pd.Categorical.from_codes(category_of[sample], dtype=names),
                    "layer": batch["layer"].to_numpy(),
                    "head": batch["head"].to_numpy(),
                }
                yield pd.DataFrame(keys | values, copy=False)

    def _batches(self, path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The rows of one part, checked by pyarrow and without nulls."""
        file = self.run.open_part(path)
        with reading(path):
            batches = file.iter_batches(BATCH, columns=columns)
            while (batch := next(batches, None)) is not None:
                batch.validate(full=True)
                for name in columns:
                    if batch[name].null_count:
                        raise HeadflowError(f"{path}: `{name}` is null in some rows; run validate")
                yield batch


def open_heads(path: Path) -> tuple[Heads, str | None]:
    """Open a run for analysis; the second value is a warning if the run is not complete.

    Raises:
        HeadflowError: no run, unreadable, without a single observed sample, or with fewer rows than its observed
            samples must have.
    """
    run = open_run(path)
    samples = run.samples().to_pandas()
    observed = samples[samples["status"] == OK]
    if observed.empty:
        raise HeadflowError(f"{path}: no sample was observed, all {len(samples)} were skipped; see the table `samples`")
    if len(observed) * run.manifest.layers * run.manifest.heads > sum(part.rows.get("heads", 0) for part in run.parts):
        raise HeadflowError(f"{path} {NOT_ONCE}")  # before tables of that size are allocated
    categories = [str(name) for name in observed["category"].astype(str).unique()]
    return Heads(run, samples, categories), None if run.complete else _incomplete(run, len(samples))


def _incomplete(run: Run, samples: int) -> str:
    """A warning that says which part of a run is there: the number of samples, and the chunks that are missing."""
    number, complete = run.manifest.num_chunks, set(run.chunks_complete)
    missing = list(islice((str(chunk) for chunk in range(number) if chunk not in complete), SHOWN + 1))
    names = ", ".join(missing[:SHOWN]) + (" and more" if len(missing) > SHOWN else "")
    which = f"; chunks {names} of {number} are not complete" if number > 1 else ""
    return f"{run.path} is not complete: this covers {samples} of {run.samples_asked} samples{which}"


def check_flows(flows: Sequence[str], manifest: Manifest) -> tuple[str, ...]:
    """The flows asked for, each once.

    Raises:
        HeadflowError: the run does not have one of them.
    """
    for flow in flows:
        if flow not in manifest.flows:
            raise HeadflowError(f"this run has no column {flow}; it has {', '.join(manifest.flows)}", setting="metrics")
    return tuple(dict.fromkeys(flows))


def _positions(column: pa.DictionaryArray, position: dict[str, int], where: str) -> npt.NDArray[np.int32]:
    """The position in `samples` of each row's sample."""
    try:
        table = np.array([position[name] for name in column.dictionary.to_pylist()], np.int32)
    except KeyError as error:
        raise HeadflowError(f"{where} {error} is not among the observed rows of `samples`; run validate") from None
    return table[column.indices.to_numpy()]


def _check_below(column: pa.Array, limit: int, where: str) -> None:
    extremes = pc.min_max(column)
    if len(column) and not (extremes["min"].as_py() >= 0 and extremes["max"].as_py() < limit):
        raise HeadflowError(f"{where} is beyond the manifest's {limit}; run validate")
