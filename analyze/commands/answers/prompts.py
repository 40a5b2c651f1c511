"""`prompts`: which wording of the questions is answered best."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.opening import files_of, make_folder, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.tables.frames import Heads, check_flows
from analyze.tables.output import present
from schemas.cli import at_work, say
from schemas.text import counted

if TYPE_CHECKING:
    from analyze.prompts import PromptComparison


def compare_wordings(arguments: argparse.Namespace) -> int:
    """`prompts`: the verdict, then tables, CSV files and pictures."""
    from analyze.prompts import compare_prompts

    heads = opened(arguments.run, mixed=True)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    folder = output_folder(arguments.output_dir, heads, "prompts")
    make_folder(folder)
    found = compare_prompts(
        heads, flows, text_scope=arguments.text_scope, baseline=arguments.baseline, resamples=arguments.resamples,
        seed=arguments.seed,
    )  # fmt: skip
    say(f"{heads.run.path}, {heads.run.manifest.model}")
    tables = {"heads.csv": found.heads}
    if len(found.whole):
        tables |= {
            "wordings.csv": found.whole,
            "categories.csv": found.categories,
            "pairs.csv": found.pairs,
            "best.csv": found.best,
        }
    present(
        found.verdict(),
        tables,
        folder,
        heads.run.path,
        show=lambda: _print(found, arguments),
        draw=lambda: _draw(found, heads, folder, arguments),
    )
    return 0


def _print(found: "PromptComparison", arguments: argparse.Namespace) -> None:
    if found.whole.empty:
        return
    print(f"\nby wording; 95% intervals, {arguments.resamples} resamples of images, seed {arguments.seed}")
    print(as_text(found.whole.drop(columns="bias_note").dropna(axis="columns", how="all"), 2))
    for measure, what in (("accuracy", "accuracy, %"), ("score", "MME score")):
        rows = found.categories[found.categories[measure].notna()]
        if len(rows):
            table = rows.pivot(index="category", columns="wording", values=measure)
            print(
                f"\n{what}\n{as_text(table.loc[rows['category'].unique(), found.names].reset_index(), 1, bounds=False)}"
            )
    print("\nlead of the better of two wordings, points of accuracy; adjusted_p: sign flips, maximum over pairs")
    print(as_text(found.pairs, 4))


def _draw(found: "PromptComparison", heads: Heads, folder: Path, arguments: argparse.Namespace) -> list[Path]:
    from analyze.drawing.results.prompts import shifts_figure, wordings_figure
    from analyze.pictures.of_run import subject

    of, paths = (*subject(heads), counted(found.questions, "question"), counted(found.images, "image")), []
    with at_work("drawing"), files_of(arguments) as files:
        if len(found.whole):
            paths.append(files.save(wordings_figure(found.whole, of), folder / "wordings"))
        for flow, rows in found.heads.groupby("flow", sort=False):
            figure = shifts_figure(rows, (heads.layers, heads.heads), str(flow), found.baseline, of)
            paths.append(files.save(figure, folder / f"shifts_{flow}"))
    return paths
