"""Attention of the tokens that follow prompts, observed: each question's own tokens, after the keys of a prefill.

A new token sees what the last token of its question's prompt saw, and the tokens of its own question up to itself;
in a layer with a window, only the last of these. Output and masses come from one float32 softmax, whatever the model's
own mask is.

The keys of new tokens stand after those of the prefill, token by token: token `t` of the questions in slot `k` of each
image is column `length + t * slots + k`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from extract.attention.masses import softmax_pieces
from extract.attention.packing import Batch
from extract.attention.readers import LayerInput, OwnView
from schemas.roles import IMAGE, ROLES


class KeptKeys:
    """Keeps the keys and values of each layer of a prefill, with room for those of new tokens.

    Attributes:
        layers: of each layer its keys [images, kv_heads, length + room, head_dim], and values of the same shape.
    """

    def __init__(self, room: int) -> None:
        """Keep those of a pass.

        Args:
            room: columns for new tokens.
        """
        self._room = room
        self.layers: list[tuple[Tensor, Tensor]] = []

    def read(self, layer: LayerInput) -> None:
        """See `extract.attention.readers.AttentionReader.read`."""
        self.layers.append((self._with_room(layer.key), self._with_room(layer.value)))

    def _with_room(self, states: Tensor) -> Tensor:
        images, heads, length, width = states.shape
        kept = states.new_empty((images, heads, length + self._room, width))
        kept[:, :, :length] = states
        return kept


@dataclass(frozen=True)
class ImageColumns:
    """Whose attention on image tokens is kept, for maps.

    Attributes:
        columns: int64 [images, tokens], the columns of image tokens; of images that have fewer, any others.
        heads: of each layer the heads, int64, on the device.
    """

    columns: Tensor
    heads: Sequence[Tensor]


class DecodingObservation(OwnView):
    """What passes over new tokens show: `begin` each, pass it each layer in order, then ask for the masses."""

    def __init__(
        self,
        batch: Batch,
        kept: KeptKeys,
        *,
        heads: Sequence[Tensor] | None = None,
        image: ImageColumns | None = None,
    ) -> None:
        """Observe what follows the prompts of a batch.

        Args:
            batch: the prompts, on the model's device.
            kept: what a prefill of the batch left.
            heads: of each layer the heads whose masses are kept, int64, on the device; None: all.
        """
        self._kept, self._heads, self._image = kept, heads, image
        ends = batch.ends
        images, self._slots, self._length = ends.seen.shape
        self._prefix_seen = ends.seen
        self._of_image = batch.roles == IMAGE
        self._places = batch.position_ids
        self._ends = batch.position_ids.gather(1, ends.rows)  # of each question's last token [images, slots]
        room = kept.layers[0][0].shape[2] - self._length
        of_prefix = torch.nn.functional.pad(ends.on_role, (0, 1))
        generated = torch.eye(len(ROLES) + 1, device=ends.on_role.device)[-1].expand(images, room, -1)
        self._on_role = torch.cat([of_prefix, generated], dim=1).transpose(1, 2).contiguous()  # [images, 6, keys]
        self._there = 0  # columns of new tokens
        self._columns = slice(0, 0)
        self._seen: dict[int | None, Tensor] = {}  # by the layer's window
        self._masses: list[Tensor] = []
        self._on_image: list[Tensor] = []

    def begin(self, tokens: int) -> None:
        """Begin a pass over so many further tokens of each question."""
        self._columns = slice(self._there, self._there + tokens * self._slots)
        self._there = self._columns.stop
        self._masses, self._on_image = [], []
        column = torch.arange(self._there, device=self._ends.device)
        token, slot = column // self._slots, column % self._slots
        rows = self._columns
        own = (slot[rows, None] == slot) & (token <= token[rows, None])
        self._seen = {None: torch.cat([self._prefix_seen[:, slot[rows]], own.expand(len(self._ends), -1, -1)], dim=-1)}

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        *,
        softcap: float | None,
        window: int | None,
        across: bool = False,
    ) -> Tensor:
        """See `OwnView.attend`; rows are the new tokens."""
        layer = len(self._masses)
        keys, values = self._kept.layers[layer]
        columns = slice(self._length + self._columns.start, self._length + self._columns.stop)
        keys[:, :, columns], values[:, :, columns] = (0, 0) if across else (key, value)
        seen = self._image_seen() if across else self._seen_in(window)
        there = slice(0, columns.stop)
        outputs, masses, on_image = [], [], []
        for _, weights, output in softmax_pieces(
            query, keys[:, :, there], values[:, :, there], seen, scale=scale, softcap=softcap
        ):
            outputs.append(output)
            summed = self._on_role[:, :, there] @ weights.flatten(1, 2).transpose(1, 2)  # all heads in one product
            by_head = summed.transpose(1, 2).unflatten(1, weights.shape[1:3])
            masses.append(by_head if self._heads is None else by_head[:, self._heads[layer]])
            if self._image is not None:
                looking = weights[:, self._image.heads[layer]]
                columns_of = self._image.columns[:, None, None].expand(-1, *looking.shape[1:3], -1)
                on_image.append(looking.gather(-1, columns_of))
        self._masses.append(torch.cat(masses, dim=2))
        self._on_image += [torch.cat(on_image, dim=2)] if on_image else []
        return torch.cat(outputs, dim=2)

    def masses(self) -> Tensor:
        """The masses of the pass on each role and on new tokens, float32 [images, tokens, slots, heads, 6].

        The heads are those of all layers, layer by layer.
        """
        return self._by_token(self._masses)

    def on_image(self) -> Tensor:
        """Attention of the heads of `ImageColumns` on image tokens, float32 [images, tokens, slots, heads, keys]."""
        return self._by_token(self._on_image)

    def _by_token(self, layers: list[Tensor]) -> Tensor:
        """Of each layer [images, heads, slots * tokens, ...] -> [images, tokens, slots, heads, ...]."""
        return torch.cat(layers, dim=1).transpose(1, 2).unflatten(1, (-1, self._slots))

    def _image_seen(self) -> Tensor:
        """The same where they see only the image."""
        new = torch.nn.functional.pad(self._of_image, (0, self._there), value=False)
        return new[:, None].expand(-1, self._columns.stop - self._columns.start, -1)

    def _seen_in(self, window: int | None) -> Tensor:
        """Which keys the new tokens see, bool [images, slots * tokens, length + new columns]."""
        if window is not None and window not in self._seen:
            column = torch.arange(self._there, device=self._ends.device)
            new = self._ends[:, column % self._slots] + 1 + column // self._slots
            places = torch.cat([self._places, new], dim=1)
            near = places[:, None] > new[:, self._columns, None] - window
            self._seen[window] = self._seen[None] & near
        return self._seen[window]
