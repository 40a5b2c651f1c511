"""The tables of a run that come from the residual stream: `contributions`, and `layers`."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.attention.readers import read_pass
from extract.images.preprocessing import blank_image
from extract.models.answers import AnswerReader
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import QUESTION
from extract.prompts.prompt import PromptBuilder
from extract.residual.contributions import DirectContributions
from extract.residual.decoder import Decoder
from extract.residual.profile import layer_profile
from extract.residual.stream import ResidualStream
from schemas.columns import CONTRIBUTIONS, LAYERS
from schemas.errors import HeadflowError

TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 0.25  # of the largest part of the margin, or of 1


class ResidualReader:
    """Reads one forward pass; a `PassReader` (`extract.attention.readers`)."""

    def __init__(self, tables: "ResidualTables", batch: Batch) -> None:
        self._tables, self._batch = tables, batch
        self._stream = ResidualStream(tables.decoder, batch, distances=LAYERS in tables.names)
        self._values = tables.contributions.reader(batch)
        self.readers = [self._values]

    def reading(self) -> AbstractContextManager[None]:
        """See `PassReader.reading`."""
        return self._stream.reading()

    def tables(self, found: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """See `PassReader.tables`; under `samples` the columns `PARTS`, float32 [questions, 5]."""
        asked, answers = self._tables, self._tables.answers
        partition = asked.contributions.partition(self._values, self._stream)
        made: dict[str, Tensor] = {}
        if CONTRIBUTIONS in asked.names:
            made |= {CONTRIBUTIONS: partition.heads, "samples": partition.parts(answers.margin(found[2]))}
        if LAYERS in asked.names:
            made[LAYERS] = layer_profile(self._stream, self._batch, partition, asked.decoder, answers)
        return made


class ResidualTables:
    """Makes the tables of one model.

    Attributes:
        names: `CONTRIBUTIONS`, `LAYERS`, or both.
        decoder: the parts of the language model; `contributions`: what partitions its margins.
    """

    def __init__(self, checkpoint: Checkpoint, answers: AnswerReader, names: Sequence[str]) -> None:
        """Prepare the model's projections.

        Raises:
            HeadflowError: its language model is built in another way than LLaMA's or Gemma's.
        """
        self.names = names
        self.answers = answers
        self.decoder = Decoder.of(checkpoint)
        self.contributions = DirectContributions(self.decoder, answers)
        self._checkpoint = checkpoint

    def begin(self, batch: Batch) -> ResidualReader:
        """What reads a forward pass over a batch, which is on the model's device."""
        return ResidualReader(self, batch)

    def check(self, prompts: PromptBuilder) -> None:
        """Check with one short question that the parts add up to the margin, but for rounding.

        Raises:
            HeadflowError: they do not, as the model adds something else to its residual stream.
        """
        model = self._checkpoint
        pixels = model.preprocessor(blank_image())
        batch, inputs = model.uploader.send(pack([[prompts.build(QUESTION, pixels.image_ids)]]), [pixels])
        asked = ResidualTables(model, self.answers, [CONTRIBUTIONS])
        (_, _, hidden), made = read_pass(model.forward, batch, inputs, [asked.begin(batch)])
        margin, parts = self.answers.margin(hidden), made["samples"][0]
        tolerance = TOLERANCE if model.dtype == torch.float32 else TOLERANCE_OF_HALF
        if not abs(float(parts[-1])) <= tolerance * max(1.0, float(parts[:-1].abs().max())):
            raise HeadflowError(
                f"the residual stream of this {model.prompt_format.family} is not the sum of its embedding, heads and "
                f"MLPs: {float(parts[-1]):.3g} of a margin of {float(margin[0]):.3g} is not in them, so direct "
                "contributions are not supported"
            )
