"""What each layer does to the tokens: block influence, and the margin after it.

Block influence is 1 minus the mean over tokens of the cosine between a layer's input and output (ShortGPT, Men et al.
2024, arXiv:2403.03853), here apart for image tokens, question tokens and the last one. The margin after a layer is
that of its output through the final norm and the unembedding (logit lens, nostalgebraist 2020).
"""

import torch
from torch import Tensor

from extract.attention.packing import Batch
from extract.models.answers import AnswerReader
from extract.residual.contributions import Partition
from extract.residual.decoder import Decoder
from extract.residual.stream import ResidualStream
from schemas.roles import IMAGE


def layer_profile(
    stream: ResidualStream, batch: Batch, partition: Partition, decoder: Decoder, answers: AnswerReader
) -> Tensor:
    """The columns of the table `layers`, float32 [questions, layers, columns].

    Args:
        stream: with `distances`.
    """
    distances = torch.stack(stream.distances)  # [layers, images, length]
    of_image = _mean(distances, batch.roles == IMAGE)[:, batch.owner]
    of_question = _mean(distances[:, batch.owner], batch.question)
    of_last = distances[:, batch.owner, batch.last]
    states = torch.stack(stream.inputs[1:])  # [layers, questions, width]
    margins = answers.margin(states.float() / decoder.norm.rms(states)[..., None] * decoder.norm.scale)
    influence = [each.T for each in (of_image, of_question, of_last)]
    return torch.stack([*influence, partition.attention, partition.mlp, margins.T], dim=-1)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Means over the tokens that are chosen: [layers, rows, length], bool [rows, length] -> [layers, rows]."""
    return (values * chosen).sum(dim=-1) / chosen.sum(dim=-1)
