"""Sets of heads and layers, as plans and jobs name them: `{"heads": [[layer, head], ...], "layers": [layer, ...]}`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.errors import HeadflowError
from schemas.text import counted, listed, short

HEAD_NAME = re.compile(r"L([0-9]+)H([0-9]+)")


def read_head(name: str) -> tuple[int, int] | None:
    """The layer and the head that a name such as `L3H5` is of; None if it is no such name."""
    found = HEAD_NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def head_name(layer: int, head: int) -> str:
    """The name of a head, such as `L3H5`."""
    return f"L{layer}H{head}"


class ModelShape(Protocol):
    """A model, or the manifest of a run of one, as far as its heads go."""

    @property
    def layers(self) -> int:
        """How many layers it has."""

    @property
    def heads(self) -> int:
        """How many heads each layer has that attends."""

    @property
    def attending(self) -> Sequence[int]:
        """The layers that attend, in order."""


@dataclass(frozen=True)
class HeadSet:
    """Heads and layers that are knocked out together; heads as pairs (layer, head)."""

    heads: frozenset[tuple[int, int]] = frozenset()
    layers: frozenset[int] = frozenset()

    @classmethod
    def of(cls, parts: dict[str, Any]) -> "HeadSet":
        """A set from its JSON object, in which `wrong_set` finds nothing."""
        heads = frozenset((layer, head) for layer, head in parts.get("heads", []))
        return cls(heads, frozenset(parts.get("layers", [])))

    def to_object(self) -> dict[str, Any]:
        """The set as a JSON object; empty if nothing is in it."""
        if self == NOTHING:
            return {}
        return {"heads": [list(each) for each in sorted(self.heads)], "layers": sorted(self.layers)}

    def outside(self, model: ModelShape) -> str | None:
        """What of the set is not in a model; None if all is."""
        layers, heads = model.layers, model.heads
        for layer, head in sorted(self.heads):
            if not (0 <= layer < layers and 0 <= head < heads):
                shape = f"{counted(layers, 'layer')} x {counted(heads, 'head')}"
                return f"names head {head} of layer {layer}, and the model has {shape}, from 0"
            if layer not in model.attending:
                there = listed([str(each) for each in model.attending])
                return f"names head {head} of layer {layer}, which has no heads: only the layers {there} attend"
        for layer in sorted(self.layers):
            if not 0 <= layer < layers:
                return f"names layer {layer}, and the model has {counted(layers, 'layer')}, from 0"
        return None


NOTHING = HeadSet()


def wrong_set(parts: Any) -> str | None:
    """What is wrong with the JSON object of a set, for a line that begins with its name; None if it is one."""
    if not isinstance(parts, dict) or not parts.keys() <= {"heads", "layers"}:
        return f"is {short(parts)}, not an object of `heads` and `layers`"
    heads, layers = parts.get("heads", []), parts.get("layers", [])
    if not isinstance(heads, list) or not all(_is_pair(each) for each in heads):
        return f"has heads {short(heads)}, not a list of [layer, head]"
    if not isinstance(layers, list) or not all(type(each) is int for each in layers):
        return f"has layers {short(layers)}, not a list of numbers"
    return None if heads or layers else "is empty"


def read_named(content: dict[str, Any], where: object, setting: str | None = None) -> dict[str, HeadSet]:
    """Sets by name, from their JSON object; `where` names its file in errors.

    Raises:
        HeadflowError: one is not a set; `setting` is what may mend it.
    """
    for name, parts in content.items():
        if not name.strip():
            raise HeadflowError(f"{where}: a set has no name", setting=setting)
        if wrong := wrong_set(parts):
            raise HeadflowError(f"{where}: the set {short(name)} {wrong}", setting=setting)
    return {name: HeadSet.of(parts) for name, parts in content.items()}


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)
