"""A loaded model that is asked about images, one by one, for notebooks.

from extract import load_model

model = load_model("llava-hf/llava-1.5-7b-hf")
found = model.look("cat.png", "Is there a cat?")    # shows its answer and where the heads look
found.prediction, found.masses["a2v"].max(), found.map(14, 3), found.overlay(14, 3)

found = model.look("cat.png", "Describe it.", generate=40)    # shows its text, the darker the more a token looked
found.text, found.tokens, found.step_maps[3], found.step_overlay(3)
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from extract.backends import find_prompts, find_removed, find_wordings, load_asked
from extract.images.decoding import find_image, load_image
from extract.images.preprocessing import Size
from extract.look.found import Look, WrittenLook
from extract.passes.batching import ImageQuestions, Question
from extract.passes.forward import Passes
from extract.passes.samples import Observed
from extract.prompts.prompt_builder import Prompts
from extract.questions.samples import Sample, Skipped, Unusable
from extract.settings import AUTO, Model
from extract.tables.generated import LISTS as STEP_LISTS
from extract.tables.generated import TEXTS, StepMaker, Writing
from extract.tables.maker import Maker
from extract.tables.map_reader import LISTS
from extract.tables.maps import MapMaker
from schemas.columns import MAP_NUMBERS, MAPS, OF_LAST, STEP_NAMES, STEPS, UNKNOWN
from schemas.errors import HeadflowError
from schemas.manifest import ORIGINAL
from schemas.text import short

_ALL_HEADS: dict[str, list[list[int]]] = {"step_heads": [], "step_map_heads": []}


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
        self._answers, self._maps = answers, MapMaker(self._checkpoint, OF_LAST, [])
        # What is to be described is asked without MME's suffix, which asks for one word
        free = replace(settings, prompt_suffix=settings.prompt_suffix or "")
        self._free_prompts = find_prompts(self._checkpoint.prompt_format, find_wordings(free), free)
        self._checked = False  # that its generation is the model's own

    @classmethod
    def load(cls, model_path: str, *, device: str = AUTO, **settings: Any) -> "Looker":
        """Load a model.

        Args:
            settings: how it is asked, see `Model`, such as `dtype="float16"`.

        Raises:
            HeadflowError: a setting cannot be, or as the class itself.
        """
        return cls(Model.of_keywords({"model_path": model_path} | settings), device)

    def look(self, image: str | Path | Image.Image, question: str, *, generate: int | None = None) -> Look:
        """Ask about an image; the question stands in the wording of the settings, by default with MME's suffix.

        Args:
            generate: let the model write so many new tokens at most, and return a `WrittenLook`. The question then has
                no suffix unless the settings name one. Maps of all heads and steps are held for a moment, 4 bytes for
                each patch.

        Raises:
            HeadflowError: the image or the question cannot be used, or the model cannot write so many tokens.
        """
        if not isinstance(question, str):
            raise HeadflowError(f"{short(question)} is not a question")
        try:
            picture = (image if isinstance(image, Image.Image) else _read(Path(image))).convert("RGB")
            pixels = self._checkpoint.preprocessor(picture)
            sample = Sample("look", UNKNOWN, None, ("",), question, None, row=0)
            prompts, makers = self._prompts, list[Maker]([self._maps])
            if generate is not None:
                prompts, maker = self._writing(generate)
                makers = [self._maps, maker]
            asked = [Question(sample, prompts.build(sample, pixels.image_ids))]
            (outcome,) = Passes(self._checkpoint, self._answers, makers).over([[ImageQuestions("", pixels, asked)]])
        except Unusable as error:
            raise HeadflowError(f"{image}: {error.detail}") from None
        if isinstance(outcome, Skipped):
            raise HeadflowError(f"{image}: {outcome.cause.detail}")
        found = self._found(outcome, pixels.sizes[0], picture)
        return found if generate is None else _with_text(found, outcome)

    def _writing(self, generate: int) -> tuple[Prompts, StepMaker]:
        """Prompts that leave room for new tokens, and what makes these."""
        most = self._checkpoint.prompt_format.max_tokens
        if not isinstance(generate, int) or isinstance(generate, bool) or not 1 <= generate < most:
            raise HeadflowError(
                f"{short(generate)} is not a number of new tokens from 1 to {most - 1}", setting="generate"
            )
        builders = {name: replace(each, new_tokens=generate) for name, each in self._free_prompts.builders.items()}
        maker = StepMaker(self._checkpoint, Writing.of({"generate": generate, "every": 1} | _ALL_HEADS), maps=True)
        if not self._checked:
            maker.check(*builders.values())
            self._checked = True
        return replace(self._free_prompts, builders=builders), maker

    def _found(self, outcome: Observed, size: Size, image: Image.Image) -> Look:
        values, grids = outcome.values, outcome.grids
        shape = len(self._checkpoint.attending), self._checkpoint.heads, values["grid_rows"], values["grid_columns"]
        return Look(
            **{name: values[name] for name in ("prediction", "p_yes", "p_no", "margin")},
            masses=dict(zip(self._checkpoint.flows, np.moveaxis(grids["heads"], -1, 0), strict=True)),
            numbers={
                column.name: values
                for column, values in zip(MAP_NUMBERS, np.moveaxis(grids[MAPS][0], -1, 0), strict=True)
            },
            maps=self._of_all_heads(grids[LISTS][0]).reshape(shape),
            box=tuple(values["grid_box"]),
            size=size,
            image=image,
            attending=self._checkpoint.attending,
            crossing=self._checkpoint.crossing,
        )

    def _of_all_heads(self, maps: np.ndarray) -> np.ndarray:
        """Maps of the heads that have one, as those of all heads: 0 in layers that do not read the image."""
        checkpoint = self._checkpoint
        if not checkpoint.crossing:
            return maps
        whole = np.zeros((len(checkpoint.attending), checkpoint.heads, *maps.shape[1:]), maps.dtype)
        whole[np.isin(checkpoint.attending, checkpoint.crossing)] = maps.reshape(-1, *whole.shape[1:])
        return whole


def _with_text(found: Look, outcome: Observed) -> WrittenLook:
    """A look with what was written."""
    values, grids = outcome.values, outcome.grids
    masses = grids[STEPS][..., STEP_NAMES.index("g2v")]
    maps = grids[STEP_LISTS][0].reshape(len(masses), -1, *found.maps.shape[2:]).mean(axis=1)
    tokens = tuple(zip(grids[TEXTS], masses.mean(axis=(1, 2)).tolist(), strict=True))
    own = {each.name: getattr(found, each.name) for each in fields(found)}
    return WrittenLook(
        **own, text=values["text"], ended=values["ended"], tokens=tokens, step_masses=masses, step_maps=maps
    )


def _read(path: Path) -> Image.Image:
    """An image file; raises `Unusable` if it cannot be read."""
    picture, _ = load_image(find_image(path.parent, path.name))
    return picture
