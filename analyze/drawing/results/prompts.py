"""Wordings of the same questions: their answers, and the heads that shift."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import new_figure, place_panels
from analyze.drawing.heads import GREY, draw_diverging_map, map_size
from analyze.drawing.intervals import NAMES, draw_intervals, name_rows
from analyze.drawing.texts import LETTERS, SMALLER, fit, put_legend

INK = "#0072B2"  # of Okabe and Ito
COLUMNS = 3  # maps side by side
# Column of the table, and of the bounds of its interval; what the axis says; where nothing would be
MEASURES = (
    ("accuracy", "low", "high", "Accuracy, %", None),
    ("lead", "lead_low", "lead_high", "Lead of the right answer, logits", 0.0),
    ("yes_bias", "bias_low", "bias_high", "Yes too often, points", 0.0),
)


def wordings_figure(answers: pd.DataFrame, of: Sequence[str]) -> Figure:
    """Accuracy, margin and yes-bias of each wording over all questions, with intervals; hollow marks have none.

    Args:
        answers: `wording`, and the columns of `MEASURES`; a row each wording.
    """
    measures = [measure for measure in MEASURES if answers[measure[0]].notna().any()]
    size = 1.0 + NAMES + 2.9 * len(measures), 2.0 + 0.34 * len(answers)
    figure = new_figure(size, "Answers by wording, 95% intervals by image", of)
    panels = place_panels(figure, 1, len(measures), left=NAMES, between=(0.3, 0), sharey=True)
    for axes, (value, low, high, words, nothing) in zip(panels, measures, strict=True):
        if nothing is not None:
            axes.axvline(nothing, color="0.4", linewidth=1)
        draw_intervals(axes, answers[value], answers[low], answers[high], marker="o", ink=INK)
        axes.set_xlabel(words)
    name_rows(panels[0], answers["wording"].tolist())
    return figure


def shifts_figure(heads: pd.DataFrame, shape: tuple[int, int], flow: str, baseline: str, of: Sequence[str]) -> Figure:
    """A layer x head map for each wording, on one scale: its difference from the baseline; grey: not significant.

    Args:
        heads: `wording`, `difference`, `significant`; of each wording a row for each head, layer by layer.
        shape: layers and heads.
    """
    wordings = list(heads["wording"].unique())
    columns = min(COLUMNS, len(wordings))
    rows = -(-len(wordings) // columns)
    width, height = map_size(*shape)
    size = 2.0 + (width - 2.0) * (1 if columns == 1 else 0.62 * columns), 0.9 + (height - 0.4) * rows
    figure = new_figure(size, f"Heads whose {flow.upper()} shifts from the wording {baseline}", of)
    panels = place_panels(figure, rows, columns, right=1.3, above=0.65, between=(0.7, 0.95))
    moved = heads.loc[heads["significant"], "difference"].abs()
    furthest = float(moved.max() if len(moved) else heads["difference"].abs().max()) or 1e-6
    across, _ = figure.get_size_inches()
    for axes, name in zip(panels, wordings, strict=False):
        own = heads[heads["wording"] == name]
        values, shown = (own[each].to_numpy().reshape(shape) for each in ("difference", "significant"))
        image = draw_diverging_map(
            axes, values.astype(np.float64), middle=0, furthest=furthest, colours="RdBu_r", shown=shown.astype(bool)
        )
        axes.set_title(fit(name, LETTERS, axes.get_position().width * across), size=LETTERS, parse_math=False)
    for axes in panels[len(wordings) :]:
        axes.remove()
    end = panels[columns - 1].get_position()
    bar = figure.add_axes((end.x1 + 0.25 / across, end.y0, 0.18 / across, end.height))
    figure.colorbar(image, cax=bar, label=f"Difference of mean {flow.upper()}")
    put_legend(
        panels[0], [Patch(color=GREY)], ["not significant"], "", letters=LETTERS * SMALLER, width=across - 0.2,
        middle=across / 2, above=0.3,
    )  # fmt: skip
    return figure
