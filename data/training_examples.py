"""What the demo's model is taught: scenes, labels of their patches, and questions packed after one prefix.

Prompts are those of `extract`, token for token, laid out as there (`extract.attention.layout`): all questions on an
image stand in one sequence after the image, with their own position ids and a mask that hides them from each other, so
that an image is computed once.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaTokenizer, LlavaForConditionalGeneration

from data.demo_model import IMAGE_TOKEN, MAX_TOKENS, PATCH, SIDE, image_processor
from data.questions import CATEGORIES, place, plural
from data.scenes import COLORS, DIGITS, GRID, LETTERS, SHAPES, SIZE, Scene, character, shapes
from extract.attention.layout import lay_out
from extract.prompts.conversation_templates import find_template
from extract.prompts.prompt_builder import Prompt
from extract.prompts.prompt_format import PromptFormat

NAMES = ("", *SHAPES, *LETTERS, *DIGITS)
INKS = ("", *COLORS)
NAME, INK, CENTRE = 0, 1, 2  # kinds of labels
# Words for what a patch shows, in the order of the labels; the plural is what one counts
VOCABULARIES = (NAMES[1:], [plural(shape) for shape in SHAPES], INKS[1:])
CHARACTERS = 0.35  # share of the scenes with a letter or digit
TEACHERS = {name: ask for name, (_, ask) in CATEGORIES.items()} | {"place": place}
# How often each topic is drawn for a scene of shapes; for a character it is mostly OCR
TOPICS = {"existence": 1.0, "count": 2.0, "position": 2.0, "color": 2.0, "place": 1.0, "numerical_calculation": 1.0}

MEAN, STD = (
    torch.tensor(value)[:, None, None] for value in (image_processor().image_mean, image_processor().image_std)
)
UNKNOWN = -100  # the colour of a shape that is there more than once

ImageQuestions = Sequence[tuple[str, str, str]]  # about one image, each with the fact that is needed and the answer


@dataclass(frozen=True)
class Split:
    """Scenes that no other split has, drawn and labelled.

    Attributes:
        images: uint8 [scenes, height, width, 3].
        labels: int64 [scenes, 3, patches]: in `NAMES`, in `INKS`, and 1 if a thing has its centre there.
    """

    scenes: list[Scene]
    images: np.ndarray
    labels: Tensor

    @classmethod
    def of(cls, scenes: list[Scene]) -> "Split":
        """Draw and label some scenes."""
        return cls(
            scenes,
            np.stack([np.asarray(scene.draw()) for scene in scenes]),
            torch.from_numpy(np.stack([_labels(scene) for scene in scenes])),
        )

    def pixels(self, indices: list[int]) -> Tensor:
        """Some of the images as the model takes them, float32 [images, 3, height, width]."""
        return (torch.from_numpy(self.images[indices]).permute(0, 3, 1, 2) / 255 - MEAN) / STD

    def hashes(self) -> set[bytes]:
        """What tells images apart."""
        return {image.tobytes() for image in self.images}


def training_scenes(number: int, seed: int) -> list[Scene]:
    """Scenes of both kinds."""
    rng = random.Random(seed)
    return [(character if rng.random() < CHARACTERS else shapes)(rng) for _ in range(number)]


def _labels(scene: Scene) -> np.ndarray:
    """What each patch shows, int64 [3, patches]."""
    labels = np.zeros((3, SIDE, SIDE), np.int64)
    middle = (np.arange(SIDE) + 0.5) * PATCH
    for thing in scene.things:
        covered = (abs(middle[:, None] - thing.y) <= thing.radius) & (abs(middle - thing.x) <= thing.radius)
        labels[0, covered], labels[1, covered] = NAMES.index(thing.name), INKS.index(thing.color)
        labels[2, int(thing.y // PATCH), int(thing.x // PATCH)] = 1
    return labels.reshape(3, -1)


def ask(
    scene: Scene, number: int, open_share: float, rng: random.Random, topics: Mapping[str, float] = TOPICS
) -> ImageQuestions:
    """Questions about a scene, that share of them answered by a word, the others by Yes or No.

    The fact is the word; for a shape that is not in the image it is the answer.
    """
    questions: list[tuple[str, str, str]] = []
    while len(questions) < number:
        if scene.things[0].name in SHAPES:
            topic = rng.choices([*topics], [*topics.values()])[0]
        else:
            topic = "OCR" if rng.random() < 0.8 else "numerical_calculation"
        fact = TEACHERS[topic](scene, rng)
        if fact is not None:
            forms = (fact.open, fact.word), *fact.answers
            question, answer = rng.choices(forms, (2 * open_share, 1 - open_share, 1 - open_share))[0]
            questions.append((question, answer if topic == "existence" else fact.word, answer))
    return questions


@dataclass(frozen=True)
class LaidOut:
    """Questions about a batch of images, laid out. A place is an image and a column.

    Attributes:
        ids: int64 [images, length].
        positions: int64 [images, length].
        seen: bool [images, 1, length, length], True if the query sees the key.
        ends: int64 [2, questions], the place of each prompt's last token.
        answers: int64 [questions], the token that should follow it.
    """

    ids: Tensor
    positions: Tensor
    seen: Tensor
    ends: Tensor
    answers: Tensor

    def states(self, model: LlavaForConditionalGeneration, pixels: Tensor) -> tuple[Tensor, ...]:
        """What goes into each layer of the language model, and what comes out of the last, normed."""
        language = model.model.language_model
        start = int((self.ids[0] == model.config.image_token_id).nonzero()[0])
        text = language.embed_tokens(self.ids)
        image = model.model.multi_modal_projector(patch_features(model, pixels))
        return language(
            inputs_embeds=torch.cat([text[:, :start], image, text[:, start + image.shape[1] :]], dim=1),
            position_ids=self.positions,
            attention_mask=self.seen,
            use_cache=False,
            output_hidden_states=True,
        ).hidden_states

    def logits(self, model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
        """What the model says next, [questions, vocabulary]."""
        return model.lm_head(self.states(model, pixels)[-1][tuple(self.ends)])


@dataclass(frozen=True)
class TrainingBatch(LaidOut):
    """Such questions, with what else is taught.

    Attributes:
        marks: int64 [2, questions], the place of each question mark.
        facts: int64 [questions], the token of the fact that the question needs.
        mentions: int64 [2, mentions], the places of the names of shapes.
        inks: int64 [mentions], the colour of the shape: in `INKS`, so 0 if there is none, or `UNKNOWN`.
        places: float32 [mentions, 2], its x and y in cells from the middle; NaN unless there is exactly one.
    """

    marks: Tensor
    facts: Tensor
    mentions: Tensor
    inks: Tensor
    places: Tensor

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same on a device."""
        return TrainingBatch(*(getattr(self, each.name).to(device) for each in fields(self)))


