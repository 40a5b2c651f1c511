"""The tensors of a LLaVA in its released format, by their released names: whole, LoRA over a base, or projector only.

How a base and an adapter make one model follows `load_pretrained_model` (`llava/model/builder.py` of
github.com/haotian-liu/LLaVA).
"""

import math
import pickle
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from extract.models.weights.files import ADAPTER_CONFIG, PROJECTOR, WHOLE, Files
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import one_line

LORA = re.compile(r"base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight")


@dataclass(frozen=True)
class LowRankUpdate:
    """What a LoRA adds to a weight: scale * up @ down (Hu et al. 2021, arXiv:2106.09685)."""

    down: Tensor
    up: Tensor
    scale: float

    def added_to(self, weight: Tensor) -> Tensor:
        """The sum, in float32."""
        return (self.up.float() @ self.down.float()).mul_(self.scale).add_(weight)


def read_updates(files: Files, adapter: dict[str, Tensor]) -> dict[str, LowRankUpdate]:
    """The updates of a LoRA, by the names of the weights that it adapts.

    Args:
        files: the checkpoint's.
        adapter: the tensors of its adapter, by their names.

    Raises:
        HeadflowError: it is no plain LoRA, or not whole.
    """
    settings = _lora_settings(files.folder)
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in adapter.items():
        match = LORA.fullmatch(name)
        if match is None:
            raise HeadflowError(f"{files.name} has an unexpected tensor in its adapter: {name}")
        pairs.setdefault(f"{match[1]}.weight", {})[match[2]] = tensor
    updates = {}
    for target, pair in pairs.items():
        if len(pair) != 2:
            raise HeadflowError(f"{files.name} has one half of a LoRA without the other, for {target}")
        rank = math.sqrt(len(pair["A"])) if settings.get("use_rslora") else len(pair["A"])
        updates[target] = LowRankUpdate(pair["A"], pair["B"], settings["lora_alpha"] / rank)
    return updates


def _lora_settings(folder: Path) -> dict[str, Any]:
    """The content of adapter_config.json; raises if it is no plain LoRA."""
    path = folder / ADAPTER_CONFIG
    settings = read_object(path, str(path))
    odd = [name for name in ("use_dora", "fan_in_fan_out", "alpha_pattern") if settings.get(name)]
    if settings.get("peft_type", "LORA") != "LORA" or odd:
        raise HeadflowError(f"{path} asks for more than a plain LoRA: {', '.join(odd) or settings['peft_type']}")
    if not isinstance(settings.get("lora_alpha"), int | float):
        raise HeadflowError(f"{path} has no lora_alpha")
    return settings


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
    updates = read_updates(files, read_file(files.folder / adapter))
    for target, update in updates.items():
        weight, shape = tensors.get(target), (len(update.up), update.down.shape[1])
        if weight is None or weight.shape != shape:
            found = "has no such weight" if weight is None else f"has it in the shape {list(weight.shape)}"
            raise HeadflowError(
                f"{files.name} does not fit its base {base.name}: it adapts {target}, and the base {found}",
                setting="model_base",
            )
    return State(tensors, updates)


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, safetensors or torch's; of the latter, nothing but tensors is unpickled.

    Raises:
        HeadflowError: no such file, or no checkpoint.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise HeadflowError(f"{path} is missing") from None
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        why = one_line(error).split(". ")[0][:200] or type(error).__name__
        raise HeadflowError(f"{path} is not a checkpoint: {why}") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise HeadflowError(f"{path} is not a checkpoint: it has no tensors by name")
    return state


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
