"""`report`: a run, and its comparison with another one, as one page for a browser."""

import argparse

from analyze.opening import check_named_once, check_no_folder, make_folder, name_with, opened, output_folder
from analyze.tables.frames import Heads, in_wording, wordings
from schemas.cli import say
from schemas.errors import HeadflowError
from schemas.files.writing import write_text
from schemas.store.directory import record_outputs

PACKAGES = ("altair", "jinja2", "vl_convert")


def report_run(arguments: argparse.Namespace) -> int:
    """`report`: the page, and how large it is."""
    try:
        from analyze.report.page import Choices, make_page
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise HeadflowError(f"the page needs {error.name}: pip install -e '.[report]'") from None
    heads = opened(arguments.run, arguments.prompt)
    other = _other(arguments)
    check_named_once([heads, other] if other else [heads])
    folder = output_folder(arguments.output_dir, heads)
    make_folder(folder)
    choices = Choices(arguments.lang, arguments.images, arguments.text_scope, arguments.related, arguments.seed)
    name = "report" if other is None else name_with("report_with", heads, other)
    file = folder / f"{name}{'' if arguments.lang == 'en' else f'.{arguments.lang}'}.html"
    check_no_folder(file)
    text = make_page(heads, other, choices)
    write_text(file, text)
    record_outputs(heads.run.path, [file])
    say(f"{file}, {len(text.encode()) / 1e6:.1f} MB; open it in a browser, or send it: it needs nothing else")
    return 0


def _other(arguments: argparse.Namespace) -> Heads | None:
    """The run to compare with, in the same wording where it has several."""
    if arguments.other is None:
        return None
    heads = opened(arguments.other, mixed=True)
    return in_wording(heads, arguments.prompt if wordings(heads) else None)
