"""The page that pictures are made for.

Pictures are laid out in inches and points as for a screen, with letters of `LETTERS` points. For a page all of it is
smaller by one factor, so that letters have `_PRINTED` points there; `printed` gives the size on the page.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from matplotlib.figure import Figure

LETTERS = 10.8  # points, of titles and labels
SMALLER = 0.92  # tick labels and legends, as a share of that
_PRINTED = 7.0  # points of `LETTERS` on a page: tick labels then have 6.4
COLUMN, TWO_COLUMNS = 3.3, 6.9  # inches: the width of a paper's column, and of its text


@dataclass(frozen=True)
class PageSize:
    """What pictures are made for.

    Attributes:
        width: of all pictures, in inches; None: each is as wide as it needs.
        titles: whether pictures have titles; a paper has captions.
    """

    width: float | None = None
    titles: bool = True


SCREEN = PageSize()
_page: ContextVar[PageSize] = ContextVar("page", default=SCREEN)


@contextmanager
def made_for(page: PageSize) -> Iterator[None]:
    """Make pictures for a page."""
    token = _page.set(page)
    try:
        yield
    finally:
        _page.reset(token)


def titled() -> bool:
    """Whether pictures have titles."""
    return _page.get().titles


def printed(size: float) -> float:
    """Inches or points on the page, of those of the layout."""
    return size if _page.get().width is None else size * _PRINTED / LETTERS


def across(natural: float) -> float:
    """Width of a picture, in inches of the layout: that of the page, or else the natural one."""
    width = _page.get().width
    return natural if width is None else width * LETTERS / _PRINTED


def size_of(figure: Figure) -> tuple[float, float]:
    """Width and height of a figure, in inches of the layout."""
    width, height = figure.get_size_inches()
    return float(width / printed(1)), float(height / printed(1))


def panels_across(number: int, natural: float, least: float, margins: float, between: float) -> int:
    """How many of some panels stand side by side: all of them, or as many as the page has room for.

    Args:
        natural: width of the picture that has them all, in inches; so are the others.
        least: width of a panel; `margins` of both sides together; `between`: room between two panels.
    """
    return max(1, min(number, int((across(natural) - margins + between) / (least + between) + 1e-9)))
