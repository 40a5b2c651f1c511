"""`diagnose`: where and how a model fails."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analyze.commands.answers.image import opened_pair, say_pairs
from analyze.opening import files_of, make_folder, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.tables.frames import Heads, check_flows
from analyze.tables.output import present
from schemas.cli import at_work, say
from schemas.errors import HeadflowError

if TYPE_CHECKING:
    from analyze.diagnose import Diagnosis
    from analyze.image.failures import Failures

SHOWN = 10  # heads and samples on the terminal


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
    pairs = opened_pair(arguments) if arguments.without is not None else None
    failures = find_failures(pairs) if pairs else None
    folder = output_folder(arguments.output_dir, heads, "diagnosis")
    make_folder(folder)
    scope = heads.scope(arguments.text_scope)
    try:
        found = diagnose(heads, flows, scope, resamples=arguments.resamples, seed=arguments.seed)
    except ValueError as error:
        raise HeadflowError(f"{arguments.run}: {error}") from None
    say(f"{heads.run.path}, {heads.run.manifest.model}")
    if pairs:
        say_pairs(pairs)
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
    print(as_text(found.states.drop(columns="bias_note"), 1))
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
    from analyze.drawing.results.diagnosis import answers_figure, contrasts_figure
    from analyze.pictures.of_run import subject

    of, paths = subject(heads), []
    with at_work("drawing"), files_of(arguments) as files:
        paths.append(files.save(answers_figure(found.states, found.calibration, of), folder / "answers"))
        for flow, rows in found.contrasts.groupby("flow", sort=False):
            values = (rows["contrast"] - rows["expected"]).to_numpy().reshape(heads.layers, heads.heads)
            significant = (rows["adjusted_p"] <= 0.05).to_numpy().reshape(heads.layers, heads.heads)
            paths.append(files.save(contrasts_figure(values, significant, str(flow), of), folder / f"contrast_{flow}"))
    return paths
