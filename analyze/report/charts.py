"""The charts, as Altair makes them. What changes with a click has named data, which the page's script fills.

Colours, letters and lines are those of the page's theme: the script gives them as Vega's `config`, and the names
`ramp` (from low to high) and `diverging` (negative, zero, positive) stand for its scales of colour.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt
import numpy as np

from analyze.pictures.labels import colour
from analyze.report.comparison import Compared, Rows, flows_of
from analyze.report.words import Words
from analyze.statistics.clusters import Array

Spec = dict[str, Any]
_ROW, AXIS, LAYER, CELLS = 20, 45, 36, 520  # pixels: of a category, an axis, a layer; of all layers, at most
_INKS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]  # of Okabe and Ito
_BOS = "#000000"  # drawn in the theme's ink, as black does not show on a dark page
UNCLEAR, _GREY = "#9a9a9a", "#b4b4b4"  # what is not significant: differences of categories, and heads
DOTS = 12  # heads in a dot plot
OUTLIERS, FAR = 0.05, 0.5  # heads whose colour may be that of the end of the scale; how far out they then lie
_ROUNDING = 1e-5  # of a step of the scale, as values are of float32
LEGEND: Spec = {"title": None, "orient": "top", "gradientLength": 220, "gradientThickness": 10}
_SIGNED: Spec = {"range": "diverging", "domainMid": 0, "interpolate": "rgb", "clamp": True}  # hcl passes other hues
QUIET = "quiet"  # the style of marks that are not to be looked at first


def colour_ends(values: Array, *, signed: bool) -> tuple[float, float]:
    """Where the colours of a head map end, so that one outlier does not make all other heads look alike.

    Outliers are at most 5% of the heads at either end, and at least one may be: those further out than the others by
    more than half of the others' range. The colours end with the heads that are none, rounded outwards to two digits.

    Args:
        values: of the heads; NaN is left out.
        signed: the ends are as far from 0 on either side.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return (-1.0, 1.0) if signed else (0.0, 1.0)
    high = _end(np.abs(known) if signed else known, signed=signed)
    low = -high if signed else -_end(-known, signed=False)
    if high <= low:
        low, high = (-1.0, 1.0) if signed else (low, low + (abs(low) or 1.0))
    step = 10 ** (np.floor(np.log10(high if signed else high - low)) - 1)
    high = float(np.ceil(high / step - _ROUNDING) * step)
    return (-high if signed else float(np.floor(low / step + _ROUNDING) * step)), high


def _end(values: Array, *, signed: bool) -> float:
    """The highest value that is no outlier; of sizes, which begin at 0, if `signed`."""
    values, some = np.sort(values), max(1, int(OUTLIERS * len(values)))
    kept = values[:-some] if signed else values[some:-some]
    reach = FAR * (kept[-1] - (0.0 if signed else kept[0])) if len(kept) else 0.0
    return float(values[values <= kept[-1] + reach][-1] if reach > 0 else values[-1])


