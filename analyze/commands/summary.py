"""`summary`: tables as CSV, and the same on the terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyze.commands.shared_settings import (
    FlowSettings,
    FolderSettings,
    PromptSettings,
    RunSettings,
    SeedSettings,
    WorkerSettings,
)
from analyze.opening import opened, output_folder, with_flows
from analyze.results import Result, Shown
from schemas.columns import ANSWER_STEP
from schemas.text import counted, short

if TYPE_CHECKING:
    import pandas as pd

    from analyze.tables.frames import Heads


@dataclass(frozen=True)
class SummarySettings(SeedSettings, FolderSettings, FlowSettings, WorkerSettings, PromptSettings, RunSettings):
    """Settings of `summary`."""


def summarise_run(settings: SummarySettings) -> Result:
    """`summary`: means and quantiles of the masses, and the score of the task."""
    import pandas as pd

    from analyze.scores.accuracy import category_scores, total_scores
    from analyze.scores.intervals import score_intervals
    from analyze.statistics.clusters import Clusters
    from analyze.summary import GROUPS, summarise
    from analyze.tables.frames import ANSWERS, IMAGE_KEYS, TOKEN_COUNTS

    with settings.open_workers() as workers:
        counts = TOKEN_COUNTS if settings.text_scope else ()  # what another text scope is computed with
        heads = opened(settings.run, settings.prompt, columns=[*counts, *IMAGE_KEYS, *ANSWERS], workers=workers)
        heads, flows = with_flows(heads, settings.metrics, settings.step)
        scope = heads.scope(settings.text_scope)
        folder = output_folder(settings.output_dir, heads, check=False)
        table = summarise(heads, flows, scope, workers)
    manifest, statuses = heads.run.manifest, heads.samples["status"].value_counts()
    about = f"{manifest.model or manifest.question_file}: {', '.join(f'{n} {name}' for name, n in statuses.items())}"
    tables = {"summary.csv": table.assign(text_scope=scope.name)}
    observed = heads.samples if heads.observed.all() else heads.samples[heads.observed.to_numpy()]
    unit, units = Clusters.of(observed).units
    shown: list[Shown | str] = []
    for group in GROUPS:
        rows = table[table["group"] == group].drop(columns=["group", "q25", "q75"])
        title = f"by {group}" if shown else f"means with 95% intervals, whose unit is the {unit}"
        shown.append(Shown(title, _with_bounds_after("mean", rows), 4))
    task = heads.task
    if (scores := category_scores(heads.samples, task)).empty:
        asked = counted(len(observed), "observed question")
        shown += ["", f"{task.title}: none, as of {asked} none has a right answer that is {task.either}"]
    else:
        both = pd.concat([scores, total_scores(scores, heads.samples, task)])
        tables["scores.csv"] = scored = score_intervals(both, heads.samples, task, seed=settings.seed)
        shown += _scores_shown(scored, scores, heads, observed, f"{units} resampled with seed {settings.seed}")
    return Result(
        heads.run.path, folder, about=[about, *([scope.note] if scope.note else [])], shown=shown, tables=tables
    )


def _scores_shown(
    table: "pd.DataFrame", scores: "pd.DataFrame", heads: "Heads", observed: "pd.DataFrame", resampled: str
) -> Iterator[Shown | str]:
    """The table of scores, on how many questions it rests, and which do not count."""
    from analyze.scores.accuracy import right_options, without_figure

    task, samples = heads.task, heads.samples
    rests = f"{scores['questions'].sum():,} of {counted(len(samples), 'question')}"
    title = f"{task.title} by category, on {rests}; 95% intervals, {resampled}"
    shown = _with_bounds_after("accuracy" if task.by_accuracy else "score", table)
    yield Shown(title, shown.drop(columns="score") if task.by_accuracy else shown, 2)
    if bare := int(without_figure(samples, task).sum()):
        yield f"not asked: {counted(bare, 'question')} without a figure, which the score leaves out"
    if (left_out := int(scores["left_out"].sum()) - bare) > 0:
        why = "skipped, or one that they are scored with is missing" if task.groups else "skipped"
        yield f"partial: {counted(left_out, 'question')} left out of the scores: {why}"
    if other := int(right_options(observed, task).isna().sum()):
        yield f"not scored: {counted(other, 'question')} with a right answer that is {task.neither}"
    after = heads.run.manifest.answer_after
    if after and "said" in samples and (never := int(observed[ANSWER_STEP].isna().sum())):
        yield f"{counted(never, 'text')} without {short(after)}, and so without an answer"
    if unread := int(scores["unread"].sum()):
        yield f"{task.neither}: {counted(unread, 'answer')}, counted as wrong"


def _with_bounds_after(value: str, table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with the bounds of a value after it."""
    names = [name for name in table if name not in ("low", "high")]
    place = names.index(value) + 1
    return table[[*names[:place], "low", "high", *names[place:]]]
