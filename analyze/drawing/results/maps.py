"""Where heads look: maps on images, visual sinks by layer, and heads by mass and spatial entropy."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator

from analyze.drawing.figures import new_figure, place_panels, title_height
from analyze.drawing.maps import (
    attention_colours,
    attention_scale,
    difference_colours,
    difference_scale,
    draw_overlay,
    shape_of,
)
from analyze.drawing.texts import fit, legend_height, lines_height, put_legend, width_of, wrap
from analyze.maps.words import name
from analyze.pictures.overlays import Overlay, OverlayPicture

ONE_COLUMN, TWO_COLUMNS = 3.31, 6.85  # inches: 84 and 174 mm, the widths of a paper's columns
LETTERS, SMALL = 7.0, 6.5  # points, at that width
NARROW = 3  # panels that fit into one column
MOST, WORDY = 6, 4  # panels in a row; if they have questions above
QUESTION = 3  # lines of a question
TALLEST, SHORTEST = 2.0, 0.8  # height of a panel over its width, at most; in inches, at least
MARGIN, GAP, BAR = 0.08, 0.08, 0.66  # inches; `BAR`: for a colour bar with its labels
LONGEST_BAR = 1.7  # inches
INK, OTHER = "#0072B2", "#D55E00"  # of Okabe and Ito
ATTENTION = "Attention,\n× even map"
UNREAD = "shaded: cropped, not read by the model"
DIFFERENCE = "ln(p / mean p)"
Group = tuple[Sequence[Overlay], Colormap, Normalize, str]


def overlays_figure(picture: OverlayPicture) -> Figure:
    """Maps on their images, in rows as wide as a paper's column or its page, with a colour bar for each scale."""
    groups, overlays = list(_groups(picture)), [*picture.overlays, *picture.debiased]
    width = ONE_COLUMN if len(overlays) <= NARROW else TWO_COLUMNS
    rows = -(-len(overlays) // (MOST if all(len(each.lines) == 1 for each in overlays) else WORDY))
    columns = -(-len(overlays) // rows)
    right = MARGIN + BAR * len(groups)
    across = (width - MARGIN - right - GAP * (columns - 1)) / columns
    titles = [_lines(each, across) for each in overlays]
    above = lines_height(max(map(len, titles)), SMALL) + GAP / 2
    high = max(SHORTEST, across * min(TALLEST, max(map(shape_of, overlays))))
    tall = rows * (above + high) + MARGIN
    of = (*picture.of, *([UNREAD] if any(each.inside for each in overlays) else []))
    height = title_height(new_figure((width, tall), picture.title, of, LETTERS)) + tall
    figure = new_figure((width, height), picture.title, of, LETTERS)
    panels = place_panels(
        figure, rows, columns, left=MARGIN, right=right, bottom=MARGIN, above=above, between=(GAP, above)
    )
    left, place = width - right + GAP, 0
    for own, colours, scale, label in groups:
        for overlay in own:
            image = draw_overlay(panels[place], overlay, colours, scale)
            panels[place].set_anchor("N")  # so that titles stand on one line
            title = "\n".join(titles[place])
            panels[place].set_title(title, size=SMALL, pad=2, linespacing=1.15, parse_math=False)
            place += 1
        _bar(figure, image, label, (left / width, panels[0].get_position().y1))
        left += BAR
    for axes in panels[place:]:
        axes.remove()
    return figure


def _groups(picture: OverlayPicture) -> Iterator[Group]:
    """The overlays that share a scale, with their colours and what the scale shows."""
    yield picture.overlays, attention_colours(), attention_scale(picture.overlays), ATTENTION
    if picture.debiased:
        yield picture.debiased, difference_colours(), difference_scale(picture.debiased), DIFFERENCE


def _lines(overlay: Overlay, width: float) -> list[str]:
    """The lines of a title; the last one is short, and divided if it has no room; those before it are a question."""
    *question, last = overlay.lines
    ends = [last] if width_of(last, SMALL) <= width else [each for each in last.rpartition(", ")[::2] if each]
    lines = [each for line in question for each in wrap(line, SMALL, width, QUESTION)]
    return [*lines, *(fit(each, SMALL, width) for each in ends)]


def _bar(figure: Figure, image: AxesImage, label: str, corner: tuple[float, float]) -> None:
    """A colour bar whose upper left corner is given as a share of the figure."""
    width, height = figure.get_size_inches()
    room = corner[1] - MARGIN / height
    tall = min(LONGEST_BAR / height, room)
    axes = figure.add_axes((corner[0], corner[1] - tall, 0.09 / width, tall))
    axes.grid(visible=False)
    logarithmic = isinstance(image.norm, LogNorm)
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "%g"} if logarithmic else {"ticks": MaxNLocator(5)}
    bar = figure.colorbar(image, cax=axes, **ticks)
    bar.minorticks_off()
    bar.set_label(label, size=SMALL, labelpad=2)
    bar.ax.tick_params(labelsize=SMALL - 0.5, length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)


def _thin(axes: Axes) -> None:
    """Ticks and grid for a picture as wide as a paper's column."""
    axes.tick_params(labelsize=SMALL, pad=1)
    axes.grid(linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.7)


def sinks_figure(layers: pd.DataFrame, of: Sequence[str]) -> Figure:
    """The share of the attention on the image that visual sinks take, by layer, with its band."""
    figure = new_figure((ONE_COLUMN, 2.3), "Attention on visual sinks, 95% intervals by image", of, LETTERS)
    (axes,) = place_panels(figure, left=0.5, bottom=0.42, right=0.12)
    x, share = layers["layer"], 100 * layers["sink_share"]
    axes.fill_between(x, 100 * layers["low"], 100 * layers["high"], color=INK, alpha=0.25, linewidth=0)
    axes.plot(x, share, color=INK, marker="o", markersize=2.6, linewidth=1.1)
    axes.set_xlabel("Layer", size=LETTERS, labelpad=2)
    axes.set_ylabel("Share of the mass on the image, %", size=LETTERS, labelpad=2)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylim(0, 108 * layers[["sink_share", "high"]].max().max())
    _thin(axes)
    return figure


def looks_figure(table: pd.DataFrame, threshold: float, of: Sequence[str]) -> Figure:
    """Spatial entropy against mass, a mark for each head that has a map; those that localise best by their names.

    Args:
        table: `layer`, `head`, `mass`, `spatial_entropy`, `localises`.
        threshold: the mass above which heads are candidates.
    """
    figure = new_figure((ONE_COLUMN, 2.7), "Heads that look much, and at one place", of, LETTERS)
    labels = ["heads", "localise best", "quarter with the largest mass"]
    above = legend_height(labels, "", SMALL, ONE_COLUMN - 0.2)
    (axes,) = place_panels(figure, left=0.5, bottom=0.42, right=0.12, above=above)
    best = table["localises"]
    marks: list[Artist] = []
    for own, ink, marker, size, opacity in ((~best, "0.45", "o", 9, 0.6), (best, OTHER, "D", 16, 1.0)):
        x, y = table["mass"][own], table["spatial_entropy"][own]
        marks.append(axes.scatter(x, y, s=size, color=ink, marker=marker, alpha=opacity, linewidth=0))
    for layer, head, mass, entropy in table.loc[best, ["layer", "head", "mass", "spatial_entropy"]].to_numpy():
        right = mass > np.mean(axes.get_xlim())
        axes.annotate(
            name(int(layer), int(head)),
            (mass, entropy),
            (-4 if right else 4, 0),
            textcoords="offset points",
            size=SMALL,
            horizontalalignment="right" if right else "left",
            verticalalignment="center",
        )
    marks.append(axes.axvline(threshold, color="0.3", linewidth=0.8, linestyle=(0, (4, 2))))
    axes.set_xlabel("Mass on the image, mean", size=LETTERS, labelpad=2)
    axes.set_ylabel("Spatial entropy, nats, mean", size=LETTERS, labelpad=2)
    _thin(axes)
    put_legend(axes, marks, labels, "", letters=SMALL, width=ONE_COLUMN - 0.2, middle=ONE_COLUMN / 2)
    return figure