def patch_features(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """What the vision tower gives the projector, float32 [images, patches, width]."""
    return model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]


class ExampleMaker:
    """Turns questions into examples, for one tokenizer."""

    def __init__(self, tokenizer: LlamaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._image_ids = [tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)] * SIDE**2
        self._prompts = PromptFormat(tokenizer, self._image_ids, MAX_TOKENS).prompt_builder(find_template("vicuna_v1"))
        self._mark = tokenizer.convert_tokens_to_ids("?")
        self.prompt = lru_cache(maxsize=None)(self._prompt)
        self.answer = lru_cache(maxsize=None)(self._answer)

    def _prompt(self, question: str) -> Prompt:
        return self._prompts.build(question, [self._image_ids])

    def _answer(self, word: str) -> int:
        """The token that begins an answer."""
        prompt = self._tokenizer("ASSISTANT:").input_ids
        return self._tokenizer(f"ASSISTANT: {word}").input_ids[len(prompt)]

    def batch(self, scenes: Sequence[Scene], questions: Sequence[ImageQuestions]) -> TrainingBatch:
        """Lay out the questions about each scene."""
        layout = lay_out([[self.prompt(question) for question, *_ in of_image] for of_image in questions])
        marks, mentions, known = [], [], []
        for image, slot in zip(layout.image.tolist(), layout.slot.tolist(), strict=True):
            columns = np.flatnonzero(layout.owner[image] == slot + 1).tolist()
            tokens = dict(zip(columns, layout.input_ids[image, columns].tolist(), strict=True))
            grounds = {self.answer(name): _ground(scenes[image], name) for name in SHAPES}
            mentions += [(image, column) for column, token in tokens.items() if token in grounds]
            known += [grounds[token] for token in tokens.values() if token in grounds]
            marks.append((image, next(column for column, token in tokens.items() if token == self._mark)))
        facts, answers = zip(
            *((self.answer(f), self.answer(a)) for of_image in questions for _, f, a in of_image), strict=True
        )
        return TrainingBatch(
            torch.from_numpy(layout.input_ids),
            torch.from_numpy(layout.positions),
            torch.from_numpy(layout.seen())[:, None],
            torch.from_numpy(np.stack([layout.image, layout.last])),
            torch.tensor(answers),
            torch.tensor(marks).T,
            torch.tensor(facts),
            torch.tensor(mentions, dtype=torch.int64).reshape(-1, 2).T,
            torch.tensor([ink for ink, _, _ in known], dtype=torch.int64),
            torch.tensor([place for _, *place in known]).reshape(-1, 2),
        )


def _ground(scene: Scene, name: str) -> tuple[int, float, float]:
    """Colour and place of a shape, as `TrainingBatch` tells them."""
    things = [thing for thing in scene.things if thing.name == name]
    if len(things) != 1:
        return UNKNOWN if things else 0, math.nan, math.nan
    x, y = ((at / SIZE - 0.5) * GRID for at in (things[0].x, things[0].y))
    return INKS.index(things[0].color), x, y
