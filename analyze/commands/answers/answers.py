"""`answers`: what a run answered, as the scorers of other tools read it."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import FolderSettings, PromptSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result
from schemas.commands.settings import Flag, OneOf
from schemas.errors import HeadflowError
from schemas.tasks import OPTION_LETTERS
from schemas.text import counted, listed, short

if TYPE_CHECKING:
    import pandas as pd

    from analyze.scorers.reading import Reading
    from analyze.scorers.rows import Answered
    from schemas.tasks import Task

NEXT = {
    "mme": "python calculation.py --results_dir {folder}",
    "pope": "python llava/eval/eval_pope.py --annotation-dir {folder}/labels --question-file {folder}/questions.jsonl "
    "--result-file {folder}/answers.jsonl",
    "vlmevalkit": "copy {folder}/{file} where VLMEvalKit writes the predictions of {model} on {name}, and "
    "run it with PRED_FORMAT=tsv, --reuse and --judge exact_matching",
    "lmms-eval": "python -m lmms_eval --model from_log --model_args logs={folder} --tasks {name}",
}
TOOLS = tuple(NEXT)


@dataclass(frozen=True)
class AnswersSettings(FolderSettings, PromptSettings, RunSettings):
    """Settings of `answers`."""

    _: KW_ONLY
    tool: Annotated[str, "whose scorer reads the files", OneOf(TOOLS), Flag(name="as")]
    benchmark: Annotated[str | None, "its name there, in names of files and in records (default: that of the task)"] = (
        None
    )


def write_answers(settings: AnswersSettings) -> Result:
    """`answers`: the files, how many questions they have, and how many answers are read in another way there."""
    from analyze.scorers.forms import FORMS
    from analyze.scorers.rows import answered_rows

    heads, form = opened(settings.run, settings.prompt), FORMS[settings.tool]
    task, path = heads.task, heads.run.path
    if form.tasks and task not in form.tasks:
        fits = ", ".join(name for name, each in FORMS.items() if not each.tasks or task in each.tasks)
        raise HeadflowError(
            f"{path} is of the task {task.name}, which the scorer of {settings.tool} does not read; name one of {fits}",
            setting="tool",
        )
    folder = output_folder(settings.output_dir, heads, f"answers/{settings.tool}")
    answered = answered_rows(heads, labelled=form.labelled, together=form.together)
    table = answered.rows
    if table.empty:
        raise HeadflowError(f"{path} has no answer to a question that counts")
    name = settings.benchmark or form.names.get(task.name, task.name)
    model = Path(heads.manifest.model or "model").name
    files = form.files(table, task, model, name)
    reading = None if answered.unlabelled else form.reading(task)
    told = list(_read_differently(table, task, settings.tool, reading)) if reading else []
    return Result(
        path,
        folder,
        about=[
            f"{counted(len(table), 'answer')} of {path}{', read in its texts' if 'said' in heads.samples else ''}",
            *_left_out(answered, task),
            *(_missing_files(table, task) if form.together else ()),
        ],
        statements=told,
        files=files,
        next=[f"next: {NEXT[settings.tool].format(folder=folder, file=next(iter(files)), name=name, model=model)}"],
    )


def _left_out(answered: "Answered", task: "Task") -> Iterator[str]:
    """Lines on questions that are not written, and on those that are written without a right answer."""
    if answered.unlabelled:
        yield (
            f"no question has a right answer that is {task.either}, as in a test split: all answers are written, "
            "and how they are read there is not compared"
        )
    if answered.missing:
        groups = ", or one that they are scored with is left out" if task.groups else ""
        yield f"partial: {counted(answered.missing, 'question')} left out: skipped{groups}"
    if answered.unscored:
        number = counted(len(answered.unscored), "question")
        yield f"left out: {number} with a right answer that is {task.neither}: {listed(answered.unscored)}"
    if answered.without_figure:
        yield f"left out: {counted(answered.without_figure, 'question')} without a figure, which are not asked"


def _missing_files(table: "pd.DataFrame", task: "Task") -> Iterator[str]:
    """A line on categories whose files MME's script opens, and which the run does not have."""
    known = [name for names in task.totals.values() for name in names]
    if missing := [name for name in known if name not in set(table["category"].astype(str))]:
        yield (
            f"{len(missing)} of {len(known)} categories that MME's script opens a file of are not there: "
            f"{listed(missing)}; it ends with an error there"
        )


def _read_differently(table: "pd.DataFrame", task: "Task", tool: str, reading: "Reading") -> Iterator[str]:
    """How many answers the tool reads as another option than here, or as none, with the first of them."""
    options = [()] * len(table) if task.options else table["options"]
    there = [reading(text, own) for text, own in zip(table["text"], options, strict=True)]
    here = [None if given != given else int(given) for given in table["given"]]  # NaN
    unlike = [place for place, (one, other) in enumerate(zip(here, there, strict=True)) if one != other]
    if not unlike:
        yield f"the scorer of {tool} reads all answers as headflow does"
        return

    def named(place: int | None) -> str:
        if place is None:
            return task.neither
        return task.words[place] if task.options else OPTION_LETTERS[place]

    row = unlike[0]
    number = f"{len(unlike)} of {counted(len(table), 'answer')}"
    yield (
        f"the scorer of {tool} reads {number} differently, so that its score is another one: the first is "
        f"{short(table['text'].iloc[row])}, here {named(here[row])}, there {named(there[row])}"
    )
