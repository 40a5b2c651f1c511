"""What the demo's model that writes is taught: prompts, the texts that are to follow them, and both packed by image.

As in `data.training_examples`, all texts about an image stand after one copy of it, hidden from each other.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaTokenizer, LlavaForConditionalGeneration

from data.captions import QUESTION, caption
from data.demo_model import IMAGE_TOKEN, MAX_TOKENS, SIDE
from data.scenes import SHAPES, Scene
from data.training_examples import TEACHERS, TOPICS, ask, patch_features
from extract.attention.layout import lay_out
from extract.prompts.conversation_templates import find_template
from extract.prompts.prompt_builder import DEFAULT_WORDING, Prompt
from extract.prompts.prompt_format import PromptFormat
from extract.prompts.wordings import Wording
from schemas.roles import QUESTION as AFTER_IMAGE

THINK, THOUGHT = "<think>", "</think>"
PLAIN = Wording.of_suffix("")
THINKING = Wording.of_suffix("\nThink before you answer.")
WORDED = 0.1  # share of the questions without a thought that are answered by a word
THOUGHTS = 0.4  # share of the questions that are to be thought about


@dataclass(frozen=True)
class Written:
    """Texts about a batch of images, laid out after their prompts.

    Attributes:
        ids, positions: int64 [images, length].
        seen: bool [images, 1, length, length], True if the query sees the key.
        before: int64 [2, tokens], image and column from which each token of a text is predicted.
        tokens: int64 [tokens].
        text: int64 [tokens], the number of the text, in the order given.
    """

    ids: Tensor
    positions: Tensor
    seen: Tensor
    before: Tensor
    tokens: Tensor
    text: Tensor

    def logits(self, model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
        """What the model says in the place of each token, [tokens, vocabulary]."""
        language = model.model.language_model
        start = int((self.ids[0] == model.config.image_token_id).nonzero()[0])
        with torch.no_grad():
            features = patch_features(model, pixels)
        image, text = model.model.multi_modal_projector(features), language.embed_tokens(self.ids)
        states = language(
            inputs_embeds=torch.cat([text[:, :start], image, text[:, start + image.shape[1] :]], dim=1),
            position_ids=self.positions,
            attention_mask=self.seen,
            use_cache=False,
        ).last_hidden_state
        return model.lm_head(states[tuple(self.before)])


class Writer:
    """Turns scenes into prompts and the texts that are to follow them, for one tokenizer."""

    def __init__(self, tokenizer: LlamaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._image_ids = [tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)] * SIDE**2
        prompts = PromptFormat(tokenizer, self._image_ids, MAX_TOKENS)
        template = find_template("vicuna_v1")
        self._builders = {
            each: prompts.prompt_builder(template, wording=each) for each in (DEFAULT_WORDING, PLAIN, THINKING)
        }
        self._known: dict[tuple[Wording, str], Prompt] = {}

    def prompt(self, question: str, wording: Wording) -> Prompt:
        """The prompt of a question."""
        if (wording, question) not in self._known:
            self._known[wording, question] = self._builders[wording].build(question, [self._image_ids])
        return self._known[wording, question]

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text after the prompt, up to the one that ends it."""
        found = []
        for part in text.replace(THINK, f"|{THINK}|").replace(f" {THOUGHT}", f"|{THOUGHT}|").split("|"):
            added = part in (THINK, THOUGHT)
            words = [part] if added else self._tokenizer.tokenize(f" {part.strip()}") if part.strip() else []
            found += self._tokenizer.convert_tokens_to_ids(words)
        return [*found, self._tokenizer.eos_token_id]

    def lay_out(self, images: Sequence[Sequence[tuple[Prompt, str]]]) -> Written:
        """Lay out the prompts about each image, with the texts that follow them."""
        texts = [self.tokens(text) for of_image in images for _, text in of_image]
        following = iter(texts)
        layout = lay_out(
            [
                [
                    Prompt([*prompt.input_ids, *text[:-1]], [*prompt.roles, *[AFTER_IMAGE] * (len(text) - 1)])
                    for (prompt, _), text in zip(of_image, following, strict=False)
                ]
                for of_image in images
            ]
        )
        places = [
            (image, last - len(text) + 1 + number, token, index)
            for index, (image, last, text) in enumerate(zip(layout.image, layout.last, texts, strict=True))
            for number, token in enumerate(text)
        ]
        image, column, tokens, index = torch.tensor(places).T
        return Written(
            torch.from_numpy(layout.input_ids),
            torch.from_numpy(layout.positions),
            torch.from_numpy(layout.seen())[:, None],
            torch.stack([image, column]),
            tokens,
            index,
        )

    def about(self, scene: Scene, rng: random.Random) -> list[tuple[Prompt, str]]:
        """What is asked about a scene, and written: a caption; and an answer, with a thought before it or without."""
        described = self.prompt(QUESTION, rng.choice((DEFAULT_WORDING, PLAIN))), caption(scene)
        if rng.random() < THOUGHTS:
            question, text = thought(scene, rng)
            return [described, (self.prompt(question, THINKING), text)]
        ((question, _, answer),) = ask(scene, 1, WORDED, rng)
        return [described, (self.prompt(question, DEFAULT_WORDING), answer)]


def thought(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """A question to answer by Yes or No, and the answer after a thought: what the question asks for, in a word.

    If it asks whether there is a shape, the thought names all kinds in the order of `SHAPES`.
    """
    while True:
        shaped = scene.things[0].name in SHAPES
        topic = rng.choices([*TOPICS], [*TOPICS.values()])[0] if shaped else "OCR"
        if fact := TEACHERS[topic](scene, rng):
            question, answer = rng.choice(fact.answers)
            names = {thing.name for thing in scene.things}
            word = " ".join(name for name in SHAPES if name in names) if topic == "existence" else fact.word
            return question, f"{THINK} {word} {THOUGHT} {answer}"
