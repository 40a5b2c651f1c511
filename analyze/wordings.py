"""Several wordings of the same questions: which is answered best, how sure that is, and which heads shift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analyze.compare.answers import cannot_tell
from analyze.compare.heads import floor, tested_heads
from analyze.diagnose import about_not_scored, not_scored, pairs_of_questions, states_of_images
from analyze.scores.accuracy import category_scores, total_scores
from analyze.scores.answers import NO_LEAN, AnswerSums, accuracy_of, bias_of
from analyze.scores.images import category_images
from analyze.scores.intervals import score_intervals
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.contrasts import STATES
from analyze.statistics.intervals import mean_of_images
from analyze.statistics.multiplicity import fewest_images, sign_flip_maximum
from analyze.tables.frames import Heads, wordings
from analyze.tables.values import observed_samples, values_by_flow
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import head_name
from schemas.tasks import Task
from schemas.text import counted, listed
from schemas.workers.beside import beside
from schemas.workers.work import HERE, Workers

_SIGNIFICANT = 0.05
_NAMED = 3  # heads named in the verdict
_MEASURES = ("questions", "images", "accuracy", "low", "high", "lead", "lead_low", "lead_high")
_BIAS = ("yes_bias", "bias_low", "bias_high", "bias_p", "bias_note")
PAIRS = ["better", "worse", "difference", "low", "high", "adjusted_p", "note"]
_HEADS = ["wording", "flow", "layer", "head", "baseline", "value", "difference", "p", "significant"]


@dataclass(frozen=True)
class PromptComparison:
    """Wordings on the questions that were observed in all of them. The unit of all intervals is the image.

    Attributes:
        names: of the wordings, in the order of the run.
        baseline: the wording that heads are compared with.
        questions, images: how many are compared.
        units: how many images, or sets of images, are resampled, and which of them in words.
        left_out: questions that were not observed in one of the wordings.
        not_scored: questions that are compared and are not in the score, as one that they are scored with is missing.
        whole: by wording: `questions`, `images`, `accuracy` with `low` and `high` in per cent, `lead` (mean logit of
            the right answer less that of the wrong one) with `lead_low` and `lead_high`, and `unread` (answers that are
            no option). Where there are two opposite options, also `yes_bias` (by how many points too often answers are
            the first one) with `bias_low` and `bias_high`, `bias_p` (sign flips of images, maximum over the wordings)
            and `bias_note`, and how many pairs of questions are in each of `STATES`. NaN stands where something cannot
            be told.
            Empty if no question has a right answer that is an option.
        categories: the same by wording and category, but `bias_p` without a correction; and the `score` of the
            task with `score_low` and `score_high`, of categories and of its totals, and so what it has `further`.
        best: by wording, best accuracy first: `accuracy`, and `best_in`, the share of resamples in which it is highest.
        pairs: for each two wordings the `better` and the `worse` one, the paired `difference` of their accuracies in
            points with `low` and `high`, `adjusted_p` (sign flips of images, maximum over all pairs), and `note`.
        heads: `wording`, `flow`, `layer`, `head`, the means of the `baseline` and of the wording (`value`), their
            `difference`, `p` (sign flips of images, maximum over the heads of a flow, and by Bonferroni over flows and
            wordings), `significant`.
        floor: below what a difference of masses is one of rounding.
        task: what an answer is.
    """

    names: list[str]
    baseline: str
    questions: int
    images: int
    units: tuple[int, str]
    left_out: int
    not_scored: int
    whole: pd.DataFrame
    categories: pd.DataFrame
    best: pd.DataFrame
    pairs: pd.DataFrame
    heads: pd.DataFrame
    floor: float
    task: Task

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        left = f"; {self.left_out} more were not observed in all of them" if self.left_out else ""
        lines = [
            f"{counted(len(self.names), 'wording')} of {counted(self.questions, 'question')} on "
            f"{counted(self.images, 'image')}{left}"
        ]
        if self.not_scored:
            lines.append(about_not_scored(self.not_scored))
        return [*lines, *self._ranking(), *self._recommendation(), *self._biases(), *self._shifts()]

    def _ranking(self) -> list[str]:
        shares = [f"{row['wording']} {row['accuracy']:.1f}%" for row in self.best.to_dict("records")]
        return [f"right: {', '.join(shares)}"] if shares else []

    def _recommendation(self) -> list[str]:
        if self.best.empty:
            return [f"recommendation: cannot be told, as no question has a right answer that is {self.task.either}"]
        first = self.best.iloc[0]
        rivals = self.pairs[self.pairs["better"] == first["wording"]]
        open_ = rivals[(rivals["adjusted_p"] > _SIGNIFICANT) | (rivals["note"] != "")]
        sure = f"highest in {first['best_in']:.0%} of the resamples of {self.units[1]}"
        if len(open_):
            names = listed([str(name) for name in open_["worse"]])
            nearest = open_.sort_values("difference").iloc[0]
            return [
                f"recommendation: cannot tell which is best: {first['wording']} is not significantly better than "
                f"{names} ({_lead(nearest)}); {sure}"
            ]
        nearest = rivals.sort_values("difference").iloc[0]
        return [
            f"recommendation: {first['wording']}, significantly better than each of the others ({_lead(nearest)}, "
            f"p at most {rivals['adjusted_p'].max():.2g}, corrected for {counted(len(self.pairs), 'pair')}); {sure}",
            "its accuracy was chosen as the highest on these questions, so it is biased upward: confirm it on others",
        ]

    def _biases(self) -> list[str]:
        rows, lines = self.whole.to_dict("records"), []
        if unread := [f"{row['unread']} of {row['questions']} with {row['wording']}" for row in rows if row["unread"]]:
            lines.append(f"answers that are {self.task.neither}: {', '.join(unread)}")
        if not self.task.opposite:
            return lines
        found = [row for row in rows if row["bias_note"] == "" and row["bias_p"] <= _SIGNIFICANT]
        for word, sign in (("often", 1), ("seldom", -1)):
            if own := [row for row in found if sign * row["yes_bias"] > 0]:
                named = ", ".join(f"{row['wording']} ({row['yes_bias']:+.0f} points)" for row in own)
                lines.append(f"bias: says {self.task.words[0]} too {word} with {named}")
        if untold := [row["wording"] for row in rows if row["bias_note"] not in ("", NO_LEAN)]:
            lines.append(f"bias: cannot be told with {', '.join(untold)}")
        return lines

    def _shifts(self) -> list[str]:
        lines = []
        groups = self.heads.groupby(["wording", "flow"], sort=False)
        for (wording, flow), rows in groups:
            moved = rows[rows["significant"]]
            first = moved.loc[moved["difference"].abs().nlargest(_NAMED).index]
            heads = ", ".join(
                f"{head_name(row['layer'], row['head'])} ({row['difference']:+.3f})" for _, row in first.iterrows()
            )
            found = f"{len(moved)} of {len(rows)} heads shift, {heads} most"
            if moved.empty:
                found = self.no_shift()
            lines.append(f"heads, {flow}, from {self.baseline} to {wording}: {found}")
        return lines

    def no_shift(self) -> str:
        """What is said where no head shifts significantly: that, or that images are too few, and how many it takes."""
        least = fewest_images(tests=len(self.heads.groupby(["wording", "flow"])))
        if self.units[0] >= least:
            return "no head shifts significantly"
        return f"cannot be told from {counted(self.images, 'image')}: it takes {least}"


def _lead(pair: pd.Series) -> str:
    interval = pair["note"] or f"95% interval {pair['low']:.1f} to {pair['high']:.1f}"
    return f"{pair['difference']:+.1f} points over {pair['worse']}, {interval}"


def compare_prompts(
    heads: Heads,
    flows: Sequence[str],
    *,
    text_scope: str | None = None,
    baseline: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    workers: Workers = HERE,
) -> PromptComparison:
    """Compare the wordings of a run.

    Memory is that of `values_by_flow`, and of the means by image of a flow in all wordings.

    Args:
        heads: of all wordings.
        flows: columns of `heads`. q2* are means over question tokens, which differ between wordings; a2* are of the
            last token.
        baseline: the wording that heads are compared with; None: the first.
        workers: they read the run; statistics are computed here.

    Raises:
        HeadflowError: the run has no two wordings, or not this one, or no question that was observed in all of them;
            or it cannot be read.
    """
    names, path = wordings(heads), heads.run.path
    if len(names) < 2:
        raise HeadflowError(f"{path} asks each question in one wording: there is nothing to compare")
    baseline = names[0] if baseline is None else baseline
    if baseline not in names:
        raise HeadflowError(f"{path} has no wording {baseline}: it has {listed(names)}", setting="baseline")
    samples = observed_samples(heads)
    rows, left_out = _common(samples, names)
    if not len(rows[baseline]):
        raise HeadflowError(f"{path} has no question that was observed in all of its {len(names)} wordings")
    first = samples.iloc[rows[baseline]]
    clusters = Clusters.of(first).once()
    known = first["expected"].notna().to_numpy()
    asked = {name: samples.iloc[each[known]].reset_index(drop=True) for name, each in rows.items()}
    bootstrap = Bootstrap(Clusters.of(asked[baseline]), resamples, seed) if known.any() else None
    least, scope, shifts = floor(heads, heads), heads.scope(text_scope), []
    others = [name for name in names if name != baseline]
    with beside(partial(_answers, asked, bootstrap, heads.task)) as answers:
        for flow, values in values_by_flow(heads, flows, scope, workers):
            means = {name: clusters.means(values[own].reshape(len(own), -1)) for name, own in rows.items()}
            del values
            for name in others:
                found = tested_heads(
                    flow,
                    means[baseline],
                    means[name],
                    heads.run.manifest,
                    floor=least,
                    seed=seed,
                    tests=len(flows) * len(others),
                )
                shifts.append(found.rename(columns={"a": "baseline", "b": "value"}).assign(wording=name)[_HEADS])
        return PromptComparison(
            names=names,
            baseline=baseline,
            questions=len(first),
            images=clusters.different(),
            units=(clusters.images, clusters.units[1]),
            left_out=left_out,
            not_scored=not_scored(first, heads.task),
            heads=pd.concat(shifts, ignore_index=True) if shifts else pd.DataFrame(columns=_HEADS),
            floor=least,
            task=heads.task,
            **answers(),
        )


def _answers(asked: dict[str, pd.DataFrame], bootstrap: Bootstrap | None, task: Task) -> dict[str, pd.DataFrame]:
    """The tables of `PromptComparison` that say how questions are answered."""
    return {
        "whole": _corrected(_each(partial(_whole, task=task), asked, bootstrap), asked, bootstrap),
        "categories": _each(partial(_categories, task=task), asked, bootstrap),
        "best": _best(asked, bootstrap) if bootstrap else pd.DataFrame(),
        "pairs": _pairs(asked, bootstrap) if bootstrap else pd.DataFrame(columns=PAIRS),
    }


def _common(samples: pd.DataFrame, names: Sequence[str]) -> tuple[dict[str, np.ndarray], int]:
    """By wording, the positions of the questions that were observed in all, in one order; and how many were not."""
    ids = [
        f.removesuffix(f"@{name}") for f, name in zip(samples["sample_id"].astype(str), samples["prompt"], strict=True)
    ]
    table = pd.DataFrame({"question": ids, "prompt": samples["prompt"], "position": range(len(samples))})
    places = table.pivot(index="question", columns="prompt", values="position")[list(names)]
    whole = places.dropna().sort_values(names[0]).astype(np.int64)
    return {name: whole[name].to_numpy() for name in names}, len(places) - len(whole)


def _rights(samples: pd.DataFrame) -> Array:
    return samples["right"].to_numpy().astype(np.float64)


def _each(
    table: Callable[[pd.DataFrame, Bootstrap], pd.DataFrame],
    asked: dict[str, pd.DataFrame],
    bootstrap: Bootstrap | None,
) -> pd.DataFrame:
    """The tables of all wordings as one, with a column `wording`; empty if there are no answers."""
    if bootstrap is None:
        return pd.DataFrame()
    tables = {name: table(samples, bootstrap) for name, samples in asked.items()}
    return pd.concat(tables, names=["wording"]).reset_index(level=0).reset_index(drop=True)


def _corrected(whole: pd.DataFrame, asked: dict[str, pd.DataFrame], bootstrap: Bootstrap | None) -> pd.DataFrame:
    """The table of wordings with `bias_p` corrected for their number; NaN where a bias cannot be told."""
    if bootstrap is None or "bias_p" not in whole:
        return whole
    excess = np.stack([AnswerSums.of(samples, bootstrap.clusters).excess for samples in asked.values()], axis=1)
    p = sign_flip_maximum(bootstrap.clusters.joined(excess), seed=bootstrap.seed).p
    return whole.assign(bias_p=np.where(whole["bias_note"] == "", p, np.nan))


def _whole(samples: pd.DataFrame, bootstrap: Bootstrap, *, task: Task) -> pd.DataFrame:
    measures = _measures(samples, bootstrap, task)
    return pd.DataFrame([measures(np.arange(bootstrap.clusters.images))])


def _categories(samples: pd.DataFrame, bootstrap: Bootstrap, *, task: Task) -> pd.DataFrame:
    measures = _measures(samples, bootstrap, task)
    table = pd.DataFrame({"category": name} | measures(images) for name, images in category_images(bootstrap.clusters))
    scores = category_scores(samples, task)
    scores = pd.concat([scores, total_scores(scores, samples, task)])
    scores = score_intervals(scores, samples, task, drawn=bootstrap)
    further = [name for each in task.further for name in (each, f"{each}_low", f"{each}_high")]
    found = scores[["category", "score", "low", "high", *further]]
    found = found.rename(columns={"low": "score_low", "high": "score_high"})
    totals = found[~found["category"].isin(table["category"])]
    return pd.concat([table.merge(found, "left", "category"), totals], ignore_index=True)


def _measures(samples: pd.DataFrame, bootstrap: Bootstrap, task: Task) -> Callable[[Codes], dict[str, Any]]:
    """Of some images, by their numbers: accuracy, lead, and bias and states of pairs of two opposite options."""
    clusters = bootstrap.clusters
    states = states_of_images(pairs_of_questions(samples, clusters, task), clusters)
    answers = AnswerSums.of(samples, clusters)
    names = [*_MEASURES, *(_BIAS if task.opposite else ()), "unread", *(STATES if task.opposite else ())]
    leads, unread = clusters.sums(samples["lead"].to_numpy(np.float64)), clusters.counts - answers.given

    def measures(images: Codes) -> dict[str, Any]:
        some = answers.only(images), bootstrap.only(images)
        found: dict[str, Any] = (
            {"questions": int(clusters.counts[images].sum()), "images": some[1].clusters.different()}
            | accuracy_of(*some)
            | (bias_of(*some) if task.opposite else {})
            | mean_of_images(some[1].clusters, leads[images]).columns("lead", "lead_low", "lead_high")
            | {"unread": int(unread[images].sum())}
            | {state: int(number[images].sum()) for state, number in states.items()}
        )
        return {name: found[name] for name in names}

    return measures


def _best(asked: dict[str, pd.DataFrame], bootstrap: Bootstrap) -> pd.DataFrame:
    clusters = bootstrap.clusters
    rights = np.stack([clusters.sums(_rights(each)) for each in asked.values()], axis=1)
    draws = bootstrap.ratios(rights, clusters.counts)
    highest = np.isclose(draws, draws.max(axis=1, keepdims=True), rtol=0, atol=1e-6)
    shares = (highest / highest.sum(axis=1, keepdims=True)).mean(axis=0)  # equals share the first place
    accuracy = 100 * rights.sum(axis=0) / clusters.counts.sum()
    table = pd.DataFrame({"wording": list(asked), "accuracy": accuracy, "best_in": shares})
    return table.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def _pairs(asked: dict[str, pd.DataFrame], bootstrap: Bootstrap) -> pd.DataFrame:
    clusters = bootstrap.clusters
    sums = {name: clusters.sums(_rights(each)) for name, each in asked.items()}
    ordered = [
        (one, other) if sums[one].sum() >= sums[other].sum() else (other, one) for one, other in combinations(asked, 2)
    ]
    differences = np.stack([sums[better] - sums[worse] for better, worse in ordered], axis=1)
    estimates = 100 * differences.sum(axis=0) / clusters.counts.sum()
    draws = 100 * bootstrap.ratios(differences, clusters.counts)
    low, high = bootstrap.bounds(estimates, draws, clusters.counts > 0)
    by_image = clusters.joined(differences)
    tested = sign_flip_maximum(by_image, seed=bootstrap.seed)
    notes = [cannot_tell(each, clusters) for each in by_image.T]
    unknown = [note is not None for note in notes]
    table = pd.DataFrame(ordered, columns=["better", "worse"])
    table["difference"] = estimates
    table["low"], table["high"] = np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)
    return table.assign(adjusted_p=tested.p, note=[str(note or "") for note in notes])[PAIRS]
