"""Models whose layers are divided among several GPUs of one machine.

The first GPU is the model's own: it has the vision tower and the embeddings, batches go there, and results come from
there. A layer runs where its weights are; what it attends to is observed on the first GPU (`transformers_interface`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from extract.models.checkpoint import use_device
from schemas.errors import HeadflowError
from schemas.text import counted


def use_devices(names: str) -> list[torch.device]:
    """The devices of a name, or of the names of several GPUs by commas, made ready; the first is torch's current one.

    Raises:
        HeadflowError: one cannot be used, or they are not several GPUs.
    """
    several = [name.strip() for name in names.split(",")]
    if len(several) == 1:
        return [use_device(names)]
    devices = [use_device(name) for name in reversed(several)][::-1]
    if any(device.type != "cuda" or device.index is None for device in devices) or len(set(devices)) < len(devices):
        raise HeadflowError(
            f"{names} are not several GPUs, each named once with its number, such as cuda:0,cuda:1", setting="device"
        )
    return devices


def divide(model: Any, devices: Sequence[torch.device]) -> None:
    """Move a model to devices; of several, each has about as many bytes of weights, and layers in their order.

    The final norm is where the last layer is, and so is the head, unless it shares its weights with the embeddings.

    Raises:
        HeadflowError: there are fewer layers than devices.
    """
    home, stack = devices[0], model.get_decoder()
    if len(devices) == 1:
        model.to(home)
        return
    layers = list(stack.layers)
    if len(layers) < len(devices):
        raise HeadflowError(
            f"{counted(len(layers), 'layer')} cannot be divided among {len(devices)} devices", setting="device"
        )
    placed = {layer: devices[place] for layer, place in zip(layers, _places(model, layers, len(devices)), strict=True)}
    head = model.get_output_embeddings()
    shared = head.weight is model.get_input_embeddings().weight if hasattr(head, "weight") else False
    norm = getattr(stack, "embedding_norm", None) or stack.norm
    placed |= {norm: devices[-1], head: home if shared else devices[-1]}
    for module, device in placed.items():
        module.to(device)
        module.register_forward_pre_hook(_Mover(device), with_kwargs=True)
    _move_rest(model, set(placed), home)


def _places(model: nn.Module, layers: Sequence[nn.Module], number: int) -> Iterator[int]:
    """The place of each layer among so many devices."""
    sizes = [_bytes(layer) for layer in layers]
    share, place = _bytes(model) / number, 0
    used = float(_bytes(model) - sum(sizes))  # by what is no layer
    for at, size in enumerate(sizes):
        waiting = number - 1 - place  # devices that have no layer yet
        if waiting and (len(sizes) - at <= waiting or (at > 0 and used + size / 2 > share)):
            place, used = place + 1, 0.0
        used += size
        yield place


def _bytes(module: nn.Module) -> int:
    return sum(each.nbytes for each in module.parameters())


def _move_rest(module: nn.Module, placed: set[nn.Module], home: torch.device) -> None:
    """Move all of a module to a device, but for what is placed."""
    if module in placed:
        return
    if not placed.intersection(module.modules()):
        module.to(home)
        return
    for name, each in module.named_parameters(recurse=False):
        module._parameters[name] = nn.Parameter(each.data.to(home), requires_grad=False)
    for name, buffer in module.named_buffers(recurse=False):
        module._buffers[name] = buffer.to(home)
    for child in module.children():
        _move_rest(child, placed, home)


class _Mover:
    """Moves what a module is called with to its device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return self._moved(given), {name: self._moved(each) for name, each in named.items()}

    def _moved(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self._device, non_blocking=True)
        return tuple(self._moved(each) for each in value) if type(value) is tuple else value
