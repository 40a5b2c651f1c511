"""A LoRA: what it adds to the weights of its base (Hu et al. 2021, arXiv:2106.09685)."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from extract.models.weights.files import ADAPTER_CONFIG, Files
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object

LORA = re.compile(r"base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight")


@dataclass(frozen=True)
class LowRankUpdate:
    """What a LoRA adds to a weight: scale * up @ down."""

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
