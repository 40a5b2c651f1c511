"""Wordings of the same questions: their answers, and the heads that shift."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyze.drawing.figures import figure_below_title, place_panels
from analyze.drawing.heads import BAR, GREY, colour_bar, draw_diverging_map, map_size
from analyze.drawing.page import LETTERS, SMALLER, across, panels_across, size_of
from analyze.drawing.results.intervals import NAMES_WIDTH, draw_intervals, rows_figure
from analyze.drawing.results.signed import sentence_figure
from analyze.drawing.texts import TEXT_GAP, fit, legend_height, lines_height, put_legend
from analyze.pictures.labels import NOT_SIGNIFICANT
from schemas.manifest import Manifest

_INK = "#0072B2"  # of Okabe and Ito
_COLUMNS = 3  # maps side by side
_NARROWEST = 1.7  # inches of a map
# Column of the table, and of the bounds of its interval; what the axis says; where nothing would be
_MEASURES = (
    ("accuracy", "low", "high", "Accuracy, %", None),
    ("lead", "lead_low", "lead_high", "Lead of the right answer, logits", 0.0),
    ("yes_bias", "bias_low", "bias_high", "{option} too often, points", 0.0),
)


def wordings_figure(answers: pd.DataFrame, option: str, of: Sequence[str]) -> Figure:
    """Accuracy, lead and bias of each wording over all questions, with intervals; hollow marks have none.

    Args:
        answers: `wording`, and the columns of `_MEASURES`; a row each wording.
        option: that the bias is towards.
    """
    measures = [measure for measure in _MEASURES if measure[0] in answers and answers[measure[0]].notna().any()]
    natural, title = 1.0 + NAMES_WIDTH + 2.9 * len(measures), "Answers by wording, 95% intervals by image"
    figure, panels = rows_figure(natural, answers["wording"].tolist(), title, of, number=len(measures))
    for axes, (value, low, high, words, nothing) in zip(panels, measures, strict=True):
        if nothing is not None:
            axes.axvline(nothing, color="0.4", linewidth=1)
        draw_intervals(axes, answers[value], answers[low], answers[high], marker="o", ink=_INK)
        axes.set_xlabel(words.format(option=option))
    return figure


def shifts_figure(
    heads: pd.DataFrame, model: Manifest, flow: str, baseline: str, of: Sequence[str], none: str
) -> Figure:
    """A layer x head map for each wording, on one scale: its difference from the baseline; grey: not significant.

    Args:
        heads: `wording`, `difference`, `significant`; of each wording a row for each head, layer by layer.
        model: that of the run.
        none: the sentence that stands in place of the maps where no head shifts significantly.
    """
    title = f"Heads whose {flow.upper()} shifts from the wording {baseline}"
    moved = heads.loc[heads["significant"], "difference"].abs()
    if moved.empty:
        return sentence_figure(none, title, of)
    wordings = list(heads["wording"].unique())
    width, height = map_size(*model.shape)
    natural = 2.0 + (width - 2.0) * (1 if len(wordings) == 1 else 0.62 * min(_COLUMNS, len(wordings)))
    columns = panels_across(min(_COLUMNS, len(wordings)), natural, _NARROWEST, 0.8 + BAR, 0.7)
    rows = -(-len(wordings) // columns)
    above = legend_height([NOT_SIGNIFICANT], "", LETTERS * SMALLER, natural) + lines_height(1, LETTERS) + TEXT_GAP
    figure = figure_below_title(across(natural), above + (height - 1.6) * rows + 0.95 * (rows - 1) + 0.6, title, of)
    panels = place_panels(figure, rows, columns, right=BAR, above=above, between=(0.7, 0.95))
    for axes, name in zip(panels, wordings, strict=False):
        own = heads[heads["wording"] == name]
        values, shown = (own[each].to_numpy().reshape(model.shape) for each in ("difference", "significant"))
        image = draw_diverging_map(
            axes, values.astype(np.float64), furthest=float(moved.max()), shown=shown.astype(bool), of=model.attending
        )
        axes.set_title(fit(name, LETTERS, axes.get_position().width * size_of(figure)[0]), parse_math=False)
    for axes in panels[len(wordings) :]:
        axes.remove()
    colour_bar(figure, image, f"Difference of mean {flow.upper()}", panels[:columns])
    put_legend(panels[0], [Patch(color=GREY)], [NOT_SIGNIFICANT], "", above=lines_height(1, LETTERS))
    return figure
