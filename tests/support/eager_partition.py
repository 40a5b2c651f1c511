"""The oracle of direct contributions: what a model adds to the last token, as its own modules compute it in float64."""

from dataclasses import dataclass

import numpy as np
import torch

from tests.support.witness import SHORT


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
        names = "values", "queries", "attention", "mlp", "states", "made", "final"
        kept: dict[str, list] = {name: [] for name in names}
        stack = self.model.get_decoder()
        hooks = [
            stack.norm.register_forward_pre_hook(lambda _, given: kept["final"].append(given[0][0])),
            stack.norm.register_forward_hook(lambda _, given, made: kept.setdefault("normed", []).append(made[0])),
        ]
        for layer in stack.layers:
            hooks.append(layer.register_forward_pre_hook(lambda _, given: kept["states"].append(given[0][0])))
            hooks.append(layer.register_forward_hook(lambda _, given, made: kept["made"].append(made[0])))
            attention = getattr(layer, "self_attn", None)
            for name, kind in (("v_proj", "values"), ("q_proj", "queries")) if attention is not None else ():
                hooks.append(
                    getattr(attention, name).register_forward_hook(
                        lambda _, given, made, kept=kept[kind]: kept.append(made[0])
                    )
                )
            mixer = layer.linear_attn if attention is None else attention.o_proj
            added = [getattr(layer, name) for name in self.norms] if self.norms else [mixer, layer.mlp]
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
        final = kept["final"][0][-1]
        along = direction * kept["normed"][0][-1] / final  # of one token, whatever the norm is
        text = self.model.config.get_text_config()
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        group = text.num_attention_heads // text.num_key_value_heads
        attending = [number for number, layer in enumerate(stack.layers) if hasattr(layer, "self_attn")]
        attentions = [each for each in output.attentions if each is not None]
        heads = np.zeros((len(attending), text.num_attention_heads, len(SHORT)))
        with torch.no_grad():
            for number, (layer, values) in enumerate(zip(attending, kept["values"], strict=True)):
                weight = stack.layers[layer].self_attn.o_proj.weight
                queries = kept["queries"][number][-1].view(text.num_attention_heads, -1)
                if queries.shape[1] == 2 * width:  # the second half of each head's is a gate
                    weight = weight * queries[:, width:].sigmoid().flatten()
                whole = weight @ torch.cat(
                    [
                        attentions[number][0, head, -1] @ values[:, head // group * width :][:, :width]
                        for head in range(text.num_attention_heads)
                    ]
                )
                scale = kept["attention"][layer] / whole  # 1, or what the norm of Gemma's additions does
                for head in range(text.num_attention_heads):
                    columns = weight[:, head * width : (head + 1) * width]
                    for place, role in enumerate(SHORT):
                        at = [index for index, name in enumerate(roles) if name == role]
                        own = values[at][:, head // group * width :][:, :width]
                        taken = attentions[number][0, head, -1, at] @ own
                        heads[number, head, place] = float((columns @ taken * scale) @ along)
            states, made = torch.stack(kept["states"]), torch.stack(kept["made"])
            cosines = torch.nn.functional.cosine_similarity(made, states, dim=-1)
            margins = [float(stack.norm(state[-1:])[0] @ direction) for state in made]
        image, question = ([index for index, name in enumerate(roles) if name == role] for role in "vq")
        turns = [1 - each for each in (cosines[:, image].mean(1), cosines[:, question].mean(1), cosines[:, -1])]
        added = [[float(each.detach() @ along) for each in kept[name]] for name in ("attention", "mlp")]
        profile = np.stack([*(each.numpy() for each in turns), *added, margins], axis=-1)
        margin = float(kept["normed"][0][-1] @ direction)
        mixer = sum(float(kept["attention"][each] @ along) for each in {*range(len(profile))} - {*attending})
        whole = torch.stack(attentions)[:, 0].numpy()
        return Partition(heads, profile, float(states[0, -1] @ along), margin, mixer, whole, output.logits[0, -1])


def last_of(made):
    """What a module gives of the last token; experts give their router's scores too."""
    return (made[0] if isinstance(made, tuple) else made)[0, -1]