def head_map(words: Words, layers: int, *, signed: bool) -> Spec:
    """Layer x head; data `cells`: `layer head shade told text interval rank`, `chosen` and `picked` heads.

    The page's script gives `low` and `high`, the ends of the colours, `ticks` of their scale with their `labels`,
    `grey`, for heads whose `told` is 0, and `fade`, the opacity: low where the order of heads may be noise.
    """
    place = [
        alt.X("head:O", title=words["head"], axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        alt.Y("layer:O", title=words["layer"], axis=alt.Axis(labelOverlap=True)),
    ]
    ends = _SIGNED if signed else {"range": "ramp", "clamp": True}
    scale = alt.Scale(domainMin=alt.ExprRef("low"), domainMax=alt.ExprRef("high"), **ends)
    label = "labels[indexof(ticks, datum.value)]"
    legend = alt.Legend(values=alt.ExprRef("ticks"), labelExpr=label, **LEGEND)
    tips = [
        alt.Tooltip("layer:O", title=words["layer"]),
        alt.Tooltip("head:O", title=words["head"]),
        alt.Tooltip("text:N", title=words["value"]),
        alt.Tooltip("interval:N", title=words["interval"]),
        alt.Tooltip("rank:O", title=words["rank"]),
    ]
    colours = alt.condition("datum.told", alt.Color("shade:Q", scale=scale, legend=legend), alt.value(_param("grey")))
    cells = alt.Chart(alt.NamedData("cells")).mark_rect(cursor="pointer", fillOpacity=_param("fade"))
    cells = cells.encode(*place, color=colours, tooltip=tips)
    picked = alt.Chart(alt.NamedData("picked")).mark_rect(fillOpacity=0, strokeWidth=2, style="picked")
    chosen = alt.Chart(alt.NamedData("chosen")).mark_rect(fillOpacity=0, strokeWidth=2.5, style="chosen")
    given = {"low": -1, "high": 1, "ticks": [-1, 1], "labels": ["", ""], "grey": _GREY, "fade": 1}
    return _spec(
        _with(cells + picked.encode(*place) + chosen.encode(*place), given),
        height=AXIS + 50 + min(CELLS, layers * LAYER),
    )


def head_dots(words: Words, shape: tuple[int, int], *, signed: bool) -> Spec:
    """Some heads with their intervals; data `dots`: `order name cell value low high lowest highest told text`.

    A thick line is the interval of one head, a thin one holds for all heads together; the script gives `grey`, for
    heads whose `told` is 0, `accent`, for the others, and `picked`, the cell of the chosen head.
    """
    sort = alt.EncodingSortField("order", op="min")
    y = alt.Y("name:N", sort=sort, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=90))
    ink = alt.condition("datum.told", alt.value(_param("accent")), alt.value(_param("grey")))
    scale = alt.Scale(zero=signed, nice=True, padding=8)
    x = partial(alt.X, title=words["mean"], scale=scale, axis=alt.Axis(tickCount=5, format=".2~g"))
    tips = [alt.Tooltip("name:N", title=words["head"])]
    tips += [alt.Tooltip(f"{name}:N", title=words[title]) for name, title in (
        ("text", "mean_all"), ("interval", "interval"), ("corrected", "interval_corrected"))]  # fmt: skip
    base = alt.Chart(alt.NamedData("dots")).encode(y, color=ink, tooltip=tips)
    chart = base.mark_rule(strokeWidth=1.5).encode(x("lowest:Q"), x2="highest:Q")
    chart += base.mark_rule(strokeWidth=4).encode(x("low:Q"), x2="high:Q")
    ring = alt.condition("datum.cell === picked", alt.value(2.5), alt.value(0))
    dots = base.mark_point(filled=True, size=80, opacity=1, cursor="pointer", style="chosen_dot")
    chart += dots.encode(x("value:Q"), strokeWidth=ring)
    if signed:
        zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(style=QUIET).encode(x="zero:Q")
        chart = zero + chart
    given = {"grey": _GREY, "accent": _INKS[0], "picked": -1}
    return _spec(_with(chart, given), height=AXIS + _ROW * min(DOTS, shape[0] * shape[1]))


