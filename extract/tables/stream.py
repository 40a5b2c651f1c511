"""The residual stream of a forward pass: what is added to each question's last token, read by hooks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from extract.attention.packing import Batch
from extract.tables.decoder import Decoder, first_of


class ResidualStream:
    """What one forward pass adds to the residual stream of each question's last token.

    Each is [questions, width] in the model's dtype, in the order of the layers.

    Attributes:
        inputs: the first is the embedding; after the last layer, what the final norm gets.
        attention: outputs of the projection of heads, or of what a layer has in their place, before any norm of their
            own; `mlp`: of the MLPs.
        gates: of the layers that attend and have gates, by layer: float32 [questions, heads, head_dim].
        distances: float32 [images, length] for each layer, the cosine distance between its input and its output, of
            each token; empty unless asked for.
    """

    def __init__(self, decoder: Decoder, batch: Batch, *, distances: bool) -> None:
        self._decoder = decoder
        self._batch = batch
        self._compares = distances
        self._before: Tensor | None = None
        self._length: Tensor | None = None
        self.inputs: list[Tensor] = []
        self.attention: list[Tensor] = []
        self.mlp: list[Tensor] = []
        self.gates: dict[int, Tensor] = {}
        self.distances: list[Tensor] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read the forward pass that runs in this context."""
        decoder = self._decoder
        with ExitStack() as hooks:
            for layer in [*decoder.layers, decoder.final]:
                hooks.callback(layer.register_forward_pre_hook(self._read_input, with_kwargs=True).remove)
            for layer in decoder.layers if self._compares else ():
                hooks.callback(layer.register_forward_hook(self._compare).remove)
            for additions, outputs in ((decoder.attention, self.attention), (decoder.mlp, self.mlp)):
                for addition in additions:
                    hooks.callback(addition.module.register_forward_hook(self._keep(outputs)).remove)
            for number, gate in zip(decoder.attending, decoder.gates, strict=True):
                if gate is not None:
                    hooks.callback(gate.register_forward_hook(self._keep_gate(number)).remove)
            yield

    def _read_input(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        states: Tensor = given[0] if given else named["hidden_states"]
        self.inputs.append(self._last(states))
        if self._compares and states is not self._before:
            self._before, self._length = states, _lengths(states)

    def _keep(self, outputs: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        return lambda module, given, made: outputs.append(self._last(first_of(made)))

    def _keep_gate(self, layer: int) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def keep(module: nn.Module, given: tuple[Any, ...], made: Tensor) -> None:
            _, gate = self._last(made).unflatten(-1, (self._decoder.heads, 2, -1)).unbind(dim=-2)
            self.gates[layer] = gate.float().sigmoid()

        return keep

    def _last(self, states: Tensor) -> Tensor:
        # Llama 4's experts give tokens of all images in a row
        whole = states.reshape(len(self._batch.input_ids), -1, states.shape[-1])
        owner, last = (each.to(whole.device, non_blocking=True) for each in (self._batch.owner, self._batch.last))
        return self._here(whole[owner, last])

    def _here(self, tensor: Tensor) -> Tensor:
        """A tensor on the device of the batch, which is the first if layers are on several."""
        return tensor.to(self._batch.owner.device, non_blocking=True)

    def _compare(self, _: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        """Compare the output of a layer with its input."""
        states = first_of(made)
        assert self._before is not None
        assert self._length is not None
        length = _lengths(states)
        product = (self._before * states).sum(dim=-1, dtype=torch.float32)
        cosine = product / (self._length * length).clamp_min_(torch.finfo(torch.float32).tiny)
        self.distances.append(self._here(1 - cosine))
        self._before, self._length = states, length


def _lengths(states: Tensor) -> Tensor:
    """Of each token, float32."""
    return torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32)
