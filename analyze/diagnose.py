"""Where and how a model fails: pair states, bias, position bias, calibration, difficulty, attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analyze.positions import CHOICE_STATES, FURTHER, SECOND, Positions, choice_states, sureness
from analyze.scores.accuracy import scored_questions
from analyze.scores.answers import NO_LEAN, AnswerSums, accuracy_of, bias_of
from analyze.scores.images import image_groups
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap, Interval
from analyze.statistics.calibration import Calibration, calibrate
from analyze.statistics.clusters import Array, Clusters, Codes, image_lists
from analyze.statistics.contrasts import STATES, contrast_reliability, pair_states, polarity_free_contrast
from analyze.statistics.intervals import FEW_IMAGES, FEWEST_IMAGES, share_interval
from analyze.statistics.multiplicity import false_discovery_rate
from analyze.tables.frames import Heads
from analyze.tables.text_scope import TextScope
from analyze.tables.values import answered, head_columns, observed_samples, values_by_flow
from schemas.jobs.head_sets import head_name
from schemas.tasks import MME, OPTION_LETTERS, Task
from schemas.text import counted, listed
from schemas.workers.beside import beside
from schemas.workers.work import HERE, Workers

NO_DIFFICULTY = "none"
_SIGNIFICANT = 0.05
WORST = 20  # samples that are listed
STANDING_OUT = 2.0  # standard deviations
_ROUNDING = 1e-3  # percentage points: bounds nearer to 0 are 0
NO_COMPARISON = Interval(np.nan, None, None)
NO_CONTRASTS = pd.DataFrame(columns=["flow", "layer", "head", "contrast", "expected", "p"])
_Sums = tuple[Array, Array]
_NAMED = 3  # masses named for a sample, heads named in the verdict


@dataclass(frozen=True)
class Diagnosis:
    """How a model fails. The unit of all intervals is that of `Clusters`; NaN stands where something cannot be told.

    Attributes:
        states: by category and, last, over all: `questions`, `unread` (answers that are no option), and `accuracy` of
            the questions with `low` and `high`, in per cent. Of a task with two opposite options also `images` (with a
            pair of questions, one with either answer), one column for each of `STATES`; `yes_bias`, by how many points
            the answers are too often the first option, with `bias_low` and `bias_high`, `bias_p` (sign flips of images;
            of categories by Benjamini and Hochberg over them), and `bias_note`. Of another task one column for each of
            `CHOICE_STATES`, and the mean probability of the options given, in per cent: `sure_right`, where they are
            right, and `sure_wrong`.
        difficulty: by difficulty, as the question file says: `questions`, `accuracy`, `low`, `high`, and `difference`
            from the questions whose difficulty is `none`, or else from all others, within the categories that have
            both, with `difference_low` and `difference_high` (corrected by Bonferroni for the number of difficulties)
            or `note`; empty if the file has none.
        calibration: of the first option, or of the given one where there are not two opposite ones; None if no sample
            has the probabilities, or `written`.
        contrasts: `flow`, `layer`, `head`, `contrast`, `expected` (where nothing is told), `p`, `adjusted_p`: see
            `polarity_free_contrast`, of the first pair of each unit; `adjusted_p` by Benjamini and Hochberg over the
            heads of all flows.
        reliability: by flow, how far the contrasts of heads would be the same on other images; see
            `contrast_reliability`.
        why: by flow, why there is no contrast.
        worst: the wrong answers that the model was surest of; see `worst_samples`.
        left_out: observed questions that do not count, as their right answer is no option.
        not_scored: questions that are counted here and not in the score, as one that they are scored with is missing.
        task: what an answer is.
        written: whether answers are those in texts, which the probabilities of first tokens do not belong to.
        positions: of letters; None where there are two opposite options.
        units: what is resampled, in words.
        few: how many of these there are, in words, if fewer than `FEW_IMAGES`; else empty.
    """

    states: pd.DataFrame
    difficulty: pd.DataFrame
    calibration: Calibration | None
    contrasts: pd.DataFrame
    reliability: dict[str, float | None]
    why: dict[str, str]
    worst: pd.DataFrame
    left_out: int = 0
    not_scored: int = 0
    task: Task = MME
    written: bool = False
    positions: Positions | None = None
    units: str = "images"
    few: str = ""

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        return [*self._answers(), *self._difficulties(), *self._biases(), *self._calibration(), *self._attention()]

    def _answers(self) -> list[str]:
        *_, whole = self.states.to_dict("records")
        bounds = "" if np.isnan(whole["low"]) else f" (95% interval {whole['low']:.1f} to {whole['high']:.1f})"
        lines = [f"answers: {whole['accuracy']:.1f}% of {whole['questions']} right{bounds}{self._in_states(whole)}"]
        if whole["unread"]:
            lines.append(
                f"answers: {whole['unread']} of {whole['questions']} are {self.task.neither}: they count as wrong, and "
                "not towards a bias"
            )
        if self.not_scored:
            lines.append(about_not_scored(self.not_scored))
        if self.left_out:
            more = counted(self.left_out, "more question")
            lines.append(f"left out: {more}, with a right answer that is {self.task.neither}")
        return lines

    def _in_states(self, whole: Mapping[Any, Any]) -> str:
        """How the pairs of questions, or else the wrong answers, divide."""
        if self.task.opposite and not whole["images"]:
            return ""
        if self.task.opposite:
            states = ", ".join(f"{whole[state]} {state}" for state in STATES)
            return f"; of {counted(whole['images'], 'pair')} of questions {states}"
        if not (wrong := whole[SECOND] + whole[FURTHER]) or np.isnan(whole["sure_wrong"]):
            return ""
        sure = "" if np.isnan(whole["sure_right"]) else f", right ones with {whole['sure_right']:.0f}%"
        return (
            f"; of {counted(wrong, 'wrong answer')} {whole[SECOND]} with the right option second; wrong options are "
            f"given with a probability of {whole['sure_wrong']:.0f}% on average{sure}"
        )

    def _difficulties(self) -> list[str]:
        planted = self.difficulty[self.difficulty["difficulty"] != NO_DIFFICULTY]
        if planted.empty:
            return []
        worse = planted[planted["difference_high"] < -_ROUNDING].sort_values("difference")
        than = f"`{NO_DIFFICULTY}`" if NO_DIFFICULTY in set(self.difficulty["difficulty"]) else "all others"
        if worse.empty:
            told = planted["difference_high"].notna().any()
            return [
                f"difficulty: none is significantly harder than {than}"
                if told
                else f"difficulty: whether one is harder than {than} cannot be told"
            ]
        names = ", ".join(f"{row['difficulty']} ({row['difference']:+.0f} points)" for _, row in worse.iterrows())
        return [f"difficulty: harder than {than}: {names}"]

    def _biases(self) -> list[str]:
        if self.positions is not None:
            return list(self.positions.verdict())
        parts = self.states[:-1]
        found = parts[(parts["bias_p"] <= _SIGNIFICANT) & (parts["bias_note"] == "")]
        lines = []
        for rows, word in ((found[found["yes_bias"] > 0], "often"), (found[found["yes_bias"] < 0], "seldom")):
            if len(rows):
                named = ", ".join(f"{row['category']} ({row['yes_bias']:+.0f} points)" for _, row in rows.iterrows())
                lines.append(f"bias: says {self.task.words[0]} too {word} in {named} (false discovery rate 5%)")
        untold = parts.loc[~parts["bias_note"].isin(["", NO_LEAN]), "category"].tolist()
        if tested := len(parts) - len(untold):
            lines = lines or [
                f"bias: in none of {counted(tested, 'category', 'categories')} does it say {self.task.words[0]} "
                "significantly too often, or too seldom"
            ]
        if untold:
            lines.append(
                f"bias: cannot be told in {len(untold)} of {counted(len(parts), 'category', 'categories')}: "
                f"{listed(untold)}"
            )
        return lines

    def _calibration(self) -> list[str]:
        if self.written:
            return ["calibration: left out, as answers are read in texts and probabilities are those of first tokens"]
        if self.calibration is None:
            needed = " and ".join(self.task.spelled) or "logits of the option that it gives"
            return [f"calibration: cannot be told, as no sample has {needed}"]
        if self.few:
            return [f"calibration: cannot be told from {self.few}: it takes {FEW_IMAGES}"]
        return [
            f"calibration: expected error {self.calibration.ece:.3f} (biased upward in small samples), "
            f"Brier score {self.calibration.brier:.3f}"
        ]

    def _attention(self) -> list[str]:
        lines = [f"attention, {flow}: cannot be told: {why}" for flow, why in self.why.items()]
        found = self.contrasts[self.contrasts["adjusted_p"] <= _SIGNIFICANT]
        if self.contrasts.empty:
            return lines
        if found.empty:
            flows = ", ".join(f"{flow}{self._reliability(flow)}" for flow in self.contrasts["flow"].unique())
            return [*lines, f"attention does not tell failures from successes here: no head of {flows} differs"]
        for flow, rows in found.groupby("flow", sort=False):
            first = rows.sort_values("p").head(_NAMED)
            named = ", ".join(
                f"{head_name(row['layer'], row['head'])} ({row['contrast']:.2f}, expected {row['expected']:.2f})"
                for _, row in first.iterrows()
            )
            heads = counted(len(rows), "head tells", "heads tell")
            sure = self._reliability(flow)
            lines.append(f"attention, {flow}: {heads} which question is answered wrong, {named} first{sure}")
        return lines

    def _reliability(self, flow: object) -> str:
        value = self.reliability[str(flow)]
        return "" if value is None else f" (reliability of the contrasts {value:.2f})"


def diagnose(
    heads: Heads,
    flows: Sequence[str],
    scope: TextScope,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    workers: Workers = HERE,
) -> Diagnosis:
    """Diagnose a run from its samples with a right answer that is an option.

    Memory is that of `values_by_flow`, and 8 bytes for each value of one flow of the pairs.

    Args:
        flows: of the contrasts; those of image tokens are the same for both questions on an image, and tell nothing.
        workers: they read the run; statistics are computed here.

    Raises:
        HeadflowError: the run cannot be read.
        ValueError: no observed sample has such an answer.
    """
    samples = observed_samples(heads)
    rows = np.flatnonzero(samples["expected"].notna())
    samples, written = answered(samples).reset_index(drop=True), "said" in samples
    if samples.empty:
        raise ValueError(f"no observed sample has a right answer that is {heads.task.either}")
    clusters = Clusters.of(samples)
    bootstrap = Bootstrap(clusters, resamples, seed)
    pairs, positions = pairs_of_questions(samples, clusters, heads.task), None
    apart = pairs.drop_duplicates("image")  # the first of those that are not independent, on a set of images
    if not heads.task.opposite:
        samples = with_texts_of_options(samples).assign(sure=np.nan if written else sureness(samples))
        positions = Positions.of(samples, bootstrap)
    why, contrasts, spread, reliability = {}, [NO_CONTRASTS], {}, {}
    sides = [rows[apart[side]] for side in ("first", "second")]
    with beside(lambda: (_states(samples, pairs, bootstrap, heads.task), _difficulty(samples, bootstrap))) as answers:
        for flow, values in values_by_flow(heads, flows, scope, workers):
            spread[flow] = values.mean(axis=(1, 2), dtype=np.float64)[rows]
            if not heads.task.opposite:
                continue
            one, other = (values.reshape(len(values), -1)[side] for side in sides)
            del values
            differences = np.subtract(one, other, dtype=np.float64)
            state, category = apart["state"].to_numpy(), clusters.category[apart["image"].to_numpy()]
            found = polarity_free_contrast(differences, state, category)
            if found.why:
                why[flow] = found.why
                continue
            reliability[flow] = contrast_reliability(differences, state, category, seed=seed)
            columns = {
                "flow": flow,
                **head_columns(heads.run.manifest),
                "contrast": found.statistic,
                "expected": found.expected,
            }
            contrasts.append(pd.DataFrame(columns | {"p": found.p}))
        states, difficulty = answers()
    heads_of_flows = pd.concat(contrasts[1:] or contrasts, ignore_index=True)
    return Diagnosis(
        states=states,
        difficulty=difficulty,
        calibration=None if written else _calibrated(samples, heads.task),
        contrasts=heads_of_flows.assign(adjusted_p=false_discovery_rate(heads_of_flows["p"].to_numpy(np.float64))),
        reliability=reliability,
        why=why,
        worst=worst_samples(samples, pd.DataFrame(spread)),
        left_out=int(heads.observed.sum()) - len(rows),
        not_scored=not_scored(heads.samples, heads.task),
        task=heads.task,
        written=written,
        positions=positions,
        units=clusters.units[1],
        few=counted(different, *clusters.units) if (different := clusters.together()) < FEW_IMAGES else "",
    )


def not_scored(samples: pd.DataFrame, task: Task) -> int:
    """The number of observed questions that are not in the score, as one that they are scored with is missing."""
    table = scored_questions(samples, task)
    return int((table["observed"] & ~table["counts"]).sum())


def about_not_scored(number: int) -> str:
    """A line on such questions, where they are counted."""
    asked = counted(number, "question is", "questions are")
    return f"answers: {asked} counted here and not in the score, as one scored together with them is missing"


def with_texts_of_options(samples: pd.DataFrame) -> pd.DataFrame:
    """Rows of `observed_samples`, of questions with options of their own, with the text of options after letters."""

    def spelled(places: pd.Series, texts: pd.Series) -> list[str]:
        return [
            str(text) if np.isnan(place) else f"{OPTION_LETTERS[int(place)]}: {options[int(place)]}"
            for place, text, options in zip(places.astype(float), texts, samples["options"], strict=True)
        ]

    return samples.assign(
        answer=spelled(samples["expected"], samples["answer"]),
        prediction=spelled(samples["says"], samples["prediction"]),
    )


def pairs_of_questions(samples: pd.DataFrame, clusters: Clusters, task: Task = MME) -> pd.DataFrame:
    """Images with one question whose first option is right, and one whose second is; by image.

    Of questions with several images, the pair is about the same ones, in any order.

    Args:
        samples: rows of `answered`.
        clusters: of them.
        task: without two opposite options, there are no such images.

    Returns:
        `image`, which image of the clusters; `first` and `second`, the positions of the two in `samples`; and `state`.
    """
    own, different = pd.factorize(image_lists(samples))
    image, _ = pd.factorize(clusters.category[clusters.image] * len(different) + own)
    frame = pd.DataFrame({"image": image, "expected": samples["expected"].array, "row": np.arange(len(samples))})
    frame = frame if task.opposite else frame[:0]
    sides = [frame[frame["expected"] == side].groupby("image")["row"].agg(["size", "min"]) for side in (0, 1)]
    whole = sides[0].merge(sides[1], left_index=True, right_index=True, suffixes=("_0", "_1"))
    whole = whole[(whole["size_0"] == 1) & (whole["size_1"] == 1)]
    says, first, second = samples["says"].to_numpy(), whole["min_0"], whole["min_1"]
    found = pd.DataFrame({"first": first, "second": second, "state": pair_states(says[first], says[second])})
    return found.assign(image=clusters.image[first]).reset_index(drop=True)


def _states(samples: pd.DataFrame, pairs: pd.DataFrame, bootstrap: Bootstrap, task: Task = MME) -> pd.DataFrame:
    clusters, rows = bootstrap.clusters, list[dict[str, Any]]()
    answers = AnswerSums.of(samples, clusters)
    unread = clusters.counts - answers.given
    kinds, states = None if task.opposite else _kinds(samples), states_of_images(pairs, clusters)
    for name, images in image_groups(clusters):
        row: dict[str, Any] = {"category": name, "questions": int(clusters.counts[images].sum())}
        row |= {"unread": int(unread[images].sum())}
        some = answers.only(images), bootstrap.only(images)
        if kinds is not None:
            own = kinds.iloc[clusters.rows(images)]
            row |= {state: int((own["state"] == state).sum()) for state in CHOICE_STATES}
            row |= accuracy_of(*some)
            row |= {f"sure_{word}": 100 * own.loc[own["right"] == (word == "right"), "sure"].mean()
                    for word in ("right", "wrong")}  # fmt: skip
            rows.append(row)
            continue
        of_pairs = {state: int(number[images].sum()) for state, number in states.items()}
        row |= {"images": sum(of_pairs.values())} | of_pairs
        rows.append(row | accuracy_of(*some) | bias_of(*some))
    if kinds is not None:
        return pd.DataFrame(rows)
    *of_categories, whole = (row.pop("bias_p") for row in rows)
    corrected = [*false_discovery_rate(np.array(of_categories, np.float64)), whole]
    table = pd.DataFrame(rows)
    table.insert(list(table.columns).index("bias_high") + 1, "bias_p", corrected)
    return table


def states_of_images(pairs: pd.DataFrame, clusters: Clusters) -> dict[str, Codes]:
    """How many pairs of `pairs_of_questions` each image has in each of `STATES`, int64 [images]."""
    found = pairs["state"].to_numpy()
    images = pairs["image"].to_numpy(np.int64)
    return {state: np.bincount(images[found == state], minlength=clusters.images) for state in STATES}


def _kinds(samples: pd.DataFrame) -> pd.DataFrame:
    """Of each question with options of its own, `state`, `right` and `sure`."""
    found = {
        "state": choice_states(samples),
        "right": samples["right"].to_numpy(bool),
        "sure": samples["sure"].to_numpy(),
    }
    return pd.DataFrame(found)


def _difficulty(samples: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    clusters, rows = bootstrap.clusters, []
    right = samples["right"].to_numpy().astype(float)
    easy = (samples["difficulty"] == NO_DIFFICULTY).to_numpy()
    names = samples["difficulty"].dropna().unique()
    for name in names:
        chosen = (samples["difficulty"] == name).to_numpy()
        sides = [
            (clusters.sums(right * side), clusters.sums(side.astype(float)))
            for side in (chosen, easy if easy.any() else ~chosen)
        ]
        share = share_interval(bootstrap, *sides[0])
        row = {"difficulty": name, "questions": int(chosen.sum())} | share.columns("accuracy", "low", "high", scale=100)
        harder = (
            NO_COMPARISON if name == NO_DIFFICULTY else _harder(bootstrap, *sides, level=1 - _SIGNIFICANT / len(names))
        )
        rows.append(
            row | harder.columns("difference", "difference_low", "difference_high", scale=100) | {"note": harder.why}
        )
    columns = ["questions", "accuracy", "low", "high", "difference", "difference_low", "difference_high", "note"]
    return pd.DataFrame(rows, columns=["difficulty", *columns])


def _harder(bootstrap: Bootstrap, one: _Sums, other: _Sums, *, level: float) -> Interval:
    """By how much accuracy in one group of questions exceeds that in another, within the categories that have both.

    Categories with one image are left out, as nothing varies within them.

    Args:
        one, other: right answers and questions of each image in a group, [images] both.
    """
    category, number = bootstrap.clusters.category, len(bootstrap.clusters.categories)
    counts = [np.bincount(category, asked, number) for _, asked in (one, other)]
    shared = (counts[0] > 0) & (counts[1] > 0) & (np.bincount(category, minlength=number) > 1)
    if not shared.any():
        return Interval(np.nan, None, None, "no category of several images has other questions to compare with")
    inside = shared[category]
    weights = counts[0][shared] / counts[0][shared].sum()
    estimate, draws = 0.0, np.zeros(bootstrap.resamples)
    for sign, (right, asked) in ((1, one), (-1, other)):
        rights = np.bincount(category, right, number)[shared]
        estimate += sign * float(weights @ (rights / np.bincount(category, asked, number)[shared]))
        for weight, of_category in zip(weights, bootstrap.ratios_by_category(right, asked, inside), strict=True):
            draws += sign * weight * of_category
    sizes = [int(((asked > 0) & inside).sum()) for _, asked in (one, other)]
    differ = [int(((asked > right) & inside).sum()) for right, asked in (one, other)]
    if min(sizes) < FEW_IMAGES or max(differ) < FEWEST_IMAGES:
        few = counted(min(sizes), *bootstrap.clusters.units)
        return Interval(estimate, None, None, f"cannot tell: {few}, {max(differ)} with a wrong answer")
    low, high = bootstrap.bounds(np.array([estimate]), draws[:, None], inside & (one[1] + other[1] > 0), level)
    return Interval(estimate, float(low[0]), float(high[0]))


def _calibrated(samples: pd.DataFrame, task: Task) -> Calibration | None:
    if task.opposite:
        first, *_ = task.spelled
        total = samples[list(task.spelled)].sum(axis=1, skipna=False)
        known = (total > 0).to_numpy()
        probability, outcome = samples[first] / total, samples["expected"] == 0
    else:
        probability, outcome = samples["sure"], samples["right"]
        known = probability.notna().to_numpy()
    if not known.any():
        return None
    return calibrate(probability[known].to_numpy(np.float64), outcome[known].to_numpy(bool))


def worst_samples(samples: pd.DataFrame, masses: pd.DataFrame, number: int = WORST) -> pd.DataFrame:
    """The wrong answers that the model was surest of, for people to look at.

    Args:
        samples: rows of `answered`.
        masses: of the same samples, the mean over heads of each flow.

    Returns:
        `sample_id`, `category`, `difficulty`, `image`, `question`, `answer`, `prediction`, `lead` (of the right answer
        over the wrong one, in logits), and `stands_out`: the masses that are furthest from
        those of right answers in the same category and to the same answer, in standard deviations, if more than 2.
    """
    keys = [samples["category"].astype(str), samples["expected"]]
    usual = masses.where(samples["right"]).groupby(keys)
    off = (masses - usual.transform("mean")) / usual.transform("std")
    wrong = samples[~samples["right"].to_numpy()]
    wrong = wrong.sort_values("lead", kind="stable").head(number)
    wrong = wrong.assign(stands_out=[_standing_out(row) for _, row in off.loc[wrong.index].iterrows()])
    columns = [
        "sample_id",
        "category",
        "difficulty",
        "image",
        "question",
        "answer",
        "prediction",
        "lead",
        "stands_out",
    ]
    return wrong[columns].reset_index(drop=True)


def _standing_out(off: pd.Series) -> str:
    far = off[np.isfinite(off) & (off.abs() > STANDING_OUT)]
    return ", ".join(f"{flow} {value:+.1f}" for flow, value in far.loc[far.abs().nlargest(_NAMED).index].items())
