"""Whether the samples show that something is wrong: nearly all are skipped, margins contradict, or nothing is answered.

Nearly all are nine in ten, skipped for one reason, of all samples that the run has so far: a chunk may have few. If
the sign of the margin contradicts `p_yes` and `p_no`, the model does not answer by the margin's two tokens.
"""

from collections import Counter
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from extract.images.decoding import find_image
from extract.questions.question_set import QuestionSet
from extract.questions.samples import Unusable
from extract.questions.stored_images import StoredImages
from schemas.columns import CUT, OK, REASONS
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.files.ranges import beyond_image
from schemas.manifest import ORIGINAL
from schemas.store.run import Run
from schemas.tasks import TASKS
from schemas.text import counted, one_line, short
from schemas.validation.answers import not_answered


def check_images(questions: QuestionSet, chunk: QuestionSet) -> None:
    """Check before a model is loaded that images are in their folder.

    Raises:
        HeadflowError: nine in ten are not, of the images of the chunk, and of those of all chunks.
    """
    folder = questions.images
    if folder is None or isinstance(folder, StoredImages):
        return
    for asked in (chunk, questions):
        names = sorted({name for sample in asked.samples for name in sample.images if name})
        enough = len(names) // 10 + 1
        found = set(islice((name for name in names if _is_there(folder, name)), enough))
        if not names or len(found) == enough:
            return
    missing = next(name for name in names if name not in found)
    raise HeadflowError(
        f"{folder} has {len(found)} of the {len(names)} images that the questions name (it lacks {short(missing)}); "
        "give the folder that the names are relative to",
        setting="image_folder",
    )


def _is_there(folder: Location, name: str) -> bool:
    try:
        return find_image(folder, name).exists()
    except (Unusable, OSError, ValueError):
        return False


def too_many_skipped(run: Run) -> str | None:
    """What is wrong if nine in ten samples of a run are skipped for one reason; else None."""
    parts = [run.read_part(path, ["reason", "detail"]) for path in run.part_paths("samples")]
    rows = [row for part in parts for row in part.to_pylist()]
    reasons = Counter(row["reason"] for row in rows if row["reason"] is not None)
    for reason, count in reasons.most_common(1):
        if count * 10 >= len(rows) * 9:
            detail = next(row["detail"] for row in rows if row["reason"] == reason)
            of = counted(len(rows), "sample was", "samples were")
            return (
                f"{count} of {of} skipped for one reason, {reason} ({REASONS[reason]}): {one_line(detail)[:300]}; they "
                "are not kept, and the command runs them again once the cause is mended"
            )
    return None


def not_answered_of(run: Run) -> str | None:
    """A warning if the answers hold next to no probability in most samples of a run, else None; see `not_answered`.

    Where a text is read as the answer, its first token need not be one.
    """
    if run.manifest.answers_in_texts:
        return None
    task = TASKS[run.manifest.task]
    parts = [run.read_part(path, list(task.probabilities)) for path in run.part_paths("samples")]
    table = pa.concat_tables(parts)
    held = {name: table[name].to_numpy() for name in task.probabilities}
    return not_answered(held, task, run.manifest.answer_tokens)


def without_answer(run: Run) -> str | None:
    """A warning of texts in which what the answer follows never comes; None if there are none."""
    after = run.manifest.answer_after
    if after is None:
        return None
    parts = [run.read_part(path, ["status", "answer_step"]) for path in run.part_paths("samples")]
    steps = [row["answer_step"] for part in parts for row in part.to_pylist() if row["status"] == OK]
    missing = counted(steps.count(None), "text has", "texts have")
    return f"{missing} no answer after {short(after)}, of {len(steps)}" if None in steps else None


def boxes_outside(run: Run) -> str | None:
    """A warning of boxes outside the image; None if there are none."""
    if run.manifest.images != ORIGINAL:
        return None
    names = ["boxes", "objects", "image_width", "image_height"]
    rows = (row for path in run.part_paths("samples") for row in run.read_part(path, names).to_pylist())
    return beyond_image(row for row in rows if row["image_width"] and row["image_height"])


def cut_texts(run: Run) -> str | None:
    """A warning of given texts that may be longer than what was asked for; None if there are none."""
    manifest = run.manifest
    if manifest.texts_sha256 is None:
        return None
    parts = [run.read_part(path, ["ended"]) for path in run.part_paths("samples")]
    if not (cut := sum(row["ended"] == CUT for part in parts for row in part.to_pylist())):
        return None
    many = counted(cut, "given text has", "given texts have")
    return f"{many} {manifest.generate} tokens or more (`generate`): what comes after them is left out"


def count_contradictions(run: Run) -> tuple[int, int]:
    """How many samples have a margin whose sign contradicts the words spelled, of how many that have a margin.

    A margin of 0 and equal probabilities contradict nothing, nor do options that are no words.
    """
    contradictions = answered = 0
    spelled = TASKS[run.manifest.task].spelled
    if not spelled:
        return 0, 0
    first, second = spelled
    for path in run.part_paths("samples"):
        samples = run.read_part(path, [first, second, "margin"]).drop_null()
        difference = pc.subtract(samples[first], samples[second])
        answered += samples.num_rows
        contradictions += (
            pc.sum(pc.equal(pc.multiply(pc.sign(difference), pc.sign(samples["margin"])), -1)).as_py() or 0
        )
    return contradictions, answered
