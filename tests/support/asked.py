"""Made-up runs of other tasks than MME: the questions of POPE, and questions with options of their own."""

import numpy as np

from schemas.tasks import POPE
from tests.support.runs import flows, sample, start

LAYERS, HEADS = 2, 3


def write_pope(path, *, images=24, right=0.8, seed=0, fields=None):
    """A run of six questions on each image in each of POPE's categories."""
    random = np.random.default_rng(seed)
    writer = start(path, 18 * images, fields={"task": POPE.name} | (fields or {}))
    for number in range(18 * images):
        image, place = divmod(number, 18)
        answer = "Yes" if place % 2 else "No"
        correct = random.random() < right
        says = answer if correct else {"Yes": "No", "No": "Yes"}[answer]
        row = sample(number, POPE.totals["mean"][place // 6]) | {
            "sample_id": str(number), "question_id": str(number), "image": f"{image}.png", "row": number,
            "image_sha256": f"{image:064x}", "answer": answer, "prediction": says, "question": f"Is there a {place}?",
            "margin": (1 if says == "Yes" else -1) * float(random.gamma(2.0, 1.0)),
        }  # fmt: skip
        writer.add(row, {"heads": flows(random, LAYERS, HEADS)})
    writer.finish()
    return path
