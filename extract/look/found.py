"""What a model made of a question about an image, and of a text that it wrote; it shows itself in a notebook."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from extract.images.patch_positions import Box
from extract.images.preprocessing import Size
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import head_name
from schemas.text import counted, find_words, listed, short

_Grid = npt.NDArray[np.float32]
RED, STRONGEST = (214, 39, 40), 200  # of a patch that gets most; 255 would hide the image


@dataclass(frozen=True, repr=False)
class Look:
    """What a model made of a question about an image.

    Attributes:
        prediction: the first generated token, decoded; `p_yes`, `p_no`, `margin`: as in the table `samples`.
        masses: by column of `heads`, float32 [layers that attend, heads].
        numbers: by column of `maps`, float32 [layers that attend, heads], NaN for null.
        maps: float32 [layers that attend, heads, rows, columns], attention on the patches.
        box: what the grid covers, `x0, y0, x1, y1` in pixels of the image; `size`: of the image, width and height.
        image: the image, RGB.
        attending: the layers that attend, in order.
        crossing: of these, the layers that read the image by cross-attention.
    """

    prediction: str
    p_yes: float
    p_no: float
    margin: float
    masses: Mapping[str, _Grid]
    numbers: Mapping[str, _Grid]
    maps: _Grid
    box: Box
    size: Size
    image: Image.Image
    attending: Sequence[int]
    crossing: Sequence[int]

    def __repr__(self) -> str:
        """The answer, in short."""
        return f"<{type(self).__name__}: {self.prediction!r}, margin {self.margin:+.2f}>"

    def map(self, layer: int, head: int) -> _Grid:
        """Attention of a head on each patch, float32 [rows, columns]."""
        own: _Grid = self.maps[self._place(layer, head)]
        return own

    def _place(self, layer: int, head: int) -> tuple[int, int]:
        """Where a head stands in the arrays; raises `HeadflowError` if the model does not have it."""
        heads, layers = self.maps.shape[1], list(self.attending)
        if layer not in layers or not 0 <= head < heads:
            which = "" if layers[-1] < len(layers) else f"; the layers that attend are {listed(layers)}"
            raise HeadflowError(
                f"{head_name(layer, head)}: the model has {len(layers)} layers x {heads} heads, from 0{which}"
            )
        return layers.index(layer), head

    def overlay(self, layer: int, head: int) -> Image.Image:
        """The image under a head's map, RGB: a patch is the more red the more it gets, the first of them most."""
        return self._under(self.map(layer, head))

    def _under(self, shares: _Grid) -> Image.Image:
        """The image under a map [rows, columns]."""
        largest = float(shares.max()) or 1.0  # of a layer whose window the image lies outside, all are 0
        x0, y0, x1, y1 = (round(edge) for edge in self.box)
        patches = Image.fromarray((shares / largest * STRONGEST).astype(np.uint8))
        mask = Image.new("L", self.image.size)
        mask.paste(patches.resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST), (x0, y0))
        return Image.composite(Image.new("RGB", self.image.size, RED), self.image, mask)

    def top(self, number: int = 6, column: str = "a2v") -> list[tuple[int, int]]:
        """(layer, head) of the heads with the largest mass in a column, the largest first.

        Where the image is read by cross-attention, all heads of these layers see nothing else: by `a2v`, those with the
        most uneven maps come first, and those of other layers last.
        """
        values = -self.masses[column]
        if self.crossing and column == "a2v":
            values = np.where(np.isin(self.attending, self.crossing)[:, None], self.numbers["entropy"], np.inf)
        order = np.argsort(values, axis=None, kind="stable")[:number]
        return [
            (self.attending[layer], int(head))
            for layer, head in zip(*np.unravel_index(order, self.masses[column].shape), strict=True)
        ]

    def _repr_html_(self) -> str:
        """The answer, the heads with the largest `a2v`, and the map of the first of them, for a notebook."""
        heads = self.top()
        rows = [(head_name(*head), self.masses["a2v"][self._place(*head)]) for head in heads]
        name = rows[0][0]
        answer = f"{self.prediction} (p_yes {self.p_yes:.3f}, p_no {self.p_no:.3f}, margin {self.margin:+.2f})"
        return (
            f"<p>{escape(answer)}</p><table><tr><th>head</th><th>a2v</th></tr>"
            + "".join(f"<tr><td>{head}</td><td>{mass:.3f}</td></tr>" for head, mass in rows)
            + "</table>"
            + _figure(self.overlay(*heads[0]), name, "the more red, the more attention of the last token")
        )


@dataclass(frozen=True, repr=False)
class WrittenLook(Look):
    """A look in which the model writes: step `s` is the pass that chose token `s`, and its query is the token before.

    Attributes:
        text: what was written; `ended`: `stop`, or `length` where it was cut.
        tokens: of each token its text, and the image mass when it was chosen, mean over all heads.
        step_masses: image mass, float32 [steps, layers, heads].
        step_maps: attention on the patches, mean over all heads, float32 [steps, rows, columns].
    """

    text: str
    ended: str
    tokens: tuple[tuple[str, float], ...]
    step_masses: _Grid
    step_maps: _Grid

    def __repr__(self) -> str:
        """The text, in short."""
        return f"<{type(self).__name__}: {short(self.text)}, {counted(len(self.tokens), 'token')}>"

    def step_overlay(self, step: int) -> Image.Image:
        """The image under the map of a step, RGB, see `overlay`.

        Raises:
            HeadflowError: there is no such step.
        """
        if not 0 <= step < len(self.step_maps):
            raise HeadflowError(f"step {step}: the text has {counted(len(self.step_maps), 'step')}, from 0")
        return self._under(self.step_maps[step])

    def _repr_html_(self) -> str:
        """The text, its tokens shaded by image mass, and the map of the word of most mass, for a notebook."""
        masses = [mass for _, mass in self.tokens]
        largest = max(masses) or 1.0
        spans = "".join(
            f'<span style="background: rgba({", ".join(map(str, RED))}, {mass / largest * STRONGEST / 255:.2f})" '
            f'title="step {step}, image mass {mass:.3f}">{escape(text)}</span>'
            for step, (text, mass) in enumerate(self.tokens)
        )
        found = (
            f'<p style="white-space: pre-wrap">{spans}</p><p>the darker a token, the more image mass when it was '
            f"chosen: at most {largest:.3f}, mean over {counted(self.step_masses[0].size, 'head')}; "
            f"ended: {self.ended}</p>"
        )
        words = find_words([text for text, _ in self.tokens])
        if not words:
            return found
        step, word = max(words, key=lambda each: masses[each[0]])
        says = f"step {step}, image mass {masses[step]:.3f}: the more red, the more attention, mean over all heads"
        return found + _figure(self.step_overlay(step), word, says)


def _figure(image: Image.Image, name: str, says: str) -> str:
    """An image with what it shows, as HTML."""
    content = BytesIO()
    image.save(content, "PNG")
    picture = base64.b64encode(content.getvalue()).decode()
    return (
        f'<figure><img alt="where {escape(name)} looks" src="data:image/png;base64,{picture}">'
        f"<figcaption>{escape(name)}: {says}</figcaption></figure>"
    )
