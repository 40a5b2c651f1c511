"""What makes tables of a run, in the one forward pass over a batch; and the maker of the masses."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from extract.attention.packing import Batch
from extract.attention.readers import Forward, PassReader
from extract.images.preprocessing import Pixels
from extract.prompts.prompt_builder import PromptBuilder
from extract.questions.samples import Sample
from schemas.columns import FLOW_NAMES
from schemas.store.grids import Grids

QuestionTensors = Mapping[str, Tensor]  # what a pass brought for one question, by name, on the CPU
# What a question adds to its row of `samples`, what to each of its images there, and its values in other tables
QuestionRows = tuple[dict[str, Any], Sequence[dict[str, Any]], Grids]


class Maker:
    """Makes tables of a run. A maker overrides what it has, and leaves the rest as it is here.

    Attributes:
        tables: those that it makes, each with a grid of rows for each sample.
        values: what a value of a table is called where one is not finite, if it has a name.
    """

    values: ClassVar[Mapping[str, str]] = {}

    def __init__(self, tables: Sequence[str]) -> None:
        self.tables = tables

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of the manifest that say what its tables have."""
        return {}

    def check(self, prompts: PromptBuilder) -> None:
        """Check with a short pass that the tables can be made of the model; raises `HeadflowError` if they cannot."""

    def size(self, samples: int, given: Sequence[int] | None = None) -> str | None:
        """How much so many samples can add to a run, in words, if that may be more than expected.

        Args:
            given: how many tokens the text has that each sample is given; None: none is.
        """
        return None

    def begin(self, batch: Batch, images: Sequence[Pixels], samples: Sequence[Sample] = ()) -> PassReader:
        """What reads a forward pass over a batch; it is on the model's device, `images` are those of each sequence.

        Args:
            samples: of the batch's questions, in their order; needed where questions have options of their own.
        """
        raise NotImplementedError

    def not_finite(self, found: QuestionTensors) -> str | None:
        """What holds NaN or infinity, where neither may be; None if nothing does. The first axis is that of layers."""
        for name in self.tables:
            layers = torch.isfinite(found[name]).flatten(1).all(dim=1)
            if not layers.all():
                what = self.values.get(name, f"a value of `{name}`")
                return f"{what} of layer {int((~layers).nonzero()[0])} is not finite"
        return None

    def rows(self, found: QuestionTensors, pixels: Pixels) -> QuestionRows:
        """A question's values, of what the pass brought; `pixels` are its images."""
        return {}, [], {name: found[name].numpy() for name in self.tables}


class MassMaker(Maker):
    """Makes `heads`, which every pass brings."""

    values: ClassVar[Mapping[str, str]] = {"heads": "attention"}

    def __init__(self, flows: Sequence[str] = FLOW_NAMES) -> None:
        """Make some columns; `flows` are those that the model has."""
        super().__init__(["heads"])
        self._flows = flows

    def manifest_fields(self) -> dict[str, Any]:
        """See `Maker.manifest_fields`."""
        return {"flows": list(self._flows)}

    def begin(self, batch: Batch, images: Sequence[Pixels], samples: Sequence[Sample] = ()) -> PassReader:
        """See `Maker.begin`."""
        return MassReader(self._flows)


class MassReader(PassReader):
    """Takes some columns of the masses of a pass."""

    def __init__(self, flows: Sequence[str]) -> None:
        self._columns = [FLOW_NAMES.index(flow) for flow in flows]

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """See `PassReader.tables`."""
        masses = found[1]
        return {"heads": masses if len(self._columns) == masses.shape[-1] else masses[..., self._columns]}
