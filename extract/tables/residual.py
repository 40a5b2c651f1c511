"""The tables that come from the residual stream: `contributions`, and `layers`, what each layer does to the tokens.

Block influence is 1 minus the mean over tokens of the cosine between a layer's input and output (ShortGPT, Men et al.
2024, arXiv:2403.03853), here apart for image tokens, question tokens and the last one. The margin after a layer is
that of its output through the final norm and the unembedding (logit lens, nostalgebraist 2020).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.attention.readers import Forward, PassReader, read_pass
from extract.images.preprocessing import Pixels, blank_image
from extract.models.answers import AnswerReader
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import CHECK_QUESTION
from extract.prompts.prompt_builder import PromptBuilder
from extract.tables.contributions import DirectContributions, Partition
from extract.tables.decoder import Decoder
from extract.tables.maker import Maker, QuestionRows, QuestionTensors
from extract.tables.stream import ResidualStream
from schemas.columns import CONTRIBUTIONS, LAYERS, PARTS
from schemas.errors import HeadflowError
from schemas.roles import IMAGE

_TOLERANCE, _TOLERANCE_OF_HALF = 1e-3, 0.25  # of the largest part of the margin, or of 1
OF_MARGIN = "parts of the margin"  # the columns `PARTS`, among what a pass brings


class ResidualReader(PassReader):
    """Reads the residual stream of one forward pass."""

    def __init__(self, maker: "ResidualMaker", batch: Batch) -> None:
        self._maker, self._batch = maker, batch
        self._stream = ResidualStream(maker.decoder, batch, distances=LAYERS in maker.tables)
        self._values = maker.contributions.reader(batch)
        self.readers = [self._values]

    def reading(self) -> AbstractContextManager[None]:
        """See `PassReader.reading`."""
        return self._stream.reading()

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """See `PassReader.tables`; under `OF_MARGIN` the columns `PARTS`, float32 [questions, 5]."""
        maker, answers = self._maker, self._maker.answers
        partition = maker.contributions.partition(self._values, self._stream)
        made: dict[str, Tensor] = {}
        if CONTRIBUTIONS in maker.tables:
            made |= {CONTRIBUTIONS: partition.heads, OF_MARGIN: partition.parts(answers.margin(found[2]))}
        if LAYERS in maker.tables:
            made[LAYERS] = layer_profile(self._stream, self._batch, partition, maker.decoder, answers)
        return made


class ResidualMaker(Maker):
    """Makes `contributions`, `layers`, or both.

    Attributes:
        decoder: the parts of the language model; `contributions`: what partitions its margins.
    """

    values: ClassVar[Mapping[str, str]] = {CONTRIBUTIONS: "a contribution", LAYERS: "the profile"}

    def __init__(self, checkpoint: Checkpoint, answers: AnswerReader, tables: Sequence[str]) -> None:
        """Prepare the model's projections.

        Raises:
            HeadflowError: its language model is built in another way than LLaMA's or Gemma's.
        """
        super().__init__(tables)
        self.answers = answers
        self.decoder = Decoder.of(checkpoint)
        self.contributions = DirectContributions(self.decoder, answers)
        self._checkpoint = checkpoint

    def begin(self, batch: Batch, images: Sequence[Pixels]) -> ResidualReader:
        """See `Maker.begin`."""
        return ResidualReader(self, batch)

    def rows(self, found: QuestionTensors, pixels: Pixels) -> QuestionRows:
        """See `Maker.rows`."""
        samples, grids = super().rows(found, pixels)
        if CONTRIBUTIONS in self.tables:
            samples |= zip((column.name for column in PARTS), found[OF_MARGIN].tolist(), strict=True)
        return samples, grids

    def check(self, prompts: PromptBuilder) -> None:
        """Check with one short question that the parts add up to the margin, but for rounding.

        Raises:
            HeadflowError: they do not, as the model adds something else to its residual stream.
        """
        model = self._checkpoint
        pixels = model.preprocessor(blank_image())
        batch, inputs = model.uploader.send(pack([[prompts.build(CHECK_QUESTION, pixels.image_ids)]]), [pixels])
        maker = ResidualMaker(model, self.answers, [CONTRIBUTIONS])
        (_, _, hidden), made = read_pass(model.forward, batch, inputs, [maker.begin(batch, [pixels])])
        margin, parts = self.answers.margin(hidden), made[OF_MARGIN][0]
        tolerance = _TOLERANCE if model.dtype == torch.float32 else _TOLERANCE_OF_HALF
        if not abs(float(parts[-1])) <= tolerance * max(1.0, float(parts[:-1].abs().max())):
            raise HeadflowError(
                f"the residual stream of this {model.prompt_format.family} is not the sum of its embedding, heads and "
                f"MLPs: {float(parts[-1]):.3g} of a margin of {float(margin[0]):.3g} is not in them, so direct "
                "contributions are not supported"
            )


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
