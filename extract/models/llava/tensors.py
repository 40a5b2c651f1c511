"""The tensors of a LLaVA in its released format, by their released names: whole, LoRA over a base, or projector only.

How a base and an adapter make one model follows `load_pretrained_model` (`llava/model/builder.py` of
github.com/haotian-liu/LLaVA).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from extract.models.weights.adapter import ADAPTER_CONFIG
from extract.models.weights.files import PROJECTOR, WHOLE, Files
from extract.models.weights.lora import LowRankUpdate, read_adapter
from extract.models.weights.tensors import read_file
from schemas.errors import HeadflowError


@dataclass(frozen=True)
class State:
    """Tensors by name, on the CPU, files mapped if possible; an adapter is added to a weight when that is read."""

    tensors: dict[str, Tensor]
    updates: dict[str, LowRankUpdate] = field(default_factory=dict)

    def take(self, prefix: str) -> Self:
        """Remove the tensors whose names begin so; returns them by the rest of their names."""
        names = [name for name in self.tensors if name.startswith(prefix)]
        return type(self)(
            {name.removeprefix(prefix): self.tensors.pop(name) for name in names},
            {name.removeprefix(prefix): self.updates.pop(name) for name in names if name in self.updates},
        )

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        """A tensor in a dtype, its update included."""
        tensor, update = self.tensors[name], self.updates.get(name)
        return (tensor if update is None else update.added_to(tensor)).to(dtype)


def check_base(files: Files, base: Files | None) -> None:
    """Check that a base is named if and only if the model stands on one.

    Raises:
        HeadflowError: it is not so.
    """
    on_base = next((name for name in (ADAPTER_CONFIG, PROJECTOR) if name in files.stored), None)
    if base is not None and on_base is None:
        raise HeadflowError(
            f"a base is given, but {files.name} has neither {ADAPTER_CONFIG} nor {PROJECTOR}", setting="model_base"
        )
    if base is None and on_base and not files.whole():
        raise HeadflowError(
            f"{files.name} has {on_base} and no weights of its own: name its base", setting="model_base"
        )


def read_state(files: Files, base: Files | None) -> State:
    """All tensors of a model, whose files are fetched.

    Raises:
        HeadflowError: weights are missing or no checkpoint, or a base and what stands on it do not fit each other.
    """
    if base is None:
        return State(_read_whole(files))
    tensors = _read_whole(base)
    if ADAPTER_CONFIG not in files.stored:
        return State(tensors | read_file(files.folder / PROJECTOR))
    adapter, others = files.partial()
    tensors |= {_without_wrappers(name): each for name, each in read_file(files.folder / others).items()}
    found = read_adapter(files, read_file(files.folder / adapter))
    found.check({name: tensor.shape for name, tensor in tensors.items()}, base.name)
    return State(tensors | found.whole, found.updates)


def _read_whole(files: Files) -> dict[str, Tensor]:
    """The tensors of a whole model, in one file or in shards."""
    names = files.whole()
    if not names:
        raise HeadflowError(f"{files.name} has no weights: neither {' nor '.join(WHOLE)}, nor an index of shards")
    return {key: tensor for name in names for key, tensor in read_file(files.folder / name).items()}


def _without_wrappers(name: str) -> str:
    """The name of a tensor that was trained beside a LoRA, without what training wrapped around the model."""
    name = name.removeprefix("base_model.")
    return name.removeprefix("model.") if name.startswith("model.model.") else name


def drop(state: State, endings: Iterable[str]) -> None:
    """Remove the tensors whose names end so."""
    for name in [name for name in state.tensors if name.endswith(tuple(endings))]:
        del state.tensors[name]
