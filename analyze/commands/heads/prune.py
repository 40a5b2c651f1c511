"""`prune`: which heads or layers can be cut. First the sets to knock out; once that is done, what they cost."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import pandas as pd

from analyze.opening import files_of, make_folder, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.tables.frames import Heads
from analyze.tables.output import present
from schemas.cli import at_work, say
from schemas.errors import HeadflowError
from schemas.jobs.job import job_names
from schemas.store.directory import record_outputs
from schemas.store.ledger import JOB_NAME
from schemas.text import counted, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analyze.prune.results import Ranking, Tested

SHOWN = 10  # heads on the terminal
PRINTED = ["unit", "criterion", "order", "number", "effect", "accuracy", "loss", "loss_low", "loss_high", "bound", "p"]
PRINTED += ["p_less"]


def prune_run(arguments: argparse.Namespace) -> int:
    """`prune`: the verdict, then tables, CSV files, pictures, and the sets to knock out or the plan."""
    heads = opened(arguments.run, arguments.prompt)
    if not JOB_NAME.fullmatch(arguments.job):
        raise HeadflowError(
            f"{short(arguments.job)} is no name of a job: small letters, digits and _, a letter first", setting="job"
        )
    folder = output_folder(arguments.output_dir, heads, "prune")
    make_folder(folder)
    return (_test if arguments.job in job_names(heads.run) else _rank)(heads, folder, arguments)


def _rank(heads: Heads, folder: Path, arguments: argparse.Namespace) -> int:
    """The first step: rank, and write the sets to knock out."""
    from analyze.prune.design import write_design
    from analyze.prune.plan import PLAN
    from analyze.prune.results import make_design, rank_run

    found = rank_run(
        heads, criteria=arguments.criteria, effects=arguments.effects, resamples=arguments.resamples,
        seed=arguments.seed,
    )  # fmt: skip
    design, sets = make_design(found, heads, shares=arguments.shares, random=arguments.random, seed=arguments.seed)
    tests = found.samples["sample_id"].astype(str)[found.tests].tolist()
    (folder / PLAN).unlink(missing_ok=True)  # of other sets
    files = write_design(folder, design, sets, tests)
    record_outputs(heads.run.path, files)
    say(f"{heads.run.path}, {heads.run.manifest.model}")
    _present(found, found.tables(), heads, folder, arguments)
    passes = len(sets) * len(tests)
    run, sets_file, tests_file = (quote(str(each)) for each in (heads.run.path, files[2], files[0]))
    print(
        f"\nnext, {counted(len(sets), 'set')} x {counted(len(tests), 'sample')} = {passes:,} whole passes of the model:"
    )
    say(
        f"python -m extract knock-out {run} --sets {sets_file} --kind remove --job {arguments.job} "
        f"--samples {tests_file}",
        whole=True,
    )
    say("then this command again; fewer --criteria, --shares or --random sets take fewer passes")
    return 0


def _test(heads: Heads, folder: Path, arguments: argparse.Namespace) -> int:
    """The second step: what the sets cost, and the plan."""
    from analyze.prune.design import DESIGN
    from analyze.prune.plan import write_plan
    from analyze.prune.results import cost_of_sets

    found = cost_of_sets(
        heads, arguments.job, folder, allowed=arguments.loss, resamples=arguments.resamples, seed=arguments.seed
    )
    files = write_plan(folder, found.plan, found.costs, found.named, arguments.job, found.design.seed)
    record_outputs(heads.run.path, files)
    say(f"{heads.run.path}, {heads.run.manifest.model}, job {arguments.job}")
    say(
        f"the sets, their criteria and the halves are those of {folder / DESIGN}; of the flags, --loss, --resamples "
        "and, for the resamples, --seed count here; another --job makes other sets"
    )
    _present(found, found.tables(), heads, folder, arguments)
    say(f"the plan is in {files[0]}" if files else f"no plan was written to {folder}, and an earlier one is removed")
    return 0


def _present(
    found: "Ranking | Tested",
    tables: Mapping[str, pd.DataFrame],
    heads: Heads,
    folder: Path,
    arguments: argparse.Namespace,
) -> None:
    present(
        found.verdict(),
        tables,
        folder,
        heads.run.path,
        show=lambda: _print(tables, arguments),
        draw=lambda: _draw(found, heads, folder, arguments),
    )


def _print(tables: Mapping[str, pd.DataFrame], arguments: argparse.Namespace) -> None:
    print(f"\ncriteria; 95% intervals by image, {arguments.resamples} resamples, seed {arguments.seed}")
    print(as_text(tables["criteria.csv"].dropna(axis="columns", how="all"), 2))
    if "sets.csv" in tables:
        print("\nsets; p: random sets of as many heads in each layer cost as much lead or more, p_less: or less")
        print(as_text(tables["sets.csv"][PRINTED].dropna(axis="columns", how="all"), 3))
        return
    for unit in ("heads", "layers"):
        if (table := tables.get(f"{unit}.csv")) is not None:
            keys = ["layer", "head"] if unit == "heads" else ["layer"]
            ranks = table.pivot(index=keys, columns="criterion", values="rank")[table["criterion"].unique()]
            first = ranks.sort_values(ranks.columns[-1]).head(SHOWN).reset_index()
            print(f"\n{unit} that {ranks.columns[-1]} cuts first, of {len(ranks)}: ranks by each criterion")
            print(as_text(first.rename_axis(columns=None), 0))
    if len(tables["relations.csv"]):
        print(
            "\nrank correlations of criteria; with the measured effect also on halves: the criterion on half of the "
            "images, the effect on the others; within layers, with p; auroc: finds the quarter with the largest effect"
        )
        print(as_text(tables["relations.csv"].dropna(axis="columns", how="all"), 3))


def _draw(found: "Ranking | Tested", heads: Heads, folder: Path, arguments: argparse.Namespace) -> list[Path]:

    with at_work("drawing"), files_of(arguments) as files:
        return [files.save(figure, folder / name) for name, figure in _figures(found, heads)]


def _figures(found: "Ranking | Tested", heads: Heads) -> "Iterator[tuple[str, Figure]]":
    from analyze.drawing.results.prune import curves_figure, relations_figure
    from analyze.pictures.of_run import subject
    from analyze.prune.controls import bands
    from analyze.prune.results import Tested

    ranking = found.ranking if isinstance(found, Tested) else found
    for unit in ("heads", "layers"):
        own = ranking.relations[(ranking.relations["unit"] == unit) & (ranking.relations["other"] == "effect")]
        if len(own):
            values = {each.criterion.name: each.means for each in ranking.ranked if each.criterion.unit == unit}
            number = len(ranking.ranked[0].by_image)
            yield f"relations_{unit}", relations_figure(values, own, unit, (*subject(heads), counted(number, "image")))
    if not isinstance(found, Tested):
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
        yield f"curves_{unit}", curves_figure(rows, random, untouched, unit, of)
