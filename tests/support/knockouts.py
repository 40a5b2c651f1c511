"""The independent reference of knock-outs: a whole pass for each, in explicit attention, and nothing of `extract`.

Attention runs in the model's own code through an attention function that is registered here.
"""

from contextlib import contextmanager

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "reference_of_knock_outs"


class Reference:
    """Attention in which some heads are changed.

    Attributes:
        heads: by layer, those that are changed, on the tokens `queries` (bool by token).
        keys: what they do not see, bool by token.
        output: (layer, head) -> what takes the place of a head's output; None: it is attention.
        other: by layer, keys and values of another image's tokens, which take the place of `keys`; None: none do.
        skipped: layers that return their input.
        seen: of the last pass by layer, keys, values (one for each head) and outputs of heads.
    """

    def __init__(self, model):
        self.model = model
        self.seen = {}
        self.reset()

    def reset(self):
        self.heads, self.skipped = {}, []
        self.queries = self.keys = self.output = self.other = None

    def attention(self, module, query, key, value, mask, scaling=None, softcap=None, **_):
        layer = module.layer_idx
        key, value = (each.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for each in (key, value))
        output = attend(query, key, value, mask, scaling, softcap)
        for head in self.heads.get(layer, []):
            one = slice(head, head + 1)
            if self.output is not None:
                new = self.output(layer, head)
            elif self.other is not None:
                mine = [each[:, one].clone() for each in (key, value)]
                for each, theirs in zip(mine, self.other[layer], strict=True):
                    each[:, :, self.keys] = theirs[:, one]
                new = attend(query[:, one], *mine, mask, scaling, softcap)[0, 0, self.queries]
            else:
                hidden = self.queries[:, None] & self.keys[None]
                new = attend(query[:, one], key[:, one], value[:, one], mask, scaling, softcap, hidden)
                new = new[0, 0, self.queries]
            output[0, head, self.queries] = new
        self.seen[layer] = (key, value, output)
        return output.transpose(1, 2), None

    @contextmanager
    def registered(self):
        AttentionInterface.register(NAME, self.attention)
        AttentionMaskInterface.register(NAME, eager_mask)
        text = self.model.config.get_text_config()
        before = text._attn_implementation
        part = "" if text is self.model.config else "text_config"
        self.model.set_attn_implementation({part: NAME})
        layers = stack_of(self.model).layers
        hooks = [layers[each].register_forward_hook(lambda _, given, made: given[0]) for each in self.skipped]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.model.set_attn_implementation({part: before})

    def hidden(self, inputs):
        """The final hidden state of the last token of one question, in a pass of its own."""
        kept = []
        hook = norm_of(stack_of(self.model)).register_forward_hook(lambda _, given, made: kept.append(made[0, -1]))
        with self.registered(), torch.no_grad():
            self.model(**inputs, use_cache=False)
        hook.remove()
        return at_least_float32(kept[0])


def stack_of(model):
    """The language model of a vision-language model, without its head."""
    decoder = model.get_decoder()
    return decoder if hasattr(decoder, "layers") else decoder.model  # Llama 4's has a head of its own


def norm_of(stack):
    """The norm after the last layer of a language model."""
    return stack.embedding_norm if hasattr(stack, "embedding_norm") else stack.norm


def attend(query, key, value, mask, scaling, softcap, hidden=None):
    """Attention [1, heads, length, head_dim] by an explicit softmax; `hidden` is bool [length, length]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = at_least_float32(query @ key.transpose(-1, -2) * scale)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    scores = scores.masked_fill(later if mask is None else mask < -1, -torch.inf)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return torch.nan_to_num(scores.softmax(dim=-1)).to(value.dtype) @ value


def at_least_float32(numbers):
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))
