"""Parts of a language model: their sizes in parameters, and heads and layers taken out by zeros."""

from typing import Any

import torch
from torch import nn

from extract.models.checkpoint import Checkpoint
from extract.models.weights.quantised import is_plain
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet


def model_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Sizes of a model, for the manifest; empty if its layers are built in another way than LLaMA's.

    Returns:
        `parameters` of the language model with its unembedding, those of embeddings that are only looked up
        (`lookup_parameters`), of a layer that attends (`layer_parameters`), of one that does not where there are such
        (`mixer_layer_parameters`), of a query head's part of `q_proj` and `o_proj`
        (`head_parameters`), of a key-value head's part of `k_proj` and `v_proj`
        (`kv_head_parameters`), and `kv_heads` and `head_dim`.
    """
    stack, head = checkpoint.stack, checkpoint.model.get_output_embeddings()
    try:
        layer = stack.layers[checkpoint.attending[0]]
        attention = getattr(layer, mixer_names(layer)[0])
        query, key, value = (getattr(attention, name) for name in ("q_proj", "k_proj", "v_proj"))
        output = getattr(attention, mixer_names(layer)[1])
        width = output.in_features // checkpoint.heads
        kv_heads = key.out_features // width
        tied = getattr(head, "weight", None) is stack.embed_tokens.weight
    except AttributeError:
        return {}
    others = [each for number, each in enumerate(stack.layers) if number not in checkpoint.attending]
    return {
        "parameters": _parameters(stack) + (0 if tied else _parameters(head)),
        "lookup_parameters": 0 if tied else _parameters(stack.embed_tokens),
        "layer_parameters": _parameters(layer),
        **({"mixer_layer_parameters": _parameters(others[0])} if others else {}),
        "head_parameters": (_parameters(query) + _parameters(output)) // checkpoint.heads,
        "kv_head_parameters": (_parameters(key) + _parameters(value)) // kv_heads,
        "kv_heads": kv_heads,
        "head_dim": width,
    }


def _parameters(module: nn.Module | Any) -> int:
    """How many numbers the weights of a module stand for; quantised ones are packed."""
    width, rows = (getattr(module, name, None) for name in ("in_features", "out_features"))
    if isinstance(width, int) and isinstance(rows, int):
        return width * rows + (0 if getattr(module, "bias", None) is None else rows)
    own = sum(each.numel() for each in module.parameters(recurse=False))
    return own + sum(_parameters(child) for child in module.children())


def mixer_names(layer: nn.Module | Any) -> tuple[str, str]:
    """The names of a layer's token mixer, attention or what is in its place, and of its output projection."""
    known = (("linear_attn", "out_proj"), ("conv", "out_proj"), ("cross_attn", "o_proj"))
    own = "o_proj" if hasattr(getattr(layer, "self_attn", None), "o_proj") else "out_proj"
    return next((names for names in known if hasattr(layer, names[0])), ("self_attn", own))


def remove(checkpoint: Checkpoint, chosen: HeadSet) -> None:
    """Take heads and layers out: a head's columns of `o_proj` are 0; a layer adds nothing to what it gets.

    Of quantised weights, what they are applied to is 0, or what they give.

    Nothing becomes faster: the model keeps its shape, so that its attention is still observed, also that of
    removed heads.

    Raises:
        HeadflowError: the model's layers are built in another way than LLaMA's.
    """
    with torch.no_grad():
        for number, layer in enumerate(checkpoint.stack.layers):
            heads = [head for at, head in chosen.heads if at == number]
            if number in chosen.layers:
                _silence(_linear(layer, *mixer_names(layer)))
                if isinstance(getattr(layer, "mlp", None), nn.Module) and not hasattr(layer.mlp, "down_proj"):
                    layer.mlp.register_forward_hook(_zeros)  # experts, whose matrices are of many forms
                else:
                    _silence(_linear(layer, "mlp", "down_proj"))
            elif heads:
                _take_out(_linear(layer, *mixer_names(layer)), heads, checkpoint.heads)


def _silence(linear: Any) -> None:
    """Let a linear module give zeros."""
    if not is_plain(linear):  # whose weights are packed
        linear.register_forward_hook(lambda _, given, output: torch.zeros_like(output))
        return
    linear.weight.zero_()
    if linear.bias is not None:
        linear.bias.zero_()


def _zeros(_: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
    """Zeros in the place of what a module gives; what experts give beside it stays."""
    return (torch.zeros_like(made[0]), *made[1:]) if isinstance(made, tuple) else torch.zeros_like(made)


def _take_out(linear: Any, heads: list[int], number: int) -> None:
    """Let a linear module read zeros of some heads, of so many."""
    if is_plain(linear):
        linear.weight.unflatten(1, (number, -1))[:, heads] = 0
        return

    def without(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        kept = given[0].unflatten(-1, (number, -1)).clone()
        kept[..., heads, :] = 0
        return kept.flatten(-2), *given[1:]

    linear.register_forward_pre_hook(without)


def _linear(layer: Any, part: str, name: str) -> Any:
    linear = getattr(getattr(layer, part, None), name, None)
    if not isinstance(getattr(linear, "in_features", None), int):
        raise HeadflowError(
            f"a layer of the model has no matrix {part}.{name}, so that heads and layers cannot be taken out",
            setting="plan",
        )
    return linear
