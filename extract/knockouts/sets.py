"""Which heads and layers are knocked out together: single ones, windows of layers, or the named sets of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.columns import OF_TOKENS, REMOVE, SKIP
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.jobs.head_sets import HeadSet, ModelShape, head_name, read_head, read_named, wrong_set
from schemas.text import counted, short

ALL_HEADS = "all"
EACH, WINDOWS, ONWARD = LAYER_SETS = ("each", "windows", "onward")


def single_heads(names: Sequence[str], model: ModelShape) -> dict[str, HeadSet]:
    """Heads by name, such as `L3H5`; `ALL_HEADS`: all of a model.

    Raises:
        HeadflowError: a name is not of this form, or not of a head of the model.
    """
    if list(names) == [ALL_HEADS]:
        names = [head_name(layer, head) for layer in model.attending for head in range(model.heads)]
    sets = {}
    for name in names:
        found = read_head(name)
        if found is None:
            raise HeadflowError(
                f"{short(name)} is not the name of a head: write L3H5, or {ALL_HEADS} alone", setting="heads"
            )
        sets[name] = HeadSet(heads=frozenset({found}))
    _check_inside(sets, model, "heads")
    return sets


def layer_sets(which: Sequence[str], model: ModelShape, window: int, *, whole: bool) -> dict[str, HeadSet]:
    """Sets of layers by name.

    Args:
        which: any of `EACH` (`layer 3`), `WINDOWS` (of `window` layers side by side, `layers 8-16`), `ONWARD` (all
            layers from one on).
        whole: whether layers are knocked out whole; else their heads are, and sets of layers without heads are left
            out.

    Raises:
        HeadflowError: a window is larger than the model.
    """
    layers, ranges = model.layers, list[range]()
    if EACH in which:
        ranges += [range(layer, layer + 1) for layer in range(layers)]
    if WINDOWS in which:
        if window > layers:
            raise HeadflowError(
                f"the model has {counted(layers, 'layer')}, too few for windows of {window}", setting="window"
            )
        ranges += [range(first, first + window) for first in range(layers - window + 1)]
    if ONWARD in which:
        ranges += [range(first, layers) for first in range(layers)]
    if not whole:
        ranges = [each for each in ranges if not set(each).isdisjoint(model.attending)]
    return {
        f"layer {each[0]}" if len(each) == 1 else f"layers {each[0]}-{each[-1]}": HeadSet(layers=frozenset(each))
        for each in ranges
    }


def read_sets(path: Path, model: ModelShape) -> dict[str, HeadSet]:
    """The named sets of a JSON file, `{"NAME": {"heads": [[layer, head], ...], "layers": [...]}}`; or one plan.

    Raises:
        HeadflowError: it cannot be read, or a set is empty or not of this model.
    """
    content = read_object(path, str(path))
    if "heads" in content or "layers" in content:
        sets = {path.stem: read_plan(path)}
        _check_inside(sets, model, "sets")
        return sets
    if not content:
        raise HeadflowError(f"{path} names no sets", setting="sets")
    sets = read_named(content, path, "sets")
    _check_inside(sets, model, "sets")
    return sets


def read_plan(path: Path) -> HeadSet:
    """The heads and layers of a plan, a JSON object of `heads`, `layers` and what else is said of it.

    Raises:
        HeadflowError: it cannot be read, or names none.
    """
    content = read_object(path, str(path))
    parts: dict[str, Any] = {name: content[name] for name in ("heads", "layers") if name in content}
    if not parts:
        raise HeadflowError(f"{path} is no plan: it has neither `heads` nor `layers`", setting="plan")
    if wrong := wrong_set(parts):
        raise HeadflowError(f"{path}: the plan {wrong}", setting="plan")
    return HeadSet.of(parts)


def check_kind(kind: str, sets: dict[str, HeadSet], model: ModelShape) -> None:
    """Raise `HeadflowError` if a kind is not for what is in the sets."""
    if kind in OF_TOKENS:
        for name, each in sets.items():
            if not each.heads and each.layers.isdisjoint(model.attending):
                raise HeadflowError(
                    f"{kind} is for heads, and no layer of {short(name)} has any: {SKIP} takes layers out",
                    setting="kind",
                )
    with_heads = next((name for name, each in sets.items() if each.heads), None)
    if kind == SKIP and with_heads is not None:
        raise HeadflowError(
            f"{SKIP} is for layers, and {short(with_heads)} has heads: {REMOVE} takes them out", setting="kind"
        )


def _check_inside(sets: dict[str, HeadSet], model: ModelShape, setting: str) -> None:
    for name, each in sets.items():
        if outside := each.outside(model):
            raise HeadflowError(f"{short(name)} {outside}", setting=setting)