def head_scatter(words: Words) -> Spec:
    """Heads by two quantities, coloured by layer; data `points`: `cell name layer x y`, `bars`: with bounds of both.

    What is dragged over is `brush`; the script gives the titles of the axes, and hides bars by giving none.
    """
    tips = [alt.Tooltip("name:N", title=words["head"])]
    tips += [alt.Tooltip(f"{each}:Q", format=".3~g", title=words[f"scatter_{each}"]) for each in ("x", "y")]
    scale = alt.Scale(zero=False, padding=14)
    x, y = (partial(each, scale=scale, axis=alt.Axis(format=".4~g", tickCount=5)) for each in (alt.X, alt.Y))
    # Without its ends, which do not show on a dark page or a light one
    colours = alt.SchemeParams(name="viridis", extent=[0.3, 0.9])
    ink = alt.Color("layer:Q", scale=alt.Scale(scheme=colours), legend=alt.Legend(
        **LEGEND | {"title": words["layer"], "tickMinStep": 1, "format": "d"}))  # fmt: skip
    bars = alt.Chart(alt.NamedData("bars")).encode(color=ink)
    both = bars.mark_rule(opacity=0.5).encode(x("low_x:Q", title="X"), y("y:Q", title="Y"), x2="high_x:Q")
    both += bars.mark_rule(opacity=0.5).encode(x("x:Q", title="X"), y("low_y:Q", title="Y"), y2="high_y:Q")
    brush = alt.selection_interval(name="brush", encodings=["x", "y"])
    points = alt.Chart(alt.NamedData("points")).mark_point(filled=True, size=55, opacity=0.9)
    points = points.encode(x("x:Q", title="X"), y("y:Q", title="Y"), ink, tooltip=tips).add_params(brush)
    return _spec(both + points, height=360)


def _param(name: str) -> Any:
    """What the page's script gives."""
    return alt.ExprRef(name)


def _with(chart: Any, given: Mapping[str, Any]) -> Any:
    """The chart with what the page's script gives, and what stands there before."""
    return chart.add_params(*(alt.param(name, value=value) for name, value in given.items()))


def head_histogram(words: Words) -> Spec:
    """The values of one head over those of all; data `all` and `own`: `left right place place_end share`.

    The bin stands on the axis from `place` to `place_end`. The page's script gives the axis `ticks` and their `labels`.
    """
    axis = alt.Axis(values=_param("ticks"), labelExpr="labels[indexof(ticks, datum.value)]", labelOverlap=True)
    x = alt.X("place:Q", title=words["value"], axis=axis, scale=alt.Scale(nice=False, zero=False, padding=6))
    y = alt.Y("share:Q", title=words["share_of_samples"], axis=alt.Axis(tickCount=4, format="%"))
    tips = [
        alt.Tooltip("left:Q", format=".3~g", title=words["from"]),
        alt.Tooltip("right:Q", format=".3~g", title=words["to"]),
        alt.Tooltip("share:Q", format=".2%", title=words["share_of_samples"]),
    ]
    whole, own = (
        alt.Chart(alt.NamedData(name)).encode(x, y, x2="place_end:Q", y2=alt.datum(0), tooltip=tips)
        for name in ("all", "own")
    )
    both = whole.mark_bar(style=QUIET) + own.mark_bar(style="own", fillOpacity=0.65)
    return _spec(_with(both, {"ticks": [0], "labels": [""]}), height=150)


def head_profile(words: Words, categories: int) -> Spec:
    """The mean of one head in each category, with that of all heads; data `profile`: `category value all`."""
    y = alt.Y("category:N", sort=None, title=None, axis=alt.Axis(labelLimit=150, ticks=False, domain=False))
    scale = alt.Scale(zero=True, padding=6)
    x = alt.X("value:Q", title=words["mean"], axis=alt.Axis(tickCount=4, format=".2~g"), scale=scale)
    tips = [
        alt.Tooltip("category:N", title=words["category"]),
        alt.Tooltip("text:N", title=words["this_head"]),
        alt.Tooltip("all_text:N", title=words["all_heads"]),
    ]
    base = alt.Chart(alt.NamedData("profile")).encode(y, tooltip=tips)
    mark = base.mark_tick(style=QUIET, thickness=3, size=_ROW - 4).encode(alt.X("all:Q"))
    return _spec(base.mark_bar(style="own", height=_ROW - 9).encode(x) + mark, height=AXIS + _ROW * categories)


