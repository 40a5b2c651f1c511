"""Direct contributions to the answer: of each head by the role of the tokens it reads, of MLPs, of the embedding.

They are to the margin, or where questions have options of their own, to the lead of the right option: its logit minus
that of the strongest wrong one. Which one that is, the final logits say; so values are computed for each letter, and
subtracted once the pass is done. Where the right answer is no option, the likeliest one stands for it.

The margin is linear in the last token's final hidden state `x` once the final norm is frozen, that is, its `rms` taken
as a number: `margin = x . (g * u) / rms + bias`, with the norm's scale `g` and the difference `u` of the two answers'
rows of the unembedding. `x` is the sum of all that was added to the residual stream, so the margin is a sum too (direct
logit attribution: Elhage et al. 2021; Wang et al. 2022, arXiv:2211.00593). A norm on an addition is frozen too. So is a
lead, with the rows of two letters.

A direct contribution is what goes straight from a head to the answer. What goes by way of later layers is not in it:
that takes knock-outs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from extract.attention.packing import Batch
from extract.attention.readers import ProjectedValues
from extract.models.answers import AnswerReader, Contrast
from extract.tables.decoder import Addition, Decoder
from extract.tables.stream import ResidualStream


@dataclass(frozen=True)
class Partition:
    """The margins or leads of some questions as sums, float32.

    Attributes:
        heads: [questions, layers that attend, heads, roles]; None if their attention was not read.
        attention: [questions, layers], what each layer's attention adds, or what it has in its place, biases included;
            `mlp` too.
        mixer: [questions], what the layers add that do not attend.
        embedding: [questions]; `bias` too: that of the projections of heads and of the unembedding.
    """

    heads: Tensor | None
    attention: Tensor
    mixer: Tensor
    mlp: Tensor
    embedding: Tensor
    bias: Tensor

    def parts(self, total: Tensor) -> Tensor:
        """The columns `PARTS`, which add up to the margin or lead.

        Args:
            total: that, [questions].

        Returns:
            float32 [questions, 6].
        """
        assert self.heads is not None
        sums = [self.embedding, self.heads.sum(dim=(1, 2, 3)), self.mixer, self.mlp.sum(dim=1), self.bias]
        rest = total.double() - sum(each.double() for each in sums)
        return torch.stack([*sums, rest.float()], dim=-1)


class DirectContributions:
    """Partitions the margins or leads of one model; what is to be summed is of some directions first."""

    def __init__(self, decoder: Decoder, answers: AnswerReader) -> None:
        self._decoder = decoder
        self._offsets = answers.offsets
        self.directions = decoder.norm.before(answers.directions)  # float32 [directions, width]
        self._heads = [self._of_heads(layer) for layer in decoder.attending]
        biases = [
            getattr(addition.module, "bias", None) if layer in decoder.attending else None
            for layer, addition in enumerate(decoder.attention)
        ]
        self._biases = [
            None if bias is None else (bias.detach().to(self._offsets) * self._before(addition)).sum(dim=-1)
            for bias, addition in zip(biases, decoder.attention, strict=True)
        ]

    def _of_heads(self, layer: int) -> Tensor:
        """The directions as each head of a layer writes them, float32 [directions, heads, head_dim]."""
        weights = self._decoder.head_weights(layer)
        return torch.stack([weights @ each for each in self._before(self._decoder.attention[layer])])

    def reader(self, batch: Batch, stream: ResidualStream) -> ProjectedValues:
        """What reads attention in a forward pass over a batch."""
        return ProjectedValues(batch, self._heads, lambda place: stream.gates.get(self._decoder.attending[place]))

    def partition(self, values: ProjectedValues | None, stream: ResidualStream, contrast: Contrast) -> Partition:
        """The margins or leads of a batch's questions as sums, once its forward pass is done.

        Args:
            values: what `reader` read; None: attention was not read.
        """
        rms = self._decoder.norm.rms(stream.inputs[-1])
        attention = [
            _factor(each, out) / rms for each, out in zip(self._decoder.attention, stream.attention, strict=True)
        ]
        mlp = [_factor(each, out) / rms for each, out in zip(self._decoder.mlp, stream.mlp, strict=True)]
        weights = contrast.weights
        bias = (self._offsets * weights).sum(dim=-1)
        for factor, each in zip(attention, self._biases, strict=True):
            if each is not None:
                bias = bias + (each * weights).sum(dim=-1) * factor
        attending = self._decoder.attending
        factors = torch.stack([attention[layer] for layer in attending], dim=1)
        sums = [(each * weights[:, None, None]).sum(dim=-1) for each in values.sums] if values else []
        added = self._added(self._decoder.attention, stream.attention, attention, weights)
        others = [each for layer, each in enumerate(added.unbind(dim=1)) if layer not in attending]
        return Partition(
            heads=torch.stack(sums, dim=1) * factors[..., None, None] if values else None,
            attention=added,
            mixer=sum(others, torch.zeros_like(bias)),
            mlp=self._added(self._decoder.mlp, stream.mlp, mlp, weights),
            embedding=_along(self.directions, stream.inputs[0], weights) * self._decoder.kept / rms,
            bias=bias,
        )

    def _before(self, addition: Addition) -> Tensor:
        """The directions before an addition's own norm, float32 [directions, width]."""
        return self.directions if addition.norm is None else addition.norm.before(self.directions)

    def _added(
        self, additions: list[Addition], outputs: list[Tensor], factors: list[Tensor], weights: Tensor
    ) -> Tensor:
        """What additions contribute, float32 [questions, layers]."""
        columns = [
            _along(self._before(addition), output, weights) * factor
            for addition, output, factor in zip(additions, outputs, factors, strict=True)
        ]
        return torch.stack(columns, dim=1)


def _along(directions: Tensor, states: Tensor, weights: Tensor) -> Tensor:
    """Hidden states [questions, width] along directions, summed with weights, float32 [questions]."""
    values = torch.stack([states.float() @ each for each in directions], dim=-1)
    return (values * weights).sum(dim=-1)


def _factor(addition: Addition, output: Tensor) -> Tensor:
    """What an addition's output is multiplied by beside the scale of its own norm, float32 [questions]."""
    if addition.norm is None:
        return torch.full((len(output),), addition.factor, device=output.device)
    return addition.factor / addition.norm.rms(output)
