"""Where the texts of a figure are, as matplotlib's renderer measures them."""

import itertools
from collections.abc import Iterator

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def shown(axis) -> list[Text]:
    """The labels of the ticks between the ends of an axis."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def boxes(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Name and box of each text, legend and frame, in pixels; tick labels of an axis in one."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    for name in ("_suptitle", "_supxlabel", "_supylabel"):
        if (text := getattr(figure, name)) is not None:
            yield name, text.get_window_extent(renderer)
    for number, axes in enumerate(figure.axes):
        yield f"frame {number}", axes.get_window_extent(renderer)
        texts = {"title": [axes.title], "x label": [axes.xaxis.label], "y label": [axes.yaxis.label]}
        texts |= {"x ticks": shown(axes.xaxis), "y ticks": shown(axes.yaxis), "texts": axes.texts}
        for name, some in texts.items():
            if found := [text.get_window_extent(renderer) for text in some if text.get_visible() and text.get_text()]:
                yield f"{name} {number}", Bbox.union(found)
        if (legend := axes.get_legend()) is not None:
            yield f"legend {number}", legend.get_window_extent(renderer)


def on_each_other(figure: Figure) -> list[tuple[str, str]]:
    """Labels of one axis, or names of points in a panel, that overlap; turned ones are left out."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = []
    for axes in figure.axes:
        for texts in (shown(axes.xaxis), shown(axes.yaxis), axes.texts):
            some = [each for each in texts if each.get_visible() and each.get_text() and each.get_rotation() % 90 == 0]
            measured = [(each.get_text(), Text.get_window_extent(each, renderer)) for each in some]
            for (one, box), (other, its_box) in itertools.combinations(measured, 2):
                if box.overlaps(its_box):
                    found.append((one, other))
    return found


def smallest_letters(figure: Figure) -> float:
    """Points of the smallest text that is shown."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            hidden |= {tick.label1 for tick in axis.get_major_ticks()} - set(shown(axis))
    texts = (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())
    return min(text.get_fontsize() for text in texts if text not in hidden)


def badly_placed(figure: Figure) -> list[object]:
    """What leaves the figure, and what overlaps; by more than a pixel."""
    figure.set_dpi(100)
    found = list(boxes(figure))
    width, height = figure.bbox.size
    leaving = [name for name, box in found if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    overlapping = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(found, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    return [*leaving, *overlapping, *on_each_other(figure)]
