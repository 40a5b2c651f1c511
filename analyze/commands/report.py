"""`report`: a run, and its comparison with another one, as one page for a browser."""

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import (
    FolderSettings,
    PromptSettings,
    Related,
    RunSettings,
    ScopeName,
    SeedSettings,
)
from schemas.commands.settings import Between, Flag, Needs, OneOf
from schemas.files.locations import Location

if TYPE_CHECKING:
    from analyze.report.packing import Piece

from analyze.opening import check_named_once, check_no_folder, name_with, opened, output_folder
from analyze.results import Result
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.files.writing import write_text
from schemas.store.directory import record_outputs

PIECES = "pieces"  # where the page that is a folder has them
PIECE_NAME = re.compile(r"(page|(evidence|values|texts)(_b|(-\d+){2})|samples?-\d+|text-\d+)\.js")
_PACKAGES = ("altair", "jinja2", "vl_convert")
MOST_IMAGES = 1_000_000
MOST_MAPS = 100_000  # MB


@dataclass(frozen=True)
class ReportSettings(SeedSettings, FolderSettings, PromptSettings, RunSettings):
    """Settings of `report`."""

    other: Annotated[Location | None, "a run to compare it with", Flag(metavar="RUN_B")] = None
    _: KW_ONLY
    text_scope: ScopeName = None
    related: Annotated[Related, Needs("other")] = False
    lang: Annotated[str, "language of the page", OneOf(("en", "zh"))] = "en"
    images: Annotated[
        int | None, "thumbnails that the page holds, at most (default: 24; of a folder all)", Between(0, MOST_IMAGES)
    ] = None
    maps_mb: Annotated[
        float | None,
        "MB of maps that the page holds, at most, before they are compressed; a byte a patch (default: 1, for its "
        "images; of a folder 500, half for heads that stand out, half for samples with all heads)",
        Between(0, MOST_MAPS),
    ] = None
    folder: Annotated[bool, "write a folder: a small page that loads images, maps and values where it needs them"] = (
        False
    )


def report_run(settings: ReportSettings) -> Result:
    """`report`: the page, and how large it is."""
    try:
        from analyze.report.page import Choices, make_page
        from analyze.report.samples.maps import Unread
        from analyze.report.samples.pieces import Held
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise HeadflowError(f"the page needs {error.name}: pip install -e '.[report]'") from None
    from analyze.maps.reading import of_several
    from analyze.tables.frames import in_one_wording

    if settings.other is None:
        heads, other = opened(settings.run, settings.prompt), None
    else:
        runs = [opened(path, mixed=True) for path in (settings.run, settings.other)]
        heads, other = in_one_wording(runs, settings.prompt)
        check_named_once([heads, other])
    folder = output_folder(settings.output_dir, heads)
    choices = Choices(
        Held(settings.images, settings.maps_mb), settings.lang, settings.text_scope, settings.related, settings.seed
    )
    name = "report" if other is None else name_with("report_with", heads, other)
    name += "" if settings.lang == "en" else f".{settings.lang}"
    files = _write_folder if settings.folder else _write_file
    unread = Unread(), Unread()
    file, size, made = files(folder, name, lambda write: make_page(heads, other, choices, write, unread))
    record_outputs(heads.run.path, made)
    several = of_several(heads) if MAPS in heads.run.manifest.tables else None
    megabytes = f"{size / 1e6:.1f} MB"
    said = (
        f"{file}, in a folder of {megabytes}; open it in a browser, or put the folder on any web server"
        if settings.folder
        else f"{file}, {megabytes}; open it in a browser, or send it: it needs nothing else"
    )
    lacks = [
        f"the page lacks what {samples} of its samples have in {part}, which cannot be read: {error}"
        for own in unread
        for part, (samples, error) in own.parts.items()
    ]
    return Result(about=[said], warnings=[*filter(None, [several]), *lacks])


_Write = Callable[["Piece"], None]
_Make = Callable[[_Write | None], str]


def _write_file(folder: Path, name: str, make: _Make) -> tuple[Path, int, list[Path]]:
    """Write a page that is one file; returns its path, its size, and the files that were written."""
    file = folder / f"{name}.html"
    check_no_folder(file)
    text = make(None)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    return file, len(text.encode()), [file]


def _write_folder(folder: Path, name: str, make: _Make) -> tuple[Path, int, list[Path]]:
    """Write a page that is a folder: pieces first, then `index.html`; pieces of an earlier page that are left go."""
    folder = folder / name
    pieces, made = folder / PIECES, []
    if folder.exists() and not folder.is_dir():
        raise HeadflowError(f"{folder} is a file, and the page is a directory of that name", setting="output_dir")
    pieces.mkdir(parents=True, exist_ok=True)

    def write(piece: "Piece") -> None:
        made.append(pieces / f"{piece.name}.js")
        write_text(made[-1], piece.script())

    text = make(write)
    made.append(folder / "index.html")
    write_text(made[-1], text)
    for file in {file for file in pieces.iterdir() if PIECE_NAME.fullmatch(file.name)} - set(made):
        file.unlink()
    return made[-1], sum(file.stat().st_size for file in made), made
