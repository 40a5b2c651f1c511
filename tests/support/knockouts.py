"""The independent reference of knock-outs: a whole pass for each, in explicit float32 attention, and nothing of `extract`.

Attention runs in the model's own code through an attention function that is registered here.
"""

from contextlib import contextmanager

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "reference_of_knock_outs"


class Reference:
    """Attention in which chosen heads of chosen layers are changed.

    `cut` by layer: heads whose `queries` do not see `keys` (bool by token); `output` by layer: heads whose output is
    replaced on `queries`, a function of (layer, head); `other` by layer: keys and values that take the place of those of
    `keys`. `skipped` layers return their input.
    """

    def __init__(self, model):
        self.model = model
        self.heads: dict[int, list[int]] = {}
        self.queries = self.keys = None
        self.output = None
        self.other = None
        self.skipped: list[int] = []
        self.seen: dict[int, tuple] = {}  # keys and values of the last pass, and outputs of heads
        AttentionInterface.register(NAME, self.attention)
        AttentionMaskInterface.register(NAME, eager_mask)

    def attention(self, module, query, key, value, mask, scaling=None, softcap=None, **_):
        layer, group = module.layer_idx, query.shape[1] // key.shape[1]
        key, value = (each.repeat_interleave(group, dim=1) for each in (key, value))
        heads = self.heads.get(layer, [])
        if self.other is not None and heads:
            key, value = key.clone(), value.clone()
            plain = self.attend(query, *self.kept(key, value), mask, scaling, softcap, None, [])
            for mine, theirs in zip((key, value), self.other[layer], strict=True):
                mine[:, heads] = mine[:, heads].masked_scatter(self.keys[None, None, :, None], theirs[:, heads])
            changed = self.attend(query, key, value, mask, scaling, softcap, None, [])
            rows = self.queries[None, None, :, None].expand(-1, len(heads), -1, plain.shape[-1])
            plain[:, heads] = torch.where(rows, changed[:, heads], plain[:, heads])
            output = plain
        else:
            cut = self.keys if self.output is None else None
            output = self.attend(query, key, value, mask, scaling, softcap, cut, heads)
        if self.output is not None:
            for head in heads:
                output[:, head, self.queries] = self.output(layer, head)
        self.seen[layer] = (key, value, output)
        return output.transpose(1, 2), None

    @staticmethod
    def kept(key, value):
        return key.clone(), value.clone()

    def attend(self, query, key, value, mask, scaling, softcap, keys, heads):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        scores = query @ key.transpose(-1, -2) * scale
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if mask is not None:
            scores = scores + mask
        else:
            later = torch.ones(scores.shape[-2:]).triu(1).bool()
            scores = scores.masked_fill(later, -torch.inf)
        if keys is not None:
            for head in heads:
                hidden = self.queries[:, None] & keys[None]
                scores[:, head] = scores[:, head].masked_fill(hidden, -torch.inf)
        return torch.nan_to_num(scores.softmax(dim=-1)) @ value

    @contextmanager
    def registered(self):
        text = self.model.config.get_text_config()
        before = text._attn_implementation
        self.model.set_attn_implementation({"text_config": NAME})
        hooks = [
            layer.register_forward_hook(lambda _, given, made: given[0])
            for index, layer in enumerate(self.model.get_decoder().layers)
            if index in self.skipped
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.model.set_attn_implementation({"text_config": before})

    def margin(self, direction, **inputs):
        """The margin of one question in a pass of its own."""
        with self.registered(), torch.no_grad():
            hidden = self.model.model(**inputs, use_cache=False).last_hidden_state[0, -1]
        return float(hidden.float() @ direction)
