"""Two runs head by head, where a head of one is the same head of the other."""

from dataclasses import dataclass

import pandas as pd

from analyze.compare.sentences import Sentence, of_units
from analyze.statistics.clusters import Array, Clusters
from analyze.statistics.multiplicity import FLOOR, Tested, fewest_images, sign_flip_maximum
from analyze.statistics.reliability import FEWEST, paired_reliability, samples_needed, spearman_brown
from analyze.tables.frames import Heads
from analyze.tables.values import head_columns
from schemas.jobs.head_sets import ModelShape
from schemas.manifest import Manifest
from schemas.text import listed

WANTED = 0.9  # reliability
# Of runs in half precision that did not measure it: about what rounding moves single masses on the demo's model
FLOORS = {"float16": 5e-4, "bfloat16": 5e-3}


@dataclass(frozen=True)
class HeadDifferences:
    """One flow of the heads of two runs.

    Attributes:
        table: `flow`, `layer`, `head`, `a`, `b`, `difference`, `p` (sign flips of images, maximum over all heads of the
            flow, and by Bonferroni over the flows that are compared), `significant`.
        correlation: between the heads of both runs, without noise; or why it cannot be told.
        reliability: how far the differences would be the same on other images: Spearman's correlation over heads
            between halves of the images, stepped up to all of them; None below `FEWEST` images, and where all are
            equal.
        images_needed: how many images would give a reliability of `WANTED`; None in the same case.
        few: why no p can be such that a head differs significantly, as images are too few; None if one can.
    """

    table: pd.DataFrame
    correlation: float | Sentence
    reliability: float | None
    images_needed: float | None
    few: Sentence | None


def obstacle(a: Heads, b: Heads, *, related: bool) -> Sentence | None:
    """Why heads of two runs cannot be matched by their index; None if they can.

    They can if both have as many layers and heads, if the same layers attend, and if one model was made from the other:
    the caller knows it, or the runs have the same model or the same weights.
    """
    one, other = (_shape(each.run.manifest) for each in (a, b))
    if one != other:
        return Sentence("other_shape", a=one, b=other)
    return None if related or _same_model(a, b) else Sentence("independent")


def _shape(model: Manifest) -> str:
    """Layers x heads, and which layers attend where not all do."""
    some = f" in the layers {listed(model.attending, len(model.attending))}" if model.without_heads else ""
    return f"{model.layers} x {model.heads}{some}"


def _same_model(a: Heads, b: Heads) -> bool:
    weights = [{ledger.weights for ledger in each.run.ledgers.values()} - {None} for each in (a, b)]
    named = a.run.manifest.model is not None and a.run.manifest.model == b.run.manifest.model
    return bool(weights[0] & weights[1]) if all(weights) else named


def floor(a: Heads, b: Heads) -> float:
    """Differences of masses below this are rounding error, as measured in the sessions of both runs.

    That is the largest difference of single masses, and so more than rounding moves their means.
    """
    found = [FLOOR]
    for each in (a, b):
        sessions = [session for ledger in each.run.ledgers.values() for session in ledger.sessions]
        measured = [session.noise["mass"] for session in sessions if "mass" in session.noise]
        found += measured or [FLOORS.get(each.run.manifest.dtype or "", FLOOR)]
    return max(found)


def compare_heads(
    flow: str, a: Array, b: Array, clusters: Clusters, model: ModelShape, *, floor: float, seed: int, tests: int = 1
) -> HeadDifferences:
    """Compare one flow head by head.

    Args:
        a, b: means over the samples of each image, [images, heads].
        model: of both runs.
        floor: differences that do not exceed it are never significant.
        tests: how many such comparisons are made, of flows or of wordings; p is corrected for them by Bonferroni.
    """
    correlation, half = paired_reliability(a, b, clusters.category, seed=seed)
    return HeadDifferences(
        tested_heads(flow, a, b, model, floor=floor, seed=seed, tests=tests),
        _few(clusters, FEWEST) or Sentence("no_order") if correlation is None else correlation,
        None if half is None else spearman_brown(half),
        None if half is None else samples_needed(half, clusters.images // 2, WANTED),
        _few(clusters, fewest_images(tests)),
    )


def tested_heads(
    flow: str, a: Array, b: Array, model: ModelShape, *, floor: float, seed: int, tests: int
) -> pd.DataFrame:
    """The table of `HeadDifferences`; arguments as for `compare_heads`."""
    tested: Tested = sign_flip_maximum(b - a, seed=seed, floor=floor, tests=tests)
    columns = {"flow": flow, **head_columns(model), "a": a.mean(axis=0), "b": b.mean(axis=0)}
    return pd.DataFrame(columns | {"difference": tested.mean, "p": tested.p, "significant": tested.significant})


def _few(clusters: Clusters, least: int) -> Sentence | None:
    if clusters.images >= least:
        return None
    return of_units("few_images", clusters, number=clusters.images, least=least)
