"""`compare`: two runs, or the distances of several."""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analyze.opening import check_named_once, files_of, make_folder, name_with, opened, output_folder, workers_of
from analyze.printing.terminal import as_text
from analyze.tables.frames import ANSWERS, IMAGES, TOKENS, Heads, check_flows, in_wording, wordings
from analyze.tables.output import present, write_csv
from schemas.cli import at_work, say
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.store.directory import record_outputs
from schemas.text import counted
from schemas.workers.tasks import Workers

if TYPE_CHECKING:
    from analyze.compare.comparison import Comparison


def compare_runs(arguments: argparse.Namespace) -> int:
    """`compare`: the verdict, then tables, CSV files and pictures; of several runs, their distances."""
    if len(arguments.runs) < 2:
        raise HeadflowError("compare takes two runs or more; give another RUN")
    with workers_of(arguments) as workers:
        runs = _opened(arguments.runs, arguments.prompt, workers)
        check_named_once(runs)
        flows = list(arguments.metrics)
        for heads in runs:
            flows = list(check_flows(flows, heads.run.manifest))
        if len(runs) > 2:
            return _several(arguments, runs, flows, workers)
        return _two(arguments, runs[0], runs[1], flows, workers)


def _opened(paths: Sequence[Location], prompt: str | None, workers: Workers) -> list[Heads]:
    """The runs, in a wording where they have several; one without wordings is taken as it is."""
    columns = [*TOKENS, *IMAGES, *ANSWERS, "question"]
    runs = [opened(path, mixed=True, columns=columns, workers=workers) for path in paths]
    if prompt is not None and not any(map(wordings, runs)):
        raise HeadflowError("none of the runs asks in several wordings", setting="prompt")
    return [in_wording(heads, prompt if wordings(heads) else None) for heads in runs]


def _two(arguments: argparse.Namespace, a: Heads, b: Heads, flows: list[str], workers: Workers) -> int:
    from analyze.compare.comparison import compare

    folder = output_folder(arguments.output_dir, b, name_with("compared_with", b, a))
    make_folder(folder)
    found = compare(
        a, b, flows, text_scope=arguments.text_scope, related=arguments.related, resamples=arguments.resamples,
        seed=arguments.seed, workers=workers,
    )  # fmt: skip
    for name, heads in (("A", a), ("B", b)):
        say(f"{name}: {heads.run.path}, {heads.run.manifest.model}")
    say(found.pairs.in_words())
    tables = {"answers.csv": found.answers, "masses.csv": found.means}
    tables |= {"profiles.csv": pd.concat([each.profiles for each in found.masses])}
    if found.heads:
        tables["heads.csv"] = pd.concat([each.table for each in found.heads])
    present(
        found.verdict(),
        tables,
        folder,
        b.run.path,
        show=lambda: _print(found, arguments),
        draw=lambda: _draw(found, a, b, folder, arguments),
    )
    return 0


def _print(found: "Comparison", arguments: argparse.Namespace) -> None:
    print(f"\nsettings that differ\n{as_text(found.settings, 4)}" if len(found.settings) else "\nno setting differs")
    if len(found.answers):
        print(f"\nanswers; intervals of 95%, {arguments.resamples} resamples of images with seed {arguments.seed}")
        print(as_text(found.answers, 2))
    print(f"\nmasses, means over samples and heads; intervals of 95%\n{as_text(found.means, 4)}")


def _draw(found: "Comparison", a: Heads, b: Heads, folder: Path, arguments: argparse.Namespace) -> list[Path]:
    from analyze.compare.verdict import clear
    from analyze.drawing.results.comparison import differences_figure, masses_figure, scores_figure

    names = f"A: {_name(a)}", f"B: {_name(b)}"
    table = found.pairs.table
    of = counted(len(table), "paired sample"), counted(table["image"].nunique(), "image")
    paths = []
    with at_work("drawing"), files_of(arguments) as files:
        accuracy = found.answers[found.answers["measure"] == "accuracy"]
        if len(accuracy):
            title = "Accuracy of two runs, 95% intervals by image"
            accuracy = accuracy.assign(significant=clear(accuracy))
            paths.append(files.save(scores_figure(accuracy, title, of, names), folder / "accuracy"))
        figure = masses_figure(
            pd.concat([each.distributions for each in found.masses]),
            pd.concat([each.profiles for each in found.masses]),
            pd.concat([each.heads for each in found.masses]),
            "Attention masses of two runs",
            of,
            names,
        )
        paths.append(files.save(figure, folder / "masses"))
        for each in found.heads:
            flow, shape = each.table["flow"].iloc[0], (a.layers, a.heads)
            differences = each.table["difference"].to_numpy().reshape(shape)
            significant = each.table["significant"].to_numpy().reshape(shape)
            figure = differences_figure(differences, significant, flow, "B − A of each head", (*names, *of))
            paths.append(files.save(figure, folder / f"head_differences_{flow}"))
    return paths


def _name(heads: Heads) -> str:
    model = heads.run.manifest.model
    return f"{Path(model).name}, {heads.run.path.name}" if model else heads.run.path.name


def _several(arguments: argparse.Namespace, runs: list[Heads], flows: list[str], workers: Workers) -> int:
    from analyze.compare.distances import distances

    names = [str(each.run.path) for each in runs]
    folder = output_folder(arguments.output_dir, runs[0], "compared")
    make_folder(folder)
    table = distances(dict(zip(names, runs, strict=True)), flows, arguments.text_scope, workers)
    unwritten = write_csv({"distances.csv": table}, folder)
    for flow in flows:
        some = table[table["flow"] == flow].set_index(["a", "b"])["distance"]
        nearest = min(combinations(names, 2), key=lambda pair: some[pair])
        furthest = max(combinations(names, 2), key=lambda pair: some[pair])
        say(f"{flow}: nearest {nearest[0]} and {nearest[1]} ({some[nearest]:.4f}), "
            f"furthest {furthest[0]} and {furthest[1]} ({some[furthest]:.4f})")  # fmt: skip
    for flow in flows:
        matrix = table[table["flow"] == flow].pivot(index="a", columns="b", values="distance").loc[names, names]
        print(f"\n{flow}: distance of the distributions of all values (1-Wasserstein)")
        print(as_text(matrix.rename_axis(index="run", columns=None).reset_index(), 4, bounds=False))
    if unwritten:
        raise unwritten
    record_outputs(runs[0].run.path, [folder / "distances.csv"])
    print()
    say(f"written: {folder / 'distances.csv'}")
    return 0
