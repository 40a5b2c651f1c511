"""Style, colours, fonts, and files of pictures."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import seaborn as sns
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from analyze.drawing.labels import TOTAL
from schemas.columns import FLOW_NAMES

LATIN = "DejaVu Sans"  # comes with matplotlib
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Heiti SC",
    "SimHei",
    "WenQuanYi Zen Hei",
)
COLOURS = {"t2v": "#1f77b4", "v2t": "#ff7f0e", TOTAL: "#2ca02c"}


def fonts() -> list[str]:
    """The fonts of all pictures, with one for Chinese categories if it is installed."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [LATIN, *(name for name in CHINESE if name in installed)]


def undrawable(text: str) -> set[str]:
    """The letters of a text that are in none of the fonts."""
    known = [font_manager.get_font(font_manager.findfont(name)).get_charmap() for name in fonts()]
    return {letter for letter in "".join(text.split()) if not any(ord(letter) in letters for letters in known)}


def colours(flows: Sequence[str]) -> list[str]:
    """A colour for each flow: T2V blue, V2T orange, the others from a palette, the same in every picture."""
    others = [name for name in FLOW_NAMES if name not in COLOURS]
    palette = dict(zip(others, sns.color_palette("husl", len(others)).as_hex(), strict=True)) | COLOURS
    return [palette[flow] for flow in flows]


@contextmanager
def style() -> Iterator[None]:
    """The style of all pictures, whatever a user's matplotlibrc says.

    A letter that no font has is drawn as a box, without a warning.
    """
    look = sns.axes_style("whitegrid") | sns.plotting_context("notebook", font_scale=0.9)
    settings = look | {"font.family": fonts(), "svg.hashsalt": "headflow"}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def new_figure(size: tuple[float, float], *, right: float = 0.2, top: float = 0.65) -> Figure:
    """A figure with margins of fixed width; measuring each text would take longer than drawing.

    Args:
        size: width and height, in inches.
        right: right margin, in inches.
        top: top margin, in inches.
    """
    width, height = size
    left, bottom, top = min(0.8, width / 4), min(0.6, height / 4), min(top, height / 3)
    figure = Figure(figsize=size)
    figure.subplots_adjust(left / width, bottom / height, 1 - min(right, width / 4) / width, 1 - top / height)
    return figure


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
        """Write a figure to `path` with the suffix of the format, and return that path; waits for the previous file."""
        path = path.with_name(f"{path.name}.{self.kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.kind != "png":
            figure.savefig(path, dpi=self.dpi, metadata={"Date": None} if self.kind == "svg" else None)
            return path
        figure.set_dpi(self.dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert(
            "RGB"
        )
        canvas.renderer = None  # a figure is a reference cycle, which is freed late: free its pixels and artists now
        figure.clear()
        self._wait()
        self._last = self._pool.submit(self._write_png, image, path)
        return path

    def _write_png(self, image: Image.Image, path: Path) -> None:
        image.save(path, "png", dpi=(self.dpi, self.dpi), compress_level=3)

    def _wait(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()
