"""All pictures of a run as files: `python -m analyze plots RUN`."""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from analyze.drawing.figures import FigureFiles, style
from analyze.drawing.panels import draw
from analyze.pictures.kinds import Picture


def write_pictures(
    pictures: Sequence[Picture], folder: Path, *, figsize: tuple[float, float], dpi: int, kind: str
) -> list[Path]:
    """Draw pictures into a folder, with a progress bar; returns the paths of the files.

    Args:
        figsize: width and height of histograms, in inches; see `panels.draw`.
        dpi: dots per inch.
        kind: `png`, or another format of matplotlib's.
    """
    with style(), FigureFiles(dpi, kind) as files, tqdm(pictures, unit="picture", dynamic_ncols=True) as progress:
        return [files.save(draw(picture, figsize), folder / picture.name) for picture in progress]
