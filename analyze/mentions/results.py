"""What texts name, true and made up, with intervals by image; and what is said of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.mentions.finding import find_mentions
from analyze.mentions.pointing import point_while_writing
from analyze.mentions.telling import Told, mention_masses, step_bins, tell
from analyze.statistics.bootstrap import Bootstrap, Interval
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import share_interval, share_intervals
from analyze.tables.frames import Heads
from analyze.tables.values import observed_samples
from schemas.columns import STEP_MAPS, STEPS, TOKENS
from schemas.errors import HeadflowError
from schemas.files.ranges import beyond_image
from schemas.jobs.head_sets import head_name
from schemas.manifest import ORIGINAL
from schemas.text import counted, listed

LOOKED_AT = "g2v"  # the column in which heads are compared
_NAMED = 10


@dataclass(frozen=True)
class Mentions:
    """What the texts of a run name.

    Attributes:
        rows: see `find_mentions`.
        texts, images: whose objects are known.
        of_mentions: the share of mentions that are made up (CHAIR_i); of_texts: of texts with one (CHAIR_s).
        objects: by object, `mentions` and `made_up`; steps: by bin of steps, the same with the share and its interval.
        beyond: a warning of boxes outside their images; None: there are none, or sizes are not known.
        told: which heads tell true from made up; pointing: see `point_while_writing`, empty where there is nothing.
    """

    rows: pd.DataFrame
    texts: int
    images: int
    of_mentions: Interval
    of_texts: Interval
    objects: pd.DataFrame
    steps: pd.DataFrame
    told: Told
    pointing: pd.DataFrame
    beyond: str | None = None

    def tables(self) -> dict[str, pd.DataFrame]:
        """The CSV files, by name."""
        found = {"mentions.csv": self.rows.drop(columns="row"), "objects.csv": self.objects, "steps.csv": self.steps}
        found |= {"heads.csv": self.told.table, "pointing.csv": self.pointing}
        return {file: table for file, table in found.items() if len(table)}

    def verdict(self) -> Iterator[str]:
        """What was found, a line each."""
        if self.rows.empty:
            yield f"no text names an object: {counted(self.texts, 'text')} with known objects on {self.images} images"
            return
        wrong = int((~self.rows["true"]).sum())
        yield (
            f"{wrong} of {counted(len(self.rows), 'object')} named are not in the image: {_share(self.of_mentions)} "
            f"(CHAIR_i)"
        )
        yield f"texts that name such an object: {_share(self.of_texts)} of {self.texts} (CHAIR_s)"
        yield from self._heads()
        if len(self.pointing):
            points = self.pointing[self.pointing["points"]]
            yield (
                f"pointing while writing, at {counted(int(self.pointing['mentions'].iloc[0]), 'true mention')} with "
                f"boxes: {_heads(points)}, of {len(self.pointing)} with maps, more often than both the image's centre "
                "and the same head at other words (5%, corrected for all heads)"
            )
        if self.beyond is not None:
            yield f"warning: {self.beyond}"

    def _heads(self) -> Iterator[str]:
        if self.told.why:
            yield f"whether heads tell true mentions from made-up ones cannot be told: {self.told.why}"
            return
        table = self.told.table
        tells = table[table["tells"]].sort_values("p")
        reliable = "" if self.told.reliability is None else f"; reliability of their order {self.told.reliability:.2f}"
        about = (
            f"within words and bins of steps, {counted(self.told.mentions, 'mention')} on "
            f"{counted(self.told.images, 'image')}{reliable}"
        )
        if tells.empty:
            yield f"no head tells true mentions from made-up ones by its image mass, as far as can be told ({about})"
            return
        best = tells.iloc[0]
        more = "more" if best["auroc"] > 0.5 else "less"
        interval = f"{best['auroc']:.2f} [{best['low']:.2f}, {best['high']:.2f}]"
        yield (
            f"by image mass true mentions are told from made-up ones by {_heads(tells)}; "
            f"{head_name(int(best['layer']), int(best['head']))} looks {more} at the image where the object is there: "
            f"AUROC {interval}, 0.5 is chance ({about}; p corrected for all heads)"
        )


def mentions_of(heads: Heads, *, resamples: int, seed: int) -> Mentions:
    """Find the mentions of a run, and what heads do at them.

    Raises:
        HeadflowError: the run has no generated tokens, or not of all heads, or no objects; or a part cannot be read.
    """
    manifest = heads.run.manifest
    if TOKENS not in manifest.tables:
        raise HeadflowError(f"{heads.run.path} has no table {TOKENS}: extract it with generated tokens")
    samples = observed_samples(heads)
    known = samples["objects"].notna().to_numpy()
    if not known.any():
        raise HeadflowError(
            f"{heads.run.path}: no sample has `objects`: the question file has none, or a copy left them out"
        )
    rows = find_mentions(heads)
    about = samples[known].reset_index(drop=True)
    bootstrap = Bootstrap(Clusters.of(about).once(), resamples, seed)
    place = np.cumsum(known) - 1
    of_sample = place[rows["row"].to_numpy(np.int64)]
    number = np.bincount(of_sample, minlength=len(about)).astype(np.float64)
    wrong = np.bincount(of_sample, ~rows["true"].to_numpy(bool), minlength=len(about))
    clusters = bootstrap.clusters
    sums, counts = clusters.sums(wrong), clusters.sums(number)
    told = Told(pd.DataFrame(), why=f"this run has no table {STEPS} of all heads")
    if STEPS in manifest.tables and not manifest.step_heads and len(rows):
        values = mention_masses(heads, rows, LOOKED_AT)
        told = tell(rows, values, samples, model=heads.run.manifest, flips=resamples, seed=seed)
    pointing, beyond = pd.DataFrame(), None
    if STEP_MAPS in manifest.tables and len(rows):
        pointing = point_while_writing(heads, rows, samples, Bootstrap(Clusters.of(samples).once(), resamples, seed))
    if manifest.images == ORIGINAL:
        placed = about[["boxes", "objects", "image_width", "image_height"]]
        beyond = beyond_image(placed[placed["image_width"].notna()].to_dict("records"))
    return Mentions(
        rows,
        len(about),
        clusters.different(),
        share_interval(bootstrap, sums, counts),
        share_interval(bootstrap, clusters.sums((wrong > 0).astype(np.float64)), clusters.counts),
        _by_object(rows),
        _by_step(rows, of_sample, bootstrap),
        told,
        pointing,
        beyond,
    )


def _by_object(rows: pd.DataFrame) -> pd.DataFrame:
    found = rows.assign(made_up=~rows["true"].astype(bool)).groupby("name")["made_up"].agg(["size", "sum"])
    found = found.rename(columns={"size": "mentions", "sum": "made_up"}).reset_index()
    return found.sort_values(["mentions", "name"], ascending=[False, True]).reset_index(drop=True)


def _by_step(rows: pd.DataFrame, of_sample: np.ndarray, bootstrap: Bootstrap) -> pd.DataFrame:
    """By bin of steps, the mentions and the share that is made up, with its interval."""
    bins, steps, clusters = step_bins(rows["step"].to_numpy(np.int64)), rows["step"], bootstrap.clusters
    found = []
    for each in np.unique(bins):
        own = bins == each
        number, wrong = (
            np.bincount(of_sample[own], weights, minlength=len(clusters.image)).astype(np.float64)
            for weights in (np.ones(own.sum()), ~rows["true"].to_numpy(bool)[own])
        )
        sums, counts = clusters.sums(wrong)[:, None], clusters.sums(number)[:, None]
        low, high = share_intervals(bootstrap, sums, counts)
        found.append(
            {
                "first_step": int(steps[own].min()),
                "last_step": int(steps[own].max()),
                "mentions": int(own.sum()),
                "made_up": wrong.sum() / own.sum(),
                "low": low[0],
                "high": high[0],
            }
        )
    return pd.DataFrame(found)


def _share(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.estimate:.1%}"
    return f"{interval.estimate:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _heads(table: pd.DataFrame) -> str:
    """`3 heads: L3H5, ...`."""
    if table.empty:
        return "no head"
    names = [head_name(int(layer), int(head)) for layer, head in zip(table["layer"], table["head"], strict=True)]
    return f"{counted(len(names), 'head')} ({listed(names, _NAMED)})"
