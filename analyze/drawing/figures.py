"""Style of figures, their titles and margins, and files of pictures."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from analyze.drawing.fonts import fonts
from analyze.drawing.page import LETTERS, SCREEN, PageSize, made_for, printed, size_of, titled
from analyze.drawing.texts import LINE, TEXT_GAP, fill_rows, letters_for, lines_height, wrap
from schemas.files.writing import write_whole

LINE_OF_FONT = 1.164  # height of a line of DejaVu Sans, as a share of its letters
SHORT = (0.01, 10_000)  # ends of axes whose tick labels are short
# Of seaborn 0.13, its style "whitegrid" and its context "notebook": to import it takes as long as a command
_WHITEGRID = {
    "axes.axisbelow": True, "axes.edgecolor": ".8", "axes.facecolor": "white", "axes.grid": True,
    "axes.labelcolor": ".15", "figure.facecolor": "white", "grid.color": ".8", "grid.linestyle": "-",
    "lines.solid_capstyle": "round", "patch.edgecolor": "w", "patch.force_edgecolor": True, "text.color": ".15",
    "xtick.bottom": False, "xtick.color": ".15", "ytick.color": ".15", "ytick.left": False,
}  # fmt: skip
_SIZES = {
    "axes.labelsize": 12.0, "axes.titlesize": 12.0, "font.size": 12.0, "legend.fontsize": 11.0,
    "legend.title_fontsize": 12.0, "xtick.labelsize": 11.0, "ytick.labelsize": 11.0,
}  # fmt: skip
_LINES = {
    "axes.linewidth": 1.25, "grid.linewidth": 1.0, "lines.linewidth": 1.5, "lines.markersize": 6.0,
    "patch.linewidth": 1.0, "xtick.major.size": 6.0, "xtick.major.width": 1.25, "xtick.minor.size": 4.0,
    "xtick.minor.width": 1.0, "ytick.major.size": 6.0, "ytick.major.width": 1.25, "ytick.minor.size": 4.0,
    "ytick.minor.width": 1.0,
}  # fmt: skip


# Text stays text: publishers refuse Type 3 fonts, and a reader wants to search and to edit
_TEXT = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "headflow"}
PADS = {"axes.labelpad": 4.0, "axes.titlepad": 6.0, "xtick.major.pad": 3.5, "ytick.major.pad": 3.5}  # points


@contextmanager
def style(page: PageSize = SCREEN) -> Iterator[None]:
    """The style of all pictures, whatever the user's matplotlibrc says.

    Args:
        page: what they are made for.
    """
    with made_for(page):
        scale = LETTERS / _SIZES["font.size"]
        sizes = {name: size * scale for name, size in _SIZES.items()} | _LINES | PADS
        look: dict[str, Any] = _WHITEGRID | {name: printed(size) for name, size in sizes.items()} | _TEXT
        with matplotlib.style.context(["default", look | {"font.family": fonts()}]):
            yield


@contextmanager
def figure_files(dpi: int, kind: str, page: PageSize = SCREEN) -> Iterator["FigureFiles"]:
    """Make figures in the style of all pictures, and write them to files; see `style` and `FigureFiles`."""
    with style(page), FigureFiles(dpi, kind) as files:
        yield files


def new_figure(size: tuple[float, float], title: str, of: Sequence[str] = (), letters: float | None = None) -> Figure:
    """A figure with its title; `place_panels` puts panels below.

    Args:
        size: width and height, in inches of the layout; see `page`.
        title: what the figure shows; its middle is left out if it does not fit on two lines.
        of: names of the run, its samples and the like, on as many lines as they need.
        letters: of the title, in points; None: `letters_for` the width.
    """
    width, height = size
    figure = Figure(figsize=(printed(width), printed(height)))
    if not titled():
        return figure
    letters = letters or letters_for(width)
    lines = [*wrap(title, letters, width - 2 * TEXT_GAP, 2), *fill_rows(of, letters, width - 2 * TEXT_GAP)]
    figure.suptitle(
        "\n".join(lines),
        y=1 - TEXT_GAP / height,
        verticalalignment="top",
        size=printed(letters),
        linespacing=LINE / LINE_OF_FONT,
        parse_math=False,
    )
    return figure


def figure_below_title(width: float, below: float, title: str, of: Sequence[str] = ()) -> Figure:
    """A figure that has some inches `below` its title; the other arguments as for `new_figure`."""
    return new_figure((width, below + title_height(new_figure((width, below), title, of))), title, of)


def title_height(figure: Figure) -> float:
    """Height of the title of a figure with the room around it, in inches of the layout."""
    if not figure.get_suptitle():
        return TEXT_GAP
    (title,) = (text for text in figure.texts if text.get_text() == figure.get_suptitle())
    return 2 * TEXT_GAP + lines_height(figure.get_suptitle().count("\n") + 1, float(title.get_fontsize()) / printed(1))


def place_panels(
    figure: Figure,
    rows: int = 1,
    columns: int = 1,
    *,
    left: float = 0.8,
    right: float = 0.2,
    bottom: float = 0.6,
    above: float = TEXT_GAP,
    between: tuple[float, float] = (0.0, 0.0),
    **options: Any,
) -> list[Axes]:
    """Panels in a grid below the title, row by row, with margins of fixed width.

    Args:
        left: margin, in inches; `right` and `bottom` too.
        above: room between the title and the first row, in inches.
        between: room between columns and between rows, in inches.
        options: of `Figure.subplots`.
    """
    width, height = size_of(figure)
    top = title_height(figure) + above
    each = [
        max(0.1, (size - margins - (number - 1) * gap) / number)
        for size, margins, number, gap in (
            (width, left + right, columns, between[0]),
            (height, top + bottom, rows, between[1]),
        )
    ]
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=max(bottom + 0.1, height - top) / height,
        wspace=between[0] / each[0],
        hspace=between[1] / each[1],
    )
    return list(figure.subplots(rows, columns, squeeze=False, **options).ravel())


def short_tick_labels(axes: Axes) -> Axes:
    """Write ticks of very small and very large values as `2e-5`, for which the margins have room."""
    for axis in (axes.xaxis, axes.yaxis):
        furthest = max(map(abs, axis.get_view_interval()))
        if not SHORT[0] <= furthest < SHORT[1]:
            axis.set_major_formatter(_with_power)
    return axes


def _with_power(value: float, place: float) -> str:
    """0.00002 -> `2e-5`, 0 -> `0`."""
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{float(digits):g}e{int(power)}" if value else "0"


def _free(figure: Figure) -> None:
    """Free pixels and artists of a figure now: it is a reference cycle, which is freed late.

    `Figure.clear` would first make new ticks for each of its axes.
    """
    figure.canvas.renderer = None  # type: ignore[attr-defined]
    for axes in figure.axes:
        for artist in [*axes.lines, *axes.patches, *axes.collections, *axes.images, *axes.texts]:
            artist.remove()


class FigureFiles:
    """Writes figures to files. A thread compresses a PNG while the next figure is drawn."""

    def __init__(self, dpi: int, kind: str) -> None:
        """Write files of one format.

        Args:
            dpi: dots per inch.
            kind: `png`, or another format of matplotlib.
        """
        self.dpi = dpi
        self.kind = kind
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> "FigureFiles":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()
        self._wait()

    def save(self, figure: Figure, path: Path) -> Path:
        """Write a figure to `path` with the suffix of the format, and return that path; waits for the previous file.

        Raises:
            OSError: this file or the previous one cannot be written; what was there before stays.
        """
        path = path.with_name(f"{path.name}.{self.kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.kind != "png":
            metadata = {"Date": None} if self.kind == "svg" else None
            content = BytesIO()  # matplotlib's writer of PDF hides that a disk is full
            figure.savefig(content, format=self.kind, dpi=self.dpi, metadata=metadata)
            write_whole(path, content.getvalue())
            return path
        image = self._pixels(figure)
        self._wait()
        self._last = self._pool.submit(lambda: write_whole(path, self._compressed(image)))
        return path

    def png(self, figure: Figure) -> bytes:
        """A figure as a PNG, whatever the format of the files."""
        return self._compressed(self._pixels(figure))

    def _pixels(self, figure: Figure) -> Image.Image:
        figure.set_dpi(self.dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        whole = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
        image = whole.convert("RGB")
        _free(figure)
        return image

    def _compressed(self, image: Image.Image) -> bytes:
        content = BytesIO()
        image.save(content, "png", dpi=(self.dpi, self.dpi), compress_level=3)
        return content.getvalue()

    def _wait(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()
