"""The tables that come from the residual stream: `contributions`, and `layers`, what each layer does to the tokens.

Block influence is 1 minus the mean over tokens of the cosine between a layer's input and output (ShortGPT, Men et al.
2024, arXiv:2403.03853), here apart for image tokens, question tokens and the last one. The margin after a layer, or the
lead where questions have options of their own, is that of its output through the final norm and the unembedding (logit
lens, nostalgebraist 2020).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.attention.readers import Forward, PassReader, read_pass
from extract.images.preprocessing import Pixels, blank_image
from extract.models.answers import AnswerReader, Contrast, Offered
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import CHECK_QUESTION
from extract.prompts.prompt_builder import PromptBuilder
from extract.questions.samples import Sample
from extract.tables.contributions import DirectContributions, Partition
from extract.tables.decoder import Decoder
from extract.tables.maker import Maker, QuestionRows, QuestionTensors
from extract.tables.stream import ResidualStream
from schemas.columns import CONTRIBUTIONS, LAYERS, PARTS, UNKNOWN
from schemas.errors import HeadflowError
from schemas.roles import IMAGE

_TOLERANCE, _TOLERANCE_OF_HALF = 1e-3, 0.25  # of the largest part, or of 1
OF_SAMPLE = "parts of the answer"  # the columns `PARTS`, among what a pass brings


class ResidualReader(PassReader):
    """Reads the residual stream of one forward pass."""

    def __init__(self, maker: "ResidualMaker", batch: Batch, offered: Offered | None) -> None:
        self._maker, self._batch, self._offered = maker, batch, offered
        self._stream = ResidualStream(maker.decoder, batch, distances=LAYERS in maker.tables)
        of_heads = CONTRIBUTIONS in maker.tables
        self._values = maker.contributions.reader(batch, self._stream) if of_heads else None
        self.readers, self.sent = [self._values] if self._values else [], [offered]

    def reading(self) -> AbstractContextManager[None]:
        """See `PassReader.reading`."""
        return self._stream.reading()

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """See `PassReader.tables`; under `OF_SAMPLE` the columns `PARTS`, float32 [questions, 6]."""
        maker = self._maker
        contrast = maker.answers.contrast(found[2], self._offered)
        partition = maker.contributions.partition(self._values, self._stream, contrast)
        made: dict[str, Tensor] = {}
        if partition.heads is not None:
            made |= {CONTRIBUTIONS: partition.heads, OF_SAMPLE: partition.parts(contrast.total)}
        if LAYERS in maker.tables:
            margins = self._margins(contrast)
            made[LAYERS] = layer_profile(self._stream, self._batch, partition, margins)
        return made

    def _margins(self, contrast: Contrast) -> Tensor:
        """The margin or lead after each layer, float32 [layers, questions]."""
        norm, states = self._maker.decoder.norm, torch.stack(self._stream.inputs[1:])  # [layers, questions, width]
        return self._maker.answers.lens(norm(states), contrast, self._offered)


class ResidualMaker(Maker):
    """Makes `contributions`, `layers`, or both.

    Attributes:
        decoder: the parts of the language model; `contributions`: what partitions its margins or leads.
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

    def begin(self, batch: Batch, images: Sequence[Pixels], samples: Sequence[Sample] = ()) -> ResidualReader:
        """See `Maker.begin`."""
        copy, answers = self._checkpoint.uploader.copy, self.answers
        return ResidualReader(self, batch, copy(answers.offered(samples)) if answers.letters else None)

    def rows(self, found: QuestionTensors, pixels: Pixels) -> QuestionRows:
        """See `Maker.rows`."""
        samples, pictures, grids = super().rows(found, pixels)
        if CONTRIBUTIONS in self.tables:
            samples |= zip((column.name for column in PARTS), found[OF_SAMPLE].tolist(), strict=True)
        return samples, pictures, grids

    def not_finite(self, found: QuestionTensors) -> str | None:
        """See `Maker.not_finite`; block influence on image tokens is NaN, for null, where these are in no sequence."""
        if LAYERS in self.tables and self._checkpoint.crossing:
            found = {**found, LAYERS: found[LAYERS][..., 1:]}  # `bi_image` comes first
        return super().not_finite(found)

    def check(self, prompts: PromptBuilder) -> None:
        """Check with one short question that the parts add up to the margin or lead, but for rounding.

        Raises:
            HeadflowError: they do not, as the model adds something else to its residual stream.
        """
        model = self._checkpoint
        pixels = model.preprocessor(blank_image())
        batch, inputs = model.uploader.send(pack([[prompts.build(CHECK_QUESTION, pixels.image_ids)]]), [pixels])
        maker = ResidualMaker(model, self.answers, [CONTRIBUTIONS])
        sample = Sample("check", UNKNOWN, None, ("",), CHECK_QUESTION, None, row=0)
        _, made = read_pass(model.forward, batch, inputs, [maker.begin(batch, [pixels], [sample])])
        parts = made[OF_SAMPLE][0]
        exact = model.dtype == torch.float32 and not model.quantised
        tolerance = _TOLERANCE if exact else _TOLERANCE_OF_HALF
        if not abs(float(parts[-1])) <= tolerance * max(1.0, float(parts[:-1].abs().max())):
            raise HeadflowError(
                f"the residual stream of this {model.prompt_format.family} is not the sum of its embedding, heads and "
                f"MLPs: {float(parts[-1]):.3g} of a margin of {float(parts.sum()):.3g} is not in them, so direct "
                "contributions are not supported"
            )


def layer_profile(stream: ResidualStream, batch: Batch, partition: Partition, margins: Tensor) -> Tensor:
    """The columns of the table `layers`, float32 [questions, layers, columns].

    Args:
        stream: with `distances`.
        margins: or leads, after each layer, float32 [layers, questions].
    """
    distances = torch.stack(stream.distances)  # [layers, images, read]
    read = batch.layout.read
    of_image = _mean(distances, (batch.roles == IMAGE)[:, :read])[:, batch.owner]  # NaN where none is read
    of_question = _mean(distances[:, batch.owner], batch.question[:, :read])
    of_last = distances[:, batch.owner, batch.last]
    influence = [each.T for each in (of_image, of_question, of_last)]
    return torch.stack([*influence, partition.attention, partition.mlp, margins.T], dim=-1)


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Means over the tokens that are chosen: [layers, rows, length], bool [rows, length] -> [layers, rows]."""
    return (values * chosen).sum(dim=-1) / chosen.sum(dim=-1)
