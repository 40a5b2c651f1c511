"""What a card says of a run's samples, and of its MME score."""

from collections.abc import Iterator

import pandas as pd

from analyze.card.markdown import escaped, table_of
from analyze.scores.intervals import score_intervals
from analyze.scores.mme import category_order, mme_scores, total_scores
from analyze.statistics.bootstrap import SEED
from analyze.tables.frames import Heads, wordings
from schemas.store.run import Run
from schemas.text import counted

MOST = 100  # rows of a table of categories
PER_CENT = ("accuracy", "accuracy_pairs", "score", "low", "high")


def samples_section(heads: Heads) -> str:
    """How many samples were observed, and how many skipped and why; by category."""
    samples = heads.samples
    skipped = samples.loc[~heads.observed, "reason"].fillna("without a reason").value_counts()
    why = "".join(f"\n- {counted(int(number), 'sample')} skipped: {escaped(name)}" for name, number in skipped.items())
    category = samples["category"].astype(str)
    counts = pd.crosstab(category, heads.observed).reindex(columns=[True, False], fill_value=0)
    names = category_order(category.unique())
    rows = [(name, *map(str, counts.loc[name])) for name in names[:MOST]]
    more = f"\n\n{len(names) - MOST} more categories are not shown." if len(names) > MOST else ""
    table = table_of(("category", "observed", "skipped"), rows)
    return f"- {counted(int(heads.observed.sum()), 'sample')} observed{why}\n\n{table}{more}"


def lacking(heads: Heads) -> Iterator[str]:
    """What the run does not have of what it was asked for, a sentence each; nothing if it is complete."""
    run, there = heads.run, len(heads.samples)
    written = sum(part.rows.get("samples", 0) for part in run.parts)
    if not run.complete:
        asked = counted(run.samples_asked or 0, "sample")
        yield f"The run is not complete: it covers {there:,} of {asked}{_chunks(run)}."
    if there != written:
        yield f"Samples were taken out of the run after it was written: {there:,} of {written:,} are there."


def _chunks(run: Run) -> str:
    number = run.manifest.num_chunks
    return f", and {len(run.chunks_complete)} of {number} chunks are complete" if number > 1 else ""


def score_section(heads: Heads) -> str:
    """The MME score of each wording, with its interval, as `summary` has it; empty where there is none."""
    samples, parts = heads.samples, []
    for name in wordings(heads):
        if table := _scores(samples[samples["prompt"] == name].reset_index(drop=True)):
            parts.append(f"Wording {escaped(name)}:\n\n{table}")
    return "\n\n".join(parts) if wordings(heads) else _scores(samples)


def _scores(samples: pd.DataFrame) -> str:
    scores = mme_scores(samples)
    if scores.empty:
        return ""
    both = pd.concat([scores, total_scores(scores)])
    found = score_intervals(both, samples, seed=SEED)
    shown = found if len(found) <= MOST else found[~found["category"].isin(scores["category"].iloc[MOST:])]
    rows = [[_number(name, value) for name, value in row.items()] for row in shown.to_dict("records")]
    return table_of([str(name) for name in shown.columns], rows)


def _number(name: object, value: object) -> str:
    if isinstance(value, float) and name in PER_CENT:
        return "" if pd.isna(value) else f"{value:.2f}"
    return str(value)
