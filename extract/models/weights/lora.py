"""LoRA adapters as peft writes them (github.com/huggingface/peft), merged into the weights that they adapt."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, rename_source_key
from transformers.pytorch_utils import Conv1D

from extract.models.weights.adapter import ADAPTER_CONFIG
from extract.models.weights.files import Files
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import listed, short

_OF_LINEAR = re.compile(r"(.+)\.lora_(A|B)(?:\.default)?\.weight")
_OF_EMBEDDING = re.compile(r"(.+)\.lora_embedding_(A|B)(?:\.default)?")
_MAGNITUDE = re.compile(r"(.+)\.lora_(magnitude)_vector(?:\.default)?(?:\.weight)?")
_WRAPPERS = re.compile(r"\.(?:modules_to_save(?:\.default)?|base_layer)(?=\.)")
# Settings that are applied here, or that are of training, or that only say which tensors the adapter has
_READ = {
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha",
    "lora_dropout", "megatron_core", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_dora", "use_rslora",
}  # fmt: skip
_KEEPS_THE_BASE = (True, False, None, "gaussian", "eva", "orthogonal")  # of init_lora_weights; others change the base


@dataclass(frozen=True)
class LowRankUpdate:
    """What a LoRA makes of a weight: weight + scale * up @ down (Hu et al. 2021, arXiv:2106.09685).

    Attributes:
        down: [rank, columns].
        up: [rows, rank].
        magnitude: the norms of the rows of the sum, [rows], of a DoRA (Liu et al. 2024, arXiv:2402.09353).
        transposed: whether the weight is [columns, rows].
    """

    down: Tensor
    up: Tensor
    scale: float
    magnitude: Tensor | None = None
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a weight that it fits."""
        rows, columns = self.up.shape[0], self.down.shape[-1]
        return (columns, rows) if self.transposed else (rows, columns)

    def added_to(self, weight: Tensor) -> Tensor:
        """The weight with the update, in float32."""
        change = (self.up.float() @ self.down.float()).mul_(self.scale)
        whole = change.add_(weight.mT if self.transposed else weight)
        if self.magnitude is not None:
            whole *= (self.magnitude.float() / whole.norm(dim=1))[:, None]
        return whole.mT.contiguous() if self.transposed else whole


@dataclass(frozen=True)
class Adapter:
    """What an adapter has, by the names of weights in the model that it was trained with.

    Attributes:
        name: of the adapter, for messages.
        updates: of weights.
        whole: tensors that were trained themselves, and take the place of the model's.
    """

    name: str
    updates: dict[str, LowRankUpdate]
    whole: dict[str, Tensor]

    def check(self, shapes: Mapping[str, torch.Size], base: str) -> None:
        """Check that the model has all of its weights.

        Args:
            shapes: of the weights of the base whose name is `base`.

        Raises:
            HeadflowError: a weight is not there, or of another shape.
        """
        wanted = {name: update.shape for name, update in self.updates.items()}
        wanted |= {name: tuple(tensor.shape) for name, tensor in self.whole.items()}
        for target, shape in wanted.items():
            if shapes.get(target) != shape:
                found = f"it in the shape {list(shapes[target])}" if target in shapes else "no such weight"
                raise HeadflowError(
                    f"{self.name} does not fit its base {base}: it adapts {target}, and the base has {found}",
                    setting="model_base",
                )


def read_adapter(files: Files, tensors: Mapping[str, Tensor]) -> Adapter:
    """What a LoRA has, all of it.

    Args:
        files: the adapter's.
        tensors: its tensors, by their names.

    Raises:
        HeadflowError: it asks for something that is not read, or it is not whole.
    """
    settings = read_settings(files)
    parts: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    embeddings = set()
    for name, tensor in tensors.items():
        match = _OF_LINEAR.fullmatch(name) or _OF_EMBEDDING.fullmatch(name) or _MAGNITUDE.fullmatch(name)
        if match is None:
            whole[_weight_name(files, name)] = tensor
            continue
        target = _weight_name(files, f"{match[1]}.weight")
        parts.setdefault(target, {})[match[2]] = tensor
        if match.re is _OF_EMBEDDING:
            embeddings.add(target)
    if not tensors:
        raise HeadflowError(f"{files.name} has an adapter without tensors")
    lost = [each for each in settings.get("modules_to_save") or () if not _has_module(whole, each)]
    if lost:
        raise HeadflowError(f"{files.name} names {listed(lost)} in modules_to_save, and has no tensors of it")
    updates = {
        target: replace(_update(files, settings, target, part), transposed=target in embeddings)
        for target, part in parts.items()
    }
    return Adapter(files.name, updates, whole)


