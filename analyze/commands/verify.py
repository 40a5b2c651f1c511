"""`verify`: a run compared with published figures."""

import argparse

import pandas as pd

from analyze.opening import files_of, opened, output_folder
from analyze.printing.terminal import as_text
from analyze.reference import read_reference
from analyze.tables.output import unwritable, write_csv
from schemas.cli import USAGE, at_work, say
from schemas.store.directory import record_outputs
from schemas.text import fitted, printable


def verify_run(arguments: argparse.Namespace) -> int:
    """`verify`: returns 0 if the run matches, 1 if it differs, 2 if it cannot be compared, as `diff` does."""
    from analyze.drawing.results.verification import verification_figure
    from analyze.pictures.of_run import subject
    from analyze.verify import verify

    reference = read_reference(arguments.reference)
    heads = opened(arguments.run, arguments.prompt)
    folder = output_folder(arguments.output_dir, heads)
    result = verify(heads, reference)
    unwritten = write_csv({"verify.csv": result.figures}, folder)
    of = (*subject(heads), f"compared with {arguments.reference.name}")
    picture = folder / f"{arguments.prefix}_verify"
    try:
        with at_work("drawing"), files_of(arguments) as files:
            picture = files.save(verification_figure(result.figures, result.verdict()[0], of), picture)
    except OSError as error:
        unwritten = unwritten or unwritable(picture.name, folder, error)
    if not unwritten:
        record_outputs(heads.run.path, [folder / "verify.csv", picture])
    say(f"{arguments.run} against {reference.what}")
    say(f"source: {reference.source}")
    print("\n" + "\n  ".join(fitted(printable(line)) for line in result.verdict()))
    settings = pd.DataFrame(result.settings).rename(columns={"name": "setting"})
    print(f"\n{as_text(settings.replace({True: 'yes', False: 'no'}), 4)}")
    for group, figures in result.figures.groupby("group", sort=False):
        print(f"\n{'overall' if group == 'overall' else f'by {group}'}")
        print(as_text(figures.drop(columns="group"), 5))
    if not unwritten:
        print()
        say(f"written: {folder / 'verify.csv'}, {picture}")
    if unwritten:
        raise unwritten
    return 0 if result.matches else USAGE if result.obstacles else 1
