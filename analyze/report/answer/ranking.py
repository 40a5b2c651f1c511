"""The highest heads by a measure, as a table and as a picture that needs no script: SVG in the colours of the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from markupsafe import escape

from analyze.report.answer.links import head_address
from analyze.report.comparison import Rows
from analyze.report.measures import LOOKING, Measure, Measured
from analyze.report.words import Words, number
from analyze.statistics.heads.means import UNCLEAR
from analyze.tables.frames import Heads
from analyze.tables.values import names_of_heads

SHOWN = 6  # heads
_DIGITS = 3
_WIDTH, _ROW = 270, 22  # pixels, of a picture's frame beside short names, and of a head in it
_LEAST, _SHORT = 150, 35  # pixels, of a frame, and of names that are short
# Stand-ins for colours of the page's style, by their names there
_INKS = {"soft": "#020202", "line": "#030303", "accent": "#040404", "quiet": "#050505"}
_NAMES = 160  # pixels that the names of rows take at most, beside the frame
_LABEL = re.compile(r'<text text-anchor="end" transform="translate\(-7,(?P<y>[\d.]+)\)"[^>]*>[^<]*</text>')  # a row's
_NO_COLOUR = r' (?:aria-[\w-]+|role|class|font-family|version|xmlns:xlink)="[^"]*"'


@dataclass(frozen=True)
class Ranking:
    """The highest heads, of values that may be negative those furthest from 0.

    Attributes:
        measure: its key; `title`: its name in words.
        table: `head value low high clear text span`; the interval is corrected for all heads, and `clear` says that it
            does not hold 0.
        picture: SVG.
    """

    measure: str
    title: str
    table: Rows
    picture: str


def rankings(heads: Heads, measured: Measured, words: Words) -> list[Ranking]:
    """The heads that look most, and those that matter most, as far as these are measured."""
    shown = (measured.first_looking(), measured.first_mattering())
    return [_ranking(each, names_of_heads(heads.run.manifest), words) for each in shown if each is not None]


def _ranking(one: Measure, names: list[str], words: Words) -> Ranking:
    means, signed = one.found.of_heads, one.kind != LOOKING
    low, high = means.corrected
    size = np.where(np.isfinite(means.mean), np.abs(means.mean) if signed else means.mean, -np.inf)
    cells = [cell for cell in np.argsort(-size, kind="stable")[:SHOWN].tolist() if np.isfinite(size[cell])]
    rows = [
        {
            "head": names[cell], "value": float(means.mean[cell]), "low": float(low[cell]), "high": float(high[cell]),
            "clear": bool(means.told[cell] != UNCLEAR), "text": number(means.mean[cell], _DIGITS, sign=signed),
            "span": words.span(low[cell], high[cell], _DIGITS, sign=signed) if np.isfinite(low[cell]) else "",
        }
        for cell in cells
    ]  # fmt: skip
    title = words.measure(one)
    addresses = [head_address(row["head"], one.key) for row in rows]
    return Ranking(one.key, title, rows, picture(rows, addresses, title, words.filled("answer_picture", measure=title)))


def picture(rows: Rows, addresses: Sequence[str], title: str, label: str) -> str:
    """Values with their intervals as SVG, each a link; grey where an interval holds 0, hollow where it is unknown.

    Args:
        rows: `head` (the name), `value`, `low`, `high` (NaN: unknown), `clear` (whether the interval does not hold 0).
        addresses: where the rows lead.
        title: of the axis; `label`: of the picture.
    """
    known = [_inked({name: value for name, value in row.items() if value == value}) for row in rows]
    ink, inside = alt.Stroke("ink:N", scale=None), alt.Fill("inside:N", scale=None)
    base = alt.Chart(alt.Data(values=known)).encode(alt.Y("head:N", sort=None, title=None), ink)
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=_INKS["soft"]).encode(alt.X("zero:Q", title=title))
    bars = base.mark_rule(strokeWidth=2.5).encode(alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_point(size=45, opacity=1).encode(alt.X("value:Q", title=title), inside)
    layers = [zero, bars, dots] if any("low" in row for row in known) else [zero, dots]
    # A browser's letters may be wider than those that Vega measures names by
    names = min(_NAMES, 7 * max((len(str(row["head"])) for row in rows), default=0))
    room = 0.25 * names
    width = max(_LEAST, _WIDTH - max(0, names + room - _SHORT))  # pictures are about as wide, so letters are as large
    chart = alt.layer(*layers).properties(width=width, height=_ROW * max(1, len(rows)))
    soft, line = _INKS["soft"], _INKS["line"]
    axis: dict[str, object] = {"labelColor": soft, "titleColor": soft, "gridColor": line, "domainColor": line}
    axis |= {"tickColor": line, "tickCount": 5, "labelLimit": _NAMES - 10}
    axis |= {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
    padding = {"left": 5 + room, "right": 5, "top": 5, "bottom": 5}
    config = {"background": None, "axis": axis, "view": {"stroke": None}, "padding": padding}
    svg = themed(vl_convert.vegalite_to_svg({**chart.to_dict(), "config": config}), label)
    rest = iter(addresses)
    return _LABEL.sub(lambda found: _row_link(found, next(rest)), svg)


def _inked(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the colours of its dot: a hollow one has no interval."""
    ink = _INKS["accent" if row["clear"] else "quiet"]
    return row | {"ink": ink, "inside": ink if "low" in row else "transparent"}


def _row_link(label: "re.Match[str]", where: str) -> str:
    """The name of a row as a link, which has the whole row."""
    row = f'<rect x="{-_NAMES}" y="{float(label["y"]) - _ROW * 0.7:.1f}" width="{_NAMES + _WIDTH}" height="{_ROW}"/>'
    return f'<a href="{escape(where)}">{row}{label[0]}</a>'


def themed(svg: str, label: str) -> str:
    """A picture of Vega as a group with a name, in the colours of the page."""
    svg = re.sub(_NO_COLOUR, "", svg)
    for name, colour in _INKS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = re.sub(r' width="\d+" height="\d+" viewBox', " viewBox", svg, count=1)
    return svg.replace("<svg", f'<svg role="group" aria-label="{escape(label)}"', 1)
