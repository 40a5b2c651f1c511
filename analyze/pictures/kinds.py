"""The kinds of pictures: for each its file, its title and its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyze.pictures.labels import NOT_SIGNIFICANT
from analyze.statistics.clusters import Array, Codes
from analyze.statistics.heads.means import UNCLEAR


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, without suffix; may begin with a folder.
        title: what it shows.
        of: of what: number of samples, model, run.
    """

    name: str
    title: str
    of: tuple[str, ...]

    @property
    def cut(self) -> bool:
        """Whether something lies above the end of an axis or of a colour scale."""
        return False


@dataclass(frozen=True)
class Panel:
    """Stacked bars on one Axes.

    Attributes:
        heading: whose attention it is.
        bars: their heights by column, float64; the first column is at the bottom.
        top: end of the y axis, the same in panels to be compared.
    """

    heading: str
    bars: dict[str, Array]
    top: float

    @property
    def cut(self) -> bool:
        """Whether a stack is higher than the y axis."""
        return highest(self.bars) > self.top


@dataclass(frozen=True)
class Histogram(Picture):
    """Stacked histograms; bars are float64 [bins]: shares of all values, or densities.

    Attributes:
        edges: of the bins, float64 [bins + 1].
        means: of all values, by column.
        density: whether bars are shares divided by the width of the bin, as bins of unequal width need.
    """

    panels: tuple[Panel, ...]
    edges: Array
    means: dict[str, float]
    density: bool

    @property
    def cut(self) -> bool:
        """Whether a panel is cut."""
        return any(panel.cut for panel in self.panels)


@dataclass(frozen=True)
class LayerHistograms(Picture):
    """Stacked histograms of all layers, small, in one figure.

    Attributes:
        panels: a layer each; bars are float64 [bins].
        edges, density: see `Histogram`.
    """

    panels: tuple[Panel, ...]
    edges: Array
    density: bool

    @property
    def cut(self) -> bool:
        """Whether a panel is cut."""
        return any(panel.cut for panel in self.panels)


@dataclass(frozen=True)
class LayerBars(Picture):
    """A bar for each head of each layer, for one column.

    Attributes:
        means: over samples, float64 [layers, heads].
        layers: those of `means`.
        top: end of the y axis.
    """

    flow: str
    means: Array
    layers: Sequence[int]
    top: float

    @property
    def cut(self) -> bool:
        """Whether a bar is higher than the y axis."""
        return float(self.means.max()) > self.top


@dataclass(frozen=True)
class HeadMap(Picture):
    """Layers x heads of one column.

    Attributes:
        means: over samples, float64 [layers, heads].
        layers: those of `means`.
        top: end of a linear colour scale that begins at 0; `None`: the scale is chosen from the means.
    """

    flow: str
    means: Array
    layers: Sequence[int]
    top: float | None

    @property
    def cut(self) -> bool:
        """Whether a mean is above the colour scale."""
        return self.top is not None and float(self.means.max()) > self.top


@dataclass(frozen=True)
class SignedMap(Picture):
    """Layers x heads of means on both sides of 0.

    Attributes:
        values: float64 [layers, heads]; NaN where there is none.
        told: int64 [layers, heads], see `HeadMeans.told`.
        layers: those of `values`.
        label: what they are.
    """

    values: Array
    told: Codes
    layers: Sequence[int]
    label: str

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Heads that have a colour, bool [layers, heads]: those told from 0, or all where none can be told."""
        return np.isfinite(self.values) & (self.told != UNCLEAR)

    @property
    def grey(self) -> str:
        """Why a head has none."""
        unclear = (np.isfinite(self.values) & (self.told == UNCLEAR)).any()
        reasons = [NOT_SIGNIFICANT] if unclear else []
        return "; or ".join([*reasons, *([] if np.isfinite(self.values).all() else ["not known"])])


def highest(bars: Mapping[str, Array]) -> float:
    """The height of the highest stack of bars."""
    return float(np.sum(list(bars.values()), axis=0).max())
