"""What layers that do not attend keep of earlier tokens, while a model writes: linear attention and convolutions.

transformers' own cache holds it. Such a layer takes whatever stands in its sequence into its state, padding too; so in
a prefill, whose rows end with padding, the layer gets them with zeros in front instead, and its state stays 0 there.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from extract.attention.packing import Batch
from extract.models.checkpoint import Checkpoint
from extract.models.weights.parts import mixer_names
from schemas.roles import PADDING


class RecurrentStates:
    """The states of the layers of a model that do not attend, of each row of a batch."""

    def __init__(self, checkpoint: Checkpoint, batch: Batch) -> None:
        """Prepare to keep them; there are none where all layers attend.

        Args:
            batch: the prompts, on the model's device, one of each row.
        """
        layers = enumerate(checkpoint.stack.layers)
        others = [layer for number, layer in layers if number not in checkpoint.attending]
        mixers = [getattr(layer, mixer_names(layer)[0]) for layer in others]
        self._mixers: dict[nn.Module, str] = {mixer: _takes_states_as(mixer) for mixer in mixers}
        if not mixers:
            return
        self._states = DynamicCache(config=checkpoint.model.config.get_text_config())
        there = batch.roles != PADDING
        columns = torch.arange(there.shape[1], device=there.device)
        lengths = there.sum(dim=1, keepdim=True)
        self._to_the_end = (columns + lengths) % there.shape[1]  # which column comes to each, [images, length]
        self._back = (columns - lengths) % there.shape[1]
        self._there = there.gather(1, self._to_the_end)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the states after the prefill that runs in this context."""
        with ExitStack() as hooks:
            for mixer in self._mixers:
                hooks.enter_context(mixer.register_forward_pre_hook(self._without_padding, with_kwargs=True))
                hooks.enter_context(mixer.register_forward_hook(self._as_they_stood))
            yield

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Go on from the states in the pass over new tokens that runs in this context."""
        with ExitStack() as hooks:
            for mixer in self._mixers:
                hooks.enter_context(mixer.register_forward_pre_hook(self._with_states, with_kwargs=True))
            yield

    def _with_states(
        self, mixer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return given, named | {self._mixers[mixer]: self._states, "attention_mask": None}

    def _without_padding(
        self, mixer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = _rows(named["hidden_states"], self._to_the_end)
        hidden = hidden * self._there[..., None].to(hidden.device)
        return self._with_states(mixer, given, named | {"hidden_states": hidden})

    def _as_they_stood(self, _: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return _rows(output, self._back)


def _takes_states_as(mixer: nn.Module) -> str:
    """The argument by which a layer gets a cache."""
    taken = signature(mixer.forward).parameters
    return next(name for name in ("cache_params", "past_key_values") if name in taken)


def _rows(hidden: Tensor, columns: Tensor) -> Tensor:
    """Of each row [tokens, width] other columns, int64 [images, tokens]."""
    return hidden.gather(1, columns.to(hidden.device)[..., None].expand_as(hidden))
