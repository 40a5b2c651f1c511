"""`compare`: two runs, or the distances of several."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import (
    Flows,
    FlowSettings,
    PictureSettings,
    PromptSettings,
    Related,
    ResampleSettings,
    WorkerSettings,
)
from analyze.opening import check_named_once, flows_of, name_with, opened, output_folder, with_step
from analyze.results import Result, Shown
from schemas.commands.settings import Flag, settings_of
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.text import counted
from schemas.workers.work import Workers

if TYPE_CHECKING:
    from analyze.compare.comparison import Comparison
    from analyze.results import Figures
    from analyze.tables.frames import Heads


@dataclass(frozen=True)
class CompareSettings(ResampleSettings, PictureSettings, FlowSettings, WorkerSettings, PromptSettings):
    """Settings of `compare`."""

    runs: Annotated[tuple[Location, ...], "A and B, or more, directories of runs", Flag(metavar="RUN")]
    _: KW_ONLY
    metrics: Flows = ("t2v", "v2t", "q2v", "a2v")
    related: Related = False

    def check(self) -> None:
        """Refuse a single run, and of several what only two have: intervals and pictures."""
        super().check()
        if len(self.runs) < 2:
            raise HeadflowError("compare takes two runs or more; give another RUN")
        of_two = {"related", *(each.name for base in (ResampleSettings, PictureSettings) for each in settings_of(base))}
        for each in settings_of(type(self)) if len(self.runs) > 2 else ():
            if each.name in of_two - {"output_dir"} and getattr(self, each.name) != each.default:
                raise HeadflowError("with more than two runs it does nothing", setting=each.name)


def compare_runs(settings: CompareSettings) -> Result:
    """`compare`: the verdict, tables and pictures; of several runs, their distances."""
    with settings.open_workers() as workers:
        runs = _opened(settings.runs, settings.prompt, workers)
        check_named_once(runs)
        metrics = flows_of(runs, settings.metrics, CompareSettings.metrics)
        found = [with_step(heads, metrics, settings.step) for heads in runs]
        runs, flows = [heads for heads, _ in found], found[0][1]
        if len(runs) > 2:
            return _several(settings, runs, flows, workers)
        return _two(settings, runs[0], runs[1], flows, workers)


def _opened(paths: Sequence[Location], prompt: str | None, workers: Workers) -> "list[Heads]":
    """The runs, in a wording where they have several; one without wordings is taken as it is."""
    from analyze.tables.frames import ANSWERS, IMAGE_KEYS, TOKEN_COUNTS, in_one_wording

    columns = [*TOKEN_COUNTS, *IMAGE_KEYS, *ANSWERS, "question", "lead"]
    runs = [opened(path, mixed=True, columns=columns, workers=workers) for path in paths]
    return in_one_wording(runs, prompt)


def _two(settings: CompareSettings, a: "Heads", b: "Heads", flows: Sequence[str], workers: Workers) -> Result:
    from analyze.compare.comparison import compare
    from analyze.scores.accuracy import about_lead

    folder = output_folder(settings.output_dir, b, name_with("compared_with", b, a))
    with settings.load_beside() as loaded:
        found = compare(
            a, b, flows, text_scope=settings.text_scope, related=settings.related, resamples=settings.resamples,
            seed=settings.seed, workers=workers,
        )  # fmt: skip
        loaded()
    runs = (("A", a.run), ("B", b.run))
    shown: list[Shown | str] = (
        [Shown("settings that differ", found.settings, 4)] if len(found.settings) else ["", "no setting differs"]
    )
    if len(found.answers):
        title = f"answers; intervals of 95%, {settings.resamples} resamples of {found.units} with seed {settings.seed}"
        shown.append(Shown(title, found.answers, 2))
    shown.append(Shown("masses, means over samples and heads; intervals of 95%", found.means, 4))
    return Result(
        b.run.path,
        folder,
        about=[
            *(f"{name}: {each.path}, {each.manifest.model or 'model unknown'}" for name, each in runs),
            found.pairs.in_words(),
            *about_lead(a.samples, b.samples),
        ],
        statements=found.verdict(),
        shown=shown,
        tables=found.tables(),
        figures=_figures(found, a, b),
    )


def _figures(found: "Comparison", a: "Heads", b: "Heads") -> "Figures":
    from analyze.compare.verdict import clear, found_of_heads
    from analyze.drawing.results.comparison import differences_figure, masses_figure, scores_figure

    names = f"A: {_name(a)}", f"B: {_name(b)}"
    table = found.pairs.table
    of = counted(len(table), "paired sample"), counted(table["image"].nunique(), "image")
    accuracy = found.answers[found.answers["measure"] == "accuracy"]
    if len(accuracy):
        title = "Accuracy of two runs, 95% intervals by image"
        yield "accuracy", partial(scores_figure, accuracy.assign(significant=clear(accuracy)), title, of, names)
    tables = found.distributions, found.profiles, found.head_means
    yield "masses", partial(masses_figure, *tables, "Attention masses of two runs", of, names)
    for each in found.heads:
        flow, shape = each.table["flow"].iloc[0], a.shape
        differences = each.table["difference"].to_numpy().reshape(shape)
        significant = each.table["significant"].to_numpy().reshape(shape)
        about = "B − A of each head", (*names, *of)
        none = f"{flow.upper()}: {found_of_heads(each, found.floor)}"
        draw = partial(differences_figure, differences, significant, flow, *about, none=none)
        yield f"head_differences_{flow}", partial(draw, layers=a.run.manifest.attending)


def _name(heads: "Heads") -> str:
    model = heads.run.manifest.model
    return f"{Path(model).name}, {heads.run.path.name}" if model else heads.run.path.name


def _several(settings: CompareSettings, runs: "list[Heads]", flows: Sequence[str], workers: Workers) -> Result:
    from analyze.compare.comparison import distances

    names = [str(each.run.path) for each in runs]
    folder = output_folder(settings.output_dir, runs[0], "compared")
    table = distances(dict(zip(names, runs, strict=True)), flows, settings.text_scope, workers)
    statements, shown = [], []
    for flow in flows:
        rows = table[table["flow"] == flow]
        some = rows.set_index(["a", "b"])["distance"]
        nearest = min(combinations(names, 2), key=lambda pair: some[pair])
        furthest = max(combinations(names, 2), key=lambda pair: some[pair])
        statements.append(
            f"{flow}: nearest {nearest[0]} and {nearest[1]} ({some[nearest]:.4f}), "
            f"furthest {furthest[0]} and {furthest[1]} ({some[furthest]:.4f})"
        )
        matrix = rows.pivot(index="a", columns="b", values="distance").loc[names, names]
        title = f"{flow}: distance of the distributions of all values (1-Wasserstein)"
        square = matrix.rename_axis(index="run", columns=None).reset_index()
        shown.append(Shown(title, square, 4, bounds=False))
    tables = {"distances.csv": table}
    return Result(runs[0].run.path, folder, statements=statements, shown=shown, tables=tables)
