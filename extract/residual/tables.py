"""The tables of a run that come from the residual stream: `contributions`, and `layers`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from extract.attention.packing import Batch, pack
from extract.images.preprocessing import blank_image
from extract.models.answers import AnswerReader
from extract.models.checkpoint import Checkpoint
from extract.models.self_check import QUESTION
from extract.models.transfer import Uploader
from extract.prompts.prompt import PromptBuilder
from extract.residual.contributions import DirectContributions, Partition
from extract.residual.decoder import Decoder
from extract.residual.profile import layer_profile
from extract.residual.stream import ResidualStream
from schemas.columns import CONTRIBUTIONS, LAYERS
from schemas.errors import HeadflowError

TOLERANCE, TOLERANCE_OF_HALF = 1e-3, 0.25  # of the largest part of the margin, or of 1


class ResidualTables:
    """Makes the tables of one model.

    Attributes:
        names: `CONTRIBUTIONS`, `LAYERS`, or both.
    """

    def __init__(self, checkpoint: Checkpoint, answers: AnswerReader, names: Sequence[str]) -> None:
        """Prepare the model's projections.

        Raises:
            HeadflowError: its language model is built in another way than LLaMA's or Gemma's.
        """
        self.names = names
        self._checkpoint = checkpoint
        self._answers = answers
        self._decoder = Decoder.of(checkpoint)
        self._contributions = DirectContributions(self._decoder, answers)

    def forward(
        self, batch: Batch, inputs: dict[str, Tensor]
    ) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]:
        """One pass of the model, and what it brings to the tables.

        Args:
            batch, inputs: see `Checkpoint.forward`.

        Returns:
            What `Checkpoint.forward` returns; and by table, float32 [questions, layers, ...], and under `samples` the
            columns `PARTS`, float32 [questions, 5].
        """
        found, stream, partition = self._read(batch, inputs)
        made: dict[str, Tensor] = {}
        with torch.inference_mode():
            if CONTRIBUTIONS in self.names:
                made |= {CONTRIBUTIONS: partition.heads, "samples": partition.parts(self._answers.margin(found[2]))}
            if LAYERS in self.names:
                made[LAYERS] = layer_profile(stream, batch, partition, self._decoder, self._answers)
        return found, made

    def _read(
        self, batch: Batch, inputs: dict[str, Tensor]
    ) -> tuple[tuple[Tensor, Tensor, Tensor], ResidualStream, Partition]:
        """One pass of the model, its residual stream, and the margins as sums."""
        stream = ResidualStream(self._decoder, batch, distances=LAYERS in self.names)
        values = self._contributions.reader(batch)
        with stream.reading():
            found = self._checkpoint.forward(batch, inputs, readers=[values])
        with torch.inference_mode():
            return found, stream, self._contributions.partition(values, stream)

    def check(self, prompts: PromptBuilder) -> None:
        """Check with one short question that the parts add up to the margin, but for rounding.

        Raises:
            HeadflowError: they do not, as the model adds something else to its residual stream.
        """
        model = self._checkpoint
        pixels = model.preprocessor(blank_image())
        batch, inputs = Uploader(model.device, model.dtype).send(
            pack([[prompts.build(QUESTION, pixels.image_ids)]]), [pixels]
        )
        (_, _, hidden), _, partition = self._read(batch, inputs)
        margin = self._answers.margin(hidden)
        parts = partition.parts(margin)[0]
        tolerance = TOLERANCE if model.dtype == torch.float32 else TOLERANCE_OF_HALF
        if not abs(float(parts[-1])) <= tolerance * max(1.0, float(parts[:-1].abs().max())):
            raise HeadflowError(
                f"the residual stream of this {model.prompt_format.family} is not the sum of its embedding, heads and "
                f"MLPs: {float(parts[-1]):.3g} of a margin of {float(margin[0]):.3g} is not in them, so direct "
                "contributions are not supported"
            )
