"""`prompts`: which wording of the questions is answered best."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import (
    Flows,
    FlowSettings,
    PictureSettings,
    ResampleSettings,
    RunSettings,
    WorkerSettings,
)
from analyze.opening import opened, output_folder, with_flows
from analyze.results import Result, Shown
from schemas.text import counted

if TYPE_CHECKING:
    from analyze.results import Figures
    from analyze.tables.frames import Heads
    from analyze.wordings import PromptComparison


@dataclass(frozen=True)
class PromptsSettings(ResampleSettings, PictureSettings, FlowSettings, WorkerSettings, RunSettings):
    """Settings of `prompts`."""

    _: KW_ONLY
    metrics: Flows = ("a2v", "q2v")
    baseline: Annotated[str | None, "wording that heads are compared with (default: the first)"] = None


def compare_wordings(settings: PromptsSettings) -> Result:
    """`prompts`: the verdict, tables and pictures."""
    from analyze.scores.accuracy import about_lead
    from analyze.wordings import compare_prompts

    with settings.open_workers() as workers, settings.load_beside() as loaded:
        heads = opened(settings.run, mixed=True, workers=workers)
        heads, flows = with_flows(heads, settings.metrics, settings.step)
        folder = output_folder(settings.output_dir, heads, "prompts")
        found = compare_prompts(
            heads, flows, text_scope=settings.text_scope, baseline=settings.baseline, resamples=settings.resamples,
            seed=settings.seed, workers=workers,
        )  # fmt: skip
        loaded()
    tables = {"heads.csv": found.heads}
    if len(found.whole):
        tables |= {
            "wordings.csv": found.whole,
            "categories.csv": found.categories,
            "pairs.csv": found.pairs,
            "best.csv": found.best,
        }
    return Result(
        heads.run.path,
        folder,
        about=[f"{heads.run.path}, {heads.run.manifest.model}", *about_lead(heads.samples)],
        statements=found.verdict(),
        shown=list(_shown(found, settings)) if len(found.whole) else [],
        tables=tables,
        figures=_figures(found, heads),
    )


def _shown(found: "PromptComparison", settings: PromptsSettings) -> Iterator[Shown]:
    title = f"by wording; 95% intervals, {settings.resamples} resamples of {found.units[1]}, seed {settings.seed}"
    yield Shown(title, found.whole.drop(columns="bias_note", errors="ignore").dropna(axis="columns", how="all"), 2)
    measures = {"accuracy": "accuracy, %"} | ({"score": found.task.score} if not found.task.by_accuracy else {})
    measures |= {name: f"{meaning}, %" for name, meaning in found.task.further.items()}
    for measure, what in measures.items():
        rows = found.categories[found.categories[measure].notna()]
        if len(rows):
            table = rows.pivot(index="category", columns="wording", values=measure)
            table = table.loc[rows["category"].unique(), found.names].reset_index()
            yield Shown(what, table, 1, bounds=False)
    title = "lead of the better of two wordings, points of accuracy; adjusted_p: sign flips, maximum over pairs"
    yield Shown(title, found.pairs, 4)


def _figures(found: "PromptComparison", heads: "Heads") -> "Figures":
    from analyze.drawing.results.prompts import shifts_figure, wordings_figure
    from analyze.pictures.of_run import subject

    of = (*subject(heads), counted(found.questions, "question"), counted(found.images, "image"))
    if len(found.whole):
        yield "wordings", partial(wordings_figure, found.whole, found.task.first, of)
    for name, rows in found.heads.groupby("flow", sort=False):
        model, flow = heads.run.manifest, str(name)
        none = f"{flow.upper()}: {found.no_shift()}"
        yield f"shifts_{flow}", partial(shifts_figure, rows, model, flow, found.baseline, of, none)
