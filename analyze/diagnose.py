"""Where and how a model fails: pair states, bias, calibration, difficulty, attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.scores.mme import ALL, category_order
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap, Interval
from analyze.statistics.calibration import Calibration, calibrate
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.contrasts import STATES, Contrast, pair_states, polarity_free_contrast
from analyze.statistics.intervals import share_interval
from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope
from analyze.tables.values import head_columns, observed_samples, sample_values

NO_DIFFICULTY = "none"
SIGNIFICANT = 0.05
WORST = 20  # samples that are listed
STANDING_OUT = 2.0  # standard deviations
NAMED = 3  # masses named for a sample, heads named in the verdict


@dataclass(frozen=True)
class Diagnosis:
    """How a model fails. The unit of all intervals is the image; NaN stands where something cannot be told.

    Attributes:
        states: by category and, last, over all: `images` (with a pair of questions, one with either answer), one column
            for each of `STATES`, `accuracy` of the questions with `low` and `high`, in per cent; `yes_bias`, by how
            many points more often the model says yes than yes is right, with `bias_low` and `bias_high`.
        difficulty: by difficulty, as the question file says: `questions`, `accuracy`, `low`, `high`, `reference` (the
            accuracy of the questions whose difficulty is `none`, or else of all others); empty if the file has none.
        calibration: of p_yes / (p_yes + p_no); None if no sample has both.
        contrasts: `flow`, `layer`, `head`, `contrast`, `p`, `adjusted_p`: see `polarity_free_contrast`; `adjusted_p`
            over the heads of a flow.
        why: by flow, why there is no contrast.
        worst: the wrong answers of which the model was surest; see `worst_samples`.
    """

    states: pd.DataFrame
    difficulty: pd.DataFrame
    calibration: Calibration | None
    contrasts: pd.DataFrame
    why: dict[str, str]
    worst: pd.DataFrame

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        return [self._answers(), *self._difficulties(), *self._biases(), *self._calibration(), *self._attention()]

    def _answers(self) -> str:
        *_, whole = self.states.to_dict("records")
        states = ", ".join(f"{whole[state]} {state}" for state in STATES)
        bounds = "" if np.isnan(whole["low"]) else f" (95% interval {whole['low']:.1f} to {whole['high']:.1f})"
        return f"answers: {whole['accuracy']:.1f}% right{bounds}; of {whole['images']} pairs of questions {states}"

    def _difficulties(self) -> list[str]:
        if self.difficulty.empty:
            return []
        planted = self.difficulty[self.difficulty["difficulty"] != NO_DIFFICULTY]
        worse = planted[planted["high"] < planted["reference"]].sort_values("accuracy")
        than = f"`{NO_DIFFICULTY}`" if NO_DIFFICULTY in set(self.difficulty["difficulty"]) else "all others"
        if worse.empty:
            return [f"difficulty: none is significantly harder than {than}"]
        names = ", ".join(f"{row['difficulty']} ({row['accuracy']:.0f}%)" for _, row in worse.iterrows())
        return [f"difficulty: harder than {than}: {names}"]

    def _biases(self) -> list[str]:
        parts = self.states[:-1]
        yes, no = parts[parts["bias_low"] > 0], parts[parts["bias_high"] < 0]
        lines = []
        for rows, word in ((yes, "often"), (no, "seldom")):
            if len(rows):
                named = ", ".join(f"{row['category']} ({row['yes_bias']:+.0f} points)" for _, row in rows.iterrows())
                lines.append(f"bias: says yes too {word} in {named}")
        return lines or ["bias: no category in which it says yes significantly too often, or too seldom"]

    def _calibration(self) -> list[str]:
        if self.calibration is None:
            return ["calibration: cannot be told, as no sample has p_yes and p_no"]
        return [
            f"calibration: expected error {self.calibration.ece:.3f} (biased upward in small samples), "
            f"Brier score {self.calibration.brier:.3f}"
        ]

    def _attention(self) -> list[str]:
        lines = [f"attention, {flow}: cannot be told: {why}" for flow, why in self.why.items()]
        found = self.contrasts[self.contrasts["adjusted_p"] <= SIGNIFICANT]
        if self.contrasts.empty:
            return lines
        if found.empty:
            flows = ", ".join(self.contrasts["flow"].unique())
            return [*lines, f"attention does not tell failures from successes here: no head of {flows} differs"]
        for flow, rows in found.groupby("flow", sort=False):
            first = rows.sort_values("p").head(NAMED)
            named = ", ".join(f"L{row['layer']}H{row['head']} ({row['contrast']:.2f})" for _, row in first.iterrows())
            heads = "1 head tells" if len(rows) == 1 else f"{len(rows)} heads tell"
            lines.append(f"attention, {flow}: {heads} which question is answered wrong, {named} first")
        return lines


def diagnose(
    heads: Heads, flows: Sequence[str], scope: TextScope, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Diagnosis:
    """Diagnose a run from its samples with a right answer that is yes or no.

    The run is read once. Memory is 4 bytes for each value of all flows, and 8 for each of one.

    Args:
        flows: of the contrasts; those of image tokens are the same for both questions on an image, and tell nothing.

    Raises:
        HeadflowError: the run cannot be read.
        ValueError: no observed sample has a right answer that is yes or no.
    """
    samples = observed_samples(heads)
    known = samples["yes"].notna().to_numpy()
    samples = samples[known].reset_index(drop=True)
    if samples.empty:
        raise ValueError("no observed sample has a right answer that is yes or no")
    samples = samples.astype({"yes": bool, "right": bool})
    clusters = Clusters.of(samples)
    bootstrap = Bootstrap(clusters, resamples, seed)
    pairs = _pairs(samples, clusters)
    why, contrasts, spread = {}, [], {}
    for flow, read in sample_values(heads, flows, scope).items():
        values = read[known].astype(np.float64)
        spread[flow] = values.mean(axis=(1, 2))
        found = _contrast(values, samples, pairs, clusters, seed=seed)
        if found.why:
            why[flow] = found.why
            continue
        columns = {"flow": flow, **head_columns(values), "contrast": found.statistic}
        contrasts.append(pd.DataFrame(columns | {"p": found.p, "adjusted_p": found.adjusted}))
    empty = pd.DataFrame(columns=["flow", "layer", "head", "contrast", "p", "adjusted_p"])
    return Diagnosis(
        states=_states(samples, pairs, bootstrap),
        difficulty=_difficulty(samples, bootstrap),
        calibration=_calibrated(samples),
        contrasts=pd.concat(contrasts, ignore_index=True) if contrasts else empty,
        why=why,
        worst=worst_samples(samples, pd.DataFrame(spread)),
    )


def _pairs(samples: pd.DataFrame, clusters: Clusters) -> pd.DataFrame:
    """Images with one question of either answer: positions in `samples` of `yes` and `no`, and `state`; by image."""
    frame = pd.DataFrame({"image": clusters.image, "yes": samples["yes"], "row": np.arange(len(samples))})
    sides = [frame[frame["yes"] == side].groupby("image")["row"].agg(["size", "first"]) for side in (True, False)]
    whole = sides[0].merge(sides[1], left_index=True, right_index=True, suffixes=("_yes", "_no"))
    whole = whole[(whole["size_yes"] == 1) & (whole["size_no"] == 1)]
    right = samples["right"].to_numpy()
    yes, no = whole["first_yes"], whole["first_no"]
    return pd.DataFrame({"yes": yes, "no": no, "state": pair_states(right[yes], right[no])})


def _contrast(values: Array, samples: pd.DataFrame, pairs: pd.DataFrame, clusters: Clusters, *, seed: int) -> Contrast:
    differences = (values[pairs["yes"]] - values[pairs["no"]]).reshape(len(pairs), -1)
    category = clusters.category[pairs.index.to_numpy()]
    return polarity_free_contrast(differences, pairs["state"].to_numpy(), category, seed=seed)


def _states(samples: pd.DataFrame, pairs: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    clusters = bootstrap.clusters
    right = clusters.sums(samples["right"].to_numpy().astype(float))
    excess = clusters.sums((samples["says"] == "yes").to_numpy().astype(float) - samples["yes"].to_numpy())
    of_pair = clusters.category[pairs.index.to_numpy()]
    rows = []
    groups = [(name, [clusters.categories.index(name)]) for name in category_order(clusters.categories)]
    for name, numbers in [*groups, (ALL, range(len(groups)))]:
        images = np.isin(clusters.category, numbers)
        chosen = pairs["state"][np.isin(of_pair, numbers)]
        share = share_interval(bootstrap, right, clusters.counts, images)
        bias = bootstrap.mean(excess, clusters.counts, images)
        if share.why:  # too few images, or failures, for a bootstrap
            bias = Interval(bias.estimate, None, None, share.why)
        row: dict[str, object] = {"category": name, "images": len(chosen)}
        row |= {state: int((chosen == state).sum()) for state in STATES}
        row |= _per_cent(share, "accuracy", "low", "high") | _per_cent(bias, "yes_bias", "bias_low", "bias_high")
        rows.append(row)
    return pd.DataFrame(rows)


def _per_cent(found: Interval, *names: str) -> dict[str, float]:
    values = found.estimate, found.low, found.high
    return {name: np.nan if value is None else 100 * value for name, value in zip(names, values, strict=True)}


def _difficulty(samples: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    clusters, rows = bootstrap.clusters, []
    right = samples["right"].to_numpy().astype(float)
    easy = (samples["difficulty"] == NO_DIFFICULTY).to_numpy()
    for name in samples["difficulty"].dropna().unique():
        chosen = (samples["difficulty"] == name).to_numpy()
        others = easy if easy.any() else ~chosen
        sums, counts = clusters.sums(right * chosen), clusters.sums(chosen.astype(float))
        share = share_interval(bootstrap, sums, counts)
        row = {"difficulty": name, "questions": int(chosen.sum())} | _per_cent(share, "accuracy", "low", "high")
        rows.append(row | {"reference": 100 * right[others].mean() if others.any() else np.nan})
    return pd.DataFrame(rows, columns=["difficulty", "questions", "accuracy", "low", "high", "reference"])


def _calibrated(samples: pd.DataFrame) -> Calibration | None:
    total = samples["p_yes"] + samples["p_no"]
    known = (total > 0).to_numpy()
    if not known.any():
        return None
    probability = (samples["p_yes"] / total)[known].to_numpy(np.float64)
    return calibrate(probability, samples["yes"].to_numpy()[known])


def worst_samples(samples: pd.DataFrame, masses: pd.DataFrame, number: int = WORST) -> pd.DataFrame:
    """The wrong answers of which the model was surest, for people to look at.

    Args:
        samples: rows of `observed_samples` whose `yes` is known.
        masses: of the same samples, the mean over heads of each flow.

    Returns:
        `sample_id`, `category`, `difficulty`, `image`, `question`, `answer`, `prediction`, `margin` (of the right
        answer; where the run has none, log(p_right / p_wrong)), and `stands_out`: the masses that are furthest from
        those of right answers in the same category and to the same answer, in standard deviations, if more than 2.
    """
    y = np.where(samples["yes"], 1.0, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(samples["p_yes"].to_numpy(np.float64)) - np.log(samples["p_no"].to_numpy(np.float64))
    margin = y * samples["margin"].astype(float).fillna(pd.Series(odds, index=samples.index)).to_numpy()
    keys = [samples["category"].astype(str), samples["yes"]]
    usual = masses.where(samples["right"]).groupby(keys)
    off = (masses - usual.transform("mean")) / usual.transform("std")
    wrong = samples.assign(margin=margin, stands_out=[_standing_out(row) for _, row in off.iterrows()])
    wrong = wrong[~samples["right"].to_numpy()].sort_values("margin", kind="stable").head(number)
    columns = [
        "sample_id",
        "category",
        "difficulty",
        "image",
        "question",
        "answer",
        "prediction",
        "margin",
        "stands_out",
    ]
    return wrong[columns].reset_index(drop=True)


def _standing_out(off: pd.Series) -> str:
    far = off[np.isfinite(off) & (off.abs() > STANDING_OUT)]
    return ", ".join(f"{flow} {value:+.1f}" for flow, value in far.loc[far.abs().nlargest(NAMED).index].items())
