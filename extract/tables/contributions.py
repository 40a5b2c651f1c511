"""Direct contributions to the margin: of each head by the role of the tokens it reads, of MLPs, of the embedding.

The margin is linear in the last token's final hidden state `x` once the final norm is frozen, that is, its `rms` taken
as a number: `margin = x . (g * u) / rms + bias`, with the norm's scale `g` and the difference `u` of the two answers'
rows of the unembedding. `x` is the sum of all that was added to the residual stream, so the margin is a sum too (direct
logit attribution: Elhage et al. 2021; Wang et al. 2022, arXiv:2211.00593). A norm on an addition is frozen too.

A direct contribution is what goes straight from a head to the answer. What goes by way of later layers is not in it:
that takes knock-outs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from extract.attention.packing import Batch
from extract.attention.readers import ProjectedValues
from extract.models.answers import AnswerReader
from extract.tables.decoder import Addition, Decoder
from extract.tables.stream import ResidualStream


@dataclass(frozen=True)
class Partition:
    """The margins of some questions as sums, float32.

    Attributes:
        heads: [questions, layers, heads, roles].
        attention: [questions, layers], what each layer's attention adds, biases included; `mlp` too.
        embedding: [questions]; `bias` too: that of the projections of heads and of the unembedding.
    """

    heads: Tensor
    attention: Tensor
    mlp: Tensor
    embedding: Tensor
    bias: Tensor

    def parts(self, margin: Tensor) -> Tensor:
        """`d_embedding`, `d_heads`, `d_mlp`, `d_bias`, and `d_rest`, with which they add up to the margin.

        Args:
            margin: float32 [questions].

        Returns:
            float32 [questions, 5].
        """
        sums = [self.embedding, self.heads.sum(dim=(1, 2, 3)), self.mlp.sum(dim=1), self.bias]
        rest = margin.double() - sum(each.double() for each in sums)
        return torch.stack([*sums, rest.float()], dim=-1)


class DirectContributions:
    """Partitions the margins of one model."""

    def __init__(self, decoder: Decoder, answers: AnswerReader) -> None:
        self._decoder = decoder
        self._bias = answers.bias
        self.direction = decoder.norm.scale * answers.direction  # float32 [width]
        directions = [self._behind(addition) for addition in decoder.attention]
        self._heads = torch.stack([decoder.head_weights(layer) @ each for layer, each in enumerate(directions)])
        biases = [getattr(addition.module, "bias", None) for addition in decoder.attention]
        self._biases = [
            None if bias is None else (bias.detach().float() * along).sum()
            for bias, along in zip(biases, directions, strict=True)
        ]

    def reader(self, batch: Batch) -> ProjectedValues:
        """What reads attention in a forward pass over a batch."""
        return ProjectedValues(batch, self._heads)

    def partition(self, values: ProjectedValues, stream: ResidualStream) -> Partition:
        """The margins of a batch's questions as sums, once its forward pass is done."""
        rms = self._decoder.norm.rms(stream.inputs[-1])
        attention = [
            _factor(each, out) / rms for each, out in zip(self._decoder.attention, stream.attention, strict=True)
        ]
        mlp = [_factor(each, out) / rms for each, out in zip(self._decoder.mlp, stream.mlp, strict=True)]
        bias = torch.full_like(rms, self._bias)
        for factor, each in zip(attention, self._biases, strict=True):
            if each is not None:
                bias = bias + each * factor
        return Partition(
            heads=torch.stack(values.sums, dim=1) * torch.stack(attention, dim=1)[..., None, None],
            attention=self._along(self._decoder.attention, stream.attention, attention),
            mlp=self._along(self._decoder.mlp, stream.mlp, mlp),
            embedding=stream.inputs[0].float() @ self.direction / rms,
            bias=bias,
        )

    def _behind(self, addition: Addition) -> Tensor:
        """The direction of the margin before an addition's own norm, float32 [width]."""
        return self.direction if addition.norm is None else addition.norm.scale * self.direction

    def _along(self, additions: list[Addition], outputs: list[Tensor], factors: list[Tensor]) -> Tensor:
        """What additions contribute, float32 [questions, layers]."""
        columns = [
            output.float() @ self._behind(addition) * factor
            for addition, output, factor in zip(additions, outputs, factors, strict=True)
        ]
        return torch.stack(columns, dim=1)


def _factor(addition: Addition, output: Tensor) -> Tensor:
    """What an addition's own norm multiplies its output by beside its scale, float32 [questions]."""
    if addition.norm is None:
        return torch.ones(len(output), device=output.device)
    return 1 / addition.norm.rms(output)
