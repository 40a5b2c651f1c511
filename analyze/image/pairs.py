"""A run of original images beside one of counterfactual images: the questions of both, one row each."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analyze.compare.answers import compare_answers
from analyze.compare.pairing import Pairs, pair_samples
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
from analyze.tables.values import observed_samples
from schemas.errors import HeadflowError
from schemas.manifest import IDENTITY_OF_MODEL, ORIGINAL
from schemas.text import short

_NEITHER = -1  # an answer that is no option


@dataclass(frozen=True)
class ImagePairs:
    """The questions that both runs observed and whose right answer is an option, the same in both.

    Attributes:
        run, without: the run of original images, and that of counterfactual images.
        pairs: only these questions.
        left_out: how many other questions both runs observed.
        table: a row each: `sample_id category image question answer prediction prediction_without` as in `samples`;
            `expected` (the place of the right option), `right right_without` (bool), `says says_without` (the place of
            the option that was given, or `_NEITHER`), `lead lead_without` of the right answer, and `effect`,
            their difference.
        bootstrap: resamples of their images.
        noise: by how much rounding may move a margin, as sessions measured it; 0 if none did.
    """

    run: Heads
    without: Heads
    pairs: Pairs
    table: pd.DataFrame
    bootstrap: Bootstrap
    left_out: int = 0
    noise: float = field(default=0.0)

    @property
    def clusters(self) -> Clusters:
        """The image of each question."""
        return self.bootstrap.clusters

    @property
    def few(self) -> bool:
        """Whether fewer than half of the samples that one of the runs observed have a partner."""
        number = len(self.table) + self.left_out
        return number < max(self.pairs.only_a, self.pairs.only_b)

    def in_words(self) -> str:
        """How many questions were paired, on one line."""
        words = self.pairs.in_words()
        if self.left_out:
            words += (
                f"; {self.left_out} more do not count: no right answer, {self.run.task.either}, is the same in both"
                f"{'' if self.run.task.options else ', or the options stand in another order'}"
            )
        return words

    def answers(self) -> pd.DataFrame:
        """Accuracy and score, see `compare_answers`; a is without the image, b with it."""
        swapped = self.pairs.table.rename(columns={"a": "b", "b": "a"})
        pairs = replace(self.pairs, table=swapped, only_a=self.pairs.only_b, only_b=self.pairs.only_a)
        return compare_answers(
            self.without, self.run, pairs, resamples=self.bootstrap.resamples, seed=self.bootstrap.seed
        )


def pair_runs(run: Heads, without: Heads, *, resamples: int, seed: int) -> ImagePairs:
    """Pair a run of original images with one of counterfactual images.

    Raises:
        HeadflowError: the runs are not such a pair, differ in their models, prompts or images, have no margins, or no
            question in common whose right answer is an option.
    """
    check_pair(run, without)
    pairs = pair_samples(run, without)
    sides = [_side(heads, pairs.table[place]) for heads, place in ((run, "a"), (without, "b"))]
    _check_images(run, without, *sides)
    known = (sides[0]["expected"] == sides[1]["expected"]).to_numpy() & (pairs.table["differ"] == "").to_numpy()
    if not known.any():
        raise HeadflowError(f"{run.run.path}: no paired sample has a right answer that is {run.task.either}")
    left_out, pairs = int((~known).sum()), replace(pairs, table=pairs.table[known].reset_index(drop=True))
    with_image, counterfactual = (side[known].reset_index(drop=True) for side in sides)
    for heads, side in ((run, with_image), (without, counterfactual)):
        if side["lead"].isna().any():
            raise HeadflowError(f"{heads.run.path} lacks `lead`: extract it again")
    columns = ["sample_id", "category", "image", "question", "answer", "prediction"]
    table = with_image[columns].astype({"sample_id": str, "category": str})
    table["prediction_without"] = counterfactual["prediction"]
    table["expected"] = with_image["expected"].astype(int)
    for name, side in (("", with_image), ("_without", counterfactual)):
        table[f"right{name}"] = side["right"].astype(bool)
        table[f"says{name}"] = side["says"].fillna(_NEITHER).astype(int)
        table[f"lead{name}"] = side["lead"].astype(float)
    table["effect"] = table["lead"] - table["lead_without"]
    bootstrap = Bootstrap(pairs.clusters(run.samples), resamples, seed)
    return ImagePairs(run, without, pairs, table, bootstrap, left_out, _noise(run, without))


def check_pair(run: Heads, without: Heads) -> None:
    """Raise `HeadflowError` unless two runs differ in their images and in nothing else of model and prompts."""
    one, other = run.manifest, without.manifest
    if one.images != ORIGINAL:
        raise HeadflowError(f"{run.run.path} is of {one.images} images, not of the images as they are")
    if other.images == ORIGINAL:
        raise HeadflowError(
            f"{without.run.path} is of the images as they are; give a run of counterfactual images", setting="without"
        )
    for name in IDENTITY_OF_MODEL:
        if getattr(one, name) != getattr(other, name):
            raise HeadflowError(
                f"the {name} of {run.run.path} is {short(getattr(one, name))}, that of {without.run.path} is "
                f"{short(getattr(other, name))}: give runs of the same model and prompts",
                setting="without",
            )
    if run.prompt != without.prompt:
        raise HeadflowError(f"{without.run.path} asks in another wording: {short(without.prompt)}", setting="without")
    known = [{each.weights for each in heads.run.ledgers.values()} - {None} for heads in (run, without)]
    if all(known) and known[0] != known[1]:
        raise HeadflowError(
            f"{run.run.path} and {without.run.path} were computed with different weights", setting="without"
        )


def _check_images(run: Heads, without: Heads, one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise `HeadflowError` if questions of the same name are about other image files; their rows, paired."""
    hashes = one["image_sha256"], other["image_sha256"]
    number = int((hashes[0].notna() & hashes[1].notna() & (hashes[0] != hashes[1])).sum())
    if number:
        raise HeadflowError(
            f"{number} of {len(one)} paired samples have other image files in {without.run.path} than in "
            f"{run.run.path}: extract it again from the images and the question file of {run.run.path}",
            setting="without",
        )


def _side(heads: Heads, positions: pd.Series) -> pd.DataFrame:
    """The rows of `observed_samples` at some positions in `samples`."""
    observed = np.flatnonzero(heads.observed.to_numpy())
    return observed_samples(heads).iloc[np.searchsorted(observed, positions)].reset_index(drop=True)


def _noise(*runs: Heads) -> float:
    sessions = [session for heads in runs for ledger in heads.run.ledgers.values() for session in ledger.sessions]
    return max((session.noise.get("margin", 0.0) for session in sessions), default=0.0)
