"""A loaded model that is asked about images, one by one, for notebooks.

from extract import load_model

model = load_model("llava-hf/llava-1.5-7b-hf")
found = model.look("cat.png", "Is there a cat?")    # shows its answer and where the heads look
found.prediction, found.masses["a2v"].max(), found.map(14, 3), found.overlay(14, 3)
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from extract.backends import find_removed, find_wordings, load_asked
from extract.images.decoding import find_image, load_image
from extract.images.patch_positions import Box
from extract.images.preprocessing import Size
from extract.passes.batching import ImageQuestions, Question
from extract.passes.forward import Passes
from extract.passes.samples import Observed
from extract.questions.samples import Sample, Skipped, Unusable
from extract.settings import AUTO, Model
from extract.tables.map_reader import LISTS
from extract.tables.maps import MapMaker
from schemas.columns import FLOW_NAMES, MAP, MAP_COLUMNS, MAPS, OF_LAST, UNKNOWN
from schemas.errors import HeadflowError
from schemas.manifest import ORIGINAL
from schemas.text import short

MAP_NUMBERS = [column.name for column in MAP_COLUMNS if column.name not in ("of", MAP)]
_Grid = npt.NDArray[np.float32]
RED, STRONGEST = (214, 39, 40), 200  # of a patch that gets most; 255 would hide the image


@dataclass(frozen=True)
class Look:
    """What a model made of a question about an image.

    Attributes:
        prediction: the first generated token, decoded; `p_yes`, `p_no`, `margin`: as in the table `samples`.
        masses: by column of `heads`, float32 [layers, heads].
        numbers: by column of `maps`, float32 [layers, heads], NaN for null.
        maps: float32 [layers, heads, rows, columns], attention on the patches.
        box: what the grid covers, `x0, y0, x1, y1` in pixels of the image; `size`: of the image, width and height.
        image: the image, RGB.
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

    def map(self, layer: int, head: int) -> _Grid:
        """Attention of a head on each patch, float32 [rows, columns]."""
        layers, heads = self.maps.shape[:2]
        if not (0 <= layer < layers and 0 <= head < heads):
            raise HeadflowError(f"L{layer}H{head}: the model has {layers} layers x {heads} heads, from 0")
        own: _Grid = self.maps[layer, head]
        return own

    def overlay(self, layer: int, head: int) -> Image.Image:
        """The image under a head's map, RGB: a patch is the more red the more it gets, the first of them most."""
        shares = self.map(layer, head)
        largest = float(shares.max()) or 1.0  # of a layer whose window the image lies outside, all are 0
        x0, y0, x1, y1 = (round(edge) for edge in self.box)
        patches = Image.fromarray((shares / largest * STRONGEST).astype(np.uint8))
        mask = Image.new("L", self.image.size)
        mask.paste(patches.resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST), (x0, y0))
        return Image.composite(Image.new("RGB", self.image.size, RED), self.image, mask)

    def top(self, number: int = 6, column: str = "a2v") -> list[tuple[int, int]]:
        """(layer, head) of the heads with the largest mass in a column, the largest first."""
        order = np.argsort(-self.masses[column], axis=None, kind="stable")[:number]
        return [
            (int(layer), int(head))
            for layer, head in zip(*np.unravel_index(order, self.masses[column].shape), strict=True)
        ]

    def _repr_html_(self) -> str:
        """The answer, the heads with the largest `a2v`, and the map of the first of them, for a notebook."""
        heads = self.top()
        rows = [(f"L{layer}H{head}", self.masses["a2v"][layer, head]) for layer, head in heads]
        content = BytesIO()
        self.overlay(*heads[0]).save(content, "PNG")
        picture = base64.b64encode(content.getvalue()).decode()
        name = rows[0][0]
        answer = f"{self.prediction} (p_yes {self.p_yes:.3f}, p_no {self.p_no:.3f}, margin {self.margin:+.2f})"
        return (
            f"<p>{escape(answer)}</p><table><tr><th>head</th><th>a2v</th></tr>"
            + "".join(f"<tr><td>{head}</td><td>{mass:.3f}</td></tr>" for head, mass in rows)
            + f'</table><figure><img alt="where {name} looks" src="data:image/png;base64,{picture}">'
            f"<figcaption>{name}: the more red, the more attention of the last token</figcaption></figure>"
        )


class Looker:
    """A loaded model."""

    def __init__(self, settings: Model, device: str = AUTO) -> None:
        """Load a model.

        Raises:
            HeadflowError: it cannot be loaded, or where the tokens of an image lie in it is not known; or several
                wordings are asked for.
        """
        if settings.prompts:
            raise HeadflowError("one question is asked in one wording", setting="prompts")
        if settings.images != ORIGINAL:
            raise HeadflowError("images are read as they are: give another one", setting="images")
        (wording,) = find_wordings(settings)
        self._checkpoint, self._prompts, answers = load_asked(settings, device, [wording], find_removed(settings))
        self._passes = Passes(self._checkpoint, answers, [MapMaker(self._checkpoint, OF_LAST, [])])

    @classmethod
    def load(cls, model_path: str, *, device: str = AUTO, **settings: Any) -> "Looker":
        """Load a model.

        Args:
            settings: how it is asked, see `Model`, such as `dtype="float16"`.

        Raises:
            HeadflowError: a setting cannot be, or as the class itself.
        """
        return cls(Model.of_keywords({"model_path": model_path} | settings), device)

    def look(self, image: str | Path | Image.Image, question: str) -> Look:
        """Ask about an image; the question stands in the wording of the settings, by default with MME's suffix.

        Raises:
            HeadflowError: the image or the question cannot be used.
        """
        if not isinstance(question, str):
            raise HeadflowError(f"{short(question)} is not a question")
        try:
            picture = (image if isinstance(image, Image.Image) else _read(Path(image))).convert("RGB")
            pixels = self._checkpoint.preprocessor(picture)
            sample = Sample("look", UNKNOWN, None, "", question, None, row=0)
            asked = [Question(sample, self._prompts.build(sample, pixels.image_ids))]
            (outcome,) = self._passes.over([[ImageQuestions("", pixels, asked)]])
        except Unusable as error:
            raise HeadflowError(f"{image}: {error.detail}") from None
        if isinstance(outcome, Skipped):
            raise HeadflowError(f"{image}: {outcome.cause.detail}")
        return self._found(outcome, pixels.size, picture)

    def _found(self, outcome: Observed, size: Size, image: Image.Image) -> Look:
        values, grids = outcome.values, outcome.grids
        shape = self._checkpoint.layers, self._checkpoint.heads, values["grid_rows"], values["grid_columns"]
        return Look(
            **{name: values[name] for name in ("prediction", "p_yes", "p_no", "margin")},
            masses=dict(zip(FLOW_NAMES, np.moveaxis(grids["heads"], -1, 0), strict=True)),
            numbers=dict(zip(MAP_NUMBERS, np.moveaxis(grids[MAPS], -1, 0), strict=True)),
            maps=grids[LISTS].reshape(shape),
            box=tuple(values["grid_box"]),
            size=size,
            image=image,
        )


def _read(path: Path) -> Image.Image:
    """An image file; raises `Unusable` if it cannot be read."""
    picture, _ = load_image(find_image(path.parent, path.name))
    return picture
