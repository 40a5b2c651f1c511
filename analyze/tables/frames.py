"""A run opened for analysis: its samples as a DataFrame, its categories, and what is to be read of `heads`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from analyze.tables.parts.reading import PartSamples, SamplesTask, ValuesTask, read_samples
from analyze.tables.parts.steps import AT, NO_STEP, find_steps
from analyze.tables.text_scope import TextScope
from schemas.columns import ANSWER, ANSWER_STEP, GROUPS, MEAN_STEP, N_GENERATED, OK, PICTURES, STEP_NAMES, STEPS
from schemas.errors import HeadflowError
from schemas.files.locations import Location, telling_name
from schemas.manifest import Manifest
from schemas.roles import ROLES
from schemas.store.grids import too_few_rows
from schemas.store.ledger import Part
from schemas.store.run import Run, open_run
from schemas.tasks import SPELLED, TASKS, Task
from schemas.text import counted, listed, short
from schemas.workers.work import HERE, Workers, divided

# Columns of `samples`: those that are always read, and what texts scopes, intervals by image, and scores need
_KEYS = ("sample_id", "category", "status", "prompt", N_GENERATED, ANSWER_STEP)
TOKEN_COUNTS = tuple(f"n_{role.name}" for role in ROLES)
IMAGE_KEYS = ("image_sha256", "image", "question_id", PICTURES)
ANSWERS = ("answer", "prediction", *SPELLED)
_SHOWN = 20  # missing chunks, or categories, that an error names


@dataclass(frozen=True)
class Heads:
    """The table `heads` of a run, with its table `samples`.

    Attributes:
        samples: the table `samples`, skipped samples included; of one wording, where the run has several. Where the
            model wrote a text of its own, also `said`, the answer in it.
        parts: for each part of the run, where its samples begin and end in `samples`.
        categories: names of the categories whose rows are read, in the order of `samples`; after `open_heads` all that
            have an observed sample.
        prompt: the wording; None where the run has one, or all of them are read.
        others: for each part of the run, the ids of the observed samples that are not in `samples`: those in other
            wordings, or whose text does not have the step that is read.
        picture: the image whose maps are read, by its place among those of a question; see `of_picture`.
    """

    run: Run
    samples: pd.DataFrame
    parts: list[tuple[int, int]]
    categories: list[str]
    prompt: str | None = None
    others: Sequence[Sequence[str]] = ()
    picture: int = 0

    @cached_property
    def attending(self) -> npt.NDArray[np.int64]:
        """The layers of the run that attend, in order: arrays of heads have no others, int64 [layers that attend]."""
        return np.array(self.run.manifest.attending)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """How many layers attend, and how many heads each of them has."""
        return self.run.manifest.shape

    @cached_property
    def heads(self) -> int:
        """Heads of each layer that attends."""
        return self.run.manifest.heads

    @property
    def task(self) -> Task:
        """What an answer is in the run."""
        return TASKS[self.run.manifest.task]

    @cached_property
    def observed(self) -> pd.Series:
        """Whether each row of `samples` was observed: bool [rows of `samples`]."""
        return self.samples["status"] == OK

    @property
    def manifest(self) -> Manifest:
        """The run's manifest, as that of a run in only this wording."""
        manifest = self.run.manifest
        if self.prompt is None:
            return manifest
        wording = manifest.prompts[self.prompt]
        begin, found, suffix = wording["template"].partition("{question}")
        return replace(
            manifest,
            prompts={self.prompt: wording},
            conv_mode=wording.get("conv_mode") or manifest.conv_mode,
            prompt_suffix=suffix if found and not begin else None,
        )

    @property
    def folder(self) -> Path:
        """Where files about it go, unless the user says otherwise: into the run.

        Of a run on an object store, a folder in the working directory whose name is that of no other run.
        """
        own = self.run.path if isinstance(self.run.path, Path) else Path(telling_name(self.run.path))
        return own if self.prompt is None else own / f"prompt_{self.prompt}"

    def scope(self, asked: str | None) -> TextScope:
        """The text scope of the run's values; see `TextScope.of`."""
        return TextScope.of(self.run.manifest, self.samples, asked)

    def of(self, categories: Sequence[str]) -> "Heads":
        """Only the rows of some categories; `samples` stays whole."""
        return replace(self, categories=list(categories))

    def tasks(self, flows: Sequence[str], scope: TextScope) -> Iterator[ValuesTask]:
        """What is to be read of the samples of `categories`: tasks that any worker can do, in the order of the run.

        The division is that of the run's parts, whatever is read of them.
        """
        run, names = replace(self.run, ledgers={}), self.samples["sample_id"].astype(str)
        read = self.observed.to_numpy() & (self.category_codes >= 0)
        for numbers in divided(range(len(self.parts))):
            parts, samples = [], []
            for number in numbers:
                first, last = self.parts[number]
                observed = first + np.flatnonzero(self.observed[first:last])
                own = observed[read[observed]]
                if len(observed) and not len(own):
                    continue
                others = [*names.iloc[observed[~read[observed]]], *(self.others[number] if self.others else ())]
                parts.append(PartSamples(self.run.parts[number].name, names.iloc[own].tolist(), others))
                samples.append(own)
            if parts:
                positions = np.concatenate(samples).astype(np.int32)
                yield ValuesTask(run, parts, positions, tuple(flows), scope.of_samples(positions))

    def each_part(self) -> Iterator[tuple[Part, npt.NDArray[np.int64], list[str]]]:
        """The parts of the run, with their observed samples.

        Yields:
            The part, the positions in `samples` of those that it has, and the ids of all of its observed samples: of
            these first, then of `others`.
        """
        names, observed = self.samples["sample_id"].astype(str), self.observed.to_numpy()
        others = self.others or [()] * len(self.parts)
        for part, (first, last), left_out in zip(self.run.parts, self.parts, others, strict=True):
            own = first + np.flatnonzero(observed[first:last])
            yield part, own, [*names.iloc[own], *left_out]

    @cached_property
    def category_codes(self) -> npt.NDArray[np.int64]:
        """The place of the category of each row of `samples` in `categories`; -1: it is not among them."""
        names = self.samples["category"].astype("category")
        places = {name: place for place, name in enumerate(self.categories)}
        of_name = np.array([places.get(str(name), -1) for name in names.cat.categories] + [-1])
        return of_name[names.cat.codes]


