"""Answers by letter: how often each letter is given and how often it should be, which wrong option is given, how sure.

Each letter is expected as often as it is right, where letters are right equally often. Where A is right more often than
others, a model without a position bias gives it less often than it is right, as its wrong answers go to the others: of
n letters, one that is right in a share s of questions is expected more often by (1 - accuracy) ((1 - s) / (n - 1) - s).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.scores.answers import NO_LEAN, cannot_tell_bias
from analyze.scores.images import image_groups
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Codes
from analyze.statistics.multiplicity import FLIPS, sign_flips_of_groups
from schemas.tasks import OPTION_LETTERS
from schemas.text import counted

RIGHT, SECOND, FURTHER, NEITHER = CHOICE_STATES = ("right", "right one second", "right one further", "neither")
SIGNIFICANT = 0.05
_COLUMNS = ["category", "letter", "answers", "given", "right", "expected", "difference", "low", "high", "p", "note"]
_NAMED = 8  # categories in a sentence
_USUAL = 100  # answers


@dataclass(frozen=True)
class Positions:
    """How often each letter is given, and which wrong one.

    Attributes:
        letters: by category and, last, over all, by letter: `answers` that are an option, to questions that offer the
            letter, and of these in per cent `given`, `right` and `expected`; `difference`, given less expected, with
            `low` and `high` (by image); `p`, of flipped signs of images, the maximum over all letters and categories;
            `note`, why it cannot be told. Empty if no answer is an option.
        confusions: by category, the right letter and the letter given instead: `questions`, and `probability`, its
            mean in per cent.
    """

    letters: pd.DataFrame
    confusions: pd.DataFrame

    @classmethod
    def of(cls, samples: pd.DataFrame, bootstrap: Bootstrap, flips: int = FLIPS) -> "Positions":
        """From rows of `answered`, in the order of the clusters, with `sure`."""
        return cls(_letters(samples, bootstrap, flips), _confusions(samples))

    @property
    def over_all(self) -> pd.DataFrame:
        """The rows of `letters` over all categories."""
        return self.letters[self.letters["category"].isin(self.letters["category"].tail(1))]

    def verdict(self) -> Iterator[str]:
        """The result in words, a line each."""
        if self.letters.empty:
            yield "position: cannot be told, as no answer is an option"
            return
        where = ("in " + self.letters["category"]).where(~self.letters.index.isin(self.over_all.index), "over all")
        told = self.letters.assign(where=where)[self.letters["note"] == ""]
        found = told[told["p"] <= SIGNIFICANT]
        for letter, rows in found.groupby("letter"):
            for word, own in (("often", rows[rows["difference"] > 0]), ("seldom", rows[rows["difference"] < 0])):
                if len(own):
                    named = [f"{row['where']} ({row['difference']:+.0f} points)" for _, row in own[::-1].iterrows()]
                    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
                    yield (
                        f"position: gives {letter} too {word}: {', '.join(named[:_NAMED])}{more} (at most 5% of runs "
                        "without a position bias have such a line)"
                    )
        if found.empty and len(told):
            tested = "over all" if told.index.isin(self.over_all.index).all() else "in any category or over all"
            yield f"position: no letter is given significantly too often, or too seldom, {tested}"
        why = [note.removeprefix("cannot tell: ") for note in self.over_all["note"].unique()]
        if not {"", NO_LEAN} & {*why}:
            yield f"position: cannot be told over all: {'; '.join(why)}"
        parts = self.letters[self.letters["category"] != self.letters["category"].iloc[-1]]
        told_in = parts.loc[parts["note"].isin(["", NO_LEAN]), "category"].nunique()
        if untold := parts["category"].nunique() - told_in:
            yield f"position: cannot be told in {untold} of {counted(untold + told_in, 'category', 'categories')}"


def sureness(samples: pd.DataFrame) -> Array:
    """The probability of the given option among all, a softmax over `option_logits`; NaN where none is given.

    Args:
        samples: with `option_logits` and `says`.
    """
    found = np.full(len(samples), np.nan)
    says = samples["says"].to_numpy(np.float64)
    for place in np.flatnonzero(~np.isnan(says)):
        logits = np.asarray(samples["option_logits"].iloc[place], np.float64)
        shares = np.exp(logits - logits.max())
        found[place] = shares[int(says[place])] / shares.sum()
    return found


def choice_states(samples: pd.DataFrame) -> npt.NDArray[np.str_]:
    """How each question is answered, of `CHOICE_STATES`: wrong answers by the place of the right option by logit."""
    expected = samples["expected"].to_numpy(np.int64)
    above = [
        int((np.asarray(each, np.float64) > each[own]).sum())
        for each, own in zip(samples["option_logits"], expected, strict=True)
    ]
    kinds = [samples["says"].isna(), samples["right"].astype(bool), np.array(above) <= 1]
    return np.select([np.asarray(each, bool) for each in kinds], [NEITHER, RIGHT, SECOND], default=FURTHER)


def _letters(samples: pd.DataFrame, bootstrap: Bootstrap, flips: int) -> pd.DataFrame:
    clusters, number = bootstrap.clusters, samples["options"].map(len).to_numpy()
    letters = np.arange(number.max())
    said = samples["says"].notna().to_numpy()
    offered = (letters < number[:, None]) & said[:, None]
    right = letters == samples["expected"].to_numpy()[:, None]
    given = letters == samples["says"].to_numpy(np.float64)[:, None]
    expected = right + _uneven(samples, number, right & offered, said)
    sums = [clusters.sums(np.where(offered, each, 0.0)) for each in (given, right, expected, given ^ right, offered)]
    groups = list(image_groups(clusters))
    excess = sums[0] - sums[2]
    wrong = [*(sums[3][images] for _, images in groups[:-1]), clusters.joined(sums[3])]
    notes = [[cannot_tell_bias(each, clusters) for each in values.T] for values in wrong]
    p = _tested(excess, [images for _, images in groups], np.array(notes) == "", bootstrap, flips)
    rows = []
    for place, (name, images) in enumerate(groups):
        some = bootstrap.only(images)
        for letter in letters[sums[4][images].sum(axis=0) > 0]:
            asked = sums[4][images, letter]
            row: dict[str, Any] = {
                "category": name,
                "letter": OPTION_LETTERS[letter],
                "answers": int(asked.sum()),
            }
            for value, each in zip(("given", "right", "expected"), sums, strict=False):
                row[value] = 100 * float(each[images, letter].sum() / asked.sum())
            found = some.mean(excess[images, letter], asked)
            row |= found.columns("difference", "low", "high", scale=100)
            if note := notes[place][letter]:
                row |= {"low": np.nan, "high": np.nan}
            rows.append(row | {"p": p[place, letter], "note": note})
    return pd.DataFrame(rows, columns=_COLUMNS)


def _uneven(samples: pd.DataFrame, number: Codes, right: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Array:
    """By how much more often a letter is expected than it is right, as letters are not right equally often.

    How often each letter is right is that in the category, among questions with as many options, as if it had
    `_USUAL` more answers like those of the whole run: the share in a few questions is mostly chance.

    Args:
        number: of options, [answers].
        right: whether the letter is right, and the answer an option, [answers, letters].
        said: whether the answer is an option, [answers].

    Returns:
        Float64 [answers, letters], 0 for letters that are not offered.
    """
    table = pd.DataFrame(right.astype(float)).assign(said=said.astype(float))
    category = samples["category"].astype(str).to_numpy()
    own, all_ = (table.groupby(keys).transform("sum").to_numpy() for keys in ([category, number], [number]))
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.nan_to_num(all_[:, :-1] / all_[:, -1:])
    shares = (own[:, :-1] + _USUAL * usual) / (own[:, -1:] + _USUAL)
    wrong = pd.Series(np.where(said, ~samples["right"].astype(bool), np.nan))
    wrong_share = wrong.groupby([category, number]).transform("mean").fillna(0).to_numpy()[:, None]
    others = np.maximum(number - 1, 1)[:, None]
    found: Array = np.where(
        np.arange(right.shape[1]) < number[:, None], wrong_share * ((1 - shares) / others - shares), 0
    )
    return found


def _tested(
    excess: Array,
    groups: list[Codes],
    told: npt.NDArray[np.bool_],
    bootstrap: Bootstrap,
    flips: int,
) -> Array:
    """The p values [groups, letters], of letters that can be told; an image in several categories is flipped once."""
    clusters = bootstrap.clusters
    picture = np.arange(clusters.images) if clusters.picture is None else clusters.picture
    values = [(picture[images], excess[images]) for images in groups[:-1]]
    whole = clusters.joined(excess)
    return sign_flips_of_groups([*values, (np.arange(len(whole)), whole)], told, flips=flips, seed=bootstrap.seed)


def _confusions(samples: pd.DataFrame) -> pd.DataFrame:
    wrong = samples[samples["says"].notna() & ~samples["right"].astype(bool)]
    table = pd.DataFrame(
        {
            "category": wrong["category"].astype(str),
            "right": [OPTION_LETTERS[int(each)] for each in wrong["expected"]],
            "given": [OPTION_LETTERS[int(each)] for each in wrong["says"]],
            "probability": 100 * wrong["sure"].astype(float),
        }
    )
    groups = table.groupby(["category", "right", "given"], sort=True)["probability"]
    return groups.agg(questions="size", probability="mean").reset_index()
