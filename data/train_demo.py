"""The recipe of the demo's model: makes scenes and questions from a seed, trains, evaluates, writes the checkpoint.

    python -m data.train_demo --out data/demo/tiny-llava

First the tower and the projector are trained (`data.train_vision`), then the whole model on answers, mostly Yes and No.
Two more losses act inside the model: after layer 2 the token of a name must tell colour and place of the shape that it
names, after layer 4 the question mark must tell the fact that the question needs. Without them, lookup and comparison
take many times as long to form. No image of the held-out questions or of the demo is among those of training.
"""

import argparse
import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from transformers import LlamaTokenizer, LlavaForConditionalGeneration

from data.demo_model import build_model, image_processor, train_tokenizer
from data.questions import CATEGORIES, CONTROL, DEMO_IMAGES, DEMO_SEED, draw_all
from data.train_vision import STEPS as SIGHT_STEPS
from data.train_vision import descend, train_vision
from data.training_examples import INKS, UNKNOWN, ExampleMaker, Split, TrainingBatch, ask, training_scenes
from extract.models.checkpoint import choose_device

matplotlib.use("Agg")

SCENES = 20_000
STEPS, BATCH, QUESTIONS, RATE = 5_000, 8, 8, 1e-3
NAMED_AFTER, FACTS_AFTER = 2, 4  # layers
OPEN_SHARE = 0.2  # of the questions
HELD_OUT = 150  # images of each category
EVERY = 250  # steps between looks at the held-out questions


@dataclass
class Record:
    """How training went."""

    seed: int
    started: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)
    accuracy: list[dict[str, float]] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        """Since the start."""
        return (time.monotonic() - self.started) / 60

    def say(self, line: str) -> None:
        """Print a line, and when."""
        print(f"{line}; {self.minutes:.1f} min", flush=True)


