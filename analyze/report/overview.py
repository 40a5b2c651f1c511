"""What was run, how well it answers, and how attention is distributed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyze.maps.reading import several_images
from analyze.prune.halves import answered_samples
from analyze.report.measures import LOOKING, Measured
from analyze.report.packing import Arrays
from analyze.report.samples.maps import Unread
from analyze.report.words import Words, number
from analyze.scores.accuracy import category_scores, total_scores, totals
from analyze.scores.intervals import score_intervals
from analyze.statistics.bootstrap import Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.statistics.intervals import share_interval
from analyze.tables.frames import Heads
from analyze.tables.tallies import Tally
from analyze.tables.text_scope import TextScope
from schemas.manifest import ORIGINAL, Manifest
from schemas.tasks import POOLED, SUM, Task

SETTINGS = (
    *("model", "revision", "architecture", "dtype", "conv_mode", "prompt_suffix", "question_file"),
    *("image_preprocessing", "system_span", "removed", "images", "derived", "started"),
)
_NAMES = {"images": "images_given"}  # of texts, where another text has the name of the field
_PARTS_OF_V2T = ("v2bos", "v2sys", "v2user", "v2q")
SESSION = ("device", "kernel", "git_commit", "versions")


@dataclass(frozen=True)
class Score:
    """One of the figures that stand first: its name, what it is, the value, its interval, and the most it could be."""

    name: str
    title: str
    value: float
    low: float
    high: float
    most: float


def title(heads: Heads, other: Heads | None, scope: TextScope, words: Words) -> str:
    """What the page is of: a run, and the run that it is compared with."""
    if other is None:
        return words.filled("title", subject=_subject(heads, scope, words))
    runs = [_subject(each, scope, words) for each in (heads, other)]
    return words.filled("title_two", a=runs[0], b=runs[1])


def _subject(heads: Heads, scope: TextScope, words: Words) -> str:
    """A run in a title: the model, the run, and what is not as usual: images, wording, text scope."""
    manifest = heads.manifest
    parts = [
        Path(manifest.model or "").name,
        words.filled("title_run", name=heads.run.path.resolve().name),
        "" if manifest.images == ORIGINAL else words.filled("title_images", kind=manifest.images),
        words.filled("title_prompt", name=heads.prompt) if heads.prompt else "",
        words["title_scope"] if scope.note else "",
    ]
    return words["comma"].join(filter(None, parts))


def run_notes(heads: Heads, words: Words) -> list[tuple[str, str]]:
    """What a reader must know of this run before its numbers: a heading and a text each."""
    run, found = heads.run, []
    written, there = sum(part.rows["samples"] for part in run.parts), len(heads.samples)
    if not run.complete:
        text = words.filled("warn_incomplete", there=f"{written:,}", asked=f"{run.samples_asked or 0:,}")
        found.append((words["incomplete"], text))
    if heads.prompt is None and there != written:
        found.append((words["changed"], words.filled("warn_changed", there=f"{there:,}", written=f"{written:,}")))
    if heads.manifest.images != ORIGINAL:
        kind = words[f"images_{heads.manifest.images}"]
        found.append((words["counterfactual"], words.filled("warn_counterfactual", kind=kind)))
    if attending := _attending(heads.manifest):
        text = words.filled("warn_some_layers", layers=attending, all=heads.manifest.layers)
        found.append((words["some_layers"], text))
    if crossing := heads.manifest.crossing:
        found.append((words["across"], words.filled("warn_across", layers=", ".join(map(str, crossing)))))
    several = several_images(heads)
    if several:
        found.append((words["several_images"], words.filled("warn_several_images", questions=f"{several:,}")))
    return found


def unread_notes(runs: Sequence[Heads | None], unread: Sequence[Unread], words: Words) -> list[tuple[str, str]]:
    """What the page lacks, as a part cannot be read, and what to do: a heading and a text for each part."""
    found = []
    for heads, own in zip(runs, unread, strict=True):
        if heads is None:
            continue
        path = heads.run.path
        for part, (samples, _) in own.parts.items():
            text = words.filled("warn_unread", part=path / part, samples=f"{samples:,}", run=path)
            found.append((words["unread"], text))
    return found


def image_to_text(manifest: Manifest, measured: Measured, words: Words) -> tuple[str, str] | None:
    """What V2T can and cannot say in this run: a heading, and a text with the run's means; None without V2T."""
    means = {each.name: float(np.nanmean(each.found.means()[0])) for each in measured.measures if each.kind == LOOKING}
    if "v2t" not in means:
        return None
    if manifest.causal is False:
        return words["not_causal"], words["warn_not_causal"]
    texts = [words["warn_v2t"]]
    if "v2q" not in means:
        texts.append(words["v2t_unread"])
    elif means["v2q"] > 0:
        texts.append(words.filled("v2t_after", flow=words.flow("v2q"), value=number(means["v2q"], 2)))
    else:
        texts.append(words["v2t_before"])
    parts = {name: means[name] for name in _PARTS_OF_V2T if name in means}
    if parts and (whole := means["v2t"]) > 0:
        largest = max(parts, key=parts.__getitem__)
        name = "v2t_most" if parts[largest] > whole / 2 else "v2t_largest"
        value = number(parts[largest], 2)
        texts.append(words.filled(name, all=number(whole, 2), flow=words.flow(largest), value=value))
    return words["v2t"], ("" if words.language == "zh" else " ").join(texts)


