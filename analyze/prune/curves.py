"""What the sets cost on the testing half: loss of lead and of score, against random sets."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.knockouts.jobs import Knocked
from analyze.prune.controls import against, areas
from analyze.prune.design import RANDOM, Design, Member
from analyze.scores.images import ImagePoints
from analyze.statistics.bootstrap import LEVEL, Bootstrap
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.intervals import ratio_intervals, share_interval
from analyze.statistics.losses import change_bounds, loss_intervals
from schemas.tasks import Task


@dataclass(frozen=True)
class Answers:
    """The samples that test, with the answers of the untouched model and with each set.

    Attributes:
        effects: [samples, sets], the loss of lead, of the right answer over the wrong one; NaN where it could not be
            computed.
        right: bool [samples, sets]; `right_untouched`: bool [samples, 1].
        lead: its mean, untouched; NaN where none is known.
        place: of each set by name.
        task: what an answer is in the run.
    """

    samples: pd.DataFrame
    effects: Array
    right: npt.NDArray[np.bool_]
    right_untouched: npt.NDArray[np.bool_]
    lead: float
    place: dict[str, int]
    task: Task

    @classmethod
    def of(cls, samples: pd.DataFrame, found: Knocked, names: list[str], task: Task) -> "Answers":
        """From rows of `answered` and the rows of the job on the same samples."""
        untouched = found.untouched.astype(np.float64)
        known = untouched[np.isfinite(untouched)]
        return cls(
            samples.reset_index(drop=True),
            found.effects,
            found.says == samples["expected"].to_numpy()[:, None],
            samples["right"].to_numpy().astype(bool)[:, None],
            float(known.mean()) if len(known) else np.nan,
            {name: number for number, name in enumerate(names)},
            task,
        )


@dataclass(frozen=True)
class Costs:
    """What the sets cost. The unit of intervals is the image; NaN stands where something cannot be told.

    Attributes:
        sets: a row for each `least` and `most` set: `unit`, `criterion`, `order`, `share`, `number`, `set`; `effect`,
            the mean loss of lead, `accuracy` in per cent, `score`, and `loss`, the points of
            score that it costs, each with 95% bounds; `random`, the random sets it is compared with; `p`, the share of
            them, it among them, that cost as much lead or more, and `p_less`, as much or less.
        random: a row for each random set and draw: `unit`, `group`, `share`, `number`, `draw`, `set`, `effect`,
            `accuracy`, `loss`.
        areas: of each criterion, order and measure (`effect`, `loss`) the area under the curve of losses over its
            largest share, which is its mean; the same of random sets; `p` and `p_less`.
        score, accuracy, lead: of the untouched model.
        samples, images: that test.
        points: of the loss of each image, [images, sets]; None where no question counts in the score.
        task: what the score is.
    """

    sets: pd.DataFrame
    random: pd.DataFrame
    areas: pd.DataFrame
    score: float
    accuracy: float
    lead: float
    samples: int
    images: int
    points: "Points | None"
    task: Task

    def with_sets(self, sets: pd.DataFrame) -> "Costs":
        """The same with another table of sets, such as one with more columns."""
        return replace(self, sets=sets)


@dataclass(frozen=True)
class Points:
    """The points of score that each set costs on each image."""

    of: ImagePoints
    losses: Array
    place: dict[str, int]

    def bounds(self, names: list[str], level: float) -> tuple[Array, Array]:
        """One-sided bounds of the losses of some sets; see `change_bounds`."""
        return change_bounds(self._losses(names), self._most(), self.of.clusters, level)

    def intervals(self, names: list[str]) -> tuple[Array, Array]:
        """95% intervals of the losses of some sets; see `loss_intervals`."""
        return loss_intervals(self._losses(names), self._most(), self.of.clusters, LEVEL)

    def smallest(self, level: float) -> float:
        """The upper bound of the loss of a set that changes no answer."""
        nothing = np.zeros((self.of.clusters.images, 1))
        return float(change_bounds(nothing, self._most(), self.of.clusters, level)[1][0])

    def _losses(self, names: list[str]) -> Array:
        return self.losses[:, [self.place[name] for name in names]]

    def _most(self) -> Array:
        return self.of.most[:, None]


def costs(answers: Answers, design: Design, resamples: int, seed: int) -> Costs:
    """What the sets of a design cost."""
    clusters = Clusters.of(answers.samples).once()
    bootstrap = Bootstrap(clusters, resamples, seed)
    known = np.isfinite(answers.effects)
    sums = clusters.sums(np.asarray(np.where(known, answers.effects, 0.0)))
    counts = clusters.sums(known.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        effects = sums.sum(axis=0) / counts.sum(axis=0)
    of, points, untouched = ImagePoints.of(answers.samples, answers.task), None, np.nan
    losses = np.full(len(effects), np.nan)
    if of is not None:
        before = of.points(answers.right_untouched)
        points = Points(of, before - of.points(answers.right), answers.place)
        untouched, losses = float(of.total(before)[0]), of.total(points.losses)
    measures = {"effect": effects, "accuracy": 100 * answers.right.mean(axis=0), "loss": losses}
    random = _random(design, answers.place, measures)
    sets = _named(design, answers.place, measures)
    chosen = [answers.place[name] for name in sets["set"]]
    columns = dict(
        zip(("effect_low", "effect_high"), ratio_intervals(clusters, sums[:, chosen], counts[:, chosen]), strict=True)
    )
    columns |= _accuracy_bounds(bootstrap, answers.right[:, chosen])
    columns |= _loss_bounds(points, sets["set"].tolist())
    sets = sets.assign(score=untouched - sets["loss"], **columns)
    sets = pd.concat([sets, pd.DataFrame([against(row, random) for row in sets.to_dict("records")])], axis=1)
    return Costs(
        sets=sets,
        random=random,
        areas=areas(sets, random),
        score=untouched,
        accuracy=100 * float(answers.right_untouched.mean()),
        lead=answers.lead,
        samples=len(answers.samples),
        images=clusters.different(),
        points=points,
        task=answers.task,
    )


def _members(design: Design, *, random: bool) -> list[Member]:
    return [member for member in design.members if (member.order == RANDOM) == random]


def _named(design: Design, place: dict[str, int], measures: dict[str, Array]) -> pd.DataFrame:
    columns = ["unit", "criterion", "order", "share", "number", "set", "group"]
    return _measured(_members(design, random=False), columns, place, measures)


def _random(design: Design, place: dict[str, int], measures: dict[str, Array]) -> pd.DataFrame:
    columns = ["unit", "group", "share", "number", "draw", "set"]
    return _measured(_members(design, random=True), columns, place, measures)


def _measured(
    members: list[Member], columns: list[str], place: dict[str, int], measures: dict[str, Array]
) -> pd.DataFrame:
    table = pd.DataFrame([{name: getattr(each, name) for name in columns} for each in members], columns=columns)
    where = [place[name] for name in table["set"]]
    return table.assign(**{name: values[where] for name, values in measures.items()})


def _accuracy_bounds(bootstrap: Bootstrap, right: npt.NDArray[np.bool_]) -> dict[str, Array]:
    clusters = bootstrap.clusters
    found = [share_interval(bootstrap, each, clusters.counts) for each in clusters.sums(right.astype(np.float64)).T]
    bounds = np.array([[np.nan if bound is None else 100 * bound for bound in (each.low, each.high)] for each in found])
    low, high = bounds.reshape(-1, 2).T
    return {"accuracy_low": low, "accuracy_high": high}


def _loss_bounds(points: Points | None, names: list[str]) -> dict[str, Array]:
    bounds = np.full((2, len(names)), np.nan) if points is None else points.intervals(names)
    return dict(zip(("loss_low", "loss_high"), bounds, strict=True))
