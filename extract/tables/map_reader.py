"""Attention of a batch's questions on image tokens, layer by layer -> maps, and the numbers beside them.

Visual sinks are image tokens on which heads look whatever the image shows (Kang et al. 2025, arXiv:2503.03321).
In some layers the hidden state of the first token is massive in a few dimensions (Sun et al. 2024, arXiv:2402.17762):
divided by its root mean square, it exceeds 20 in them. An image token that does so in one of these dimensions is a
visual sink. The paper names the dimensions of its models; here they are those of the first token itself. A state of
width D has at most the root of D in a dimension, so in models of width 400 and less no sink can be told.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from extract.attention.blocks import OnDevice, Queries
from extract.attention.masked import with_padding
from extract.attention.masses import pieces, softmax_weights
from extract.attention.packing import Batch
from extract.attention.readers import Forward, LayerInput, PassReader
from extract.images.patch_positions import Places
from extract.images.preprocessing import Size
from schemas.columns import MAPS, MASSIVE, TABLES
from schemas.roles import BOS, IMAGE

LISTS = TABLES[MAPS].list_name  # what the maps are called beside the table's numbers


@dataclass(frozen=True)
class MapGrids(OnDevice):
    """How image tokens are laid on grids, of each image of each question.

    There are as many images, patches and tokens as the largest has; tokens are those of all images of a question.

    Attributes:
        tokens: int64 [questions, pictures, patches, k], see `extract.images.patch_positions.Places`; `shares` too,
            float32.
        own: float32 [questions, pictures, tokens], 1 for the tokens of the image.
        outside: float32 [questions, pictures, tokens].
        centres: float32 [questions, pictures, patches, 2], x and y of each patch, of the image's width and height.
        patches: float32 [questions, pictures], how many there are.
    """

    tokens: Tensor
    shares: Tensor
    own: Tensor
    outside: Tensor
    centres: Tensor
    patches: Tensor

    @classmethod
    def of(cls, places: Sequence[Sequence[Places]], sizes: Sequence[Sequence[Size]]) -> "MapGrids":
        """Those of some questions, by where the tokens of each of their images lie, and the sizes of these."""
        firsts = [np.cumsum([0, *(len(each.outside) for each in own)])[:-1].tolist() for own in places]
        shifted = [list(zip(own, first, strict=True)) for own, first in zip(places, firsts, strict=True)]
        pairs = [zip(own, of_size, strict=True) for own, of_size in zip(places, sizes, strict=True)]
        return cls(
            tokens=_padded([[each.tokens + first for each, first in own] for own in shifted]),
            shares=_padded([[each.shares for each in own] for own in places]),
            own=_padded([[np.pad(np.ones_like(each.outside), (first, 0)) for each, first in own] for own in shifted]),
            outside=_padded([[np.pad(each.outside, (first, 0)) for each, first in own] for own in shifted]),
            centres=_padded([[_centres(each, size) for each, size in own] for own in pairs]),
            patches=_padded([[np.array(len(each.tokens), np.float32) for each in own] for own in places]),
        )


def _padded(arrays: Sequence[Sequence[np.ndarray]]) -> Tensor:
    """Arrays of each image of each question as one, with zeros where one is smaller than others, or there is none."""
    shapes = [each.shape for own in arrays for each in own]
    most = [max(sizes) for sizes in zip(*shapes, strict=True)]
    whole = np.zeros((len(arrays), max(map(len, arrays)), *most), arrays[0][0].dtype)
    for places, own in zip(whole, arrays, strict=True):
        for number, each in enumerate(own):
            places[number, *map(slice, each.shape)] = each
    return torch.from_numpy(whole)


def _centres(places: Places, size: Size) -> np.ndarray:
    """The centre of each patch, [patches, 2], of the image's width and height."""
    x0, y0, x1, y1 = places.box
    x = (x0 + (np.arange(places.columns) + 0.5) / places.columns * (x1 - x0)) / size[0]
    y = (y0 + (np.arange(places.rows) + 0.5) / places.rows * (y1 - y0)) / size[1]
    return np.stack([np.tile(x, places.rows), np.repeat(y, places.columns)], axis=-1).astype(np.float32)


