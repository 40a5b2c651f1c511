"""Oracle: the tables that the pictures are drawn from, read back from the artists."""

import numpy as np
import pandas as pd
import pytest

from analyze.drawing.figures import style
from analyze.drawing.results.prune import INKS, curves_figure, relations_figure

SHARES = [0.25, 0.5]
UNTOUCHED = {"loss": 1200.0, "effect": 2.0}


def table(names=("a2v", "effect"), orders=("least", "most")) -> pd.DataFrame:
    rows = [
        {"criterion": name, "order": order, "share": share, "loss": 100.0 * place + 10 * share, "effect": 0.1 * share}
        for place, (name, order) in enumerate((name, order) for name in names for order in orders)
        for share in SHARES
    ]
    table = pd.DataFrame(rows)
    for name in ("loss", "effect"):
        table = table.assign(**{f"{name}_low": table[name] - 1, f"{name}_high": table[name] + 2})
    return table


def band(low: float, high: float) -> list:
    return [(0.0, np.zeros(3)), *((share, np.array([low, (low + high) / 2, high])) for share in SHARES)]


def drawn(sets, untouched=UNTOUCHED, unit="heads"):
    with style():
        return curves_figure(
            sets, {"loss": band(100, 300), "effect": band(0.5, 1)}, untouched, unit, ["run x"], "MME score"
        )


def test_curves_are_what_is_left():
    sets = table()
    score, margin = drawn(sets).axes
    lines = {(line.get_color(), line.get_linestyle()): line for line in score.lines}
    for place, name in enumerate(("a2v", "effect")):
        for order, dashes in (("least", "-"), ("most", "--")):
            own = sets[(sets["criterion"] == name) & (sets["order"] == order)]
            line = lines[INKS[place], dashes]
            assert line.get_ydata().tolist() == pytest.approx([1200, *(1200 - own["loss"])])
            assert line.get_xdata() == pytest.approx([0, 25, 50], abs=1)
    whiskers = [each for each in score.collections if hasattr(each, "get_segments")]
    first = sets[(sets["criterion"] == "a2v") & (sets["order"] == "least")]
    ends = np.array(whiskers[0].get_segments())[:, :, 1]
    assert ends.tolist() == [
        [1200 - high, 1200 - low] for low, high in zip(first["loss_low"], first["loss_high"], strict=True)
    ]
    grey = score.collections[0].get_paths()[0].vertices
    assert (grey[:, 1].min(), grey[:, 1].max()) == (900, 1200)
    assert margin.get_xlabel() == "Heads cut, %"
    assert score.get_ylabel() == "MME score"
    names = [text.get_text() for text in score.get_legend().get_texts()]
    assert names == ["a2v, least first", "effect, least first", "most first", "random sets: 95%, median"]


def test_without_a_score_the_margin_alone():
    (axes,) = drawn(table(orders=("least",)), UNTOUCHED | {"loss": np.nan}, "layers").axes
    assert axes.get_ylabel() == "Lead, logits"
    assert axes.get_xlabel() == "Layers cut, %"
    assert "most first" not in [text.get_text() for text in axes.get_legend().get_texts()]


def test_criteria_against_the_measured_effect():
    random = np.random.default_rng(0)
    values = {name: random.normal(size=12) for name in ("a2v", "direct", "effect")}
    rows = [{"criterion": "a2v", "correlation": -0.4}]
    rows.append({"criterion": "direct", "correlation": 0.2})
    with style():
        figure = relations_figure(values, pd.DataFrame(rows), "heads", ["run x"])
    assert [axes.get_title() for axes in figure.axes] == ["ρ = -0.40", "ρ = +0.20"]
    for axes, name in zip(figure.axes, ("a2v", "direct"), strict=True):
        offsets = np.asarray(axes.collections[0].get_offsets())
        assert offsets == pytest.approx(np.stack([values[name], values["effect"]], axis=1))
