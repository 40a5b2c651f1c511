"""Copies to and from the device that do not hold up its work; on the CPU, nothing is copied."""

from collections.abc import Sequence

import torch
from torch import Tensor

from extract.packing import Batch


class Uploader:
    """Sends batches to a device on a stream of its own, so that copies overlap the forward pass before."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._dtype = dtype
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, batch: Batch, images: Sequence[Tensor]) -> tuple[Batch, Tensor]:
        """A batch, and the pixels of its images [images, 3, height, width] in the model's dtype, on the device.

        On CUDA both must be kept until what is computed from them is done: they belong to the copying stream.
        """
        if self._stream is None:
            return batch.to(self._device), self._pixels(images)
        with torch.cuda.stream(self._stream):
            sent = batch.to(self._device), self._pixels(images)
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return sent

    def _pixels(self, images: Sequence[Tensor]) -> Tensor:
        return torch.stack([pixels.to(self._device, non_blocking=True) for pixels in images]).to(self._dtype)


class Download:
    """Results on their way to the CPU."""

    def __init__(self, *tensors: Tensor) -> None:
        """Start copying."""
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._done = torch.cuda.Event() if tensors[0].is_cuda else None
        if self._done is not None:
            self._done.record()

    def wait(self) -> list[Tensor]:
        """The tensors, on the CPU."""
        if self._done is not None:
            self._done.synchronize()
        return self._tensors
