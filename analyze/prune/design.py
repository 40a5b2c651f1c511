"""The sets of heads and layers that are knocked out, and the files that hand them over.

sets.json          the sets by name, as a job takes them
test_samples.txt   the ids of the samples that test, one a line
design.json        what each set is, and how images and random sets were drawn
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from analyze.knockouts.jobs import HEADS, OF_LAYERS
from analyze.prune.ranking import Ranked
from schemas.errors import HeadflowError
from schemas.files.json_objects import build, read_object
from schemas.files.writing import write_text
from schemas.jobs.head_sets import HeadSet, ModelShape, read_named
from schemas.text import one_line, short

LEAST, MOST, RANDOM = "least", "most", "random"
SETS, TESTS, DESIGN = "sets.json", "test_samples.txt", "design.json"


@dataclass(kw_only=True)
class Member:
    """What a set is. Sets that are equal are one, by the name of the first, so that it is measured once.

    Attributes:
        set: its name in `sets.json`.
        criterion: by which it was chosen; None: it is random.
        order: `least` or `most` of the criterion, or `random`.
        share: of all heads, or layers; `number`: how many that are.
        group: a `least` set and the random sets that it is compared with are one group: all have the same number of
            heads in each layer, or of layers.
        draw: of a random set; those of one draw are nested.
    """

    set: str
    unit: str
    order: str
    share: float
    number: int
    criterion: str | None = None
    group: str | None = None
    draw: int | None = None


@dataclass(kw_only=True)
class Design:
    """What was asked of the first step; see `Member`.

    Attributes:
        effects: the jobs whose measured effects are criteria.
    """

    seed: int
    random: int
    prompt: str | None = None
    criteria: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)


class Sets:
    """Sets by name, each once."""

    def __init__(self) -> None:
        self.named: dict[str, HeadSet] = {}
        self._names: dict[HeadSet, str] = {}

    def add(self, chosen: HeadSet, name: str) -> str:
        """Add a set, unless it is there; returns its name."""
        known = self._names.setdefault(chosen, name)
        self.named[known] = chosen
        return known


def design_sets(
    ranked: Sequence[Ranked], model: ModelShape, shares: Sequence[float], random: int, seed: int
) -> tuple[list[Member], dict[str, HeadSet]]:
    """The sets: of each criterion the least important heads and the most important ones, and layers, with random sets.

    Args:
        model: that of the run.
        shares: of heads; of layers the sets are the 1, 2 ... half least important.
        random: how many random sets each `least` set is compared with.

    Raises:
        HeadflowError: the model has one head.
    """
    sets, groups, members = Sets(), dict[tuple[str, tuple[int, ...]], str](), list[Member]()
    draws = _Draws(model, random, seed)
    for each in ranked:
        unit, name = each.criterion.unit, each.criterion.name
        for number, share, label in _sizes(unit, model, shares):
            for order in (LEAST, MOST) if unit == HEADS else (LEAST,):
                cells = each.order[:number] if order == LEAST else each.order[::-1][:number]
                chosen = _set_of(unit, cells, model)
                member = Member(
                    set=sets.add(chosen, f"{name} {order} {label}"), unit=unit, order=order, share=share, number=number,
                    criterion=name,
                )  # fmt: skip
                if order == LEAST:
                    key = unit, draws.counts(chosen)
                    member.group = groups.setdefault(key, f"{unit} {len(groups) + 1}")
                members.append(member)
    for (unit, counts), group in groups.items():
        number = sum(counts)
        share = number / (len(model.attending) * model.heads if unit == HEADS else model.layers)
        for draw in range(random):
            name = sets.add(draws.of(unit, counts, draw), f"{RANDOM} {group}, {draw + 1}")
            members.append(
                Member(set=name, unit=unit, order=RANDOM, share=share, number=number, group=group, draw=draw)
            )
    return members, sets.named


def _sizes(unit: str, model: ModelShape, shares: Sequence[float]) -> Iterator[tuple[int, float, str]]:
    """The sizes of the sets, each once: how many heads or layers, their share, and its name."""
    layers, total = model.layers, len(model.attending) * model.heads
    if unit == OF_LAYERS:
        yield from ((number, number / layers, f"{number} of {layers} layers") for number in range(1, layers // 2 + 1))
        return
    if total < 2:
        raise HeadflowError("the model has one head, of which no share can be cut")
    numbers = {min(max(1, round(share * total)), total - 1): share for share in sorted(shares, reverse=True)}
    for number, share in sorted(numbers.items()):
        yield number, number / total, f"{100 * share:.4g}%"


def _set_of(unit: str, cells: np.ndarray, model: ModelShape) -> HeadSet:
    if unit == OF_LAYERS:
        return HeadSet(layers=frozenset(cells.tolist()))
    places = (divmod(cell, model.heads) for cell in cells.tolist())
    return HeadSet(frozenset((model.attending[layer], head) for layer, head in places))


class _Draws:
    """Random sets. Each draw puts the heads of each layer, and the layers, in an order; its sets are the first ones."""

    def __init__(self, model: ModelShape, number: int, seed: int) -> None:
        layers, heads = model.layers, model.heads
        rng = np.random.default_rng([seed, 1])  # another stream than that which divided the images
        self._heads = rng.random((number, layers, heads)).argsort(axis=2)
        self._layers = rng.random((number, layers)).argsort(axis=1)
        self._number = layers

    def counts(self, chosen: HeadSet) -> tuple[int, ...]:
        """How many heads of each layer a set has; or how many layers, a single number."""
        if chosen.layers:
            return (len(chosen.layers),)
        layers = np.array([layer for layer, _ in chosen.heads], np.int64)
        return tuple(np.bincount(layers, minlength=self._number).tolist())

    def of(self, unit: str, counts: tuple[int, ...], draw: int) -> HeadSet:
        """The set of a draw that has as many heads in each layer, or as many layers."""
        if unit == OF_LAYERS:
            return HeadSet(layers=frozenset(self._layers[draw, : counts[0]].tolist()))
        order = self._heads[draw]
        return HeadSet(
            frozenset((layer, head) for layer, number in enumerate(counts) for head in order[layer, :number].tolist())
        )


def write_design(folder: Path, design: Design, sets: dict[str, HeadSet], tests: Sequence[str]) -> list[Path]:
    """Write the three files into a folder, which is made where it is missing; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        TESTS: "".join(f"{name}\n" for name in tests),
        DESIGN: json.dumps(asdict(design), ensure_ascii=False) + "\n",
        SETS: "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(each.to_object())}" for name, each in sets.items())
        + "\n}\n",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        write_text(folder / name, text)
    return [folder / name for name in content]


def read_design(folder: Path) -> tuple[Design, dict[str, HeadSet], list[str]]:
    """What `write_design` wrote.

    Raises:
        HeadflowError: a file is missing or is not as it was written.
    """
    design: Design = build(Design, read_object(folder / DESIGN, str(folder / DESIGN)), str(folder / DESIGN))
    sets = read_named(read_object(folder / SETS, str(folder / SETS)), folder / SETS)
    if unknown := {each.set for each in design.members} - sets.keys():
        raise HeadflowError(f"{folder / SETS} has no set {short(min(unknown))}, which {DESIGN} names")
    try:
        tests = (folder / TESTS).read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeError) as error:
        raise HeadflowError(f"{folder / TESTS} cannot be read: {one_line(error)}") from None
    return design, sets, tests