class MapReader(PassReader):
    """Reads the maps of one forward pass.

    Attributes:
        layers: the decoder's layers; empty where no hidden states are of image tokens, so that no sinks can be told.
        image: int64 [images, tokens], the columns of image tokens; of an image that has fewer, others after them.
        there: bool [images, tokens], whether the image has this token.
        sinks: of each layer float32 [questions, tokens], 1 in visual sinks, NaN where none can be told.
        numbers: of each layer float32 [questions, pictures, heads, 6], the columns of values of `maps`, NaN for null.
        maps: of each layer float32 [questions, pictures, heads that have one, patches].
        sent: queries and grids, to be kept until the pass is done.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        batch: Batch,
        queries: Queries,
        grids: MapGrids,
        has_map: Sequence[Tensor] | None,
    ) -> None:
        """Read a batch, which is on the model's device, as are queries and grids.

        Args:
            has_map: the heads of each layer that have a map, int64, on the device; None: all.
        """
        states = batch.layout.read == batch.roles.shape[1]  # of image tokens too, or these stand in no sequence
        self.layers, self.readers = layers if states else (), [self]
        self._batch, self._queries, self._grids, self._has_map = batch, queries, grids, has_map
        self.sent = queries, grids
        image = batch.roles == IMAGE
        number = image.sum(dim=-1)
        most = int((batch.layout.roles == IMAGE).sum(axis=1).max())  # that of the device would be waited for
        self.image = image.int().argsort(dim=-1, descending=True, stable=True)[:, :most]
        self.there = torch.arange(self.image.shape[1], device=image.device) < number[:, None]
        bos = batch.roles == BOS
        self._first, self._has_first = bos.int().argmax(dim=-1), bos.any(dim=-1) & states
        self._sinks, self._told = torch.zeros_like(self.there), self._has_first
        self.sinks: list[Tensor] = []
        self.numbers: list[Tensor] = []
        self.maps: list[Tensor] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See what each layer reads in the forward pass of this context."""
        with ExitStack() as hooks:
            for layer in self.layers:
                hooks.callback(layer.register_forward_pre_hook(self._see, with_kwargs=True).remove)
            yield

    def _see(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        states = given[0] if given else named["hidden_states"]
        place, home = states.device, self.image.device  # which differ where layers are on several devices
        first, image = (each.to(place, non_blocking=True) for each in (self._first, self.image))
        self._sinks = visual_sinks(states, first, image).to(home, non_blocking=True)
        self._told = self._has_first & can_be_told(states)

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """See `PassReader.tables`: by `MAPS` the numbers, and by `LISTS` the maps, of all layers."""
        return {MAPS: torch.stack(self.numbers, dim=2), LISTS: torch.cat(self.maps, dim=2)}

    def read(self, layer: LayerInput) -> None:
        """See `extract.attention.readers.AttentionReader.read`."""
        owner = self._batch.owner
        weights = self._on_image(layer)[owner, self._batch.slot]
        self.sinks.append(torch.where(self._told[:, None], self._sinks, torch.nan)[owner])
        numbers, grid = self.lay(weights, self.sinks[-1][:, None])
        self.numbers.append(numbers)
        self.maps.append(grid if self._has_map is None else grid[:, :, self._has_map[len(self.maps)]])

    def lay(self, weights: Tensor, sinks: Tensor) -> tuple[Tensor, Tensor]:
        """Lay attention on grids.

        Args:
            weights: float32 [questions, heads, tokens], attention on image tokens, 0 on those that an image lacks.
            sinks: float32 [questions, heads or 1, tokens], see `sinks`.

        Returns:
            Columns and maps of the heads as in `numbers` and `maps`.
        """
        grids = self._grids
        tokens = grids.tokens.flatten(1)[:, None].expand(-1, weights.shape[1], -1)
        laid = weights.gather(-1, tokens).unflatten(-1, grids.shares.shape[1:]).transpose(1, 2)
        grid = (laid * grids.shares[:, :, None]).sum(dim=-1)
        weights = weights[:, None] * grids.own[:, :, None]
        mass, sink = weights.sum(dim=-1), (weights * sinks[:, None]).sum(dim=-1)
        rest = (weights * grids.outside[:, :, None]).sum(dim=-1)
        entropy, x, y = _shape(grid, grids)
        return torch.stack([mass, entropy, sink, x, y, rest], dim=-1), grid

    def _on_image(self, layer: LayerInput) -> Tensor:
        """Attention of each question on each image token, the mean over its queries: [images, slots, heads, tokens]."""
        queries, heads = self._queries, layer.query.shape[1]
        rows = layer.query.gather(2, queries.rows[:, None, :, None].expand(-1, heads, -1, layer.query.shape[-1]))
        seen = queries.seen
        if layer.mask is not None:
            seen = layer.mask[:, 0].gather(1, queries.rows[..., None].expand(-1, -1, layer.mask.shape[-1]))
            seen = with_padding(seen)
        total = rows.new_zeros((), dtype=torch.float32)
        for some in pieces(rows, layer.key):
            weights = softmax_weights(
                rows[:, :, some], layer.key, seen[:, some], scale=layer.scale, softcap=layer.softcap
            )
            total = total + queries.counts[:, None, :, some] @ weights
        on_image = total.gather(-1, self.image[:, None, None].expand(-1, *total.shape[1:3], -1))
        return (on_image * self.there[:, None, None]).transpose(1, 2)


def _shape(grid: Tensor, grids: MapGrids) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy of maps over its maximum, and x and y of their centres, NaN where a map is all 0.

    Args:
        grid: float32 [questions, pictures, heads, patches].
    """
    shares = grid / grid.sum(dim=-1, keepdim=True)
    entropy = torch.special.entr(shares).sum(dim=-1) / grids.patches.log()[..., None]
    x, y = (shares @ grids.centres).unbind(dim=-1)
    return entropy, x, y


def can_be_told(states: Tensor) -> bool:
    """Whether a state of this width can be massive in a dimension."""
    return states.shape[-1] > MASSIVE**2


def visual_sinks(states: Tensor, first: Tensor, image: Tensor) -> Tensor:
    """Which image tokens are visual sinks.

    Args:
        states: [images, length, width], what a layer reads.
        first: int64 [images], the column of the first token.
        image: int64 [images, tokens], the columns of image tokens.

    Returns:
        bool [images, tokens].
    """
    row, width = torch.arange(len(states), device=states.device), states.shape[-1]
    tiny = torch.finfo(torch.float32).tiny
    rms = torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32).clamp_min_(tiny) / width**0.5
    normed = states[row, first].float().abs() / rms[row, first][:, None]
    massive, dimensions = normed.topk(int(width // MASSIVE**2))  # no state is massive in more
    tokens = states[row[:, None, None], image[..., None], dimensions[:, None]].float().abs()
    found = tokens / rms.gather(1, image)[..., None] > MASSIVE
    return (found & (massive > MASSIVE)[:, None]).any(dim=-1)
