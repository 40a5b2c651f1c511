"""The observers as attention functions of transformers, through its public attention interface.

An observation is not passed through the model, whose layers may drop arguments that they do not know: it is in the
context of the forward pass (`observing`), from which each layer's attention function takes it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from extract.attention.readers import AttentionReader, LayerInput, OwnView
from schemas.errors import HeadflowError
from schemas.text import listed

NAME, MASKED_NAME = "headflow", "headflow_masked"
_PLAIN = {NAME: "sdpa", MASKED_NAME: "eager"}  # the same without observation; sdpa does not cap scores
_UNSUPPORTED = {"position_bias": "a bias for positions", "s_aux": "learned sinks"}  # options that change the softmax


@dataclass(frozen=True)
class Crossing:
    """Layers that read the image by cross-attention.

    Attributes:
        layers: these; their queries see keys of the image, and no text. Those of other layers see only text.
        keys: of the image, those of padding included. They stand after the text's, as in a batch's columns.
    """

    layers: Sequence[int]
    keys: int


@dataclass
class Underway:
    """The observation of a forward pass that is running, other readers, where, and the layers seen, in order."""

    observation: Any
    readers: Sequence[AttentionReader]
    home: torch.device | None
    crossing: Crossing | None
    layers: list[int] = field(default_factory=list)


_UNDERWAY: ContextVar[Underway] = ContextVar("underway")


@contextmanager
def observing(
    observation: Any,
    *,
    layers: Sequence[int],
    readers: Sequence[AttentionReader] = (),
    home: torch.device | None = None,
    crossing: Crossing | None = None,
) -> Iterator[None]:
    """Let the attention functions below pass each layer to `observation`, and to other readers.

    Args:
        observation: computes attention by its `attend`: see `extract.attention.causal.Observation`, for models with a
            mask of their own `extract.attention.masked.MaskedObservation`; or an `OwnView`.
        layers: those that run in this context and attend.
        home: where attention is computed and read; None: where each layer is.
        crossing: layers that read the image by cross-attention; None: there are none. Keys of text and of the image are
            then joined, with a mask that says which of them a layer sees.

    Raises:
        HeadflowError: the layers that were observed are not `layers`, in order.
    """
    underway = Underway(observation, readers, home, crossing)
    token = _UNDERWAY.set(underway)
    try:
        yield
    finally:
        _UNDERWAY.reset(token)
    if underway.layers != list(layers):
        raise HeadflowError(
            f"attention of the layers {listed(layers)} was to be observed, in order, and that of "
            f"{listed(underway.layers) or 'none'} was: its config.json (layer_types) and its code do not agree"
        )


def observed_causal_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The attention function of one layer, in the form that transformers calls it; see `Observation.attend`.

    Returns:
        Output [images, length, heads, head_dim], and None in the place of the attention weights.

    Raises:
        ValueError: the model asks for attention that is not plain softmax over all earlier tokens.
    """
    unsupported = ["softcap"] if softcap is not None else ["a mask"] if attention_mask is not None else []
    _check_options(unsupported, options)
    return _attend(module, query, key, value, scaling, **_view(options, softcap, {})), None


def observed_masked_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """The same under the model's own mask; see `MaskedObservation.attend`.

    Raises:
        ValueError: there is no such mask, or the model asks for attention that is not plain softmax under it.
    """
    underway = _UNDERWAY.get()
    crossing, own_view = underway.crossing, isinstance(underway.observation, OwnView)
    across = crossing is not None and _layer_of(module) in crossing.layers
    if crossing is not None and not own_view and attention_mask is not None:
        key, value, attention_mask = _joined(key, value, attention_mask, None if across else crossing.keys)
    has_mask = attention_mask is not None and attention_mask.dtype == torch.bool
    _check_options([] if has_mask or (own_view and across) else ["no mask of its own"], options)
    view = _view(options, softcap, {"mask": attention_mask, "softcap": softcap})
    if own_view and across:
        view["across"] = True
    return _attend(module, query, key, value, scaling, **view), None


def _joined(key: Tensor, value: Tensor, mask: Tensor, of_image: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values of a layer with zeros for those that it does not read, and a mask that hides these.

    Args:
        mask: bool, or of cross-attention what is added to scores, 0 where a query sees a key.
        of_image: how many keys of the image a layer of text does not read; None: the layer reads these, and no text.
    """
    before, after = (mask.shape[2], 0) if of_image is None else (0, of_image)
    seen = mask == 0 if of_image is None and mask.dtype != torch.bool else mask
    key, value = (pad(each, (0, 0, before, after)) for each in (key, value))
    return key, value, pad(seen, (before, after), value=False)


def _layer_of(module: torch.nn.Module) -> int:
    return int(getattr(module, "layer_idx", -1))


def _view(options: dict[str, Any], softcap: float | None, of_model: dict[str, Any]) -> dict[str, Any]:
    """What says which keys are seen: `of_model`, or what an `OwnView` takes in its place."""
    if isinstance(_UNDERWAY.get().observation, OwnView):
        return {"softcap": softcap, "window": options.get("sliding_window")}
    return of_model


def _check_options(unsupported: list[str], options: dict[str, Any]) -> None:
    """Raise if a model asks for attention that cannot be observed.

    Args:
        unsupported: what is known to be so; `options` of `_UNSUPPORTED` are added to it.
    """
    unsupported = unsupported + [what for name, what in _UNSUPPORTED.items() if options.get(name) is not None]
    if unsupported:
        raise ValueError(f"attention with {', '.join(unsupported)} cannot be observed; it is not supported")


def _attend(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, **options: Any
) -> Tensor:
    underway = _UNDERWAY.get()
    underway.layers.append(_layer_of(module))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    place, home = query.device, underway.home or query.device
    query, key, value = (each.to(home, non_blocking=True) for each in (query, key, value))
    if isinstance(mask := options.get("mask"), Tensor):
        options["mask"] = mask.to(home, non_blocking=True)
    output: Tensor = underway.observation.attend(query, key, value, scale, **options)
    for reader in underway.readers:
        reader.read(LayerInput(query, key, value, scale, **options))
    return output.transpose(1, 2).to(place, non_blocking=True)


def _no_mask(*_: Any, **__: Any) -> None:
    """No mask: which keys a query sees follows from the batch's layout."""


def _whole_mask(*arguments: Any, **options: Any) -> Tensor | None:
    """The model's mask, bool [images, 1, length, length]; never left out, even if a kernel needs none."""
    skips = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(*arguments, **options | skips)


def observe_language_model(model: PreTrainedModel, *, causal: bool = True) -> None:
    """Make an attention function above that of the language model of a vision-language model, and of nothing else."""
    AttentionInterface.register(NAME, observed_causal_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    AttentionInterface.register(MASKED_NAME, observed_masked_attention)
    AttentionMaskInterface.register(MASKED_NAME, _whole_mask)
    _set_attention(model, NAME if causal else MASKED_NAME)


def _set_attention(model: PreTrainedModel, name: str) -> None:
    """Set the attention function of the language model, whose config may be that of the whole model."""
    whole = model.config.get_text_config() is model.config
    model.set_attn_implementation({"" if whole else "text_config": name})


@contextmanager
def without_observing(model: PreTrainedModel) -> Iterator[None]:
    """Run an observed model with its plain attention."""
    text = model.config.get_text_config()
    name = text._attn_implementation
    _set_attention(model, _PLAIN[name])
    try:
        yield
    finally:
        _set_attention(model, name)
