"""How large the parts of a language model are, in parameters: what taking them out would save."""

from typing import Any

from torch import nn

from extract.models.checkpoint import Checkpoint


def model_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Sizes of a model, for the manifest; empty if its layers are built in another way than LLaMA's.

    Returns:
        `parameters` of the language model with its unembedding, those of embeddings that are only looked up
        (`lookup_parameters`), of a layer (`layer_parameters`), of a query head's part of `q_proj` and `o_proj`
        (`head_parameters`), of a key-value head's part of `k_proj` and `v_proj`
        (`kv_head_parameters`), and `kv_heads` and `head_dim`.
    """
    stack, head = checkpoint.stack, checkpoint.model.get_output_embeddings()
    try:
        attention = stack.layers[0].self_attn
        query, key, value, output = (getattr(attention, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj"))
        width = query.out_features // checkpoint.heads
        kv_heads = key.out_features // width
        tied = head.weight is stack.embed_tokens.weight
    except AttributeError:
        return {}
    return {
        "parameters": _parameters(stack) + (0 if tied else _parameters(head)),
        "lookup_parameters": 0 if tied else _parameters(stack.embed_tokens),
        "layer_parameters": _parameters(stack.layers[0]),
        "head_parameters": (_parameters(query) + _parameters(output)) // checkpoint.heads,
        "kv_head_parameters": (_parameters(key) + _parameters(value)) // kv_heads,
        "kv_heads": kv_heads,
        "head_dim": width,
    }


def _parameters(module: nn.Module | Any) -> int:
    return sum(each.numel() for each in module.parameters())
