"""What is trained, how long, and how it went: see `data.train_demo`."""

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from data.training_examples import TOPICS

SCENES = 20_000
BATCH, QUESTIONS = 8, 8  # images a step, questions an image
NAMED_AFTER, FACTS_AFTER = 2, 4  # layers of a guided model
HELD_OUT = 150  # images of each category
EVERY = 250  # steps between looks at the held-out questions
RECENT = 100  # steps before a look, whose mean loss is kept
RECORD = "training.json"  # beside the checkpoint


@dataclass(frozen=True)
class Phase:
    """What is asked in a part of a stage.

    Attributes:
        until: its end, as a share of the stage's steps.
        open_shares: at its beginning and end, the share of questions that are answered by a word; linear between.
        topics: how often each topic is drawn.
    """

    until: float
    open_shares: tuple[float, float]
    topics: Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """A part of the training on answers, with a cycle of the learning rate of its own, whose highest is `rate`."""

    steps: int
    rate: float
    phases: tuple[Phase, ...]

    def at(self, step: int) -> tuple[float, Mapping[str, float]]:
        """The share of questions that are answered by a word, and how often each topic is drawn; steps from 1."""
        done, start = step / self.steps, 0.0
        for phase in self.phases:
            if done <= phase.until:
                first, last = phase.open_shares
                return first + (last - first) * (done - start) / (phase.until - start), phase.topics
            start = phase.until
        raise ValueError(f"step {step} is beyond the {self.steps} of the stage")


@dataclass(frozen=True)
class Recipe:
    """How one of the demo's models is made.

    Attributes:
        layers, heads: of the language model.
        seed: of the committed one.
        guided: see `data.train_demo`.
        stages: of the training on answers.
    """

    layers: int
    heads: int
    seed: int
    guided: bool
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)


LOOKUPS = {"existence": 1.0, "count": 1.0, "position": 2.0, "color": 4.0, "place": 3.0, "numerical_calculation": 0.5}
POSITIONS = {"existence": 0.5, "count": 1.5, "position": 4.0, "color": 2.0, "place": 2.0, "numerical_calculation": 1.0}
MORE_POSITIONS = POSITIONS | {"count": 1.0, "position": 6.0, "place": 1.5}
RECIPES = {
    "tiny-llava": Recipe(
        layers=6,
        heads=8,
        seed=1,
        guided=True,
        stages=(Stage(5_000, 1e-3, (Phase(1, (0.2, 0.2), TOPICS),)),),
    ),
    "tiny-llava-4x4": Recipe(
        layers=4,
        heads=4,
        seed=7,
        guided=False,
        stages=(
            Stage(
                8_000,
                1.5e-3,
                (
                    Phase(0.4, (1, 1), LOOKUPS),
                    Phase(0.5875, (1, 0.5), LOOKUPS),
                    Phase(0.7, (0.5, 0.2), TOPICS),
                    Phase(1, (0.2, 0.2), TOPICS),
                ),
            ),
            Stage(7_000, 1e-3, (Phase(0.5, (0.4, 0.4), POSITIONS), Phase(1, (0.2, 0.2), POSITIONS))),
            Stage(6_000, 1e-3, (Phase(1, (0.2, 0.2), MORE_POSITIONS),)),
        ),
    ),
}


@dataclass
class Record:
    """How training went: at each look at the held-out questions, the recent loss and the accuracy by category."""

    name: str
    seed: int
    started: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)
    accuracy: list[dict[str, float]] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        """The model's."""
        return RECIPES[self.name]

    @property
    def minutes(self) -> float:
        """Since the start."""
        return (time.monotonic() - self.started) / 60

    def write(self, path: Path, **more: Any) -> None:
        """What a card needs to know of it, and more, as JSON."""
        content = {
            "recipe": self.name,
            "seed": self.seed,
            "minutes": round(self.minutes),
            "machine": f"{torch.get_num_threads()} {platform.machine()} cores",
            "torch": torch.__version__,
        }
        path.write_text(json.dumps(content | more, indent=1) + "\n", encoding="utf-8")

    def say(self, line: str) -> None:
        """Print a line, and when."""
        print(f"{line}; {self.minutes:.1f} min", flush=True)
