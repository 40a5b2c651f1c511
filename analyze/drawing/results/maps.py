"""Where heads look: maps on images, visual sinks by layer, and heads by mass and spatial entropy."""

from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator

from analyze.drawing.figures import figure_below_title, place_panels
from analyze.drawing.maps import (
    attention_colours,
    attention_scale,
    difference_colours,
    difference_scale,
    draw_overlay,
    shape_of,
)
from analyze.drawing.page import LETTERS, SMALLER, across, printed, size_of
from analyze.drawing.texts import TEXT_GAP, fit, legend_height, lines_height, name_points, put_legend, width_of, wrap
from analyze.pictures.overlays import Overlay, OverlayPicture
from schemas.jobs.head_sets import head_name

_ONE_COLUMN, _TWO_COLUMNS = 5.1, 10.6  # inches
_SMALL = LETTERS * SMALLER
_NARROW = 3  # panels that fit into one column
_MOST, WORDY = 6, 4  # panels in a row; if they have questions above
_QUESTION = 3  # lines of a question
TALLEST, SHORTEST = 2.0, 1.2  # height of a panel over its width, at most; in inches, at least
MARGIN, _GAP, _BAR = 0.12, 0.12, 1.02  # inches; `_BAR`: for a colour bar with its labels
LONGEST_BAR = 2.6  # inches
_INK, _OTHER = "#0072B2", "#D55E00"  # of Okabe and Ito
ATTENTION = "Attention,\n× even map"
UNREAD = "shaded: cropped, not read by the model"
DIFFERENCE = "ln(p / mean p)"
Group = tuple[Sequence[Overlay], Colormap, Normalize, str]


def overlays_figure(picture: OverlayPicture) -> Figure:
    """Maps on their images, in rows, with a colour bar for each scale."""
    groups, overlays = list(_groups(picture)), [*picture.overlays, *picture.debiased]
    width = across(_ONE_COLUMN if len(overlays) <= _NARROW else _TWO_COLUMNS)
    most = _MOST if all(len(each.lines) == 1 for each in overlays) else WORDY
    rows = -(-len(overlays) // (most if width > _ONE_COLUMN else _NARROW))
    columns = -(-len(overlays) // rows)
    right = MARGIN + _BAR * len(groups)
    each_width = (width - MARGIN - right - _GAP * (columns - 1)) / columns
    titles = [_lines(each, each_width) for each in overlays]
    above = lines_height(max(map(len, titles)), _SMALL) + _GAP / 2
    high = max(SHORTEST, each_width * min(TALLEST, max(map(shape_of, overlays))))
    tall = rows * (above + high) + MARGIN
    of = (*picture.of, *([UNREAD] if any(each.inside for each in overlays) else []))
    figure = figure_below_title(width, tall, picture.title, of)
    panels = place_panels(
        figure, rows, columns, left=MARGIN, right=right, bottom=MARGIN, above=above, between=(_GAP, above)
    )
    left, place = width - right + _GAP, 0
    for own, colours, scale, label in groups:
        for overlay in own:
            image = draw_overlay(panels[place], overlay, colours, scale)
            panels[place].set_anchor("N")  # so that titles stand on one line
            title = "\n".join(titles[place])
            panels[place].set_title(title, size=printed(_SMALL), pad=2, linespacing=1.15, parse_math=False)
            place += 1
        _bar(figure, image, label, (left / width, panels[0].get_position().y1))
        left += _BAR
    for axes in panels[place:]:
        axes.remove()
    return figure


def _groups(picture: OverlayPicture) -> Iterator[Group]:
    """The overlays that share a scale, with their colours and what the scale shows."""
    yield picture.overlays, attention_colours(), attention_scale(picture.overlays), ATTENTION
    if picture.debiased:
        yield picture.debiased, difference_colours(), difference_scale(picture.debiased), DIFFERENCE


def _lines(overlay: Overlay, width: float) -> list[str]:
    """The lines of a title; the last one is short, and divided if it has no room; those before it are wrapped."""
    *question, last = overlay.lines
    ends = [last] if width_of(last, _SMALL) <= width else [each for each in last.rpartition(", ")[::2] if each]
    lines = [each for line in question for each in wrap(line, _SMALL, width, _QUESTION)]
    return [*lines, *(fit(each, _SMALL, width) for each in ends)]


def _bar(figure: Figure, image: AxesImage, label: str, corner: tuple[float, float]) -> None:
    """A colour bar whose upper left corner is given as a share of the figure."""
    width, height = size_of(figure)
    room = corner[1] - MARGIN / height
    tall = min(LONGEST_BAR / height, room)
    axes = figure.add_axes((corner[0], corner[1] - tall, 0.14 / width, tall))
    axes.grid(visible=False)
    logarithmic = isinstance(image.norm, LogNorm)
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "%g"} if logarithmic else {"ticks": MaxNLocator(5)}
    bar = figure.colorbar(image, cax=axes, **ticks)
    bar.minorticks_off()
    bar.set_label(label, size=printed(_SMALL), labelpad=2)
    bar.ax.tick_params(labelsize=printed(_SMALL), length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)


def sinks_figure(layers: pd.DataFrame, of: Sequence[str]) -> Figure:
    """The share of the attention on the image that visual sinks take, by layer, with its band."""
    figure = figure_below_title(across(_ONE_COLUMN), 3.0, "Attention on visual sinks, 95% intervals by image", of)
    (axes,) = place_panels(figure)
    x, share = layers["layer"], 100 * layers["sink_share"]
    axes.fill_between(x, 100 * layers["low"], 100 * layers["high"], color=_INK, alpha=0.25, linewidth=0)
    axes.plot(x, share, color=_INK, marker="o", markersize=2.6, linewidth=1.1, clip_on=False)
    axes.set(xlabel="Layer", ylabel="Share of image mass, %")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylim(0, 108 * layers[["sink_share", "high"]].max().max())
    return figure


def looks_figure(table: pd.DataFrame, threshold: float, of: Sequence[str], *, told: bool) -> Figure:
    """Spatial entropy against mass, a mark for each head that has a map; those of lowest entropy by their names.

    Args:
        table: `layer`, `head`, `mass`, `spatial_entropy`, `localises`.
        threshold: the mass above which heads are candidates.
        told: whether those of lowest entropy are found to localise best.
    """
    lowest = "localise best" if told else "lowest entropy"
    width, labels = across(_ONE_COLUMN), ["heads", lowest, "quarter with the largest mass"]
    above = legend_height(labels, "", _SMALL, width - 2 * TEXT_GAP) + TEXT_GAP
    figure = figure_below_title(width, 3.4 + above, "Heads that look much, and at one place", of)
    (axes,) = place_panels(figure, above=above)
    best = table["localises"]
    marks: list[Artist] = []
    for own, ink, marker, size, opacity in ((~best, "0.45", "o", 9, 0.6), (best, _OTHER, "D", 16, 1.0)):
        x, y = table["mass"][own], table["spatial_entropy"][own]
        marks.append(axes.scatter(x, y, s=size, color=ink, marker=marker, alpha=opacity, linewidth=0))
    marks.append(axes.axvline(threshold, color="0.3", linewidth=0.8, linestyle=(0, (4, 2))))
    axes.set(xlabel="Mass on the image, mean", ylabel="Spatial entropy, nats, mean")
    rows = table.loc[best, ["layer", "head", "mass", "spatial_entropy"]].to_numpy()
    name_points(axes, [head_name(int(layer), int(head)) for layer, head, *_ in rows], rows[:, 2:])
    put_legend(axes, marks, labels, "")
    return figure
