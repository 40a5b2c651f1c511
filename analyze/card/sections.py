"""The sections of a card that depend on the run: its settings, its samples, its score, and who computed it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from analyze.card.markdown import escaped, table_of
from analyze.card.withheld import model_name, public_manifest
from analyze.scores.accuracy import category_order, category_scores, total_scores
from analyze.scores.intervals import score_intervals
from analyze.statistics.bootstrap import SEED
from analyze.tables.frames import Heads, wordings
from schemas.manifest import Session, meanings
from schemas.store.run import Run
from schemas.tasks import Task
from schemas.text import counted

_FIELDS = (
    *("source", "model", "revision", "architecture", "format", "dtype", "causal", "removed", "conv_mode"),
    *("system_span", "prompt_suffix", "image_preprocessing", "images", "text_scope", "answer_tokens"),
    *("question_file", "question_file_sha256", "started"),
)
OF_SESSIONS = ("device", "kernel", "batch_size", "git_commit")
CITATION = Path(__file__).parents[2] / "CITATION.cff"
_MOST = 100  # rows of a table of categories


def settings_section(run: Run) -> str:
    """The settings of a run and its sessions as tables, with the words of the contract."""
    manifest, text = public_manifest(run, model_name(run)), meanings(type(run.manifest))
    rows = [("layers x heads", f"{manifest.layers} x {manifest.heads}", "of the language model")]
    if manifest.without_heads:
        rows.append(("attending", ", ".join(map(str, manifest.attending)), "layers that attend; others have no rows"))
    if manifest.crossing:
        layers = ", ".join(map(str, manifest.crossing))
        rows.append(("crossing", layers, "layers in which text reads the image, and nothing else"))
    rows += [(name, _shown(getattr(manifest, name)), text[name].replace("`", "")) for name in _FIELDS]
    rows += [(name, value, meaning) for name, value, meaning in _computed(run)]
    parts = [table_of(("setting", "value", "meaning"), [row for row in rows if row[1]])]
    if manifest.prompts:
        wordings = [
            (name, each["template"], each.get("conv_mode") or "", each.get("system") or "")
            for name, each in manifest.prompts.items()
        ]
        header = ("wording", "template", "conversation template", "system message")
        parts.append(f"Each question was asked in several wordings.\n\n{table_of(header, wordings)}")
    return "\n\n".join(parts)


def origin(run: Run) -> str:
    """What wrote the run, with the address of its repository where it is known."""
    address = _citation("repository-code") or _citation("url")
    name = f"[headflow]({address})" if address else "headflow"
    commits = _different(session.git_commit for session in _sessions(run))
    made = f" The run was computed by commit {escaped(', '.join(commits))} of it." if commits else ""
    return f"{name} {_citation('version')} wrote this card.{made}"


def _computed(run: Run) -> Iterator[tuple[str, str, str]]:
    """Of the sessions: each different value once."""
    text, sessions = meanings(Session), _sessions(run)
    for name in OF_SESSIONS:
        yield name, ", ".join(_different(getattr(session, name) for session in sessions)), text[name]
    versions = [f"{name} {version}" for session in sessions for name, version in session.versions.items()]
    yield "versions", ", ".join(_different(versions)), text["versions"]


def _sessions(run: Run) -> list[Session]:
    return [session for ledger in run.ledgers.values() for session in ledger.sessions]


def _different(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(repr, value))
    return "" if value is None else str(value)


def _citation(field: str) -> str:
    """A field of the project's citation file; empty if it has none."""
    lines = CITATION.read_text(encoding="utf-8").splitlines() if CITATION.is_file() else []
    found = [line.partition(":")[2].strip().strip('"') for line in lines if line.startswith(f"{field}:")]
    return found[0] if found else ""


def samples_section(heads: Heads) -> str:
    """How many samples were observed, and how many skipped and why; by category."""
    samples = heads.samples
    skipped = samples.loc[~heads.observed, "reason"].fillna("without a reason").value_counts()
    why = "".join(f"\n- {counted(int(number), 'sample')} skipped: {escaped(name)}" for name, number in skipped.items())
    category = samples["category"].astype(str)
    counts = pd.crosstab(category, heads.observed).reindex(columns=[True, False], fill_value=0)
    names = category_order(category.unique())
    rows = [(name, *map(str, counts.loc[name])) for name in names[:_MOST]]
    more = f"\n\n{len(names) - _MOST} more categories are not shown." if len(names) > _MOST else ""
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
    """The score of each wording, with its interval, as `summary` has it; empty where there is none."""
    samples, parts = heads.samples, []
    for name in wordings(heads):
        if table := _scores(samples[samples["prompt"] == name].reset_index(drop=True), heads.task):
            parts.append(f"Wording {escaped(name)}:\n\n{table}")
    return "\n\n".join(parts) if wordings(heads) else _scores(samples, heads.task)


def _scores(samples: pd.DataFrame, task: Task) -> str:
    scores = category_scores(samples, task)
    if scores.empty:
        return ""
    both = pd.concat([scores, total_scores(scores, samples, task)])
    found = score_intervals(both, samples, task, seed=SEED)
    shown = found if len(found) <= _MOST else found[~found["category"].isin(scores["category"].iloc[_MOST:])]
    shown = shown.drop(columns="score") if task.by_accuracy else shown
    rows = [[_number(value) for value in row.values()] for row in shown.to_dict("records")]
    return table_of([str(name) for name in shown.columns], rows)


def _number(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.2f}"
    return str(value)