def distribution(words: Words, flows: Sequence[str]) -> Spec:
    """Histograms of columns as steps, on one axis; data `bars`: `left right flow label share place`, and `steps`.

    A step is where an outline goes on from: `x label share place`. The page's script gives `top`, the end of the axis,
    and `ink`, in which black is drawn.
    """
    colours = [alt.ExprRef("ink") if colour(flow) == _BOS else colour(flow) for flow in flows]
    ink = alt.Color("label:N", legend=None,
                    scale=alt.Scale(domain=[words.flow(flow) for flow in flows], range=colours))  # fmt: skip
    x = partial(alt.X, title=words["attention_mass"], axis=alt.Axis(tickCount=10, format="~g"),
                scale=alt.Scale(nice=False, padding=6))  # fmt: skip
    y = alt.Y("share:Q", stack=None, title=words["share_of_rows"], axis=alt.Axis(format="~g"),
              scale=alt.Scale(domainMin=0, domainMax=alt.ExprRef("top")))  # fmt: skip
    tips = [
        alt.Tooltip("label:N", title=words["column"]),
        alt.Tooltip("left:Q", format=".3~g", title=words["from"]),
        alt.Tooltip("right:Q", format=".3~g", title=words["to"]),
        alt.Tooltip("share:Q", format=".2%", title=words["share_of_rows"]),
    ]
    bars = alt.Chart(alt.NamedData("bars")).mark_bar(fillOpacity=0.18, stroke=None)
    bars = bars.encode(x("left:Q"), y, ink, x2="right:Q", y2=alt.datum(0), tooltip=tips)
    steps = alt.Chart(alt.NamedData("steps")).mark_line(interpolate="step-after", strokeWidth=2)
    steps = steps.encode(x("x:Q"), y, ink)
    return _spec(_with(bars + steps, {"top": 1, "ink": _BOS}), height=260)


def mass_by_step(words: Words, rows: Rows) -> Spec:
    """Image mass by step, with its interval, of all texts that are still written there and of a fixed set of them."""
    base = alt.Chart(alt.Data(values=rows))
    x = alt.X("step:Q", title=words["step_axis"], axis=alt.Axis(tickMinStep=1, format="d"),
              scale=alt.Scale(nice=False, zero=False, padding=10))  # fmt: skip
    names = list(dict.fromkeys(row["name"] for row in rows))
    ink = alt.Color("name:N", sort=None, title=None, scale=alt.Scale(domain=names, range=_INKS[:2]),
                    legend=alt.Legend(orient="top", labelLimit=420, direction="vertical", symbolOpacity=1))  # fmt: skip
    title = words["mass_of_step"]
    band = base.mark_area(opacity=0.2).encode(x, alt.Y("g2v_low:Q", title=title), y2="g2v_high:Q", color=ink)
    tips = [alt.Tooltip("step:Q", title=words["step"]), alt.Tooltip("g2v:Q", format=".4f", title=words["mean"])]
    tips += [alt.Tooltip(f"g2v_{end}:Q", format=".4f", title=words[f"interval_{end}"]) for end in ("low", "high")]
    tips += [alt.Tooltip(f"{each}:Q", title=words[each]) for each in ("texts", "images")]
    y = alt.Y("g2v:Q", title=title, scale=alt.Scale(zero=True))
    return _spec(band + base.mark_line(point=True).encode(x, y, color=ink, tooltip=tips), height=240)


def comparison(words: Words, found: Compared) -> dict[str, Spec]:
    """Accuracy by category, profiles over depth, and where heads can be matched, the map of their differences."""
    charts = {"answers": _answers(words, found.answers)} if found.answers else {}
    charts["profiles"] = _profiles(words, found)
    return charts | ({"differences": _differences(words, found.heads)} if found.heads else {})


