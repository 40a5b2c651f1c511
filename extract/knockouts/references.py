"""What knock-outs take from other images: mean outputs of heads, and the image that takes another's place."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from extract.batched_knockouts.changes import Change
from extract.batched_knockouts.growth import Growth, Source
from extract.batched_knockouts.prefill import Prefill
from extract.images.counterfactual.swapping import by_category, choose_partners
from extract.questions.samples import Sample
from schemas.columns import MEAN, OF_OTHERS, SWAP
from schemas.errors import HeadflowError


class HeadMeans:
    """The mean output of each head on the tokens that are changed, over the tokens of some images."""

    def __init__(self, growth: Growth, change: Change) -> None:
        self._growth = growth
        self._change = change
        self._sums: dict[str, Tensor] = {}  # by image, float32 [layers that attend, heads, head_dim]
        self._counts: dict[str, int] = {}

    def add(self, sha256: str, prefill: Prefill) -> None:
        """Add an image with its questions."""
        source = Source(prefill, self._growth.sequences(prefill))
        outputs: list[Tensor] = []
        self._growth.untouched(source, outputs)
        tokens = self._change.changed(source.sequences.roles)
        sums = torch.stack([(each.float() * tokens[:, None, :, None]).sum(dim=(0, 2)) for each in outputs])
        self._sums[sha256] = sums + self._sums.get(sha256, 0)
        # It waits until all of this is computed, so that the prefill may go
        self._counts[sha256] = int(tokens.sum()) + self._counts.get(sha256, 0)

    def without(self, sha256: str) -> Tensor:
        """The means over all images but one, float32 [layers that attend, heads, head_dim].

        Raises:
            HeadflowError: there is no other image.
        """
        others = [name for name in self._sums if name != sha256]
        if not others:
            raise HeadflowError("a mean over other images needs at least two images", setting="reference_images")
        total = torch.stack([self._sums[name] for name in others]).sum(dim=0)
        return total / sum(self._counts[name] for name in others)


@dataclass(frozen=True)
class References:
    """What knock-outs of a run take from other images. It depends on the run, never on the samples that are asked for.

    Attributes:
        averaged: of `mean`, a sample about each image that is averaged over.
        partners: of `swap`, by the hash of each image, a sample about the one that takes its place.
    """

    averaged: Sequence[Sample] = ()
    partners: Mapping[str, Sample] = field(default_factory=dict)

    @classmethod
    def of(cls, kind: str, images: Mapping[str, Sample], number: int, seed: int) -> "References":
        """Those of a kind of knock-outs.

        Args:
            images: the first sample about each image that the run observed, by its hash, see `images_of_run`.
            number: of images that are averaged over, at most.

        Raises:
            HeadflowError: the kind needs another image, and there is one.
        """
        if kind in OF_OTHERS and len(images) < 2:
            raise HeadflowError(f"{kind} takes something from another image, and the run has one", setting="kind")
        if kind == MEAN:
            return cls(averaged=choose_references(images, number, seed))
        return cls(partners=choose_partners(images, seed) if kind == SWAP else {})

    def fingerprint(self) -> str | None:
        """SHA-256 of what is taken from where; None where nothing is."""
        taken = [sample.sample_id for sample in self.averaged] or {
            digest: sample.sample_id for digest, sample in self.partners.items()
        }
        return hashlib.sha256(json.dumps(taken, sort_keys=True).encode()).hexdigest() if taken else None


def images_of_run(samples: Iterable[Sample], hashes: Mapping[str, str | None]) -> dict[str, Sample]:
    """The first sample about each image, by the image's hash.

    Args:
        samples: all that the run observed, in the order of the question file.
        hashes: of their images, by `sample_id`.
    """
    images: dict[str, Sample] = {}
    for sample in samples:
        if (digest := hashes[sample.sample_id]) is not None:
            images.setdefault(digest, sample)
    return images


def choose_references(images: Mapping[str, Sample], number: int, seed: int) -> list[Sample]:
    """One sample about each of up to `number` images, spread over the categories by turns.

    Args:
        images: as of `References.of`.
    """
    random = np.random.default_rng(seed)
    drawn = [[images[each] for each in random.permutation(digests)] for digests in by_category(images).values()]
    turns = (each[turn] for turn in range(max(map(len, drawn), default=0)) for each in drawn if turn < len(each))
    return [sample for sample, _ in zip(turns, range(number), strict=False)]