def settings(heads: Heads, scope: TextScope, words: Words) -> list[tuple[str, str]]:
    """What was run: fields of `run.json` and of the newest session that say something, as text."""
    manifest = heads.manifest
    sessions = [session for ledger in heads.run.ledgers.values() for session in ledger.sessions]
    rows: list[tuple[str, Any]] = [(name, getattr(manifest, name, None)) for name in SETTINGS]
    rows += [
        ("shape", f"{manifest.layers} × {manifest.heads}"),
        ("attending", _attending(manifest)),
        ("crossing", ", ".join(map(str, manifest.crossing))),
        ("samples", _samples(heads, words)),
    ]
    rows += [("text_scope", scope.name), ("prompt", heads.prompt)]
    rows += [(name, getattr(sessions[-1], name)) for name in SESSION if sessions]
    return [(_NAMES.get(name, name), _text(value, words)) for name, value in rows if value not in (None, "", {}, [])]


def _attending(manifest: Manifest) -> str:
    """The layers that attend, where not all do."""
    return ", ".join(map(str, manifest.attending)) if manifest.without_heads else ""


def _samples(heads: Heads, words: Words) -> str:
    """How many samples were observed, and how many skipped, by the reason."""
    numbers = heads.samples["reason"].where(~heads.observed, words["observed"]).value_counts()
    return words["comma"].join(f"{number:,} {name}" for name, number in numbers.items())


def _text(value: Any, words: Words) -> str:
    if isinstance(value, dict):
        return words["comma"].join(f"{name}{words['colon']}{each}" for name, each in value.items())
    return str(value)


def score_rows(heads: Heads, words: Words, seed: int) -> tuple[list[Score], pd.DataFrame]:
    """The figures that stand first, and the scores by category; both empty where no right answer is an option.

    The column `title` of the scores is the category, or the total in words.
    """
    task = heads.task
    table = category_scores(heads.samples, task)
    if table.empty:
        return [], table
    own = table["category"].tolist()
    whole = pd.concat([table, total_scores(table, heads.samples, task)], ignore_index=True)
    table = score_intervals(whole, heads.samples, task, seed=seed)
    first: list[Score] = []
    table["title"] = table["category"]
    for kind, name, names in totals(own, task):
        row = table.loc[table.index[table["category"] == name][-1]]
        table.loc[row.name, "title"] = words.get(f"total_{kind}", kind)
        if not np.isnan(row["score"]) and (task.together != POOLED or len(names) == len(own)):
            first += _scores_of_total(kind, row, len(names), task, words)
    return [*first, _accuracy(heads, words, seed)], table


def _scores_of_total(kind: str, row: "pd.Series[Any]", categories: int, task: Task, words: Words) -> Iterator[Score]:
    """The score of a total, where it is not the accuracy of all questions, and what else it has an interval of."""
    pooled = task.together == POOLED
    if not pooled or not task.by_accuracy:
        name = task.parts[0] if pooled else f"total_{kind}"
        most = task.most * (categories if task.together == SUM else 1)
        yield Score(name, words.get(name, task.score), row["score"], row["low"], row["high"], most)
    for name, meaning in task.further.items():
        title = words.get("f1_all" if name == "f1" and pooled else name, meaning)
        yield Score(name, title, row[name], row[f"{name}_low"], row[f"{name}_high"], 100)


def _accuracy(heads: Heads, words: Words, seed: int) -> Score:
    samples = answered_samples(heads)
    clusters = Clusters.of(samples)
    right = clusters.sums(samples["right"].to_numpy().astype(float))
    found = share_interval(Bootstrap(clusters, seed=seed), right, clusters.counts)
    row = found.columns("value", "low", "high", scale=100)
    return Score("accuracy", words["accuracy"], **row, most=100)


def add_distributions(arrays: Arrays, tally: Tally) -> list[str]:
    """Add the histograms of all layers, of each layer and of each category, as `plots` draws them.

    The array is [1 + layers + categories, flows, bins]: shares of all values in each bin.

    Returns:
        The flows.
    """
    bins = len(tally.grid.edges) - 1
    tables = [tally.shares(), tally.shares("layer"), tally.shares("category")]
    found = [table.to_numpy().reshape(-1, bins, len(tally.flows)).transpose(0, 2, 1) for table in tables]
    arrays.add("shares", np.concatenate(found))
    return list(tally.flows)