def train_answers(
    model: LlavaForConditionalGeneration,
    examples: ExampleMaker,
    split: Split,
    questions: "Questions",
    record: Record,
    device: torch.device,
) -> None:
    """Teach the whole model to answer; looks at the held-out questions every `EVERY` steps."""
    tower = [*model.model.vision_tower.parameters()]
    inside = {id(weight) for weight in tower}
    ground = nn.Linear(model.config.text_config.hidden_size, len(INKS) + 2).to(device)
    rest = [weight for part in (model, ground) for weight in part.parameters() if id(weight) not in inside]
    rates = [0.3 * RATE, RATE]
    groups = [{"params": weights, "lr": rate} for weights, rate in zip((tower, rest), rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=STEPS, pct_start=0.05)
    rng = random.Random(record.seed)
    for step in range(1, STEPS + 1):
        chosen = rng.choices(range(len(split.scenes)), k=BATCH)
        scenes = [split.scenes[index] for index in chosen]
        batch = examples.batch(scenes, [ask(scene, QUESTIONS, OPEN_SHARE, rng) for scene in scenes]).to(device)
        losses = _losses(model, ground, batch, split.pixels(chosen).to(device))
        loss = torch.stack(losses).sum()
        descend(loss, [*tower, *rest], optimizer, schedule)
        record.losses.append(loss.item())
        if step % EVERY == 0:
            record.accuracy.append(questions.accuracy(model))
            recent = sum(record.losses[-100:]) / 100
            seen = ", ".join(f"{name} {share:.0%}" for name, share in record.accuracy[-1].items())
            record.say(f"answers {step}/{STEPS}: loss {recent:.3f}; held out: {seen}")


def _losses(
    model: LlavaForConditionalGeneration, ground: nn.Linear, batch: TrainingBatch, pixels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the answers; of the facts, after layer `FACTS_AFTER`; of the shapes named, after layer `NAMED_AFTER`."""
    states = batch.states(model, pixels)
    answers = model.lm_head(states[-1][tuple(batch.ends)])
    facts = model.lm_head(model.model.language_model.norm(states[FACTS_AFTER][tuple(batch.marks)]))
    inks, places = ground(states[NAMED_AFTER][tuple(batch.mentions)]).split((len(INKS), 2), dim=-1)
    known, placed = batch.inks != UNKNOWN, batch.places.isfinite()
    # A batch may name no shape
    named = cross_entropy(inks[known], batch.inks[known], reduction="sum") / max(1, int(known.sum()))
    located = mse_loss(places[placed], batch.places[placed], reduction="sum") / max(1, int(placed.sum()))
    return cross_entropy(answers, batch.answers), cross_entropy(facts, batch.facts), named + located


class Questions:
    """Questions in MME's manner: of each category some images, each with one question to answer Yes and one No."""

    def __init__(self, examples: ExampleMaker, number: int, seed: int, device: torch.device) -> None:
        self.splits: dict[str, Split] = {}
        self._batches: dict[str, TrainingBatch] = {}
        self._device = device
        self._yes, self._no = examples.answer("Yes"), examples.answer("No")
        for category, drawn in draw_all(seed, number).items():
            self.splits[category] = Split.of([scene for scene, _ in drawn])
            self._batches[category] = examples.batch(
                self.splits[category].scenes,
                [[(question, answer, answer) for question, answer in fact.answers] for _, fact in drawn],
            )

    def hashes(self) -> set[bytes]:
        """What tells its images apart."""
        return set().union(*(split.hashes() for split in self.splits.values()))

    @torch.no_grad()
    def accuracy(self, model: LlavaForConditionalGeneration, *, swapped: bool = False) -> dict[str, float]:
        """Share of right answers by category, the likelier of Yes and No taken.

        Args:
            swapped: ask about the category's next image instead.
        """
        shares = {}
        for category, split in self.splits.items():
            number = len(split.scenes)
            pixels = split.pixels([(index + swapped) % number for index in range(number)])
            batch = self._batches[category].to(self._device)
            logits = batch.logits(model, pixels.to(self._device))
            said_yes = logits[:, self._yes] > logits[:, self._no]
            shares[category] = float((said_yes == (batch.answers == self._yes)).float().mean())
        return shares


def draw_curve(record: Record, path: Path) -> None:
    """Loss, and held-out accuracy by category, over the steps."""
    figure, (top, bottom) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    smooth = np.convolve(record.losses, np.ones(50) / 50, mode="valid")
    top.plot(range(50, len(record.losses) + 1), smooth, color="0.3")
    top.set(ylabel="loss, mean of 50 steps", ylim=(0, None))
    looks = [EVERY * number for number in range(1, len(record.accuracy) + 1)]
    for category in CATEGORIES:
        bottom.plot(looks, [look[category] for look in record.accuracy], marker=".", label=category)
    bottom.axhline(0.5, color="0.6", linewidth=1, linestyle="--")
    bottom.set(xlabel="step", ylabel="accuracy, held out", ylim=(0.4, 1.02))
    bottom.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


CARD = """\
# tiny-llava: the demo's model

A LLaVA in transformers' format that has learnt to look, small enough to lie beside the code: a CLIP tower
(4 layers, 96 px images in 8 x 8 patches), LLaVA's two-layer projector and a LLaMA of 6 layers x 8 heads;
{weights:.1f} million weights, float16. It answers yes/no questions about pictures like those in `data/demo/images`, and
nothing else.

**Data.** {scenes:,} scenes from `data/scenes.py`: coloured shapes in a grid, or one large letter or digit; each is
asked about anew whenever it is drawn. No image of the {held_out} held-out images a category or of the demo's is among
them.

**Recipe.** `python -m data.train_demo --seed {seed}`: {sight_steps:,} steps for tower and projector on words for
patches, then {steps:,} steps of {batch} images x {questions} questions for all of it, {yes_no:.0%} answered by Yes or
No, the others by a word. On the way the names of shapes are told the colour and place of what they name (after layer
{named}) and the question mark the fact that is asked for (after layer {facts}). {minutes:.0f} minutes on {machine},
torch {torch}. The curve is in `training.png`.

**Accuracy** of these weights, the likelier of Yes and No taken; each image has one question answered Yes and one
answered No, so that guessing gives 50%. "Swapped": asked about another image of the category.

| category | held out | held out, swapped | demo |
| --- | --- | --- | --- |
{table}

`{control}` is the control: no image is needed for it.

**Known weaknesses.** It knows five shapes, six colours, 36 characters in one font and counts up to four, on light paper
and in upright shapes of about one size. It has no general language: other words, other phrasings and other pictures
give noise, and it never says that it does not know. Of position it knows left, right, above and below, where two shapes
stand clearly apart. Because of what it is told on the way, the question reads the image in the first three layers:
hiding it in the others changes next to nothing. Do not take that for what larger models do.
"""


def write(
    out: Path,
    model: LlavaForConditionalGeneration,
    tokenizer: LlamaTokenizer,
    record: Record,
    accuracies: Sequence[dict[str, float]],
) -> None:
    """Write the checkpoint in float16, its card, its learning curve and its figures."""
    for piece in (model.half(), tokenizer, image_processor()):
        piece.save_pretrained(out)
    draw_curve(record, out / "training.png")
    (out / "README.md").write_text(card(model, record, accuracies), encoding="utf-8")


def card(model: LlavaForConditionalGeneration, record: Record, accuracies: Sequence[dict[str, float]]) -> str:
    """The model's card; the accuracies are held out, held out and swapped, and the demo's."""
    rows = [f"| `{name}` | " + " | ".join(f"{each[name]:.1%}" for each in accuracies) + " |" for name in CATEGORIES]
    return CARD.format(
        weights=sum(weight.numel() for weight in model.parameters()) / 1e6,
        scenes=SCENES,
        held_out=HELD_OUT,
        seed=record.seed,
        sight_steps=SIGHT_STEPS,
        steps=STEPS,
        batch=BATCH,
        questions=QUESTIONS,
        yes_no=1 - OPEN_SHARE,
        named=NAMED_AFTER,
        facts=FACTS_AFTER,
        minutes=record.minutes,
        machine=f"{len(os.sched_getaffinity(0))} {platform.machine()} cores",
        torch=torch.__version__,
        table="\n".join(rows),
        control=CONTROL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo/tiny-llava"), help="the checkpoint to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    record = Record(arguments.seed)
    split = Split.of(training_scenes(SCENES, record.seed))
    rng = random.Random(record.seed)
    said = [text for scene in split.scenes[:5000] for words in ask(scene, 4, 1 / 3, rng) for text in words]
    tokenizer = train_tokenizer(said)
    examples = ExampleMaker(tokenizer)
    held_out, demo = (
        Questions(examples, HELD_OUT, record.seed + 1, device),
        Questions(examples, DEMO_IMAGES, DEMO_SEED, device),
    )
    trained, held, shown = split.hashes(), held_out.hashes(), demo.hashes()
    if trained & held or trained & shown or held & shown:
        raise SystemExit("training, held-out questions and demo share an image; take another --seed")
    model = build_model(tokenizer, seed=record.seed).to(device)
    torch.manual_seed(record.seed)
    record.say(f"{SCENES} scenes drawn, a vocabulary of {len(tokenizer)}")
    train_vision(model, examples, split, seed=record.seed, device=device, say=record.say)
    train_answers(model, examples, split, held_out, record, device)
    model = model.eval().half().float()  # as it will be stored
    accuracies = [held_out.accuracy(model), held_out.accuracy(model, swapped=True), demo.accuracy(model)]
    write(arguments.out, model, tokenizer, record, accuracies)
    print((arguments.out / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
