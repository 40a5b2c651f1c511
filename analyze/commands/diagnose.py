"""`diagnose`: where and how a model fails. `image`: what its answers owe to the image, from a run without it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analyze.opening import make_folder, opened, output_folder
from analyze.tables.frames import Heads, check_flows
from analyze.tables.output import as_text, present
from schemas.cli import say
from schemas.errors import HeadflowError

if TYPE_CHECKING:
    from analyze.diagnose import Diagnosis
    from analyze.image.failures import Failures
    from analyze.image.gain import Gain
    from analyze.image.pairs import ImagePairs

SHOWN = 10  # heads and samples on the terminal
HEADS_SHOWN = 5  # whose maps respond to the image, likewise


def diagnose_run(arguments: argparse.Namespace) -> int:
    """`diagnose`: the verdict, then tables, CSV files and pictures."""
    from analyze.diagnose import diagnose
    from analyze.image.failures import find_failures

    heads = opened(arguments.run, arguments.prompt)
    flows = check_flows(arguments.metrics, heads.run.manifest)
    if same := [flow for flow in flows if flow.startswith("v")]:
        raise HeadflowError(
            f"{', '.join(same)}: image tokens see nothing of the question, so both questions on an image have the same "
            "values, and they cannot tell which is answered wrong; ask for t2v, q2* and a2*",
            setting="metrics",
        )
    failures = find_failures(opened_pair(arguments)) if arguments.without is not None else None
    folder = output_folder(arguments.output_dir, heads, "diagnosis")
    make_folder(folder)
    scope = heads.scope(arguments.text_scope)
    try:
        found = diagnose(heads, flows, scope, resamples=arguments.resamples, seed=arguments.seed)
    except ValueError as error:
        raise HeadflowError(f"{arguments.run}: {error}") from None
    say(f"{heads.run.path}, {heads.run.manifest.model}")
    tables = {"states.csv": found.states, "contrasts.csv": found.contrasts, "worst.csv": found.worst}
    tables |= {"difficulty.csv": found.difficulty} if len(found.difficulty) else {}
    tables |= {"calibration.csv": found.calibration.curve} if found.calibration else {}
    tables |= {"causes.csv": failures.counts, "failures.csv": failures.samples} if failures else {}
    present(
        [*found.verdict(), *(failures.verdict() if failures else [])],
        tables,
        folder,
        heads.run.path,
        show=lambda: _print(found, failures, arguments),
        draw=lambda: _draw(found, heads, folder, arguments),
    )
    return 0


def _print(found: "Diagnosis", failures: "Failures | None", arguments: argparse.Namespace) -> None:
    print(f"\npairs of questions; 95% intervals, {arguments.resamples} resamples of images, seed {arguments.seed}")
    print(as_text(found.states, 1))
    if len(found.difficulty):
        print(f"\nby difficulty, as the question file says\n{as_text(found.difficulty, 1)}")
    if failures is not None:
        print(f"\nwrong answers by cause; shares of them in %, ignored: moved by up to {failures.threshold:.3g} logits")
        print(as_text(failures.counts, 1))
    if len(found.contrasts):
        print("\nheads with the smallest p; expected: where nothing is told; adjusted_p: false discovery rate")
        print(as_text(found.contrasts.sort_values("p").head(SHOWN), 3))
    if len(found.worst):
        print(f"\nwrong answers of which it was surest, {min(SHOWN, len(found.worst))} of {len(found.worst)}")
        print(as_text(found.worst.head(SHOWN).drop(columns="image"), 2))


def _draw(found: "Diagnosis", heads: Heads, folder: Path, arguments: argparse.Namespace) -> list[Path]:
    from analyze.drawing.figures import FigureFiles, style
    from analyze.drawing.results.diagnosis import answers_figure, contrasts_figure
    from analyze.pictures.of_run import subject

    of, paths = subject(heads), []
    with style(), FigureFiles(arguments.dpi, arguments.format) as files:
        paths.append(files.save(answers_figure(found.states, found.calibration, of), folder / "answers"))
        for flow, rows in found.contrasts.groupby("flow", sort=False):
            values = (rows["contrast"] - rows["expected"]).to_numpy().reshape(heads.layers, heads.heads)
            significant = (rows["adjusted_p"] <= 0.05).to_numpy().reshape(heads.layers, heads.heads)
            paths.append(files.save(contrasts_figure(values, significant, str(flow), of), folder / f"contrast_{flow}"))
    return paths


def image_of_run(arguments: argparse.Namespace) -> int:
    """`image`: the verdict, then tables, CSV files and a picture."""
    from analyze.image.content import content_by_head
    from analyze.image.gain import find_gain

    pairs = opened_pair(arguments)
    folder = output_folder(arguments.output_dir, pairs.run, f"image_over_{pairs.without.run.path.name}")
    make_folder(folder)
    found, content = find_gain(pairs), content_by_head(pairs)
    say(f"{pairs.run.run.path}, {pairs.run.manifest.model}")
    say(f"without the image: {pairs.without.run.path}, {pairs.without.manifest.images} images")
    say(pairs.pairs.in_words())
    tables = {"image.csv": found.table} | ({"scores.csv": found.scores} if len(found.scores) else {})
    tables |= {} if content is None else {"heads.csv": content}
    present(
        found.verdict(),
        tables,
        folder,
        pairs.run.run.path,
        show=lambda: _print_gain(found, content, arguments),
        draw=lambda: _draw_gain(found, pairs, folder, arguments),
    )
    return 0


def opened_pair(arguments: argparse.Namespace) -> "ImagePairs":
    """A run and the one without its images, as the flags name them."""
    from analyze.image.pairs import pair_runs

    run, without = (opened(path, arguments.prompt) for path in (arguments.run, arguments.without))
    return pair_runs(run, without, resamples=arguments.resamples, seed=arguments.seed)


def _print_gain(found: "Gain", content: pd.DataFrame | None, arguments: argparse.Namespace) -> None:
    print(
        f"\nwith the image and without; 95% intervals, {arguments.resamples} resamples of images, seed {arguments.seed}"
    )
    habits = ["frequent", "unchanged", "yes", "yes_without"]
    print(as_text(found.table.drop(columns=habits), 2))
    print("\n%: right by the more frequent answer of a category, unchanged without the image, yes with it and without")
    print(as_text(found.table[["category", *habits]], 1))
    if len(found.scores):
        print(f"\nMME score\n{as_text(found.scores, 1)}")
    if content is not None:
        print(
            f"\nheads whose maps differ most between the images, {HEADS_SHOWN} of {len(content)}: Jensen-Shannon "
            "divergence, from 0, the same, to 1, apart; 95% intervals by image"
        )
        print(as_text(content.head(HEADS_SHOWN), 3))


def _draw_gain(found: "Gain", pairs: "ImagePairs", folder: Path, arguments: argparse.Namespace) -> list[Path]:
    from analyze.drawing.figures import FigureFiles, style
    from analyze.drawing.results.image import gain_figure
    from analyze.pictures.of_run import subject

    of = (*subject(pairs.run), f"without the image: {found.images}", f"{pairs.clusters.images} images")
    with style(), FigureFiles(arguments.dpi, arguments.format) as files:
        return [files.save(gain_figure(found.table, found.images, of), folder / "image")]
