"""What a command found, and how it is printed, written and drawn.

A command's module computes; `run_and_present` does the rest, for every command in the same order: CSV files and
pictures are written first, as whoever reads what is printed may stop reading, then statements and tables are printed.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.cli import PATIENCE, at_work, end_clock, say
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.writing import publishing
from schemas.store.directory import record_outputs
from schemas.text import counted, listed, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analyze.commands.shared_settings import PictureSettings

    Figures = Iterable[tuple[str, Callable[[], Figure]]]  # by file name without its suffix, each drawn in its turn

_NAMED = 3  # files that are named one by one


@dataclass(frozen=True)
class Shown:
    """A table for the terminal.

    Attributes:
        title: a line above it.
        digits: after the point.
        bounds: whether the columns `low` and `high` are those of the value ahead of them.
    """

    title: str
    table: "pd.DataFrame"
    digits: int
    bounds: bool = True


@dataclass(frozen=True)
class Picture:
    """A picture of a result, which a notebook shows.

    Attributes:
        name: of its file, without a suffix.
        png: its content.
        width: in inches.
    """

    name: str
    png: bytes = field(repr=False)
    width: float

    def _repr_png_(self) -> bytes:
        return self.png

    def html(self) -> str:
        """The picture as a part of a page."""
        content, size = b64encode(self.png).decode(), f"width: {self.width:.1f}in"
        return f'<img alt="{escape(self.name)}" style="{size}" src="data:image/png;base64,{content}">'


@dataclass(frozen=True, repr=False)
class Result:
    """What a command found. In a notebook it shows itself; `print` gives its verdict, and `picture` one picture.

    Attributes:
        run: the run whose list of outputs gets the files; None: there is nothing to write.
        folder: where the files go.
        warnings: lines on stderr.
        about: lines ahead of everything else: what was read.
        statements: what was found, in words, a line each.
        shown: tables for the terminal, and lines between them.
        tables: the CSV files by name, as DataFrames.
        files: other files, by their names in the folder, as text.
        figures: the pictures.
        asked: the settings of the command, in a notebook, which draws the pictures as they say.
        next: lines after everything, what to do now; a terminal gets them whole, to be copied.
        code: the exit code.
    """

    run: Location | None = None
    folder: Path = Path()
    warnings: Sequence[str] = ()
    about: Sequence[str] = ()
    statements: Sequence[str] = ()
    shown: Sequence[Shown | str] = ()
    tables: Mapping[str, "pd.DataFrame"] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    figures: "Figures" = ()
    next: Sequence[str] = ()
    code: int = 0
    asked: "PictureSettings | None" = None

    def __repr__(self) -> str:
        """The verdict: warnings and statements, a line each; where there are none, what was read, or the pictures."""
        lines = [*(f"warning: {line}" for line in self.warnings), *self.statements]
        pictures = [f"pictures: {listed([*self._figures])}"] if self._figures else []
        return "\n".join(lines or self.about or pictures)

    def picture(self, name: str) -> Picture:
        """One picture, drawn as the settings of the command say.

        Args:
            name: that of its file, without a suffix.

        Raises:
            HeadflowError: there is none of this name; the message has the names.
        """
        self._check_name(name)
        return self._drawn([name])[0]

    def save_picture(self, name: str, folder: str | Path) -> Path:
        """Write one picture into a folder, in the format of the settings; returns its path.

        Raises:
            HeadflowError: there is none of this name, or it cannot be written.
        """
        self._check_name(name)
        assert self.asked is not None  # or there would be no names
        with _writing([name], Path(folder)), self.asked.open_files() as files:
            return files.save(self._figures[name](), Path(folder) / name)

    def _check_name(self, name: str) -> None:
        """Raise `HeadflowError` if there is no picture of this name."""
        if name not in self._figures:
            names = listed(list(self._figures), 100) or "none"
            raise HeadflowError(f"there is no picture {short(name)}; there are {names}")

    def _repr_html_(self) -> str:
        """What the terminal would show, and the pictures, for a notebook; `tables` has the tables of the CSV files."""
        lines: list[Shown | str] = [*(f"warning: {line}" for line in self.warnings), *self.about, *self.statements]
        found = []
        for each in [*lines, *self.shown]:
            found.append(f"<p>{escape(each if isinstance(each, str) else each.title)}</p>")
            if isinstance(each, Shown):
                found.append(each.table.round(each.digits).to_html(index=False))
        pictures = [picture.html() for picture in self._drawn(self._figures)]
        return "\n".join([*found, *pictures, *(f"<p>{escape(line)}</p>" for line in self.next)])

    @cached_property
    def _figures(self) -> "dict[str, Callable[[], Figure]]":
        """What draws each picture, by name; none where nothing was asked in a notebook."""
        return {} if self.asked is None else dict(self.figures)

    @cached_property
    def _pictures(self) -> dict[str, Picture]:
        """The pictures that were drawn, by name."""
        return {}

    def _drawn(self, names: Iterable[str]) -> list[Picture]:
        """Some pictures, each drawn once."""
        if self.asked is not None and (new := [name for name in names if name not in self._pictures]):
            with self.asked.open_files() as files:
                for name in new:
                    figure = self._figures[name]()
                    self._pictures[name] = Picture(name, files.png(figure), float(figure.get_size_inches()[0]))
        return [self._pictures[name] for name in names]


def run_and_present(name: str, function: Callable[[Any], Result | int], settings: Any) -> int:
    """Run a command, present its result, and return the exit code; a function that has said all returns it itself."""
    with at_work(name):
        found = function(settings)
        if isinstance(found, int):
            return found
        for line in found.warnings:
            say(f"warning: {line}", error=True)
        try:
            files = _write(found, settings)
        finally:
            _print(found)
        if files:
            print()
            say(f"written: {_named(files, found)}")
        for line in found.next:
            say(line, whole=True)
    return found.code


def _write(found: Result, settings: "PictureSettings") -> list[Path]:
    """Write the files of a result; returns their paths."""
    if found.run is None:
        return []
    write_csv(found.tables, found.folder)
    write_texts(found.files, found.folder)
    files = [*(found.folder / name for name in (*found.tables, *found.files)), *_draw(found, settings)]
    record_outputs(found.run, files)
    return files


def _named(files: Sequence[Path], found: Result) -> str:
    """Which files were written: their names, or how many and where."""
    if len(files) <= _NAMED:
        return ", ".join(map(str, files))
    numbers = {"table": len(found.tables), "file": len(found.files)}
    numbers["picture"] = len(files) - sum(numbers.values())
    return f"{' and '.join(counted(number, what) for what, number in numbers.items() if number)} in {found.folder}"


def _print(found: Result) -> None:
    for line in found.about:
        say(line)
    if found.statements:
        print()
    for line in found.statements:
        say(line)
    if found.shown:
        from analyze.printing.terminal import as_text

        for each in found.shown:
            if isinstance(each, str):
                say(each)
                continue
            print()
            say(each.title)
            print(as_text(each.table, each.digits, bounds=each.bounds))


def _draw(found: Result, settings: "PictureSettings") -> list[Path]:
    """Draw the pictures of a result, with a progress bar; returns the paths of the files."""
    from tqdm import tqdm

    if not found.figures:
        return []
    end_clock()
    shown = tqdm(found.figures, unit="picture", dynamic_ncols=True, disable=None, delay=PATIENCE, leave=False)
    with settings.open_files() as files, shown as progress:
        return [files.save(draw(), found.folder / name) for name, draw in progress]


def write_csv(tables: Mapping[str, "pd.DataFrame"], folder: Path) -> None:
    """Write tables into a folder, by the names of their files; raises `HeadflowError` if it cannot be done."""
    with _writing(tables, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            with publishing(folder / name) as aside:
                table.to_csv(aside, index=False)


def write_texts(files: Mapping[str, str], folder: Path) -> None:
    """Write texts into a folder, and folders in it, by the names of their files; as `write_csv`."""
    with _writing(files, folder):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with publishing(folder / name) as aside:
                aside.write_text(text, encoding="utf-8", newline="")


@contextmanager
def _writing(names: Iterable[str], folder: Path) -> Iterator[None]:
    """Raise `HeadflowError` where files cannot be written."""
    try:
        yield
    except OSError as error:
        why = "it is a file, not a directory" if isinstance(error, FileExistsError) else error.strerror or error
        raise HeadflowError(f"{', '.join(names)} cannot be written to {folder}: {why}", setting="output_dir") from None