def _answers(words: Words, rows: Rows) -> Spec:
    """B - A of each category; grey where it is not significant, and hollow where it cannot be told."""
    data = []
    for order, row in enumerate(rows):
        ink = _INKS[0] if row["significant"] else UNCLEAR
        data.append(row | {"order": order, "ink": ink, "inside": "transparent" if row["untold"] else ink})
    tips = [alt.Tooltip("category:N", title=words["category"])]
    tips += [alt.Tooltip(f"{each}:Q", format=".1f", title=each.upper()) for each in ("a", "b")]
    tips += [alt.Tooltip("difference:Q", format="+.1f", title="B − A"), alt.Tooltip("told:N", title=words["result"])]
    sort = alt.EncodingSortField("order", op="min")  # names of categories may not stand in an expression
    y = alt.Y("category:N", sort=sort, title=None, axis=alt.Axis(labelLimit=150))
    base = alt.Chart(alt.Data(values=data)).encode(y, alt.Stroke("ink:N", scale=None), tooltip=tips)
    title = words["accuracy_difference"]
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(style=QUIET).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q", title=title), x2="high:Q")
    x, fill = alt.X("difference:Q", title=title), alt.Fill("inside:N", scale=None)
    return _spec(zero + bars + base.mark_point(size=70, opacity=1).encode(x, fill), height=AXIS + _ROW * len(rows))


def _profiles(words: Words, found: Compared) -> Spec:
    """The means of layers of both runs; the page's script gives `flow`, the column."""
    base = alt.Chart(alt.Data(values=found.profiles)).transform_filter("datum.flow === flow")
    x = alt.X("depth:Q", title=words["depth"], axis=alt.Axis(format="~g"), scale=alt.Scale(domain=[0, 1], padding=8))
    ink = alt.Color("run:N", sort=None, scale=alt.Scale(domain=list(found.names), range=_INKS[:2]), title=None,
                    legend=alt.Legend(orient="top", labelLimit=320, direction="vertical", symbolOpacity=1))  # fmt: skip
    band = base.mark_area(opacity=0.2).encode(x, alt.Y("low:Q", title=words["mean"]), y2="high:Q", color=ink)
    tips = [alt.Tooltip("run:N", title=words["run"]), alt.Tooltip("layer:O", title=words["layer"])]
    tips += [alt.Tooltip("mean:Q", format=".4f", title=words["mean"])]
    line = base.mark_line(point=True).encode(x, alt.Y("mean:Q", title=words["mean"]), color=ink, tooltip=tips)
    return _spec(_with(band + line, {"flow": ""}), height=240)


