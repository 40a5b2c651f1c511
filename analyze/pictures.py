"""What the pictures of a run show: for each its name, its title and its numbers, from a tally. `drawing` draws them.

mme_overall_stacked_hist                      all layers, all categories
mme_layer{i}_stacked_hist                     one layer, on one y scale
category_{name}/mme_{name}_stacked_hist       one category, on one y scale
mme_overall_head_bars                         mean of each head over all layers
mme_layers_head_bars_{flow}                   the same for each layer, in one grid
category_{name}/mme_{name}_head_bars          the same for one category
mme_head_map_{flow}                           layer x head
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analyze.drawing.labels import TOTAL, label
from analyze.tables.tallies import Tally
from analyze.tables.text_scope import Array

HEADROOM = 1.05  # of a y axis above the highest bar
LONGEST_NAME = 80  # characters of a file name made from a category


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, without suffix; may begin with a folder.
        title: two lines: what it shows, and of which samples and model.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Histogram(Picture):
    """Stacked histograms of some flows.

    Attributes:
        shares: share of all values in each bin, float64 [bins], by flow.
        edges: of the bins, float64 [bins + 1].
        means: of all values, by flow.
        top: end of the y axis, the same in pictures to be compared.
    """

    shares: dict[str, Array]
    edges: Array
    means: dict[str, float]
    top: float


@dataclass(frozen=True)
class HeadBars(Picture):
    """A bar for each head, in a panel for each flow.

    Attributes:
        means: over samples and layers, float64 [heads], by flow.
        top: end of the y axis, the same in pictures to be compared.
    """

    means: dict[str, Array]
    top: float


@dataclass(frozen=True)
class LayerBars(Picture):
    """A bar for each head of each layer, of one flow.

    Attributes:
        means: over samples, float64 [layers, heads].
        top: end of the y axis.
    """

    flow: str
    means: Array
    top: float


@dataclass(frozen=True)
class HeadMap(Picture):
    """Layers x heads of one flow; `means` over samples, float64 [layers, heads]."""

    flow: str
    means: Array


@dataclass(frozen=True)
class Pictures:
    """The pictures of a run.

    Attributes:
        subject: what they are of: the model, and the text scope if it is not `all`.
        prefix: begins each file name.
        layers: the layers that get a picture of their own.
        categories: the categories that get pictures of their own.
    """

    tally: Tally
    subject: str
    prefix: str
    layers: Sequence[int]
    categories: Sequence[str]

    def all(self) -> list[Picture]:
        """All pictures, in the order in which they are drawn."""
        return [*self.histograms(), *self.head_bars(), *self.head_maps()]

    def histograms(self) -> Iterator[Histogram]:
        """Overall, of each layer, of each category."""
        overall = _columns(self.tally.shares())
        name = f"{self.prefix}_overall_stacked_hist"
        yield self._histogram(name, self._title("All layers"), overall, _columns(self._means), _highest([overall]))
        layers, means = _split(self.tally.shares("layer")), _split(self._means)
        top = _highest(layers.values())
        for layer in self.layers:
            name, title = f"{self.prefix}_layer{layer}_stacked_hist", self._title(f"Layer {layer}")
            yield self._histogram(name, title, layers[layer], means[layer], top)
        categories, means = _split(self.tally.shares("category")), _split(self._means_by_category)
        top = _highest(categories.values())
        for category in self.categories:
            name, title = self._category_file(category, "stacked_hist"), self._title(f"Category {category}", category)
            yield self._histogram(name, title, categories[category], means[category], top)

    def head_bars(self) -> Iterator[HeadBars | LayerBars]:
        """Overall, of each layer, of each category."""
        overall = _by_head(self._means)
        yield HeadBars(f"{self.prefix}_overall_head_bars", self._title("All layers"), overall, _top([overall]))
        for flow in map(str, self._means):
            means, title = self._by_layer(flow), self._title(f"{label(flow)}, each layer")
            yield LayerBars(f"{self.prefix}_layers_head_bars_{flow}", title, flow, means, _top([{flow: means}]))
        bars = _split(self._means_by_category.groupby(["category", "head"], observed=True).mean())
        top = _top(bars.values())
        for category in self.categories:
            title = self._title(f"Category {category}", category)
            yield HeadBars(self._category_file(category, "head_bars"), title, bars[category], top)

    def head_maps(self) -> Iterator[HeadMap]:
        """One for each flow."""
        for flow in self.tally.flows:
            title = self._title(f"{label(flow)} by layer and head")
            yield HeadMap(f"{self.prefix}_head_map_{flow}", title, flow, self._by_layer(flow))

    def _histogram(
        self, name: str, title: str, shares: dict[str, Array], values: dict[str, Array], top: float
    ) -> Histogram:
        """A histogram, with the means of `values` in its legend."""
        means = {flow: float(values[flow].mean()) for flow in self.tally.flows}
        return Histogram(name, title, shares, self.tally.grid.edges, means, top)

    @cached_property
    def _means(self) -> pd.DataFrame:
        return with_total(self.tally.means())

    @cached_property
    def _means_by_category(self) -> pd.DataFrame:
        return with_total(self.tally.means_by_category())

    @cached_property
    def _samples(self) -> dict[str, int]:
        return {str(name): int(number) for name, number in self.tally.samples().items()}

    def _by_layer(self, flow: str) -> Array:
        means: Array = self._means[flow].to_numpy().reshape(self.tally.grid.layers, self.tally.grid.heads)
        return means

    @cached_property
    def _files(self) -> dict[str, str]:
        return file_names(self.tally.grid.categories)

    def _category_file(self, category: str, kind: str) -> str:
        return f"category_{self._files[category]}/{self.prefix}_{self._files[category]}_{kind}"

    def _title(self, what: str, category: str | None = None) -> str:
        number = sum(self._samples.values()) if category is None else self._samples[category]
        return f"{' '.join(what.split())}\n{number:,} samples, {self.subject}"


def with_total(means: pd.DataFrame) -> pd.DataFrame:
    """The means, and the sum of T2V and V2T if both are there."""
    return means.assign(**{TOTAL: means["t2v"] + means["v2t"]}) if {"t2v", "v2t"} <= set(means) else means


def _columns(table: pd.DataFrame) -> dict[str, Array]:
    return {str(name): column.to_numpy(np.float64) for name, column in table.items()}


def _split(table: pd.DataFrame) -> dict[Any, dict[str, Array]]:
    """The columns of each part of a table, by the first level of its index."""
    return {name: _columns(part) for name, part in table.groupby(level=0, sort=False, observed=True)}


def _by_head(means: pd.DataFrame) -> dict[str, Array]:
    return _columns(means.groupby("head").mean())


def _highest(histograms: Iterable[dict[str, Array]]) -> float:
    """The end of a y axis that has room for the stacked bars of these histograms."""
    return _top({"stack": np.sum(list(shares.values()), axis=0)} for shares in histograms)


def _top(bars: Iterable[dict[str, Array]]) -> float:
    """The end of a y axis that has room for all of these bars."""
    return max(float(heights.max()) for each in bars for heights in each.values()) * HEADROOM or 1.0


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name: letters of any script are kept, other characters become `_`.

    Different names get different file names, also on file systems that ignore case.
    """
    taken: set[str] = set()
    files = {}
    for name in names:
        plain = re.sub(r"[^\w.+-]+", "_", name)[:LONGEST_NAME].strip(".") or "_"
        file, number = plain, 1
        while file.casefold() in taken:
            number += 1
            file = f"{plain}-{number}"
        taken.add(file.casefold())
        files[name] = file
    return files
