"""Copies to and from the device that do not delay its work; on the CPU, nothing is copied."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from extract.attention.blocks import OnDevice
from extract.attention.packing import Batch
from extract.images.preprocessing import Pixels, join

_Part = TypeVar("_Part", bound=OnDevice)


class Uploader:
    """Copies to a device on a stream of its own, so that copies overlap the forward pass before.

    A stream has memory of its own, so a model has one uploader. What it copied must be kept until what is computed from
    it is done: the next copy may take its place.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._dtype = dtype
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, batch: Batch, images: Sequence[Pixels]) -> tuple[Batch, dict[str, Tensor]]:
        """A batch, and the inputs of its images, pixels in the model's dtype, on the device."""
        with self._copying():
            return batch.to(self._device, non_blocking=True), self._inputs(images)

    def copy(self, part: _Part) -> _Part:
        """Something else that a pass reads, on the device."""
        with self._copying():
            return part.to(self._device, non_blocking=True)

    @contextmanager
    def _copying(self) -> Iterator[None]:
        """Copy in this context; what is computed after it waits for the copies, on the device."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def _inputs(self, images: Sequence[Pixels]) -> dict[str, Tensor]:
        joined = join([{name: self._to_device(tensor) for name, tensor in pixels.inputs.items()} for pixels in images])
        return {name: each.to(self._dtype) if each.is_floating_point() else each for name, each in joined.items()}

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, non_blocking=True)


class Download:
    """Results on their way to the CPU."""

    def __init__(self, *tensors: Tensor) -> None:
        """Start copying; on CUDA, on the current stream of the tensors' own GPU, whichever is torch's current one."""
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._done = torch.cuda.Event() if tensors[0].is_cuda else None
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(tensors[0].device))

    def wait(self) -> list[Tensor]:
        """The tensors, on the CPU."""
        if self._done is not None:
            self._done.synchronize()
        return self._tensors
