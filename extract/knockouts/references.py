"""What knock-outs take from other images: mean outputs of heads, and the image that takes another's place."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from extract.growing.changes import Change
from extract.growing.growth import Growth, Source
from extract.growing.prefill import Prefill
from extract.images.counterfactual.swapping import cycles
from extract.questions.samples import Sample
from schemas.errors import HeadflowError


class HeadMeans:
    """The mean output of each head on the tokens that are changed, over the tokens of some images."""

    def __init__(self, growth: Growth, change: Change) -> None:
        self._growth = growth
        self._change = change
        self._sums: dict[str, Tensor] = {}  # by image, float32 [layers, heads, head_dim]
        self._counts: dict[str, int] = {}

    def add(self, sha256: str, prefill: Prefill) -> None:
        """Add an image with its questions."""
        source = Source(prefill, self._growth.sequences(prefill))
        outputs: list[Tensor] = []
        self._growth.untouched(source, outputs)
        tokens = self._change.changed(source.sequences.roles)
        sums = torch.stack([(each.float() * tokens[:, None, :, None]).sum(dim=(0, 2)) for each in outputs])
        self._sums[sha256] = sums + self._sums.get(sha256, 0)
        self._counts[sha256] = int(tokens.sum()) + self._counts.get(sha256, 0)

    def without(self, sha256: str) -> Tensor:
        """The means over all images but one, float32 [layers, heads, head_dim].

        Raises:
            HeadflowError: there is no other image.
        """
        others = [name for name in self._sums if name != sha256]
        if not others:
            raise HeadflowError("a mean over other images needs at least two images", setting="reference_images")
        total = torch.stack([self._sums[name] for name in others]).sum(dim=0)
        return total / sum(self._counts[name] for name in others)


def choose_references(groups: Sequence[Sequence[Sample]], number: int, seed: int) -> list[Sample]:
    """One sample about each of up to `number` images, spread over the categories by turns.

    Args:
        groups: the samples about each image.
    """
    random = np.random.default_rng(seed)
    categories: dict[str, list[Sample]] = {}
    for group in groups:
        categories.setdefault(group[0].category, []).append(group[0])
    drawn = [[samples[place] for place in random.permutation(len(samples))] for samples in categories.values()]
    turns = (each[turn] for turn in range(max(map(len, drawn), default=0)) for each in drawn if turn < len(each))
    return [sample for sample, _ in zip(turns, range(number), strict=False)]


def choose_partners(groups: Iterable[Sequence[Sample]], seed: int) -> dict[str, Sample]:
    """For each image by its name, a sample about another image of the same category.

    Each image takes the place of one other. Images that are alone in their categories take each other's, or, if there
    is one of them, that of any image.

    Raises:
        HeadflowError: there is one image.
    """
    random = np.random.default_rng(seed)
    categories: dict[str, list[Sample]] = {}
    for group in groups:
        categories.setdefault(group[0].category, []).append(group[0])
    partners: dict[str, Sample] = {}
    for samples in cycles(categories):
        order = [samples[place] for place in random.permutation(len(samples))]
        partners |= {one.image: other for one, other in zip(order, [*order[1:], order[0]], strict=True)}
    if not partners:
        raise HeadflowError("images are swapped with others: there is one", setting="kind")
    return partners