def read_settings(files: Files) -> dict[str, Any]:
    """The content of adapter_config.json.

    Raises:
        HeadflowError: it asks for something that is not read.
    """
    path = files.folder / ADAPTER_CONFIG
    settings = read_object(path, str(path))
    odd = [name for name, value in settings.items() if value and name not in _READ]
    if settings.get("peft_type", "LORA") != "LORA":
        odd = [f"peft_type {settings['peft_type']}"]
    if settings.get("init_lora_weights") not in _KEEPS_THE_BASE:
        odd.append(f"init_lora_weights {settings['init_lora_weights']}, which changes the base")
    if odd:
        raise HeadflowError(f"{path} asks for more than a LoRA that is merged here: {', '.join(odd)}")
    if not isinstance(settings.get("lora_alpha"), int | float):
        raise HeadflowError(f"{path} has no lora_alpha")
    return settings


def merge(model: PreTrainedModel, adapter: Adapter, base: str, exact: PreTrainedModel | None = None) -> None:
    """Put an adapter into the weights of a model, which was loaded from the base; sums are of float32.

    A weight that two modules share is shared no more if one of them is adapted, as in training.

    Args:
        exact: the same model in the dtype of the files, if that is wider than the model's.

    Raises:
        HeadflowError: the adapter does not fit the model.
    """
    shapes = {name: each.shape for name, each in model.named_parameters(remove_duplicate=False)}
    adapter = _named_as(model, adapter, shapes)
    adapter.check(shapes, base)
    for name, update in adapter.updates.items():
        weight = adapter.whole.get(name, (exact or model).get_parameter(name).data)
        _put(model, name, update.added_to(weight))
    for name in adapter.whole.keys() - adapter.updates.keys():
        _put(model, name, adapter.whole[name])


def _put(model: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, attribute = name.rpartition(".")
    before = model.get_parameter(name)
    placed = tensor.to(before.device, before.dtype)
    setattr(model.get_submodule(owner), attribute, nn.Parameter(placed, requires_grad=False))


def _named_as(model: PreTrainedModel, adapter: Adapter, shapes: Mapping[str, torch.Size]) -> Adapter:
    """An adapter by the names that weights have in a model; earlier versions of transformers had other names."""
    conversions = get_model_conversion_mapping(model)
    fused = [each for each in conversions if isinstance(each, WeightConverter)]
    renamed = [each for each in conversions if not isinstance(each, WeightConverter)]

    def find(name: str) -> str:
        if name in shapes:
            return name
        found, fuses = rename_source_key(name, renamed, fused, model.base_model_prefix, dict.fromkeys(shapes, True))
        return name if fuses else found

    def fitted(name: str, update: LowRankUpdate) -> LowRankUpdate:
        if name in shapes and isinstance(model.get_submodule(name.rpartition(".")[0]), Conv1D):
            return replace(update, transposed=True)
        return update

    updates = {find(name): update for name, update in adapter.updates.items()}
    return Adapter(
        adapter.name,
        {name: fitted(name, update) for name, update in updates.items()},
        {find(name): tensor for name, tensor in adapter.whole.items()},
    )


def _weight_name(files: Files, name: str) -> str:
    """The name of the weight that a tensor of an adapter is for."""
    found = _WRAPPERS.sub("", name.removeprefix("base_model.model."))
    if found == name or "lora_" in found:
        raise HeadflowError(f"{files.name} has an unexpected tensor in its adapter: {name}")
    return found


def _has_module(whole: Mapping[str, Tensor], module: str) -> bool:
    return any(f".{name.rpartition('.')[0]}.".endswith(f".{module}.") or f".{module}." in f".{name}" for name in whole)


def _update(files: Files, settings: dict[str, Any], target: str, part: Mapping[str, Tensor]) -> LowRankUpdate:
    """The update of one weight, from its parts."""
    if not {"A", "B"} <= part.keys():
        raise HeadflowError(f"{files.name} has one half of a LoRA without the other, for {target}")
    if bool(settings.get("use_dora")) != ("magnitude" in part):
        raise HeadflowError(f"{files.name} has no magnitude for {target}, or one that use_dora does not ask for")
    down, up, magnitude = part["A"], part["B"], part.get("magnitude")
    if down.ndim != 2 or up.ndim != 2:
        raise HeadflowError(f"{files.name} adapts {target}, which is no matrix: it cannot be merged")
    module = target.removesuffix(".weight")
    rank = _of_pattern(settings.get("rank_pattern"), module, settings.get("r", len(down)))
    if not len(down) == up.shape[1] == rank:
        raise HeadflowError(
            f"{files.name} has rank {len(down)} for {target}, and its {ADAPTER_CONFIG} {short(rank)}: they do not fit"
        )
    alpha = _of_pattern(settings.get("alpha_pattern"), module, settings["lora_alpha"])
    return LowRankUpdate(down, up, alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank), magnitude)


def _of_pattern(pattern: Any, module: str, default: Any) -> Any:
    """What a pattern of adapter_config.json says of a module: the first that matches the end of its name."""
    for key, value in (pattern or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default
