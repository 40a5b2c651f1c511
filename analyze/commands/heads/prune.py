"""`prune`: which heads or layers can be cut. First the sets to knock out; once that is done, what they cost."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import PictureSettings, PromptSettings, ResampleSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result, Shown
from schemas.commands.settings import Between, Checked, Flag
from schemas.store.directory import record_outputs
from schemas.store.jobs import job_names
from schemas.store.ledger import check_job_name
from schemas.tasks import SUM
from schemas.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from analyze.prune.results import Ranking, TestedCut
    from analyze.results import Figures
    from analyze.tables.frames import Heads

_SHOWN = 10  # heads on the terminal
_PRINTED = ["unit", "criterion", "order", "number", "effect", "accuracy", "loss", "loss_low", "loss_high", "bound", "p"]
_PRINTED += ["p_less"]


@dataclass(frozen=True)
class PruneSettings(ResampleSettings, PictureSettings, PromptSettings, RunSettings):
    """Settings of `prune`."""

    _: KW_ONLY
    job: Annotated[str, "the job that knocks the sets out, once it is there", Checked(check_job_name)] = "prune"
    criteria: Annotated[tuple[str, ...] | None, "what heads and layers are ranked by (default: all that RUN has)"] = (
        None
    )
    effects: Annotated[
        tuple[str, ...] | None,
        "jobs that knocked out each single head, or skipped each single layer (default: the only ones, or edge)",
        Flag(metavar="JOB"),
    ] = None
    shares: Annotated[tuple[float, ...], "shares of heads that are cut", Between(0.001, 0.9)] = (0.125, 0.25, 0.5)
    random: Annotated[int, "random sets that each set is compared with", Between(0, 10**5)] = 200
    loss: Annotated[
        float | None,
        "points of the score that the plan may lose (default: 20 of a sum over categories, as MME's; 1 of another "
        "score)",
        Between(0, 10**5),
        Flag(metavar="POINTS"),
    ] = None


def prune_run(settings: PruneSettings) -> Result:
    """`prune`: the verdict, tables, pictures, and the sets to knock out or the plan."""
    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, "prune")
    return (_test if settings.job in job_names(heads.run) else _rank)(heads, folder, settings)


def _rank(heads: "Heads", folder: Path, settings: PruneSettings) -> Result:
    """The first step: rank, and write the sets to knock out."""
    from analyze.prune.design import write_design
    from analyze.prune.plan import PLAN
    from analyze.prune.results import make_design, rank_run

    found = rank_run(
        heads, criteria=settings.criteria, effects=settings.effects, resamples=settings.resamples, seed=settings.seed
    )
    design, sets = make_design(found, heads, shares=settings.shares, random=settings.random, seed=settings.seed)
    tests = found.samples["sample_id"].astype(str)[found.tests].tolist()
    (folder / PLAN).unlink(missing_ok=True)  # of other sets
    files = write_design(folder, design, sets, tests)
    record_outputs(heads.run.path, files)
    run, sets_file, tests_file = (quote(str(each)) for each in (heads.run.path, files[2], files[0]))
    passes = f"{counted(len(sets), 'set')} x {counted(len(tests), 'sample')} = {len(sets) * len(tests):,}"
    about = [f"{heads.run.path}, {heads.run.manifest.model}"]
    return _result(
        found,
        heads,
        folder,
        settings,
        about,
        next=[
            "",
            f"next, {passes} whole passes of the model:",
            f"python -m extract knock-out {run} --sets {sets_file} --kind remove --job {settings.job} "
            f"--samples {tests_file}",
            "then this command again; fewer --criteria, --shares or --random sets take fewer passes",
        ],
    )


def _test(heads: "Heads", folder: Path, settings: PruneSettings) -> Result:
    """The second step: what the sets cost, and the plan."""
    from analyze.prune.design import DESIGN
    from analyze.prune.plan import ALLOWED, write_plan
    from analyze.prune.results import cost_of_sets

    allowed = ALLOWED[heads.task.together == SUM] if settings.loss is None else settings.loss
    found = cost_of_sets(heads, settings.job, folder, allowed=allowed, resamples=settings.resamples, seed=settings.seed)
    files = write_plan(folder, found.plan, found.costs, found.named, settings.job, found.design.seed)
    record_outputs(heads.run.path, files)
    plan = f"the plan is in {files[0]}" if files else f"no plan was written to {folder}, and an earlier one is removed"
    about = [
        f"{heads.run.path}, {heads.run.manifest.model}, job {settings.job}",
        f"the sets, their criteria and the halves are those of {folder / DESIGN}; of the flags, --loss, --resamples "
        "and, for the resamples, --seed count here; another --job makes other sets",
    ]
    return _result(found, heads, folder, settings, about, next=[plan])


def _result(
    found: "Ranking | TestedCut",
    heads: "Heads",
    folder: Path,
    settings: PruneSettings,
    about: list[str],
    next: list[str],
) -> Result:
    tables = found.tables()
    return Result(
        heads.run.path,
        folder,
        about=about,
        statements=found.verdict(),
        shown=list(_shown(tables, settings)),
        tables=tables,
        figures=_figures(found, heads),
        next=next,
    )


def _shown(tables: "Mapping[str, pd.DataFrame]", settings: PruneSettings) -> Iterator[Shown]:
    title = f"criteria; 95% intervals by image, {settings.resamples} resamples, seed {settings.seed}"
    yield Shown(title, tables["criteria.csv"].dropna(axis="columns", how="all"), 2)
    if "sets.csv" in tables:
        title = "sets; p: random sets of as many heads in each layer cost as much lead or more, p_less: or less"
        yield Shown(title, tables["sets.csv"][_PRINTED].dropna(axis="columns", how="all"), 3)
        return
    for unit in ("heads", "layers"):
        if (table := tables.get(f"{unit}.csv")) is not None:
            keys = ["layer", "head"] if unit == "heads" else ["layer"]
            ranks = table.pivot(index=keys, columns="criterion", values="rank")[table["criterion"].unique()]
            first = ranks.sort_values(ranks.columns[-1]).head(_SHOWN).reset_index()
            title = f"{unit} that {ranks.columns[-1]} cuts first, of {len(ranks)}: ranks by each criterion"
            yield Shown(title, first.rename_axis(columns=None), 0)
    if len(tables["relations.csv"]):
        title = (
            "rank correlations of criteria; with the measured effect also on halves: the criterion on half of the "
            "images, the effect on the others; within layers, with p; auroc: finds the quarter with the largest effect"
        )
        yield Shown(title, tables["relations.csv"].dropna(axis="columns", how="all"), 3)


def _figures(found: "Ranking | TestedCut", heads: "Heads") -> "Figures":
    from analyze.drawing.results.prune import curves_figure, relations_figure
    from analyze.pictures.of_run import subject
    from analyze.prune.controls import bands
    from analyze.prune.results import TestedCut

    ranking = found.ranking if isinstance(found, TestedCut) else found
    for unit in ("heads", "layers"):
        own = ranking.relations[(ranking.relations["unit"] == unit) & (ranking.relations["other"] == "effect")]
        if len(own):
            values = {each.criterion.name: each.means for each in ranking.ranked if each.criterion.unit == unit}
            of = (*subject(heads), counted(len(ranking.ranked[0].by_image), "image"))
            yield f"relations_{unit}", partial(relations_figure, values, own, unit, of)
    if not isinstance(found, TestedCut):
        return
    of = (
        *subject(heads),
        counted(found.costs.samples, "question"),
        counted(found.costs.images, "image that", "images that") + " did not rank",
    )
    for unit in found.costs.sets["unit"].unique():
        rows = found.costs.sets[found.costs.sets["unit"] == unit]
        random = {measure: list(bands(found.costs.random, unit, measure)) for measure in ("effect", "loss")}
        untouched = {"effect": found.costs.lead, "loss": found.costs.score}
        name = heads.task.score
        score = f"{name[0].upper()}{name[1:]}"
        yield f"curves_{unit}", partial(curves_figure, rows, random, untouched, unit, of, score)
