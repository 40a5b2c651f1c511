"""Wrong answers by their cause, told from the same questions without the image.

The effect of an image is by how much it raises the lead of the right answer over the wrong one. Each wrong answer has
one cause:

misread   without the image the answer is another one, or the image lowered the lead
ignored   the same wrong answer without the image, and the image hardly moved the lead
prompt    the same wrong answer without the image, which raised the lead, but not far enough: the prompt outweighs it

"Hardly" is up to a threshold: a quarter of the median size of the effect over all questions, right ones included, or
twice the noise of rounding where that is more. So it is small beside what an image usually does to this model.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.image.pairs import ImagePairs
from analyze.scores.images import image_groups
from analyze.statistics.bootstrap import Interval
from analyze.statistics.intervals import share_interval

PROMPT, MISREAD, IGNORED = CAUSES = ("prompt", "misread", "ignored")
SHARE = 0.25  # of the median size of the effect
LISTED = ["sample_id", "category", "image", "question", "answer", "prediction", "prediction_without", "cause"]


@dataclass(frozen=True)
class Failures:
    """Wrong answers by their cause.

    Attributes:
        threshold: up to what the image hardly moved the lead, in logits.
        counts: by category and, last, over all: `questions`, `images`, `wrong`, and for each of `CAUSES` its number,
            and its share of the wrong answers in per cent with bounds, `{cause}_share`, `{cause}_low`, `{cause}_high`
            (95%, by image; NaN where nothing is wrong, or one image has all that is).
        samples: the wrong answers: `sample_id category image question answer prediction prediction_without cause
            lead lead_without effect`, in logits.
    """

    threshold: float
    counts: pd.DataFrame
    samples: pd.DataFrame

    def verdict(self) -> list[str]:
        """The result in words, a line."""
        *_, whole = self.counts.to_dict("records")
        if not whole["wrong"]:
            return ["failures: none among the paired questions"]
        parts = ", ".join(f"{whole[cause]} {cause}" for cause in CAUSES)
        return [
            f"failures: of {whole['wrong']} wrong answers {parts} (an image that moves the lead by up to "
            f"{self.threshold:.3g} logits counts as ignored)"
        ]


def find_failures(pairs: ImagePairs) -> Failures:
    """The wrong answers of the run of original images by their cause."""
    table = pairs.table
    threshold = max(SHARE * float(table["effect"].abs().median()), 2 * pairs.noise)
    causes = _causes(table, threshold)
    wrong = ~table["right"].to_numpy()
    samples = table.assign(cause=causes)[wrong][[*LISTED, "lead", "lead_without", "effect"]]
    return Failures(threshold, _counts(pairs, causes), samples.reset_index(drop=True))


def _causes(table: pd.DataFrame, threshold: float) -> npt.NDArray[np.str_]:
    """The cause of each wrong answer; empty text where the answer is right."""
    effect = table["effect"].to_numpy()
    misread = (table["says"] != table["says_without"]).to_numpy() | (effect < -threshold)
    return np.select([table["right"].to_numpy(), misread, effect <= threshold], ["", MISREAD, IGNORED], default=PROMPT)


def _counts(pairs: ImagePairs, causes: npt.NDArray[np.str_]) -> pd.DataFrame:
    clusters, rows = pairs.clusters, []
    wrong = clusters.sums((causes != "").astype(float))
    of_causes = {cause: clusters.sums((causes == cause).astype(float)) for cause in CAUSES}
    for name, images in image_groups(clusters):
        row: dict[str, object] = {"category": name, "questions": int(clusters.counts[images].sum())}
        some = pairs.bootstrap.only(images)
        row |= {"images": some.clusters.different(), "wrong": int(wrong[images].sum())}
        for cause, sums in of_causes.items():
            share = Interval(np.nan, None, None)
            if wrong[images].any():
                share = share_interval(some, sums[images], wrong[images])
            row |= {cause: int(sums[images].sum())}
            row |= share.columns(f"{cause}_share", f"{cause}_low", f"{cause}_high", scale=100)
        rows.append(row)
    return pd.DataFrame(rows)
