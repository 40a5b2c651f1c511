"""The table `maps` of a run: whose attention, for what heads, and where the tokens of images lie."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from extract.attention.blocks import last_queries, question_queries
from extract.attention.packing import Batch
from extract.images.patch_positions import Places
from extract.images.preprocessing import Pixels, Size, blank_image
from extract.models.checkpoint import Checkpoint
from extract.questions.samples import Sample, Unusable
from extract.tables.maker import Maker, QuestionRows, QuestionTensors
from extract.tables.map_reader import LISTS, MapGrids, MapReader
from schemas.columns import MAPS, OF_LAST
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet, head_name
from schemas.text import listed


class MapMaker(Maker):
    """Makes the maps of one model.

    Attributes:
        of: whose attention, `OF_LAST` or `OF_QUESTION`.
        heads: (layer, head) of the heads that have a map, in order; empty: all that can see the image.
    """

    def __init__(
        self, checkpoint: Checkpoint, of: str, heads: Sequence[tuple[int, int]], *, setting: str = "maps_heads"
    ) -> None:
        """Prepare maps of a model.

        Args:
            setting: which one named the heads, for messages.

        Raises:
            HeadflowError: a head is not in the model, its decoder has no list of layers, or not even the tokens of a
                black picture have a known place in it.
        """
        if outside := HeadSet(frozenset(heads)).outside(checkpoint):
            raise HeadflowError(f"the list {outside}", setting=setting)
        if blind := [head_name(*head) for head in heads if checkpoint.crossing and head[0] not in checkpoint.crossing]:
            raise HeadflowError(
                f"the list has {listed(blind)}, and only the layers {listed(checkpoint.crossing, 16)} read the image: "
                "heads of others have no maps",
                setting=setting,
            )
        if not isinstance(getattr(checkpoint.stack, "layers", None), nn.ModuleList):
            raise HeadflowError(f"the decoder of this {checkpoint.architecture} has no list of layers: no maps of it")
        super().__init__([MAPS])
        self.of, self.heads = of, heads
        self._checkpoint = checkpoint
        some = heads or [(layer, head) for layer in checkpoint.crossing for head in range(checkpoint.heads)]
        self._has_map = [self._heads_of(layer, some) for layer in checkpoint.attending] if some else None
        self._places: dict[tuple[Size, bool], Places] = {}
        try:
            self.places(checkpoint.preprocessor(blank_image()))
        except Unusable as error:
            raise HeadflowError(f"no maps of this {checkpoint.architecture}: {error.detail}") from None

    def _heads_of(self, layer: int, heads: Sequence[tuple[int, int]]) -> Tensor:
        """The heads of a layer that have a map, int64, on the device."""
        chosen = [head for at, head in sorted(heads) if at == layer]
        return torch.tensor(chosen, dtype=torch.int64, device=self._checkpoint.device)

    def places(self, pixels: Pixels) -> list[Places]:
        """Where the tokens of each image of a question lie; raises `Unusable` if it is not known.

        It follows from the image's size, and from whether it is one of several.
        """
        several = len(pixels.sizes) > 1
        for number, size in enumerate(pixels.sizes):
            if (size, several) not in self._places:
                self._places[size, several] = self._checkpoint.preprocessor.places(pixels, number)
        return [self._places[size, several] for size in pixels.sizes]

    def manifest_fields(self) -> dict[str, Any]:
        """See `Maker.manifest_fields`."""
        return {"maps_of": self.of, "maps_heads": [list(head) for head in self.heads]}

    def not_finite(self, found: QuestionTensors) -> str | None:
        """See `Maker.not_finite`; NaN among the numbers is null."""
        return None if torch.isfinite(found[LISTS]).all() else "a map is not finite"

    def rows(self, found: QuestionTensors, pixels: Pixels) -> QuestionRows:
        """See `Maker.rows`."""
        places = self.places(pixels)
        lists = [own[:, : len(place.tokens)].numpy() for own, place in zip(found[LISTS], places, strict=False)]
        return {}, self.placed(pixels), {MAPS: found[MAPS][: len(places)].numpy(), LISTS: lists}

    def placed(self, pixels: Pixels) -> list[dict[str, Any]]:
        """Where the grid of each image of a question lies in it, as `samples` has it."""
        return [
            {"grid_rows": places.rows, "grid_columns": places.columns, "grid_box": list(places.box)}
            for places in self.places(pixels)
        ]

    def begin(self, batch: Batch, images: Sequence[Pixels], samples: Sequence[Sample] = ()) -> MapReader:
        """See `Maker.begin`."""
        queries = (last_queries if self.of == OF_LAST else question_queries)(batch.layout)
        own = [images[index] for index in batch.layout.image]
        grids = MapGrids.of([self.places(pixels) for pixels in own], [pixels.sizes for pixels in own])
        copy, layers = self._checkpoint.uploader.copy, self._checkpoint.stack.layers
        return MapReader(layers, batch, copy(queries), copy(grids), self._has_map)