def open_heads(
    path: str | Location,
    prompt: str | None = None,
    *,
    mixed: bool = False,
    columns: Sequence[str] | None = None,
    workers: Workers = HERE,
) -> tuple[Heads, str | None]:
    """Open a run for analysis; the second value is a warning if the run is not complete.

    Args:
        prompt: the wording whose samples are read, of a run with several.
        mixed: read the samples of all wordings.
        columns: those of `samples` that are read beside `_KEYS`; None: all.

    Raises:
        HeadflowError: no run, unreadable, without a single observed sample, or with fewer rows than its observed
            samples must have; or no wording is chosen of several, or one that the run does not have.
    """
    run = open_run(path)
    samples, ends = _samples(run, columns, workers)
    observed = (samples["status"] == OK).to_numpy()
    if not observed.any():
        raise HeadflowError(f"{path}: no sample was observed, all {len(samples)} were skipped; see the table `samples`")
    if (twice := samples["sample_id"].duplicated()).any():
        names = listed(samples.loc[twice, "sample_id"].tolist())
        raise HeadflowError(f"{run.path / 'samples'} has more than one row of {names}; run validate")
    if wrong := too_few_rows(run, int(observed.sum())):  # before tables of that size are allocated
        raise HeadflowError(f"{wrong}; run validate")
    categories = [str(name) for name in samples.loc[observed, "category"].unique()]
    warnings = [*incomplete(run, len(samples)), *taken_out(run, len(samples))]
    heads = Heads(run, samples, list(zip([0, *ends], ends, strict=False)), categories)
    return heads if mixed else in_wording(heads, prompt), "; ".join(warnings) or None


