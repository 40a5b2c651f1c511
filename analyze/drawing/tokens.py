"""A generated text as tokens on a page, each shaded by image mass, and the maps of the words that look most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator

from analyze.drawing.figures import figure_below_title, place_panels, title_height
from analyze.drawing.maps import attention_colours, attention_scale, draw_overlay, shape_of
from analyze.drawing.page import LETTERS, SMALLER, across, printed, size_of
from analyze.drawing.texts import INCH, fit, lines_height, width_of, wrap
from analyze.pictures.overlays import Overlay
from analyze.pictures.texts import TextPicture
from analyze.statistics.clusters import Array
from schemas.text import counted, joins

WIDTH = 8.6  # inches
_SMALL = LETTERS * SMALLER
MOST_LINES = 30  # of a text
UNKNOWN = "white"  # a token whose step has no row
_MARGIN, _GAP = 0.12, 0.12  # inches
_LINE, _BOX = 1.75, 1.4  # heights of a line, and of the box of a token in it, as shares of the letters
_SPACE, _PAD = 0.3, 0.12  # widths of a space, and of the room around a token's letters, as shares of the letters
_INSET, _BAR, _BAR_TALL, _TICKS = 0.1, 1.8, 0.13, 0.28  # of the colour bar, inches; room for its ticks
_APART = 0.25  # inches between the bar and what it shows
_RIGHT = 1.02  # inches, for the colour bar of maps
_WIDE = 6.0  # inches from which on all maps stand in one row
_TALLEST = 1.6  # height of a map over its width, at most
_DARK = 0.45  # luminance below which letters are white
_NEW_LINE = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"


@dataclass(frozen=True)
class _Box:
    """Where a token stands.

    Attributes:
        left, wide: in inches; `line`: from 0.
        text: as it is drawn.
        token: its step.
    """

    left: float
    wide: float
    line: int
    text: str
    token: int


def mass_colours() -> ListedColormap:
    """Perceptually uniform, the darker the more, safe for colour-blind readers."""
    return ListedColormap(mpl.colormaps["inferno_r"](np.linspace(0, 0.85, 256)), "mass")


def lay_out(pieces: Sequence[str], width: float) -> list[_Box]:
    """The boxes of the tokens of a text, on lines of `width` inches that are divided between words where they can be.

    A token without text has none. A line break is drawn as an arrow; what follows it begins a line.
    """
    boxes: list[_Box] = []
    left, line, broken = 0.0, 0, False
    for group in _groups(pieces):
        texts = [_drawn(pieces[token], width) for token in group]
        wides = [width_of(text, _SMALL) + 2 * _PAD * _SMALL / INCH for text in texts]
        space = _SPACE * _SMALL / INCH if left and pieces[group[0]][0].isspace() else 0.0
        blank = not pieces[group[0]].strip()
        if left and (left + space + sum(wides) > width or (broken and not blank)):
            left, line, space = 0.0, line + 1, 0.0
        left += space
        for token, text, wide in zip(group, texts, wides, strict=True):
            if left and left + wide > width:
                left, line = 0.0, line + 1
            boxes.append(_Box(left, min(wide, width), line, text, token))
            left += wide
        broken = "\n" in pieces[group[-1]] or (broken and blank)
    return boxes


def _groups(pieces: Sequence[str]) -> list[list[int]]:
    """The tokens that have text, those of one word together."""
    groups: list[list[int]] = []
    before = ""
    for token, piece in enumerate(pieces):
        if piece:
            if groups and joins(before, piece[0]):
                groups[-1].append(token)
            else:
                groups.append([token])
            before = piece[-1]
    return groups


def _drawn(piece: str, width: float) -> str:
    """A token's text as it is drawn."""
    text = piece.replace("\n", _NEW_LINE).strip()
    return fit(text, _SMALL, width - 2 * _PAD * _SMALL / INCH) or " "


