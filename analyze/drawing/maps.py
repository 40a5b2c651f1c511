"""Maps on images: where in the original image a head looks."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from analyze.maps.grids import GridBox
from analyze.pictures.overlays import Overlay

_STEPS = 256
OPAQUE = 0.9  # at the end of the scale; at an even map's attention nothing hides the image
_COLOURS = (0.1, 0.8)  # of the colour map "inferno_r": its ends are hard to tell from white and from black
_BOX = "#0072B2"  # of Okabe and Ito
GROUND = "0.9"  # around the image, and where it is not there
OUTSIDE = (0.35, 0.35, 0.35, 0.6)  # over what the model does not read
PALE = 0.45  # how far grey images are moved towards white, so that colours stand out
TOPS = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # ends of the scale


def attention_colours() -> Colormap:
    """Perceptually uniform, the darker the more, safe for colour-blind readers; little attention is transparent."""
    colours = mpl.colormaps["inferno_r"](np.linspace(*_COLOURS, _STEPS))
    colours[:, 3] = OPAQUE * np.linspace(0, 1, _STEPS) ** 0.5
    return ListedColormap(colours, "attention")


def difference_colours() -> Colormap:
    """Blue below and red above; the nearer to 0, the more transparent."""
    colours = mpl.colormaps["RdBu_r"](np.linspace(0, 1, _STEPS))
    colours[:, 3] = OPAQUE * np.abs(np.linspace(-1, 1, _STEPS)) ** 0.5
    return ListedColormap(colours, "difference")


def attention_scale(overlays: Sequence[Overlay]) -> LogNorm:
    """From an even map's attention on, which is 1, to the first of `TOPS` that no map exceeds; logarithmic."""
    return LogNorm(1, end_of_scale(max(float(np.nanmax(each.values, initial=0)) for each in overlays)), clip=True)


def end_of_scale(most: float) -> float:
    """The first of `TOPS` that no map exceeds, whose largest value is `most`."""
    return next((float(top) for top in TOPS if top >= most), most)


def difference_scale(overlays: Sequence[Overlay]) -> Normalize:
    """As far on both sides of 0 as 99% of the differences."""
    known = np.concatenate([each.values[np.isfinite(each.values)] for each in overlays])
    furthest = float(np.quantile(np.abs(known), 0.99)) if len(known) else 0.0
    return Normalize(-(furthest or 1.0), furthest or 1.0, clip=True)


def draw_overlay(axes: Axes, overlay: Overlay, colours: Colormap, scale: Normalize) -> AxesImage:
    """Draw a map where it lies in the original image, which is grey; returns what a colour bar is made of.

    The axes are pixels of the original, and hold both the image and the patches, which may leave it where the model
    has padded it. Boxes around the answer are outlined, and what the model does not read of the image is shaded.
    """
    (width, height), (x0, y0, x1, y1) = overlay.size, overlay.box
    axes.set_facecolor(GROUND)
    if overlay.image is not None:
        pale = 255 * PALE + overlay.image * (1 - PALE)
        axes.imshow(pale, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="antialiased")
    image = axes.imshow(
        np.ma.masked_invalid(overlay.values), cmap=colours, norm=scale, extent=(x0, x1, y1, y0), interpolation="nearest"
    )
    if overlay.inside is not None:
        axes.add_patch(_outside(overlay.inside, width, height))
    for left, top, right, bottom in overlay.boxes:
        axes.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=_BOX, linewidth=0.9,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
        )  # fmt: skip
    axes.set(xlim=(min(0, x0), max(width, x1)), ylim=(max(height, y1), min(0, y0)), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="0.5", linewidth=0.5)
    return image


def _outside(inside: GridBox, width: float, height: float) -> PathPatch:
    """What lies outside of a part of an image, shaded."""
    rings = [[(left, top), (right, top), (right, bottom), (left, bottom)] for left, top, right, bottom in
             ((0.0, 0.0, width, height), inside)]  # fmt: skip
    whole, hole = (Path([*ring, ring[0]], closed=True) for ring in (rings[0], rings[1][::-1]))
    path = Path.make_compound_path(whole, hole)
    return PathPatch(path, facecolor=OUTSIDE, edgecolor="none")


def shape_of(overlay: Overlay) -> float:
    """Height over width of what is drawn of an overlay."""
    (width, height), (x0, y0, x1, y1) = overlay.size, overlay.box
    return (max(height, y1) - min(0.0, y0)) / (max(width, x1) - min(0.0, x0))