def _samples(run: Run, columns: Sequence[str] | None, workers: Workers) -> tuple[pd.DataFrame, list[int]]:
    """The table `samples`, and where each part ends in it."""
    writes, task = run.manifest.generate is not None, TASKS[run.manifest.task]
    asked = [*["text"] * writes, *["options"] * (not task.options), *[GROUPS] * bool(task.named)]
    only = None if columns is None else [*_KEYS, *columns, *asked]
    bare = replace(run, ledgers={})
    tasks = (SamplesTask(bare, paths, only) for paths in divided(run.part_paths("samples")))
    found = list(workers.map(read_samples, tasks))
    if not found:
        raise HeadflowError(f"{run.path} has no part yet: nothing to read")
    ends = np.cumsum([number for _, numbers in found for number in numbers]).tolist()
    table = pa.concat_tables(table for table, _ in found).unify_dictionaries()
    del found
    samples = table.to_pandas(split_blocks=True, self_destruct=True)  # with little more memory than it has itself
    pa.default_memory_pool().release_unused()
    if not run.manifest.answers_in_texts:
        return samples, ends
    return samples.assign(said=read_answers(samples, run.manifest.answer_after)), ends


def read_answers(samples: pd.DataFrame, after: str | None) -> pd.Series:
    """The answer in the text of each sample: what follows `after`, or all of it; None where that never came.

    Args:
        samples: with `text` and `answer_step`.
    """
    if after is None:
        return samples["text"]
    has_answer = samples[ANSWER_STEP].notna()
    answers = [text.partition(after)[2] if has else None for text, has in zip(samples["text"], has_answer, strict=True)]
    return pd.Series(answers, samples.index, dtype=object)


def in_wording(heads: Heads, prompt: str | None) -> Heads:
    """The samples of one wording.

    Raises:
        HeadflowError: none is chosen of several, it is not one of them, or none of its samples was observed.
    """
    samples, path = heads.samples, heads.run.path
    names = wordings(heads)
    if prompt is None and len(names) > 1:
        raise HeadflowError(f"{path} asks in {len(names)} wordings: choose one of {listed(names)}", setting="prompt")
    if prompt is not None:
        check_wording(prompt, path, names)
    if not names:
        return heads
    if (prompt or names[0]) not in heads.run.manifest.prompts:
        raise HeadflowError(f"{path}: its manifest has no wording {short(prompt or names[0])}; run validate")
    own = (samples["prompt"] == (prompt or names[0])).to_numpy()
    if not (own & heads.observed.to_numpy()).any():
        raise HeadflowError(f"{path}: no sample was observed in the wording {short(prompt or names[0])}")
    return replace(_only(heads, own), prompt=prompt or names[0])


def in_one_wording(runs: Sequence[Heads], prompt: str | None) -> list[Heads]:
    """Several runs in a wording; one that asks each question in one is taken as it is.

    Raises:
        HeadflowError: a wording is named and all runs ask each question in one, or as `in_wording`.
    """
    if prompt is not None and not any(map(wordings, runs)):
        places = listed([heads.run.path for heads in runs])
        raise HeadflowError(f"{places}: each question is asked in one wording", setting="prompt")
    return [in_wording(heads, prompt if wordings(heads) else None) for heads in runs]


def _only(heads: Heads, own: npt.NDArray[np.bool_]) -> Heads:
    """Only some rows of `samples`; `own` is bool [rows of `samples`]."""
    samples, observed = heads.samples, heads.observed.to_numpy()
    ids, left_out = samples["sample_id"].astype(str).to_numpy(), ~own & observed
    ends = np.concatenate([[0], np.cumsum(own)])
    before = heads.others or [()] * len(heads.parts)
    there = zip(heads.parts, before, strict=True)
    return replace(
        heads,
        samples=samples[own].reset_index(drop=True),
        parts=[(int(ends[first]), int(ends[last])) for first, last in heads.parts],
        categories=[str(name) for name in samples.loc[own & observed, "category"].astype(str).unique()],
        others=[[*earlier, *ids[first:last][left_out[first:last]]] for (first, last), earlier in there],
    )


def check_wording(prompt: str, path: Location, names: Sequence[str]) -> None:
    """Raise `HeadflowError` if a run, whose wordings have these names, does not have this one."""
    if prompt not in names:
        there = f"it has {listed(names)}" if names else "each question is asked in one"
        raise HeadflowError(f"{path} has no wording {short(prompt)}: {there}", setting="prompt")


def wordings(heads: Heads) -> list[str]:
    """The names of the wordings in which questions are asked; empty where there is one without a name."""
    return [str(name) for name in heads.samples["prompt"].dropna().unique()]


