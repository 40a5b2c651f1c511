"""The recipes of the demo's models: makes scenes and questions from a seed, trains, evaluates, writes the checkpoint.

    python -m data.train_demo tiny-llava
    python -m data.train_demo tiny-llava-4x4

First the tower and the projector are trained (`data.train_vision`), then the whole model on answers: Yes, No, or a
word.

A guided model has two more losses inside: after layer 2 the token of a name must tell colour and place of the shape
that it names, after layer 4 the question mark must tell the fact that the question needs. Without them, lookup and
comparison take many times as long to form. A model that is not guided finds its own layers for them: it is asked
only for words at first, mostly for colours and places, then also for Yes and No, at last mostly about positions, for
four times as many steps. No image of the held-out questions or of the demo's is among those of training.
"""

import argparse
import random
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from transformers import LlavaForConditionalGeneration

from data.demo_model import build_model, image_processor, train_tokenizer
from data.evaluation import Questions, demo_files, held_out_questions
from data.model_card import draw_curve
from data.recipes import (
    BATCH,
    EVERY,
    FACTS_AFTER,
    NAMED_AFTER,
    QUESTIONS,
    RECENT,
    RECIPES,
    RECORD,
    SCENES,
    Record,
    Stage,
)
from data.train_vision import descend, train_vision
from data.training_examples import INKS, UNKNOWN, ExampleMaker, Split, TrainingBatch, ask, training_scenes
from extract.models.checkpoint import use_device


@dataclass(frozen=True)
class Training:
    """A model and what it is trained with.

    Attributes:
        split: scenes and images of training.
        questions: held-out ones.
    """

    model: LlavaForConditionalGeneration
    examples: ExampleMaker
    split: Split
    questions: Questions
    record: Record
    device: torch.device


def train_answers(training: Training) -> None:
    """Teach the whole model to answer, stage by stage; looks at the held-out questions every `EVERY` steps.

    A later stage begins with the weights rounded to float16, and with moments of the optimizer of its own.
    """
    for number, stage in enumerate(training.record.recipe.stages):
        if number:
            training.model.half().float()
        _train_stage(training, stage, random.Random(training.record.seed + 1000 * number))


def _train_stage(training: Training, stage: Stage, rng: random.Random) -> None:
    model, split, record, device = training.model, training.split, training.record, training.device
    tower = [*model.model.vision_tower.parameters()]
    inside = {id(weight) for weight in tower}
    ground = nn.Linear(model.config.text_config.hidden_size, len(INKS) + 2).to(device)
    rest = [weight for part in (model, ground) for weight in part.parameters() if id(weight) not in inside]
    rates = [0.3 * stage.rate, stage.rate]
    groups = [{"params": weights, "lr": rate} for weights, rate in zip((tower, rest), rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=stage.steps, pct_start=0.05)
    losses: deque[float] = deque(maxlen=RECENT)
    for step in range(1, stage.steps + 1):
        chosen = rng.choices(range(len(split.scenes)), k=BATCH)
        scenes = [split.scenes[index] for index in chosen]
        open_share, topics = stage.at(step)
        asked = [ask(scene, QUESTIONS, open_share, rng, topics) for scene in scenes]
        batch = training.examples.batch(scenes, asked).to(device)
        loss = _loss(model, ground if record.recipe.guided else None, batch, split.pixels(chosen).to(device))
        descend(loss, [*tower, *rest], optimizer, schedule)
        losses.append(loss.item())
        if step % EVERY == 0:
            record.accuracy.append(training.questions.accuracy(model))
            record.losses.append(sum(losses) / len(losses))
            seen = ", ".join(f"{name} {share:.0%}" for name, share in record.accuracy[-1].items())
            record.say(f"answers {step}/{stage.steps}: loss {record.losses[-1]:.3f}; held out: {seen}")


def _loss(
    model: LlavaForConditionalGeneration, ground: nn.Linear | None, batch: TrainingBatch, pixels: Tensor
) -> Tensor:
    """Of the answers; of a guided model, also of the facts and of the shapes named, which `ground` reads."""
    states = batch.states(model, pixels)
    loss = cross_entropy(model.lm_head(states[-1][tuple(batch.ends)]), batch.answers)
    if ground is None:
        return loss
    facts = model.lm_head(model.model.language_model.norm(states[FACTS_AFTER][tuple(batch.marks)]))
    inks, places = ground(states[NAMED_AFTER][tuple(batch.mentions)]).split((len(INKS), 2), dim=-1)
    known, placed = batch.inks != UNKNOWN, batch.places.isfinite()
    # A batch may name no shape
    named = cross_entropy(inks[known], batch.inks[known], reduction="sum") / max(1, int(known.sum()))
    located = mse_loss(places[placed], batch.places[placed], reduction="sum") / max(1, int(placed.sum()))
    return loss + cross_entropy(facts, batch.facts) + named + located


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("name", choices=RECIPES, help="which model")
    parser.add_argument("--out", type=Path, help="the checkpoint to write, by default data/demo/NAME")
    parser.add_argument("--seed", type=int, help="by default that of the committed model")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    recipe, device = RECIPES[arguments.name], use_device(arguments.device)
    record = Record(arguments.name, recipe.seed if arguments.seed is None else arguments.seed)
    split = Split.of(training_scenes(SCENES, record.seed))
    rng = random.Random(record.seed)
    said = [text for scene in split.scenes[:5000] for words in ask(scene, 4, 1 / 3, rng) for text in words]
    tokenizer = train_tokenizer(said)
    examples = ExampleMaker(tokenizer)
    held_out = held_out_questions(examples, record.seed, device)
    files = [split, held_out.split, *(Split.of([scene for *_, scene, _ in drawn]) for drawn in demo_files().values())]
    hashes = [each.hashes() for each in files]
    if len(set().union(*hashes)) < sum(map(len, hashes)):
        raise SystemExit("training, held-out questions and the demo's share an image; take another --seed")
    model = build_model(tokenizer, layers=recipe.layers, heads=recipe.heads, seed=record.seed).to(device)
    torch.manual_seed(record.seed)
    record.say(f"{SCENES} scenes drawn, a vocabulary of {len(tokenizer)}")
    train_vision(model, examples, split, seed=record.seed, device=device, say=record.say)
    train_answers(Training(model, examples, split, held_out, record, device))
    out = arguments.out or Path("data/demo") / record.name
    for piece in (model.half(), tokenizer, image_processor()):
        piece.save_pretrained(out)
    draw_curve(record, out / "training.png")
    record.write(out / RECORD)


if __name__ == "__main__":
    main()
