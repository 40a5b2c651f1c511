"""What a job's knock-outs cost, for the end of the command: the largest effects, each with its interval."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import special

from schemas.store.jobs import Job
from schemas.text import counted, printable

_LARGEST, _LEVEL = 10, 0.95
_Array = npt.NDArray[np.float64]


def largest_effects(job: Job, samples: pa.Table, number: int = _LARGEST) -> list[str]:
    """The largest effects of a job, a line each after a line that says what they are; empty if none is known.

    The effect is the mean loss of `lead`. Its unit is the
    image: the interval is that of a ratio of sums over images (Cochran, Sampling Techniques, 1977, section 6.3).

    Args:
        samples: the table `samples` of the run.

    Raises:
        HeadflowError: a part of the job cannot be read.
    """
    names = list(job.settings.knock_outs)
    hashes, ids = (samples[column].to_pylist() for column in ("image_sha256", "sample_id"))
    place: dict[str, int] = {}
    image = np.array([place.setdefault(one or name, len(place)) for one, name in zip(hashes, ids, strict=True)])
    rows, columns = ({name: number for number, name in enumerate(each)} for each in (ids, names))
    sums, counts = np.zeros((2, len(place), len(names)))
    for path in job.paths:
        part = job.run.read_part(path)
        sample, which = _places(part["sample_id"], rows), _places(part["name"], columns)
        lead, untouched = (part[column].to_numpy().astype(np.float64) for column in ("lead", "lead_untouched"))
        effect = untouched - lead
        known = np.isfinite(effect)
        where = image[sample[known]], which[known]
        np.add.at(sums, where, effect[known])
        np.add.at(counts, where, 1.0)
    measured = counts.sum(axis=0) > 0
    if not measured.any():
        return []
    mean, half = _intervals(sums, counts)
    order = np.argsort(np.where(measured, -np.abs(mean), np.inf), kind="stable")[: min(number, int(measured.sum()))]
    width = max(len(printable(names[one])) for one in order)
    questions, images = int(counts.sum(axis=0).max()), int((counts > 0).sum(axis=0).max())
    return [
        f"the largest of {counted(len(names), 'effect')}, gains as negative ones: loss of the lead of the right "
        f"answer, in logits, on {counted(questions, 'question')} on {counted(images, 'image')}; 95% interval by image, "
        "of each by itself: the largest of many are too large by chance",
        *(f"  {printable(names[one]):{width}}  {mean[one]:+.3f}{_bounds(mean[one], half[one])}" for one in order),
    ]


def _places(column: pa.ChunkedArray, place: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """The place of each value of a column of dictionaries."""
    found = column.combine_chunks()
    return np.array([place[name] for name in found.dictionary.to_pylist()])[found.indices.to_numpy()]


def _intervals(sums: _Array, counts: _Array) -> tuple[_Array, _Array]:
    """Means and half of the lengths of their intervals, [knock-outs], from sums over images."""
    images = (counts > 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
        spread = ((sums - mean * counts) ** 2).sum(axis=0)
        error = np.sqrt(spread * images / (images - 1)) / counts.sum(axis=0)
        return mean, special.stdtrit(images - 1, (1 + _LEVEL) / 2) * error


def _bounds(mean: float, half: float) -> str:
    return "" if np.isnan(half) else f" ({mean - half:+.3f} to {mean + half:+.3f})"
