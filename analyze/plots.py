"""All pictures of a run: `python -m analyze plots RUN`.

mme_overall_stacked_hist.png              all layers, all categories
mme_layer{i}_stacked_hist.png             one layer, on one y scale
category_{name}/mme_{name}_stacked_hist.png   one category, on one y scale
mme_overall_head_bars.png                 mean of each head over all layers
mme_layers_head_bars_{flow}.png           the same for each layer, in one grid
category_{name}/mme_{name}_head_bars.png  the same for one category
mme_head_map_{flow}.png                   layer x head
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

from analyze.drawing.figures import FigureFiles, file_names, new_figure, style
from analyze.drawing.heads import draw_head_bars, draw_head_map, draw_layer_row
from analyze.drawing.histograms import draw_stacked_histogram, tallest
from analyze.tables.counts import Counts
from analyze.tables.flows import Array, label

HEADROOM = 1.05  # of the y axis above the highest bar
GRID_COLUMNS = 8


@dataclass(frozen=True)
class Plots:
    """The pictures of a run, from its counts.

    Attributes:
        title: what the pictures are of: model, and text scope where it is not `all`.
        prefix: begins each file name.
        layers: which layers get a picture of their own.
        categories: which categories get a folder of their own.
        figsize: of the histograms, in inches.
    """

    counts: Counts
    title: str
    prefix: str
    layers: Sequence[int]
    categories: Sequence[str]
    figsize: tuple[float, float]

    def write(self, folder: Path, *, dpi: int, kind: str) -> list[Path]:
        """Draw all pictures into a folder, with a progress bar; returns their paths."""
        pictures = 1 + len(self.layers) + len(self.categories) * 2 + 1 + len(self._bar_flows()) + len(self.counts.flows)
        with style(), FigureFiles(dpi, kind) as files:
            drawn = tqdm(self._pictures(), total=pictures, unit="picture", dynamic_ncols=True)
            return [files.save(figure, folder / name) for name, figure in drawn]

    def _pictures(self) -> Iterator[tuple[str, Figure]]:
        """Each picture's name, without suffix, and its figure."""
        yield from self._histograms()
        yield from self._head_bars()
        for flow in self.counts.flows:
            layers, heads = self.counts.rows.shape[1:]
            figure = new_figure(
                (max(7.5, 3.2 + min(heads, 64) * 0.2), max(4.5, 1.8 + min(layers, 64) * 0.2)), right=0.3
            )
            axes = draw_head_map(figure.subplots(), self.counts.head_means(flow), flow)
            self._name(axes, f"{label(flow)} by layer and head")
            yield f"{self.prefix}_head_map_{flow}", figure

    def _histograms(self) -> Iterator[tuple[str, Figure]]:
        counts = self.counts
        overall = counts.shares()
        layers = [counts.shares(layer=layer) for layer in range(counts.rows.shape[1])]
        categories = {name: counts.shares(category=code) for code, name in enumerate(counts.categories)}
        names = file_names(counts.categories)
        yield f"{self.prefix}_overall_stacked_hist", self._histogram("All layers", overall, tallest(overall))
        top = max(map(tallest, layers))
        layer_means = {flow: self._mean(flow).mean(axis=1) for flow in counts.flows}
        for layer in self.layers:
            means = {flow: float(layer_means[flow][layer]) for flow in counts.flows}
            figure = self._histogram(f"Layer {layer}", layers[layer], top, means=means)
            yield f"{self.prefix}_layer{layer}_stacked_hist", figure
        top = max(map(tallest, categories.values()))
        for name in self.categories:
            code = counts.categories.index(name)
            figure = self._histogram(f"Category {name}", categories[name], top, code)
            yield f"category_{names[name]}/{self.prefix}_{names[name]}_stacked_hist", figure

    def _histogram(
        self,
        what: str,
        shares: dict[str, Array],
        top: float,
        category: int | slice = slice(None),
        means: dict[str, float] | None = None,
    ) -> Figure:
        figure = new_figure(self.figsize)
        means = means or {flow: float(self._mean(flow, category).mean()) for flow in self.counts.flows}
        axes = draw_stacked_histogram(
            figure.subplots(), shares, self.counts.edges, top=top * HEADROOM or 1.0, means=means
        )
        self._name(axes, what, category)
        return figure

    def _head_bars(self) -> Iterator[tuple[str, Figure]]:
        counts = self.counts
        flows = self._bar_flows()
        names = file_names(counts.categories)
        overall = {flow: self._mean(flow).mean(axis=0) for flow in flows}
        yield f"{self.prefix}_overall_head_bars", self._bar_row("All layers", overall, _top(overall.values()))
        for flow in flows:
            yield f"{self.prefix}_layers_head_bars_{flow}", self._bar_grid(flow)
        categories = {
            name: {flow: self._mean(flow, code).mean(axis=0) for flow in flows}
            for code, name in enumerate(counts.categories)
        }
        top = _top(means for bars in categories.values() for means in bars.values())
        for name in self.categories:
            figure = self._bar_row(f"Category {name}", categories[name], top, counts.categories.index(name))
            yield f"category_{names[name]}/{self.prefix}_{names[name]}_head_bars", figure

    def _bar_row(self, what: str, means: dict[str, Array], top: float, category: int | slice = slice(None)) -> Figure:
        """One panel for each flow, side by side."""
        figure = new_figure((4 * len(means) + 1, 4.0), top=1.0)
        panels = figure.subplots(1, len(means), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.06})[0]
        for axes, (flow, bars) in zip(panels, means.items(), strict=True):
            draw_head_bars(axes, bars, flow, top=top)
            axes.set(title=label(flow), xlabel="Head")
        panels[0].set_ylabel("Mean attention value")
        figure.suptitle(self._heading(what, category), size="medium", parse_math=False)
        return figure

    def _bar_grid(self, flow: str) -> Figure:
        """All layers, some side by side in each row, all on one scale."""
        means = self._mean(flow)
        panels = min(GRID_COLUMNS, len(means))
        rows = math.ceil(len(means) / panels)
        figure = new_figure((max(8.0, 1.5 * panels + 1), max(3.4, 1.3 * rows + 1.4)), top=0.9)
        for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False, gridspec_kw={"hspace": 0.25})[:, 0]):
            first = row * panels
            some = means[first : first + panels]
            draw_layer_row(axes, some, flow, first=first, panels=panels, top=_top([means]))
            axes.tick_params(labelbottom=first + panels >= len(means))
        figure.supxlabel("Head", size="medium")
        figure.supylabel("Mean attention value", size="medium")
        figure.suptitle(self._heading(f"{label(flow)}, each layer"), size="medium", parse_math=False)
        return figure

    def _bar_flows(self) -> tuple[str, ...]:
        """The flows, and the sum of T2V and V2T where both are drawn."""
        flows = self.counts.flows
        return (*flows, "total") if {"t2v", "v2t"} <= set(flows) else flows

    def _mean(self, flow: str, category: int | slice = slice(None)) -> Array:
        if flow == "total":
            return self.counts.head_means("t2v", category) + self.counts.head_means("v2t", category)
        return self.counts.head_means(flow, category)

    def _heading(self, what: str, category: int | slice = slice(None)) -> str:
        """Two lines: what the picture shows, and of what."""
        return f"{' '.join(what.split())}\n{self.counts.samples(category):,} samples, {self.title}"

    def _name(self, axes: Axes, what: str, category: int | slice = slice(None)) -> None:
        axes.set_title(self._heading(what, category), parse_math=False)


def _top(bars: Iterable[Array]) -> float:
    return max(float(np.max(means)) for means in bars) * HEADROOM or 1.0
