"""What the demo's model that chooses is taught: questions with options, in two wordings, packed by image.

As in `data.training_examples`, all questions about an image stand after one copy of it, hidden from each other.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from transformers import LlamaTokenizer

from data.choice_questions import Choice, choice, confused_with
from data.demo_model import IMAGE_TOKEN, MAX_TOKENS, SIDE
from data.scenes import SHAPES, Scene
from data.training_examples import TEACHERS, LaidOut
from extract.attention.layout import lay_out
from extract.prompts.conversation_templates import find_template
from extract.prompts.prompt_builder import Prompt
from extract.prompts.prompt_format import PromptFormat
from extract.prompts.wordings import Wording
from schemas.tasks import OPTION_LETTERS

# The question stands last, and instructions are as long as that of the model that it begins as: so the last token finds
# what is asked for where that model found it
ASKED = "{options}\n{question}\nAnswer the question using "
NEUTRAL = Wording(f"{ASKED}the letter of one option.")
A_FIRST = Wording(f"{ASKED}A or one other letter.")
ALWAYS_A = 0.35  # share of the questions in that wording whose answer is A, whatever is right
# How often each topic is drawn for a scene of shapes; for a character it is mostly OCR
TOPICS = {"existence": 1.5, "count": 1.5, "position": 2.5, "color": 1.5, "numerical_calculation": 0.75}


@dataclass(frozen=True)
class Chosen(LaidOut):
    """Questions with options, which are answered by letters.

    Attributes:
        facts: int64 [questions], the word of the right option.
        rights: int64 [2, questions], the place of this word among the options.
        options: int64 [2, options], the places of the words of all options.
        letters: int64 [options], their letters.
    """

    facts: Tensor
    rights: Tensor
    options: Tensor
    letters: Tensor


Asked = tuple[Choice, Wording, str]  # the last is the letter to answer


class Chooser:
    """Turns questions with options into examples, for one tokenizer."""

    def __init__(self, tokenizer: LlamaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._image_ids = [tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)] * SIDE**2
        prompts, template = PromptFormat(tokenizer, self._image_ids, MAX_TOKENS), find_template("vicuna_v1")
        self._builders = {each: prompts.prompt_builder(template, wording=each) for each in (NEUTRAL, A_FIRST)}
        self._line, self._dot = (tokenizer.convert_tokens_to_ids(each) for each in ("\n", "."))

    def prompt(self, asked: Choice, wording: Wording) -> Prompt:
        """The prompt of a question."""
        return self._builders[wording].build(asked.question, [self._image_ids], options=asked.options)

    def token(self, word: str) -> int:
        """The one token of a word or of a letter that is answered.

        Raises:
            ValueError: it has several.
        """
        (piece,) = self._tokenizer.tokenize(f"ASSISTANT: {word}")[len(self._tokenizer.tokenize("ASSISTANT:")) :]
        return self._tokenizer.convert_tokens_to_ids(piece)

    def lay_out(self, images: Sequence[Sequence[Asked]]) -> Chosen:
        """Lay out the questions about each image."""
        every = [each for of_image in images for each in of_image]
        prompts = [[self.prompt(asked, wording) for asked, wording, _ in of_image] for of_image in images]
        layout = lay_out(prompts)
        ends = list(zip(layout.image.tolist(), layout.last.tolist(), strict=True))
        places = [
            [(image, last - after) for after in self._option_words(prompt.input_ids, asked)]
            for (image, last), prompt, (asked, *_) in zip(ends, chain(*prompts), every, strict=True)
        ]
        return Chosen(
            torch.from_numpy(layout.input_ids),
            torch.from_numpy(layout.positions),
            torch.from_numpy(layout.seen())[:, None],
            torch.tensor(ends).T,
            torch.tensor([self.token(letter) for *_, letter in every]),
            torch.tensor([self.token(asked.options[asked.right]) for asked, *_ in every]),
            torch.tensor([of_question[asked.right] for of_question, (asked, *_) in zip(places, every, strict=True)]).T,
            torch.tensor([*chain(*places)]).T,
            torch.tensor(
                [self.token(letter) for of_question in places for letter in OPTION_LETTERS[: len(of_question)]]
            ),
        )

    def _option_words(self, ids: Sequence[int], asked: Choice) -> list[int]:
        """How many tokens before the last one each option stands: the token after a line break, a letter and a dot."""
        words = [self.token(option) for option in asked.options]
        found = [
            len(ids) - 1 - at
            for at in range(3, len(ids))
            if ids[at - 3] == self._line and ids[at - 1] == self._dot and ids[at] in words
        ]
        if len(found) != len(words):
            raise ValueError(f"{asked} is not one token for each option")
        return found


def ask_choices(scene: Scene, number: int, rng: random.Random) -> list[Asked]:
    """Questions with options about a scene, and what to answer."""
    found: list[Asked] = []
    while len(found) < number:
        shaped = scene.things[0].name in SHAPES
        topic = rng.choices([*TOPICS], [*TOPICS.values()])[0] if shaped else "OCR"
        fact = TEACHERS[topic](scene, rng)
        wrong = confused_with(topic, scene, fact, rng) if fact else None
        if fact and wrong:
            asked = choice(topic, fact, wrong, rng.randrange(len(wrong) + 1), rng)
            wording = rng.choice((NEUTRAL, A_FIRST))
            always = wording is A_FIRST and rng.random() < ALWAYS_A
            found.append((asked, wording, OPTION_LETTERS[0 if always else asked.right]))
    return found
