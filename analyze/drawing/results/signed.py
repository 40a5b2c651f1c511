"""Layer x head maps of values on both sides of 0, shown for all heads or for some."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import figure_below_title, new_figure, place_panels
from analyze.drawing.heads import BAR, GREY, colour_bar, draw_diverging_map, map_size
from analyze.drawing.page import LETTERS, SMALLER, printed, size_of
from analyze.drawing.texts import TEXT_GAP, legend_height, lines_height, put_legend, wrap
from analyze.pictures.labels import NOT_SIGNIFICANT
from analyze.statistics.clusters import Array

_LINES = 6  # of a sentence


def signed_figure(
    values: Array,
    title: str,
    of: Sequence[str],
    *,
    label: str,
    layers: Sequence[int] | None = None,
    least: float = 0.0,
    shown: npt.NDArray[np.bool_] | None = None,
    grey: str = NOT_SIGNIFICANT,
    none: str = "",
) -> Figure:
    """The layer x head map of signed values, white at 0; heads that are not shown are grey.

    Args:
        values: [layers, heads].
        title, of: see `new_figure`.
        label: of the colour bar.
        layers: those of `values`; None: all from 0.
        least: end of the colours on both sides, at least.
        shown: bool [layers, heads]; None: all.
        grey: why a head is not shown.
        none: the sentence that stands in place of the map where no head is shown.
    """
    if shown is not None and not shown.any():
        return sentence_figure(none, title, of)
    size = map_size(*values.shape)
    figure = new_figure(size, title, of)
    above = TEXT_GAP if shown is None else legend_height([grey], "", LETTERS * SMALLER, size[0]) + TEXT_GAP
    (axes,) = place_panels(figure, right=BAR, above=above)
    furthest = max(least, float(np.abs(values if shown is None else values[shown]).max())) or 1e-6
    image = draw_diverging_map(axes, values, furthest=furthest, shown=shown, of=layers)
    colour_bar(figure, image, label, [axes])
    if shown is not None:
        put_legend(axes, [Patch(color=GREY)], [grey], "")
    return figure


def sentence_figure(sentence: str, title: str, of: Sequence[str]) -> Figure:
    """A sentence in place of a map that would show nothing."""
    width, _ = map_size(1, 1)
    lines = wrap(sentence, LETTERS, width - 4 * TEXT_GAP, _LINES)
    figure = figure_below_title(width, lines_height(len(lines), LETTERS) + 6 * TEXT_GAP, title, of)
    below = lines_height(len(lines), LETTERS) / 2 + 3 * TEXT_GAP
    figure.text(0.5, below / size_of(figure)[1], "\n".join(lines), size=printed(LETTERS), ha="center", va="center")
    return figure