def text_figure(picture: TextPicture) -> Figure:
    """The text, its colour bar, and the maps, from top to bottom."""
    width = across(WIDTH)
    boxes = lay_out(picture.pieces, width - 2 * _MARGIN)
    lines = min(MOST_LINES, 1 + max((box.line for box in boxes), default=0))
    drawn = [box for box in boxes if box.line < lines]
    cut = [f"{counted(len(boxes) - len(drawn), 'token')} of {len(boxes)} not drawn"] if len(drawn) < len(boxes) else []
    room = width - 2 * _MARGIN - _INSET - _BAR - _APART
    label = [line for each in (*picture.caption, *cut) for line in wrap(each, _SMALL, room, 3)]
    text_tall = lines * _LINE * _SMALL / INCH
    above = text_tall + _GAP + max(_BAR_TALL + _TICKS, lines_height(len(label), _SMALL))
    columns = min(len(picture.overlays), 6 if width >= _WIDE else 3) or 1
    rows = -(-len(picture.overlays) // columns)
    each = (width - _MARGIN - _RIGHT - _GAP * (columns - 1)) / columns
    titles = [_title(overlay, each) for overlay in picture.overlays]
    title_tall = lines_height(max(map(len, titles), default=0), _SMALL) + _GAP / 2
    high = each * min(_TALLEST, max(map(shape_of, picture.overlays), default=0))
    figure = figure_below_title(width, above + rows * (title_tall + high) + _MARGIN, picture.title, picture.of)
    top = title_height(figure)
    scale = Normalize(0, float(np.nanmax(picture.masses, initial=0)) or 1.0)
    draw_tokens(_axes(figure, _MARGIN, top, width - 2 * _MARGIN, text_tall), drawn, picture.masses, scale)
    bar = _axes(figure, _MARGIN + _INSET, top + text_tall + _GAP, _BAR, _BAR_TALL)
    _colour_bar(figure, ScalarMappable(scale, mass_colours()), bar, "horizontal", ticks=MaxNLocator(4))
    bar.text(1 + _APART / _BAR, 1, "\n".join(label), transform=bar.transAxes, va="top", size=printed(_SMALL),
             linespacing=1.15, parse_math=False)  # fmt: skip
    if rows:
        panels = place_panels(
            figure, rows, columns, left=_MARGIN, right=_RIGHT, bottom=_MARGIN, above=above + title_tall,
            between=(_GAP, title_tall),
        )  # fmt: skip
        _draw_maps(figure, panels, picture.overlays, titles)
    return figure


def draw_tokens(axes: Axes, boxes: Sequence[_Box], masses: Array, scale: Normalize) -> None:
    """Draw the boxes of tokens on axes in inches, from the upper left corner; a token without a mass has an outline."""
    axes.set_axis_off()
    colours, tall = mass_colours(), _SMALL / INCH
    for box in boxes:
        mass = masses[box.token]
        colour = colours(scale(mass))[:3] if np.isfinite(mass) else mpl.colors.to_rgb(UNKNOWN)
        middle = (box.line + 0.5) * _LINE * tall
        frame: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.6}
        if not np.isfinite(mass):
            frame = {"edgecolor": "0.6", "linewidth": 0.5, "linestyle": ":"}
        place = box.left, middle - _BOX * tall / 2
        axes.add_patch(Rectangle(place, box.wide, _BOX * tall, facecolor=colour, **frame))
        ink = "white" if np.dot(colour, (0.299, 0.587, 0.114)) < _DARK else "0.1"
        axes.text(
            box.left + box.wide / 2, middle, box.text, color=ink, size=printed(_SMALL), ha="center",
            va="center_baseline", parse_math=False,
        )  # fmt: skip


def _axes(figure: Figure, left: float, top: float, wide: float, tall: float) -> Axes:
    """Axes at a place in inches from the upper left corner; their own unit is an inch of the layout, from there."""
    width, height = size_of(figure)
    axes = figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))
    axes.set(xlim=(0, wide), ylim=(tall, 0))
    axes.grid(visible=False)
    return axes


def _title(overlay: Overlay, width: float) -> list[str]:
    """The lines over a map: the word, and what is said of it."""
    word, *said = overlay.lines
    together = ", ".join(said)
    fits = width_of(together, _SMALL) <= width
    return [fit(word, _SMALL, width), *([together] if fits else [fit(each, _SMALL, width) for each in said])]


def _draw_maps(
    figure: Figure, panels: Sequence[Axes], overlays: Sequence[Overlay], titles: Sequence[Sequence[str]]
) -> None:
    colours, scale = attention_colours(), attention_scale(overlays)
    for axes, overlay, lines in zip(panels, overlays, titles, strict=False):
        image = draw_overlay(axes, overlay, colours, scale)
        axes.set_anchor("N")
        axes.set_title("\n".join(lines), size=printed(_SMALL), pad=2, linespacing=1.15, parse_math=False)
    for axes in panels[len(overlays) :]:
        axes.remove()
    width, height = size_of(figure)
    place = panels[0].get_position()
    tall = min(1.6, (place.y1 - place.y0) * height)
    bar = _axes(figure, width - _RIGHT + _GAP, (1 - place.y1) * height, 0.14, tall)
    bar.set_ylim(0, tall)  # large values on top
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "%g"}
    _colour_bar(figure, image, bar, "vertical", **ticks).set_label(
        "Attention,\n× even map", size=printed(_SMALL), labelpad=2
    )


def _colour_bar(figure: Figure, image: ScalarMappable, axes: Axes, side: str, **options: Any) -> Colorbar:
    bar = figure.colorbar(image, cax=axes, orientation=side, **options)
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=printed(_SMALL), length=2, pad=1.5)
    bar.outline.set_linewidth(0.4)
    return bar
