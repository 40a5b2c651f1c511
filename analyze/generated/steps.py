"""Image mass by step, by role and by layer; and whether it falls along the texts.

At each step the mean is over the texts that are still written there. Texts that end early may be others than those that
go on, which changes that mean without any text changing. So the same is given for a fixed set: texts that have
the same steps, as many as at least half of all texts have.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.generated.reading import IMAGE_ROLE, Texts, Written
from analyze.statistics.clusters import Array, Codes
from analyze.statistics.intervals import ratio_intervals
from analyze.statistics.multiplicity import direction
from schemas.columns import STEP_NAMES

WRITING, FIXED = "still writing", "fixed set"


@dataclass(frozen=True)
class MassChange:
    """How image mass changes along the texts of the fixed set, from the first generated token's own row on.

    Attributes:
        first, last: the steps that are compared; `begin` and `end`: the mean image mass there.
        mean: the change over these steps, along the least-squares line of each text; its mean over texts.
        low, high: 95% interval by image; NaN where images are too few.
        texts, images: how many.
    """

    first: int
    last: int
    begin: float
    end: float
    mean: float
    low: float
    high: float
    texts: int
    images: int

    @property
    def direction(self) -> int:
        """-1: it falls, 1: it rises, 0: neither can be told."""
        return direction(self.mean, self.low, self.high)


def by_step(written: Written) -> pd.DataFrame:
    """A row for each set of texts and step.

    Returns:
        `texts_of` (`WRITING` or `FIXED`), `step`, `texts` and `images` (how many write there), the mean of each role
        over heads and texts, and `g2v_low`, `g2v_high`: its 95% interval by image, NaN below 20 images.
    """
    texts, tables = written.texts, []
    fixed, length = texts.fixed
    for name, own, steps in (
        (WRITING, np.ones_like(fixed), len(texts.steps)),
        (FIXED, fixed, length),
    ):
        sums, counts = _image_sums(written, own, steps)
        low, high = ratio_intervals(texts.clusters, sums[:, :, IMAGE_ROLE], counts, least=0.0)
        number = counts.sum(axis=0)
        means = sums.sum(axis=0) / number[:, None]
        columns = {"texts_of": name, "step": texts.steps[:steps]}
        columns |= {
            "texts": number.astype(np.int64),
            "images": [texts.clusters.different(each) for each in (counts > 0).T],
        }
        columns |= {"g2v": means[:, IMAGE_ROLE], "g2v_low": low, "g2v_high": high}
        columns |= {role: means[:, place] for place, role in enumerate(STEP_NAMES)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _image_sums(written: Written, own: npt.NDArray[np.bool_], steps: int) -> tuple[Array, Array]:
    """Sums over some texts of each image, [images, steps, roles], and how many they are, [images, steps]."""
    texts = written.texts
    kept = own[texts.row_text] & (texts.row_step < steps)
    place = texts.clusters.image[texts.row_text[kept]] * steps + texts.row_step[kept]
    size = texts.clusters.images * steps
    counts = np.bincount(place, minlength=size).astype(np.float64)
    sums = np.stack(
        [np.bincount(place, each, minlength=size) for each in written.masses[kept].T], axis=-1, dtype=np.float64
    )
    return sums.reshape(-1, steps, len(STEP_NAMES)), counts.reshape(-1, steps)


def by_layer(written: Written) -> pd.DataFrame:
    """Mean image mass by set of texts, step and layer: `texts_of`, `step`, `layer`, `g2v`; layers that have rows."""
    texts, tables = written.texts, []
    heads = texts.kept.sum(axis=1)
    for name, sums, texts_at in (
        (WRITING, written.by_head, _still_writing(texts.counts, len(texts.steps))),
        (FIXED, written.by_head_fixed, _still_writing(texts.counts[texts.fixed[0]], texts.fixed[1])),
    ):
        layers, steps = np.flatnonzero(heads), len(texts_at)
        means = sums[:steps].sum(axis=2)[:, layers] / (texts_at[:, None] * heads[layers])
        grid = np.meshgrid(texts.steps[:steps], texts.layers[layers], indexing="ij")
        step, layer = (each.ravel() for each in grid)
        tables.append(pd.DataFrame({"texts_of": name, "step": step, "layer": layer, "g2v": means.ravel()}))
    return pd.concat(tables, ignore_index=True)


def _still_writing(counts: Codes, steps: int) -> Codes:
    """How many texts have each step, [steps]."""
    return np.count_nonzero(counts[:, None] > np.arange(steps), axis=0)


def change_along_texts(written: Written) -> MassChange | None:
    """How image mass changes along the texts of the fixed set; None where they have fewer than two steps after step 0.

    The query of step 0 is the last token of the prompt, another kind of token than all later ones, so it is left out.
    """
    texts = written.texts
    fixed, length = texts.fixed
    if length < 3:
        return None
    steps = texts.steps[1:length]
    line = (steps - steps.mean()) / ((steps - steps.mean()) ** 2).sum() * (steps[-1] - steps[0])
    mass = _fixed_masses(texts, written.masses[:, IMAGE_ROLE])[:, 1:]
    own = texts.clusters.image[fixed]
    sums, counts = (
        np.bincount(own, weights, texts.clusters.images).astype(np.float64)[:, None]
        for weights in (mass @ line, np.ones(len(mass)))
    )
    (low,), (high,) = ratio_intervals(texts.clusters, sums, counts)
    begin, end = mass[:, [0, -1]].mean(axis=0)
    images = texts.clusters.different(counts[:, 0] > 0)
    return MassChange(
        int(steps[0]), int(steps[-1]), float(begin), float(end), float(sums.sum() / len(mass)), float(low), float(high),
        len(mass), images,
    )  # fmt: skip


def _fixed_masses(texts: Texts, values: Array) -> Array:
    """Values of pairs, of the fixed set and the steps that all of it has: [texts, steps]."""
    fixed, length = texts.fixed
    return values[fixed[texts.row_text] & (texts.row_step < length)].reshape(-1, length)