def _differences(words: Words, rows: Rows) -> Spec:
    """B - A of each head; the page's script gives `flow`, the column."""
    ends, beyond = {}, {}
    flows = flows_of(rows)
    for flow in flows:
        own = [row for row in rows if row["flow"] == flow]
        shown = np.array([row["difference"] for row in own if row["significant"]] or [row["difference"] for row in own])
        ends[flow] = colour_ends(shown, signed=True)[1]
        beyond[flow] = bool((np.abs(shown) > ends[flow] * (1 + _ROUNDING)).any())
    given = [alt.param(name, expr=f"({json.dumps(values)})[flow]")
             for name, values in (("end", ends), ("beyond", beyond))]  # fmt: skip
    scale = alt.Scale(domainMin=alt.ExprRef("-end"), domainMax=alt.ExprRef("end"), **_SIGNED)
    sign = "(!beyond || !datum.value ? '' : datum.value < 0 ? '≤ ' : '≥ ')"
    ticks, label = alt.ExprRef("[-end, 0, end]"), f"{sign} + format(datum.value, '+.3~r')"
    legend = alt.Legend(values=ticks, labelExpr=label, **LEGEND | {"title": "B − A"})
    colour = alt.condition("datum.significant", alt.Color("difference:Q", scale=scale, legend=legend), alt.value(_GREY))
    tips = [alt.Tooltip(f"{each}:O", title=words[each]) for each in ("layer", "head")]
    tips += [alt.Tooltip(f"{each}:Q", format=".4f", title=each.upper()) for each in ("a", "b")]
    tips += [alt.Tooltip("difference:Q", format="+.4f", title="B − A"), alt.Tooltip("p:Q", format=".4f", title="p")]
    chart = alt.Chart(alt.Data(values=rows)).transform_filter("datum.flow === flow").mark_rect()
    chart = chart.encode(
        alt.X("head:O", title=words["head"], axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        alt.Y("layer:O", title=words["layer"], axis=alt.Axis(labelOverlap=True)),
        color=colour,
        tooltip=tips,
    )
    return _spec(chart.add_params(alt.param("flow", value=flows[0]), *given), height=320)


def pruning(words: Words, sets: Rows, random: Rows, unit: str) -> Spec:
    """Points of the score that are left if a share of heads, or layers, is cut; the band is that of random sets."""
    own, band = ([row for row in rows if row["unit"] == unit] for rows in (sets, random))
    untouched = next((row["score"] + row["loss"] for row in own if row["score"] == row["score"]), float("nan"))
    points = _left(own, untouched)
    x = partial(alt.X, title=words[f"{unit}_cut"], axis=alt.Axis(format="%"), scale=alt.Scale(zero=True, padding=8))
    y = partial(alt.Y, title=words["score_left"], scale=alt.Scale(zero=True))
    ink = alt.Color("criterion:N", sort=None, scale=alt.Scale(range=_INKS), legend=alt.Legend(
        orient="top", title=None, symbolType="circle", symbolOpacity=1))  # fmt: skip
    tips = [alt.Tooltip(f"{each}:N", title=words[each]) for each in ("criterion", "order")]
    tips += [alt.Tooltip("number:Q", title=words["number"]), alt.Tooltip("left:Q", format=".1f", title=words["score"])]
    tips += [alt.Tooltip("loss:Q", format=".1f", title=words["loss"]), alt.Tooltip("p:Q", format=".3f", title="p")]
    base = alt.Chart(alt.Data(values=points)).encode(x("share:Q"), color=ink, tooltip=tips)
    orders = {"least": words["least_first"], "most": words["most_first"]}
    dash = alt.StrokeDash("order:N", scale=alt.Scale(domain=list(orders), range=[[1, 0], [5, 3]]),
                          legend=alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300,
                                            labelExpr=f"({json.dumps(orders)})[datum.value]"))  # fmt: skip
    layers = base.mark_rule().transform_filter("datum.order === 'least' && datum.share > 0")
    layers = layers.encode(y("left_low:Q"), y2="left_high:Q")
    layers += base.mark_line().encode(y("left:Q"), strokeDash=dash)
    layers += base.mark_point(filled=True, size=45, opacity=1).encode(y("left:Q"))
    if band:
        rows = [row | {name: untouched - row[name] for name in ("low", "median", "high")} for row in band]
        area = alt.Chart(alt.Data(values=rows)).mark_area(style=QUIET, opacity=0.35)
        layers = area.encode(x("share:Q"), y("low:Q"), y2="high:Q") + layers
    return _spec(layers, height=260)


def _left(rows: Rows, untouched: float) -> Rows:
    """What is left of the score, with its bounds; each line begins with the untouched model."""
    found = []
    for criterion, order in dict.fromkeys((row["criterion"], row["order"]) for row in rows):
        start = {"criterion": criterion, "order": order, "share": 0, "number": 0, "loss": 0.0, "left": untouched}
        own = [row for row in rows if (row["criterion"], row["order"]) == (criterion, order)]
        bounds = {"left": "loss", "left_low": "loss_high", "left_high": "loss_low"}
        found += [start, *(row | {left: untouched - row[loss] for left, loss in bounds.items()} for row in own)]
    return found


def _spec(chart: Any, **size: Any) -> Spec:
    """The chart in Vega-Lite, as wide as its place in the page; without Altair's own theme."""
    spec: Mapping[str, Any] = chart.properties(width="container", **size).to_dict()
    return {name: value for name, value in spec.items() if name not in ("config", "$schema")} | {
        "autosize": {"type": "fit", "contains": "padding"}
    }
