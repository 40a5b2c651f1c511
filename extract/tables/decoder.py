"""The modules of a language model that add to its residual stream: of each layer its attention and its MLP.

A token's final hidden state is the sum of its embedding and of what each module adds (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits"). So it is in LLaMA's, Mistral's, Qwen's and Gemma's models; in
Gemma's later ones each addition goes through a norm of its own first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from extract.models.checkpoint import Checkpoint
from extract.models.weights.parts import mixer_names
from extract.models.weights.quantised import matrix_of
from schemas.errors import HeadflowError

NOT_SUPPORTED = "direct contributions and layer profiles are not supported"


@dataclass(frozen=True)
class RmsNorm:
    """`x / rms(x) * scale` with `rms(x) = sqrt(mean(x^2) + eps)` (Zhang and Sennrich 2019, arXiv:1910.07467).

    Attributes:
        scale: float32 [width].
    """

    scale: Tensor
    eps: float

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """The norm that a module computes; its weight is the scale, or the scale minus 1 (Gemma).

        Raises:
            HeadflowError: it computes something else, such as a norm that subtracts the mean.
        """
        weight = getattr(module, "weight", None)
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if isinstance(weight, Tensor) and isinstance(eps, float):
            random = torch.Generator().manual_seed(0)
            x = torch.randn(4, len(weight), generator=random).to(weight) + 1
            with torch.no_grad():
                expected = module(x).float()
            tolerance = (1e-4 if weight.dtype == torch.float32 else 0.03) * float(expected.norm())
            for scale in (weight.detach().float(), 1 + weight.detach().float()):
                norm = cls(scale, eps)
                if float((x.float() / norm.rms(x)[:, None] * scale - expected).norm()) <= tolerance:
                    return norm
        raise HeadflowError(f"its {type(module).__name__} is no RMSNorm; {NOT_SUPPORTED}")

    def rms(self, x: Tensor) -> Tensor:
        """[..., width] -> float32 [...]."""
        return (x.float().square().mean(dim=-1) + self.eps).sqrt()


@dataclass(frozen=True)
class Addition:
    """A module whose output is added to the residual stream.

    Attributes:
        norm: what the output goes through first; None: nothing.
    """

    module: nn.Module
    norm: RmsNorm | None


@dataclass(frozen=True)
class Decoder:
    """The parts of a language model.

    Attributes:
        layers: its decoder layers; each gets the hidden states of all tokens.
        attention: of each layer the projection of the heads' outputs, or of what it has in the place of attention;
            `mlp`: of each layer the MLP.
        final: the module of the final norm; `norm`: what it computes.
        heads: attention heads of each layer that attends.
        attending: the layers that attend, in order.
        gates: of each of these the query projection, if it also gives a gate for each number of the heads' outputs, by
            whose sigmoid they are multiplied before the projection; else None.
    """

    layers: list[nn.Module]
    attention: list[Addition]
    mlp: list[Addition]
    final: nn.Module
    norm: RmsNorm
    heads: int
    attending: Sequence[int]
    gates: list[nn.Module | None]

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        """The parts of a checkpoint's language model.

        Raises:
            HeadflowError: it is built in another way.
        """
        stack = checkpoint.stack
        layers = list(stack.layers)
        try:
            return cls(
                layers=layers,
                attention=[_attention(layer) for layer in layers],
                mlp=[_mlp(layer) for layer in layers],
                final=stack.norm,
                norm=RmsNorm.of(stack.norm),
                heads=checkpoint.heads,
                attending=checkpoint.attending,
                gates=[_gate(layers[each].self_attn) for each in checkpoint.attending],
            )
        except (AttributeError, HeadflowError) as error:
            what = str(error) if isinstance(error, HeadflowError) else f"{error}; {NOT_SUPPORTED}"
            raise HeadflowError(f"{checkpoint.architecture} is not built as LLaMA or Gemma is: {what}") from None

    def head_weights(self, layer: int) -> Tensor:
        """How each head's output is projected into the residual stream, float32 [heads, head_dim, width]."""
        weight = matrix_of(self.attention[layer].module, self.final.weight.dtype)  # type: ignore[arg-type]
        return weight.T.unflatten(0, (self.heads, -1))


def _attention(layer: Any) -> Addition:
    mixer, name = mixer_names(layer)
    projection = getattr(getattr(layer, mixer), name)
    if not isinstance(getattr(projection, "in_features", None), int):
        raise HeadflowError(f"its {name} is a {type(projection).__name__}, not a matrix; {NOT_SUPPORTED}")
    return Addition(projection, RmsNorm.of(layer.post_attention_layernorm) if _norms_additions(layer) else None)


def _gate(attention: Any) -> nn.Module | None:
    """See `Decoder.gates`: what projects to twice as many numbers as heads put out."""
    query = getattr(attention, "q_proj", None)
    gated = isinstance(query, nn.Linear) and query.out_features == 2 * attention.o_proj.in_features
    return query if gated else None


def _mlp(layer: Any) -> Addition:
    return Addition(layer.mlp, RmsNorm.of(layer.post_feedforward_layernorm) if _norms_additions(layer) else None)


def _norms_additions(layer: Any) -> bool:
    """Whether additions have norms, as in Gemma 2 and 3; else `post_attention_layernorm` is the one before the MLP."""
    return hasattr(layer, "post_feedforward_layernorm")
