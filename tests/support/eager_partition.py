"""The oracle of direct contributions: what a model adds to the last token, as its own modules compute it in float64."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from tests.support.knockouts import norm_of, stack_of
from tests.support.witness import SHORT, across

MIXERS = "self_attn", "cross_attn", "linear_attn", "conv"  # of a layer, what passes between tokens


@dataclass(frozen=True)
class Partition:
    """What goes to the last token's product with a direction.

    Attributes:
        heads: [layers that attend, heads, roles]; `profile`: the columns of `layers` [layers, columns].
        embedding: what the embedding gives; `margin`: the whole product.
        mixer: what layers that do not attend give.
        attention: of the pass, [layers that attend, heads, queries, keys]; `logits`: after the last token.
    """

    heads: np.ndarray
    profile: np.ndarray
    embedding: float
    margin: float
    mixer: float
    attention: np.ndarray
    logits: torch.Tensor


class EagerPartition:
    """What a model in eager attention and float64 adds to the residual stream, by its own modules."""

    def __init__(self, model, norms=None):
        """Read a model.

        Args:
            norms: names of the norms through which what attention and MLP add goes first; None: it goes through none.
        """
        self.model, self.norms = model, norms
        self.unembedding = model.get_output_embeddings().weight.detach()

    def run(self, inputs, roles, direction):
        """What goes to the last token's product with a direction, such as the difference of two answers.

        Args:
            roles: of each token, by its short name.
        """
        kept: dict[str, list] = {name: [] for name in ("attention", "mlp", "states", "made", "final")}
        stack = stack_of(self.model)
        crossing = [number for number, layer in enumerate(stack.layers) if hasattr(layer, "cross_attn")]
        values: dict[int, torch.Tensor] = {}
        queries: dict[int, torch.Tensor] = {}
        norm = norm_of(stack)
        hooks = [
            norm.register_forward_pre_hook(lambda _, given: kept["final"].append(given[0][0])),
            norm.register_forward_hook(lambda _, given, made: kept.setdefault("normed", []).append(made[0])),
        ]
        for number, layer in enumerate(stack.layers):
            hooks.append(layer.register_forward_pre_hook(lambda _, given: kept["states"].append(given[0][0])))
            hooks.append(layer.register_forward_hook(lambda _, given, made: kept["made"].append(first_of(made)[0])))
            attention = attention_of(layer)
            for module, found in () if attention is None else ((of_values(layer), values), (attention.q_proj, queries)):
                if module is not None:
                    keep = lambda _, given, made, at=number, found=found: found.update({at: flat(made)})  # noqa: E731
                    hooks.append(module.register_forward_hook(keep))
            mixer = next(getattr(layer, name) for name in MIXERS if hasattr(layer, name))
            added = [getattr(layer, name) for name in self.norms] if self.norms else [mixer, mlp(layer)]
            hooks += [
                module.register_forward_hook(lambda _, given, made, kept=kept[name]: kept.append(last_of(made)))
                for name, module in zip(("attention", "mlp"), added, strict=True)
            ]
        known = {name: value for name, value in inputs.items() if name != "labels"}
        known = {name: value.double() if value.is_floating_point() else value for name, value in known.items()}
        with torch.no_grad():
            output = self.model(**known, use_cache=False, output_attentions=True)
        for hook in hooks:
            hook.remove()
        attentions = across([each for each in output.attentions if each is not None], roles, crossing)
        text_at, image_at = (torch.tensor([(role == "v") is which for role in roles]) for which in (False, True))
        for number, each in values.items() if crossing else ():  # by token, as roles are
            places = image_at if number in crossing else text_at
            values[number] = torch.zeros(len(roles), each.shape[1]).to(each)
            values[number][places] = each[: int(places.sum())]
        final = kept["final"][0][-1]
        along = direction * kept["normed"][0][-1] / final  # of one token
        if "LayerNorm" in type(norm).__name__:  # as Cohere's, which subtracts the mean
            whole = direction * norm.weight.detach()
            along = (whole - whole.mean()) / (final.var(correction=0) + norm.variance_epsilon).sqrt()
        text = self.model.config.get_text_config()
        for name in ("attention", "mlp"):
            kept[name] = [
                each
                * getattr(text, "residual_multiplier", 1)  # Granite's
                * carried(stack.layers[number:])  # Gemma 4's
                * gate(stack.layers[number], name)
                for number, each in enumerate(kept[name])
            ]
        attending = [number for number, layer in enumerate(stack.layers) if attention_of(layer) is not None]
        heads = np.zeros((len(attending), text.num_attention_heads, len(SHORT)))
        with torch.no_grad():
            for number, layer in enumerate(attending):
                seen = values[source_of_values(stack.layers, layer)]
                attention = attention_of(stack.layers[layer])
                weight = (attention.out_proj if hasattr(attention, "out_proj") else attention.o_proj).weight
                width = weight.shape[1] // text.num_attention_heads
                group = text.num_attention_heads * width // seen.shape[1]
                of_heads = queries[layer][-1].view(text.num_attention_heads, -1)
                if of_heads.shape[1] == 2 * width:  # the second half of each head's is a gate
                    weight = weight * of_heads[:, width:].sigmoid().flatten()
                whole = weight @ torch.cat(
                    [
                        attentions[number, head, -1] @ seen[:, head // group * width :][:, :width]
                        for head in range(text.num_attention_heads)
                    ]
                )
                scale = kept["attention"][layer] / whole  # 1, or what the norm of Gemma's additions does
                for head in range(text.num_attention_heads):
                    columns = weight[:, head * width : (head + 1) * width]
                    for place, role in enumerate(SHORT):
                        at = [index for index, name in enumerate(roles) if name == role]
                        own = seen[at][:, head // group * width :][:, :width]
                        taken = attentions[number, head, -1, at] @ own
                        heads[number, head, place] = float((columns @ taken * scale) @ along)
            states, made = torch.stack(kept["states"]), torch.stack(kept["made"])
            cosines = torch.nn.functional.cosine_similarity(made, states, dim=-1)
            margins = [float(norm(state[-1:])[0] @ direction) for state in made]
        inside = [name for name in roles if not crossing or name != "v"]  # those of the sequence
        image, question = ([index for index, name in enumerate(inside) if name == role] for role in "vq")
        turns = [1 - each for each in (cosines[:, image].mean(1), cosines[:, question].mean(1), cosines[:, -1])]
        added = [[float(each.detach() @ along) for each in kept[name]] for name in ("attention", "mlp")]
        profile = np.stack([*(each.numpy() for each in turns), *added, margins], axis=-1)
        margin = float(kept["normed"][0][-1] @ direction)
        mixer = sum(float(kept["attention"][each] @ along) for each in {*range(len(profile))} - {*attending})
        whole = attentions.numpy()
        embedding = float(states[0, -1] @ along) * carried(stack.layers)
        return Partition(heads, profile, embedding, margin, mixer, whole, output.logits[0, -1])


def attention_of(layer):
    """The attention of a layer, on the sequence or across; None if it does not attend."""
    return getattr(layer, "self_attn", None) or getattr(layer, "cross_attn", None)


def flat(made):
    """Numbers of tokens, as [tokens, numbers]; those of all tiles of an image one after the other."""
    return made[0].flatten(1) if made.dim() > 3 or len(made) == 1 else made.flatten(0, 1)


def gate(layer, name):
    """By what a layer of Llama 3.2 Vision multiplies what it adds; 1 in others."""
    found = getattr(layer, f"cross_attn_{name.replace('attention', 'attn')}_gate", None)
    return 1 if found is None else float(found.detach().tanh())


def last_of(made):
    """What a module gives of the last token; experts give their router's scores too."""
    return first_of(made).flatten(0, -2)[-1]


def first_of(made):
    """What a module gives, or the first of several things."""
    return made[0] if isinstance(made, tuple) else made


def carried(layers):
    """What layers multiply by all that they give, together."""
    return math.prod(float(getattr(layer, "layer_scalar", 1.0)) for layer in layers)


def mlp(layer):
    """The MLP of a layer, or its experts."""
    return layer.feed_forward if hasattr(layer, "feed_forward") else layer.mlp


def of_values(layer):
    """The module that gives the values of a layer's attention; None if they are those of another layer."""
    attention = attention_of(layer)
    return getattr(attention, "v_norm", None) or getattr(attention, "v_proj", None)


def source_of_values(layers, number):
    """The layer whose values a layer takes: its own, or those of the last one before it of its kind."""
    if of_values(layers[number]) is not None:
        return number
    same = layers[number].self_attn.layer_type
    return max(
        before
        for before, layer in enumerate(layers[:number])
        if layer.self_attn.layer_type == same and of_values(layer) is not None
    )
