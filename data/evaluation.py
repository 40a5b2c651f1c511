"""What the demo's models answer, on any scenes, and what they answer if the question cannot see the image.

Independent of `extract`: the models run as in training, and masks of transformers' own attention hide the image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import LlamaTokenizer, LlavaForConditionalGeneration

from analyze.statistics import contrasts
from data.hard_questions import HARD_IMAGES, HARD_SEED, draw_all_hard
from data.questions import CONTROL, DEMO_IMAGES, DEMO_SEED, Drawn, draw_all
from data.recipes import HELD_OUT
from data.training_examples import ExampleMaker, Split, TrainingBatch

AT_ONCE = 52  # images
Hidden = Mapping[int, Sequence[int] | None]  # by layer: the heads in which the question cannot see the image; None: all


class Questions:
    """Questions in MME's manner: some images, each with one question to answer Yes and one No."""

    def __init__(self, examples: ExampleMaker, drawn: Sequence[Drawn], device: torch.device) -> None:
        self.split = Split.of([scene for *_, scene, _ in drawn])
        self._device = device
        self._yes, self._no = examples.answer("Yes"), examples.answer("No")
        asked = [[(question, answer, answer) for question, answer in fact.answers] for *_, fact in drawn]
        self._batches: dict[tuple[int, ...], TrainingBatch] = {}
        for start in range(0, len(drawn), AT_ONCE):
            images = tuple(range(start, min(start + AT_ONCE, len(drawn))))
            batch = examples.batch([self.split.scenes[image] for image in images], [asked[image] for image in images])
            self._batches[images] = batch.to(device)
        self._table = pd.DataFrame(
            [
                (category, difficulty, image, answer == "Yes")
                for image, (category, difficulty, _, fact) in enumerate(drawn)
                for _, answer in fact.answers
            ],
            columns=["category", "difficulty", "image", "answer"],
        )
        # For each image the next one of its category
        followers = self._table.groupby("category")["image"].unique().map(lambda images: [*images[1:], images[0]])
        own = self._table.groupby("category")["image"].unique()
        self._next = {one: other for name in own.index for one, other in zip(own[name], followers[name], strict=True)}

    @torch.no_grad()
    def ask(
        self, model: LlavaForConditionalGeneration, *, swapped: bool = False, hidden: Hidden | None = None
    ) -> pd.DataFrame:
        """What the model answers, a row a question.

        Args:
            swapped: ask about the category's next image instead.
            hidden: where the tokens after the image cannot see it.

        Returns:
            `category`, `difficulty`, `image` (number), `answer` (whether Yes is right), `margin` (logit of the right
            one of Yes and No, less that of the other one), `says` (its likeliest first token: 0 for Yes, 1
            for No, NaN for any other), `right` (whether that is the right answer).
        """
        margins, said = [], []
        for images, batch in self._batches.items():
            shown = [int(self._next[image]) if swapped else image for image in images]
            pixels = self.split.pixels(shown).to(self._device)
            with hiding(model, batch, hidden or {}):
                logits = batch.logits(model, pixels)
            margins.append((logits[:, self._yes] - logits[:, self._no]).cpu())
            said.append(logits.argmax(-1).cpu())
        table = self._table.copy()
        table["margin"] = torch.cat(margins).numpy() * (2 * table["answer"] - 1)
        table["says"] = pd.Series(torch.cat(said).numpy()).map({self._yes: 0, self._no: 1}).astype(float)
        return table.assign(right=table["says"] == table["answer"].map({True: 0, False: 1}))

    def accuracy(self, model: LlavaForConditionalGeneration, *, swapped: bool = False) -> dict[str, float]:
        """Share of right answers by category."""
        shares = self.ask(model, swapped=swapped).groupby("category", sort=False)["right"].mean()
        return {str(category): float(share) for category, share in shares.items()}


class Checkpoint:
    """One of the demo's models, trained, float32 on the CPU.

    Attributes:
        model: ready to answer.
        examples: makes its examples.
        tokenizer: its own.
    """

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = LlamaTokenizer.from_pretrained(folder)
        self.examples = ExampleMaker(self.tokenizer)

    def questions(self, drawn: Sequence[Drawn]) -> Questions:
        """Questions for it."""
        return Questions(self.examples, drawn, torch.device("cpu"))


def demo_files() -> dict[str, list[Drawn]]:
    """The scenes and facts of the committed question files."""
    return {"demo": _ordinary(DEMO_SEED, DEMO_IMAGES), "demo/hard": draw_all_hard(HARD_SEED, HARD_IMAGES)}


def held_out_questions(examples: ExampleMaker, seed: int, device: torch.device) -> Questions:
    """The held-out questions of a model that was trained from a seed."""
    return Questions(examples, _ordinary(seed + 1, HELD_OUT), device)


def _ordinary(seed: int, images: int) -> list[Drawn]:
    drawn = draw_all(seed, images)
    return [(category, None, scene, fact) for category, some in drawn.items() for scene, fact in some]


@contextmanager
def hiding(model: LlavaForConditionalGeneration, batch: TrainingBatch, hidden: Hidden) -> Iterator[None]:
    """Within it, the tokens after the image cannot see it in some heads, as far as `batch` goes through the model."""
    image = batch.ids == model.config.image_token_id
    after = (image.cumsum(-1) > 0) & ~image
    crossing = after[:, None, :, None] & image[:, None, None, :]  # [images, 1, queries, keys]
    layers = model.model.language_model.layers

    def blindfold(heads: Sequence[int] | None) -> Callable[..., tuple[Any, dict[str, Any]]]:
        blind = torch.ones(1, model.config.text_config.num_attention_heads, 1, 1, dtype=torch.bool)
        if heads is not None:
            blind[:] = False
            blind[:, list(heads)] = True
        seen = batch.seen & ~(crossing & blind.to(crossing.device))
        return lambda _, given, named: (given, named | {"attention_mask": seen})

    hooks = [
        layers[layer].self_attn.register_forward_pre_hook(blindfold(heads), with_kwargs=True)
        for layer, heads in hidden.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def pair_states(answers: pd.DataFrame) -> pd.DataFrame:
    """How each pair of questions on one image was answered: `state`, with `category` and `difficulty`, by image."""
    by_answer = answers.pivot(index="image", columns="answer", values="says")
    state = contrasts.pair_states(*(by_answer[side].to_numpy(float) for side in (True, False)))
    return answers.groupby("image")[["category", "difficulty"]].first().assign(state=state)


def needs_the_image(answers: pd.DataFrame) -> pd.DataFrame:
    """The questions that no one can answer without the image."""
    return answers[answers["category"] != CONTROL]