def taken_out(run: Run, samples: int) -> Iterator[str]:
    """A warning that samples are not there any more."""
    if samples != (written := sum(part.rows["samples"] for part in run.parts)):
        yield f"{run.path} was changed after it was written: {samples} of {written} samples are there"


def incomplete(run: Run, samples: int) -> Iterator[str]:
    """A warning that says which part of a run is there: the number of samples, and the chunks that are missing."""
    if run.complete:
        return
    number, complete = run.manifest.num_chunks, set(run.chunks_complete)
    missing = list(islice((str(chunk) for chunk in range(number) if chunk not in complete), _SHOWN + 1))
    names = ", ".join(missing[:_SHOWN]) + (" and more" if len(missing) > _SHOWN else "")
    which = f"; chunks {names} of {number} are not complete" if number > 1 else ""
    yield f"{run.path} is not complete: this covers {samples} of {counted(run.samples_asked or 0, 'sample')}{which}"


def check_flows(flows: Sequence[str], run: Run) -> tuple[str, ...]:
    """The columns of `heads` asked for, each once.

    Raises:
        HeadflowError: the run does not have one of them.
    """
    for flow in flows:
        if flow not in run.manifest.flows:
            which = f"`heads` has no column {flow}: `{STEPS}` has" if flow in STEP_NAMES else f"it has no column {flow}"
            which += ", as its image has no queries" if run.manifest.crossing and flow.startswith("v") else ""
            raise HeadflowError(f"{run.path}: {which}; it has {', '.join(run.manifest.flows)}", setting="metrics")
    return tuple(dict.fromkeys(flows))


def at_step(heads: Heads, flows: Sequence[str], step: str | None) -> tuple[Heads, tuple[str, ...]]:
    """The columns of `heads` and of `steps` asked for, each once, the latter named with the step that they are of.

    Args:
        step: of generated tokens, see `analyze.tables.parts.steps`; None: the mean.

    Returns:
        Only the samples that have this step, if a column of `steps` is asked for; and the columns.

    Raises:
        HeadflowError: the run does not have one of them, or not of all heads; or no text has the step.
    """
    generated, manifest, path = [flow for flow in flows if flow in STEP_NAMES], heads.run.manifest, heads.run.path
    check_flows([flow for flow in flows if flow not in generated], heads.run)
    if not generated:
        return heads, tuple(dict.fromkeys(flows))
    if STEPS not in manifest.tables:
        raise HeadflowError(f"{path} has no {listed(generated)}: it has no table {STEPS}", setting="metrics")
    if manifest.step_heads:
        raise HeadflowError(
            f"{path}: `{STEPS}` has {counted(len(manifest.step_heads), 'head')} of each sample, and all are needed",
            setting="metrics",
        )
    chosen = step or MEAN_STEP
    taken, answer = (heads.samples[name].to_numpy(np.float64) for name in (N_GENERATED, ANSWER_STEP))
    there = find_steps(chosen, taken, answer, manifest.every) != NO_STEP
    observed = heads.observed.to_numpy()
    if not (there & observed).any():
        if chosen == ANSWER and manifest.answer_after and np.isnan(answer[observed]).all():
            after = short(manifest.answer_after)
            raise HeadflowError(f"{path}: no text has an answer after {after} (`answer_after`)", setting="step")
        longest = int(np.nanmax(np.where(observed, taken, 0)))
        rows = f", and rows of every {manifest.every}" if manifest.every > 1 else ""
        raise HeadflowError(
            f"{path}: no text has rows of the step {chosen}: the longest has {counted(longest, 'step')}{rows}",
            setting="step",
        )
    names = tuple(dict.fromkeys(f"{flow}{AT}{chosen}" if flow in generated else flow for flow in flows))
    return (heads if (there | ~observed).all() else _only(heads, there | ~observed)), names


def chosen_categories(asked: Sequence[str] | None, categories: Sequence[str]) -> list[str]:
    """The categories asked for, each once; all for `None`.

    Raises:
        HeadflowError: one of them is not there.
    """
    for name in asked or ():
        if name not in categories:
            there = listed(categories, _SHOWN)
            raise HeadflowError(f"there is no category {short(name)}; this run has {there}", setting="categories")
    return list(dict.fromkeys(categories if asked is None else asked))
