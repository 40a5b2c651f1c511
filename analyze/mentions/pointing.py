"""Pointing while writing: whether a head's brightest patch lies in the object that a text names, as it names it."""

import numpy as np
import pandas as pd

from analyze.maps.grids import read_box, read_grid
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Array, Clusters, Codes
from analyze.statistics.intervals import ratio_intervals, share_intervals
from analyze.statistics.multiplicity import sign_flip_maximum
from analyze.tables.frames import Heads
from analyze.tables.rows import part_lists
from analyze.tables.values import observed_rows
from schemas.columns import STEP_MAPS
from schemas.store.grids import Grid


def point_while_writing(
    heads: Heads, mentions: pd.DataFrame, samples: pd.DataFrame, bootstrap: Bootstrap
) -> pd.DataFrame:
    """How often the brightest patch of each head with maps lies in the boxes of the object that is named.

    Compared with the centre of the image, a patch at random, and the head's brightest patch at the other words of the
    same text: a head that always looks at one place hits as often at these.

    Args:
        mentions: see `find_mentions`; samples: `observed_samples`, and `bootstrap`: of their images.

    Returns:
        A row for each head: `layer`, `head`, `mentions` (true ones with boxes, at a step with a map), `pointing` with
        `low` and `high`, `centre`, `chance`, `elsewhere` (at other words), and `points`: more often than both the
        centre and elsewhere, the chance of a single false one among all heads being at most 5%. Empty without such
        mentions.

    Raises:
        HeadflowError: see `part_lists`.
    """
    every = heads.run.manifest.every
    own = mentions[mentions["true"] & (mentions["step"] % every == 0)]
    rows = observed_rows(heads)
    grid = Grid.of(heads.run, STEP_MAPS)
    layer, head = (each.astype(np.int64) for each in grid.named(np.argwhere(grid.listed)).values())
    by_row = {row: own.iloc[places] for row, places in own.groupby("row").indices.items()}
    named: list[int] = []
    found: list[Array] = []  # of each mention: hits of each head, then centre, chance, hits elsewhere of each head
    for part, places, ids in heads.each_part():
        if not np.isin(rows[places], own["row"]).any():
            continue
        lists = part_lists(heads.run, STEP_MAPS, part, ids)
        for row, maps in zip(rows[places].tolist(), lists, strict=False):
            if row in by_row:
                first = maps[0]  # of several images, boxes are in the first
                brightest = first.reshape(-1, len(layer), first.shape[1]).argmax(axis=2)
                for hits in _of_sample(samples.iloc[row], by_row[row], brightest, every):
                    named.append(row)
                    found.append(hits)
    if not found:
        return pd.DataFrame()
    values = np.stack(found)
    return _table(values, np.array(named), layer, head, bootstrap)


def _of_sample(sample: pd.Series, mentions: pd.DataFrame, brightest: Array, every: int) -> list[Array]:
    """What each mention of a sample with boxes has; `brightest` is int64 [steps with maps, heads]."""
    grid, objects = read_grid(sample), {item["name"]: item for item in sample["objects"]}
    found = []
    for mention in mentions.to_dict("records"):
        boxes = [box for box in map(read_box, objects[mention["name"]]["boxes"]) if box is not None]
        if not boxes:
            continue
        inside = grid.centred_in(boxes)
        x, y = grid.width / 2, grid.height / 2
        centre = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)
        steps = np.arange(len(brightest)) * every
        elsewhere = (steps < mention["step"]) | (steps > mention["last_step"])
        other = inside[brightest[elsewhere]].mean(axis=0) if elsewhere.any() else np.full(brightest.shape[1], np.nan)
        hits = inside[brightest[mention["step"] // every]]
        found.append(np.concatenate([hits, [centre, inside.mean()], other]).astype(np.float64))
    return found


def _table(values: Array, rows: Codes, layer: Codes, head: Codes, bootstrap: Bootstrap) -> pd.DataFrame:
    number, clusters = len(layer), bootstrap.clusters
    images, of_image = np.unique(clusters.image[rows], return_inverse=True)
    own = Clusters(of_image.astype(np.int64), clusters.category[images], clusters.categories)
    hits, centre, chance, other = np.split(values, [number, number + 1, number + 2], axis=1)
    sums = own.known_sums(hits)
    low, high = share_intervals(Bootstrap(own, bootstrap.resamples, bootstrap.seed), *sums)
    gain_low, gain_high = ratio_intervals(own, *own.known_sums(hits - other))
    flips, seed = bootstrap.resamples, bootstrap.seed
    above = [
        sign_flip_maximum(own.sums(np.nan_to_num(hits - each)), flips=flips, seed=seed) for each in (centre, other)
    ]
    return pd.DataFrame(
        {
            "layer": layer,
            "head": head,
            "mentions": len(values),
            "pointing": hits.mean(axis=0),
            "low": low,
            "high": high,
            "centre": centre.mean(),
            "chance": chance.mean(),
            "elsewhere": np.nanmean(other, axis=0) if np.isfinite(other).any() else np.nan,
            "gain_low": gain_low,
            "gain_high": gain_high,
            "points": np.logical_and.reduce([each.significant & (each.mean > 0) for each in above]),
        }
    )
