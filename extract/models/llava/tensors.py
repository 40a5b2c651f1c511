"""The tensors of a LLaVA in its released format, by their released names: whole, LoRA over a base, or projector only.

How a base and an adapter make one model follows `load_pretrained_model` (`llava/model/builder.py` of
github.com/haotian-liu/LLaVA).
"""

import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from schemas.errors import HeadflowError
from schemas.files import read_object
from schemas.text import one_line

State = dict[str, Tensor]
ADAPTER_CONFIG, PROJECTOR, OTHERS = "adapter_config.json", "mm_projector.bin", "non_lora_trainables.bin"
WHOLE, INDEX = ("model.safetensors", "pytorch_model.bin"), ".index.json"
LORA = re.compile(r"base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight")


def check_base(folder: Path, base: Path | None) -> None:
    """Hold that a base is named where the model in `folder` stands on one, and nowhere else.

    Raises:
        HeadflowError: it is not so.
    """
    on_base = next((name for name in (ADAPTER_CONFIG, PROJECTOR) if (folder / name).is_file()), None)
    if base is not None and on_base is None:
        raise HeadflowError(f"--model-base is given, but {folder} has neither {ADAPTER_CONFIG} nor {PROJECTOR}")
    whole = any((folder / f"{name}{index}").is_file() for name in WHOLE for index in ("", INDEX))
    if base is None and on_base and not whole:
        raise HeadflowError(f"{folder} has {on_base} and no weights of its own: name its base as --model-base")


def read_state(folder: Path, base: Path | None) -> State:
    """All tensors of the model in `folder`, on the CPU, files mapped where they can be.

    Raises:
        HeadflowError: weights are missing or no checkpoint, or a base and what stands on it do not fit each other.
    """
    if base is None:
        return _whole(folder)
    state = _whole(base)
    if not (folder / ADAPTER_CONFIG).is_file():
        return state | read_file(folder / PROJECTOR)
    state |= {_without_wrappers(name): tensor for name, tensor in read_file(folder / OTHERS).items()}
    _merge(state, folder, base)
    return state


def read_file(path: Path) -> State:
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
        raise HeadflowError(f"{path} is not a checkpoint: it holds no tensors by name")
    return state


def _whole(folder: Path) -> State:
    """The tensors of a folder, in one file or in shards."""
    for name in WHOLE:
        index = folder / f"{name}{INDEX}"
        if index.is_file():
            where = read_object(index, str(index)).get("weight_map")
            if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
                raise HeadflowError(f"{index} has no weight_map that names files")
            shards = sorted({Path(shard).name for shard in where.values()})
            return {key: tensor for shard in shards for key, tensor in read_file(folder / shard).items()}
        if (folder / name).is_file():
            return read_file(folder / name)
    raise HeadflowError(f"{folder} has no weights: neither {' nor '.join(WHOLE)}, nor an index of shards")


def _without_wrappers(name: str) -> str:
    """The name of a tensor that was trained beside a LoRA, without what training wrapped around the model."""
    name = name.removeprefix("base_model.")
    return name.removeprefix("model.") if name.startswith("model.model.") else name


def _merge(state: State, folder: Path, base: Path) -> None:
    """Add a LoRA to the weights that it adapts: W + alpha / r * B A (Hu et al. 2021, arXiv:2106.09685).

    Into float16, as the package does whatever the model is run in.
    """
    settings = _lora_settings(folder)
    files = [folder / f"adapter_model{suffix}" for suffix in (".safetensors", ".bin")]
    adapter = read_file(next((file for file in files if file.is_file()), files[0]))
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in adapter.items():
        match = LORA.fullmatch(name)
        if match is None:
            raise HeadflowError(f"{folder} has an unexpected tensor in its adapter: {name}")
        halves.setdefault(f"{match[1]}.weight", {})[match[2]] = tensor
    for target, pair in halves.items():
        if len(pair) != 2:
            raise HeadflowError(f"{folder} has one half of a LoRA without the other, for {target}")
        weight, down, up = state.get(target), pair["A"], pair["B"]
        if weight is None or weight.shape != (len(up), down.shape[1]):
            found = "has no such weight" if weight is None else f"has it in the shape {list(weight.shape)}"
            raise HeadflowError(f"{folder} does not fit --model-base {base}: it adapts {target}, and the base {found}")
        rank = math.sqrt(len(down)) if settings.get("use_rslora") else len(down)
        change = settings["lora_alpha"] / rank * (up.float() @ down.float())
        state[target] = (weight.half().float() + change).half()


def _lora_settings(folder: Path) -> dict[str, Any]:
    """What adapter_config.json says; raises where it is no plain LoRA."""
    path = folder / ADAPTER_CONFIG
    settings = read_object(path, str(path))
    odd = [name for name in ("use_dora", "fan_in_fan_out", "alpha_pattern") if settings.get(name)]
    if settings.get("peft_type", "LORA") != "LORA" or odd:
        raise HeadflowError(f"{path} asks for more than a plain LoRA: {', '.join(odd) or settings['peft_type']}")
    if not isinstance(settings.get("lora_alpha"), int | float):
        raise HeadflowError(f"{path} has no lora_alpha")
    return settings
