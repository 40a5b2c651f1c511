"""Whether the margin's two tokens are those by which a model answers: its sign agrees with `p_yes` and `p_no` if so."""

import pyarrow.compute as pc

from schemas.store.run import Run


def count_contradictions(run: Run) -> tuple[int, int]:
    """How many samples have a margin whose sign contradicts `p_yes > p_no`, of how many that have a margin.

    A margin of 0 and equal probabilities contradict nothing.
    """
    contradictions = answered = 0
    for path in run.part_paths("samples"):
        samples = run.read_part(path).select(["p_yes", "p_no", "margin"]).drop_null()
        difference = pc.subtract(samples["p_yes"], samples["p_no"])
        answered += samples.num_rows
        contradictions += (
            pc.sum(pc.equal(pc.multiply(pc.sign(difference), pc.sign(samples["margin"])), -1)).as_py() or 0
        )
    return contradictions, answered
