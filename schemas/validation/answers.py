"""Whether a model answers at once: what probability the answers hold as its first token.

A model that thinks first, or whose template ends in `<think>`, begins with another token. Its `margin`, `p_yes` and
`p_no` are then of a token that is no answer.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.files.locations import Location
from schemas.files.ranges import SLACK
from schemas.store.run import Run
from schemas.tasks import TASKS, Task, lead_of
from schemas.text import counted, listed
from schemas.validation.limits import differs

LITTLE = 0.01  # of the probability
_MOST = 0.5  # of the samples


def not_answered(probabilities: Mapping[str, np.ndarray], task: Task, answer_tokens: Sequence[str] = ()) -> str | None:
    """A warning if the answers hold less than `LITTLE` in more than `_MOST` of the samples; else None.

    Args:
        probabilities: by column of `Task.probabilities`, [samples], 0 to 1; NaN where a sample has none.
        answer_tokens: the tokens of the options; empty if they are not known. The columns say nothing of other words
            than those of the task.
    """
    names = " and ".join(f"`{name}`" for name in probabilities)
    held = np.sum([each.astype(np.float64) for each in probabilities.values()], axis=0)
    held = held[~np.isnan(held)]
    little = int((held < LITTLE).sum())
    if little <= _MOST * len(held) or not _spell(answer_tokens, task.words):
        return None
    are = "together are" if len(probabilities) > 1 else "is"
    return (
        f"{names} {are} below {LITTLE:.0%} in {little:,} of {len(held):,} samples: the first token "
        "is no answer (the model may think first), so `margin` and `lead`, and what rests on them, do not tell what "
        "the model says"
    )


def _spell(tokens: Sequence[str], words: Sequence[str]) -> bool:
    """Whether tokens spell some words, in any order, or begin to."""
    texts = sorted(token.strip(" ▁Ġ").lower() for token in tokens)
    return all(word.startswith(text) for word, text in zip(sorted(words), texts, strict=False))


def check_options(run: Run, path: Location, samples: pa.Table) -> Iterator[str]:
    """That each option has a logit, and that `margin` and `lead` are the differences of logits that they should be.

    In a copy without answers, `lead` is not compared, and in one without options nothing is.
    """
    task = TASKS[run.manifest.task]
    columns = ("sample_id", "answer", "options", "option_logits", "margin", "lead")
    there = pc.and_(pc.is_valid(samples["options"]), pc.is_valid(samples["option_logits"]))
    rows = samples.select(columns).filter(there).to_pylist()
    unlike = [
        row["sample_id"]
        for row in rows
        if None in (logits := row["option_logits"] or [None]) or len(row["options"]) != len(logits)
    ]
    if unlike:
        yield f"{path}: `options` and `option_logits` are not one logit for each option of {listed(unlike)}"
        return
    right = [task.right_of(row["options"], row["answer"]) for row in rows]
    first = [0 if len(row["options"]) == 2 else None for row in rows]
    for name, places in (("margin", first), ("lead", right)):
        known = [each for each in zip(rows, places, strict=True) if name == "margin" or each[0]["answer"] is not None]
        sizes = np.array([max(1.0, *map(abs, row["option_logits"])) for row, _ in known])
        found = np.array([row[name] for row, _ in known], np.float64)
        expected = np.array([lead_of(row["option_logits"], place) for row, place in known], np.float64)
        if wrong := int((np.isnan(found) != np.isnan(expected)).sum()):
            yield f"{path}: `{name}` is null, or not, in {counted(wrong, 'row')} against `options` and `answer`"
        error = (found - expected)[~np.isnan(found - expected)] / sizes[~np.isnan(found - expected)]
        yield from differs(path, f"`{name}`", "is not the difference of `option_logits`", error, 0.0, SLACK)
