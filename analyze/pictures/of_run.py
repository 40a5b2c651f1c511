"""The pictures of a run: of its tally, of what heads add to the right answer, and of what is lost without them.

mme_overall_stacked_hist                      all layers, all categories
mme_layer{i}_stacked_hist                     one layer, on one y scale
category_{name}/mme_{name}_stacked_hist       one category, on one y scale
mme_layers_stacked_hist                       all layers, small, in one figure; of other queries `_q`, `_a`, `_v`
mme_layers_head_bars_{flow}                   mean of each head, the layers in one grid
mme_head_map_{flow}                           layer x head
mme_head_map_d2{role}                         mean contribution of each head, towards the right answer
mme_head_map_effect_{job}                     mean effect of knocking out each head
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyze.knockouts.effects import contribution_blocks, effect_blocks, means_of
from analyze.knockouts.jobs import head_cells, job_in_words
from analyze.pictures.file_names import file_names
from analyze.pictures.kinds import HeadMap, Histogram, LayerBars, LayerHistograms, Panel, Picture, SignedMap, highest
from analyze.pictures.labels import by_queries, label, target
from analyze.statistics.clusters import Array
from analyze.statistics.heads.means import HeadMeans
from analyze.statistics.intervals import FEW_IMAGES
from analyze.tables.frames import Heads
from analyze.tables.tallies import Tally
from analyze.tables.text_scope import TextScope
from analyze.tables.values import answered, observed_samples
from schemas.columns import DEFAULT_FLOWS
from schemas.errors import HeadflowError
from schemas.manifest import ORIGINAL
from schemas.store.jobs import open_job
from schemas.text import counted

HEADROOM = 1.05  # of a y axis above the highest bar
EQUAL = 1e-6  # by which widths of equal bins may differ, relative


@dataclass(frozen=True)
class Pictures:
    """The pictures of a run.

    Attributes:
        subject: what they are of; see `subject`.
        prefix: begins each file name.
        layers: the layers that get a picture of their own.
        categories: the categories that get pictures of their own.
        ymax: end of the y axis of histograms; `None`: chosen from the values.
        vmax: end of the y axis of bars and of the colours of maps; `None`: chosen from the means.
        crossing: the layers that read the image by cross-attention.
    """

    tally: Tally
    subject: tuple[str, ...]
    prefix: str
    layers: Sequence[int]
    categories: Sequence[str]
    ymax: float | None = None
    vmax: float | None = None
    crossing: Sequence[int] = ()

    def all(self) -> list[Picture]:
        """All pictures, in the order in which they are drawn."""
        return [*self.histograms(), *self.layer_bars(), *self.head_maps()]

    def histograms(self) -> Iterator[Histogram | LayerHistograms]:
        """Overall, of each layer, of all layers, of each category."""
        (panels,) = self._hist_panels([self._heights(self.tally.shares())])
        yield self._histogram(f"{self.prefix}_overall_stacked_hist", "All layers", None, panels, self._means)
        layers, means = self._hist_parts("layer"), _split(self._means)
        layers = {layer: self._open_panels(layer, panels) for layer, panels in layers.items()}
        for layer in (each for each in self.layers if layers[each]):
            name = f"{self.prefix}_layer{layer}_stacked_hist"
            yield self._histogram(name, self._layer(layer), None, layers[layer], means[layer])
        for heading, flows in by_queries(self.tally.flows).items():
            name = f"{self.prefix}_layers_stacked_hist" + ("" if flows[0] in DEFAULT_FLOWS else f"_{flows[0][0]}")
            small = tuple(
                replace(panel, heading=self._layer(layer))
                for layer, panels in layers.items()
                for panel in panels
                if panel.heading == heading
            )
            yield LayerHistograms(
                name, f"{heading}, each layer", self._of(), small, self.tally.grid.edges, self._density
            )
        categories, means = self._hist_parts("category"), _split(self._means_by_category)
        for category in self.categories:
            name, title = self._category_file(category, "stacked_hist"), f"Category {category}"
            yield self._histogram(name, title, category, categories[category], means[category])

    def layer_bars(self) -> Iterator[LayerBars]:
        """All layers, one for each column."""
        for flow in self.tally.flows:
            means, layers = self._by_layer(flow)
            top = _with_room(float(means.max())) if self.vmax is None else self.vmax
            name, title = f"{self.prefix}_layers_head_bars_{flow}", f"{label(flow)}, each layer"
            yield LayerBars(name, title, self._of(), flow, means, layers, top)

    def head_maps(self) -> Iterator[HeadMap]:
        """One for each column."""
        for flow in self.tally.flows:
            name, title = f"{self.prefix}_head_map_{flow}", f"{label(flow)} by layer and head"
            yield HeadMap(name, title, self._of(), flow, *self._by_layer(flow), self.vmax)

    def _histogram(
        self, name: str, title: str, category: str | None, panels: tuple[Panel, ...], values: pd.DataFrame
    ) -> Histogram:
        """A histogram, with the means of `values` in its legend."""
        means = {flow: float(values[flow].mean()) for flow in self.tally.flows}
        return Histogram(name, title, self._of(category), panels, self.tally.grid.edges, means, self._density)

    def _hist_parts(self, by: str) -> dict[Any, tuple[Panel, ...]]:
        """The panels of the histograms of all layers or categories."""
        parts = _split(self._heights(self.tally.shares(by)))
        return dict(zip(parts, self._hist_panels(parts.values()), strict=True))

    @cached_property
    def _density(self) -> bool:
        """Whether bins are of unequal width: a share then says less about a bin than about its width."""
        widths = np.diff(self.tally.grid.edges)
        return not np.allclose(widths, widths[0], rtol=EQUAL, atol=0)

    def _heights(self, shares: pd.DataFrame) -> pd.DataFrame:
        """Shares by bin, or densities."""
        widths = np.diff(self.tally.grid.edges)
        return shares.div(np.resize(widths, len(shares)), axis=0) if self._density else shares

    def _hist_panels(self, histograms: Iterable[pd.DataFrame]) -> list[tuple[Panel, ...]]:
        """The panels of histograms that are compared: T2V and V2T on one y scale, the partitions on another."""
        groups = by_queries(self.tally.flows)
        apart = {heading for heading, flows in groups.items() if set(flows) <= set(DEFAULT_FLOWS)}
        pictures = [
            {heading: _columns(table[list(flows)]) for heading, flows in groups.items()} for table in histograms
        ]
        ends = {}
        for heading in groups:
            like = [each[other] for each in pictures for other in groups if (other in apart) == (heading in apart)]
            ends[heading] = self.ymax or _with_room(max(map(highest, like), default=0.0))
        return [tuple(Panel(heading, bars, ends[heading]) for heading, bars in each.items()) for each in pictures]

    @cached_property
    def _means(self) -> pd.DataFrame:
        return self.tally.means()

    @cached_property
    def _means_by_category(self) -> pd.DataFrame:
        return self.tally.means_by_category()

    @cached_property
    def _samples(self) -> dict[str, int]:
        return {str(name): int(number) for name, number in self.tally.samples().items()}

    def _by_layer(self, flow: str) -> tuple[Array, list[int]]:
        """Means [layers, heads], and which layers these are: those in which the column is not fixed."""
        layers, grid = self.tally.grid.open_layers(flow), self.tally.grid
        means: Array = self._means[flow].to_numpy().reshape(-1, grid.heads)
        return means[np.isin(grid.layers, layers)], layers

    def _open_panels(self, layer: int, panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
        """Panels of a layer without the columns that are fixed there."""
        if not self.crossing:
            return panels
        there = [
            replace(
                panel,
                bars={flow: bars for flow, bars in panel.bars.items() if layer in self.tally.grid.open_layers(flow)},
            )
            for panel in panels
        ]
        return tuple(panel for panel in there if panel.bars)

    def _layer(self, layer: int) -> str:
        return f"Layer {layer}" + (", image" if layer in self.crossing else "")

    @cached_property
    def _files(self) -> dict[str, str]:
        return file_names(self.tally.grid.categories)

    def _category_file(self, category: str, kind: str) -> str:
        return f"category_{self._files[category]}/{self.prefix}_{self._files[category]}_{kind}"

    def _of(self, category: str | None = None) -> tuple[str, ...]:
        number = sum(self._samples.values()) if category is None else self._samples[category]
        return counted(number, "sample"), *self.subject


def subject(heads: Heads, scope: TextScope | None = None) -> tuple[str, ...]:
    """What the pictures of a run are of: its model, if known, its name, images and wording, its text scope."""
    model = Path(heads.run.manifest.model or "").name
    wording = f"prompt {heads.prompt}" if heads.prompt else ""
    images = "" if heads.manifest.images == ORIGINAL else f"{heads.manifest.images} images"
    manifest = heads.run.manifest
    layers = (manifest.layers_in_words, manifest.crossing_in_words)
    names = (model, f"run {heads.run.path.resolve().name}", images, wording, *layers, scope.note if scope else "")
    return tuple(name for name in names if name)


def _columns(table: pd.DataFrame) -> dict[str, Array]:
    return {str(name): column.to_numpy(np.float64) for name, column in table.items()}


def _split(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """The parts of a table, by the first level of its index."""
    return dict(iter(table.groupby(level=0, sort=False, observed=True)))


def _with_room(highest: float) -> float:
    """The end of a y axis that has room for bars as high as this."""
    return highest * HEADROOM or 1.0


def contribution_maps(heads: Heads, columns: Sequence[str], of: Sequence[str], prefix: str) -> Iterator[SignedMap]:
    """A map of each of some columns of `contributions`.

    Raises:
        HeadflowError: see `contribution_blocks`.
    """
    samples = observed_samples(heads)
    known = counted(len(answered(samples)), "sample")
    for name, means in means_of(contribution_blocks(heads, columns), samples).items() if columns else ():
        title = f"{name.upper()}: what heads add from the {target(name)} to the right answer"
        label = f"{name.upper()} towards the right answer, logits"
        yield _signed_map(f"{prefix}_head_map_{name}", title, (known, *of), means, heads, label)


def effect_maps(heads: Heads, jobs: Sequence[str], of: Sequence[str], prefix: str) -> Iterator[SignedMap]:
    """A map of the effects of each of some jobs.

    Raises:
        HeadflowError: a job is not there, has no rows, is damaged, or did not knock out single heads.
    """
    for name in dict.fromkeys(jobs):
        try:
            job = open_job(heads.run, name)
        except HeadflowError as error:
            raise HeadflowError(str(error), setting="effects") from None
        cells = head_cells(job)
        if cells is None:
            raise HeadflowError(f"job {name} of {heads.run.path} did not knock out single heads", setting="effects")
        found = means_of(effect_blocks(heads, job, cells), observed_samples(heads))
        if not found:
            raise HeadflowError(f"job {name} of {heads.run.path} has none of these samples", setting="effects")
        title, subject = "What is lost of the right answer's lead without each head", (job_in_words(job), *of)
        file = f"{prefix}_head_map_effect_{name}"
        yield _signed_map(file, title, subject, found[name], heads, "Mean effect, logits")


def _signed_map(file: str, title: str, subject: Sequence[str], means: HeadMeans, heads: Heads, label: str) -> SignedMap:
    """A map of means; what it is of says where images are too few to tell which heads differ from 0."""
    few = [] if means.images >= FEW_IMAGES else [few_images(means.images)]
    values, told = means.mean.reshape(heads.shape), means.told.reshape(heads.shape)
    return SignedMap(file, title, (*subject, *few), values, told, heads.run.manifest.attending, label)


def few_images(images: int) -> str:
    """That images are too few to tell which heads differ from 0, and how many it takes."""
    return f"which heads differ from 0 cannot be told from {counted(images, 'image')}: it takes {FEW_IMAGES}"
