"""The samples of a question file together with where their images are: read once, then passed on as one object.

*.json, *.jsonl    MME_test.json, LLaVA's files of MME, POPE and ScienceQA, and others with such fields
*.csv, *.tsv       the same as a table, also VLMEvalKit's, with images in base64
*.parquet          the hub's lmms-lab-encoder/MME with its images: a file, or a folder of shards
a folder           MME as released, a folder for each category; or POPE's own files
several            by commas
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from extract.questions.content.chats import from_chats
from extract.questions.content.choices import answer_notes, read_numbers, with_options
from extract.questions.content.columns import IMAGE, check_columns, renamed
from extract.questions.content.faults import without_faults
from extract.questions.fields import (
    FIELD_NAMES,
    image_columns,
    is_first_option,
    is_missing,
    to_mme_fields,
    with_small_names,
)
from extract.questions.hub import local_path
from extract.questions.parquet import ImageBytes, columns_of_shards, find_shards, read_table, read_texts
from extract.questions.releases import (
    ANNOTATIONS,
    add_answers,
    find_annotations,
    is_query,
    read_released,
    released_texts,
    with_annotations,
)
from extract.questions.samples import Sample, make_samples
from extract.questions.stored_images import StoredImages, encoded_columns, take_encoded
from extract.questions.text_files import SUFFIXES, read_rows
from extract.questions.unread import check_asked_whole, columns_of, notes, repeated
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.tasks import CHOICES, MME, OPTION_LETTERS, TASKS, Task, group_ids, grouping_tasks, marked_task, task_of
from schemas.text import counted, listed

_OF_POPE = re.compile(r".*pope.*_(random|popular|adversarial)")  # names of POPE's own files, one for each category
_JSON = (".json", ".jsonl")
_OF_THE_HUB = ("dataset_infos.json", "dataset_info.json", "state.json")  # beside Parquet, no questions


@dataclass(frozen=True)
class QuestionSet:
    """Samples of a question file, all or some.

    Attributes:
        name: the question file as the user names it: a path, or a dataset on the hub.
        sha256: hash of the whole file, or of the names and contents of several files.
        samples: in the order of the file, or of its images.
        images: the folder that `Sample.images` are relative to, or the images in the file itself; None: nothing says
            where they are.
        notes: what a user should know of the file, in a line each.
        task: what an answer is.
        letters: of the options of all questions of the file; empty where no question has options of its own.
    """

    name: str
    sha256: str
    samples: list[Sample]
    images: Location | StoredImages | None
    notes: Sequence[str] = ()
    task: Task = MME
    letters: str = ""

    def first(self, number: int) -> "QuestionSet":
        """The first samples of the file; a `number` of 0 or less: all."""
        return replace(self, samples=self.samples[:number]) if number > 0 else self

    def in_wordings(self, names: Sequence[str]) -> "QuestionSet":
        """Each sample in each of some wordings, one after the other; `ID@NAME` is the id of each."""
        return replace(
            self,
            samples=[
                replace(sample, sample_id=f"{sample.sample_id}@{name}", prompt=name)
                for sample in self.samples
                for name in names
            ],
        )

    def chunk(self, number: int, index: int) -> "QuestionSet":
        """The samples of one chunk of `number`, where `index` counts from 0.

        LLaVA's own division into runs of equal length, but of images, so that questions on one image stay together.
        """
        groups = self.by_image()
        size = -(-len(groups) // number)
        chosen = groups[index * size : (index + 1) * size]
        return replace(self, samples=[sample for group in chosen for sample in group])

    def by_image(self) -> list[list[Sample]]:
        """The samples that name the same image, or images, in the order of the first sample of each."""
        groups: dict[tuple[str, ...], list[Sample]] = {}
        for sample in self.samples:
            groups.setdefault(sample.images, []).append(sample)
        return list(groups.values())

    def windows(self, images: int, together: int) -> list[list[list[Sample]]]:
        """The samples about each image that is to be read, for `images` names of images at a time.

        In Parquet, each row has an image of its own, whatever its name.

        Args:
            together: at most this many questions on an image make one group; a window has `images` groups, at most
                `images * together` questions.
        """
        groups = [
            samples[start : start + together]
            for samples in self.by_image()
            for start in range(0, len(samples), together)
        ]
        windows = [groups[start : start + images] for start in range(0, len(groups), images)]
        if isinstance(self.images, StoredImages):
            places = self.images.places
            return [[list(same) for group in window for _, same in groupby(group, places)] for window in windows]
        return windows

    def check_images(self) -> None:
        """Raise `HeadflowError` if nothing says where the images are."""
        if self.images is None:
            raise HeadflowError(f"question file {self.name} holds no images", setting="image_folder")


def read_questions(
    name: str | Path,
    image_folder: Location | None = None,
    task: str | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
) -> QuestionSet:
    """Read a question file of any form; one on the hub is downloaded first, unless it is in the cache.

    Args:
        name: a path, or `hf://datasets/OWNER/NAME[@REVISION][/PATH]`; or several, by commas.
        image_folder: where images are that are not in the file, by default the question folder itself. If this is the
            folder of MME's release, questions without an answer get theirs from the texts in it.
        task: what an answer is, a name of `TASKS`; None: as the form of the file says.
        columns: of fields that stand in columns of other names, see `read_columns`.

    Raises:
        HeadflowError: the file cannot be read, a row has no image or question or is to be asked with more than that,
            the task is not one for its questions, or the image folder does not exist.
    """
    paths = [path for each in _names_of(str(name)) for path in _files_of(local_path(each))]
    files = [_checked(read_question_file(each, columns), each) for each in paths]
    path, file = Path(name), _join(files, paths)
    images: Location | StoredImages | None = file.images
    if image_folder is not None and (file.names_images or not isinstance(images, StoredImages)):
        if not image_folder.is_dir():
            raise HeadflowError(f"{image_folder} is not a directory", setting="image_folder")
        images = image_folder
    if isinstance(image_folder, Path) and image_folder.is_dir():
        add_answers(file.rows, image_folder)
    samples, numbers = make_samples(file.rows, path), None
    if task is None or not TASKS[task].options:
        samples, numbers = read_numbers(with_options(samples), columns_from_1=file.columns_from_1)
    found = _find_task(task, samples, file, path)
    samples = [
        replace(sample, groups=tuple(own)) if (own := ids.get(found.name)) else sample
        for sample, ids in zip(samples, file.groups, strict=True)
    ]
    twice = repeated((sample.image, sample.question, sample.options) for sample in samples)
    said = (twice, numbers, *answer_notes(samples, found), *_not_scored_together(samples, found))
    notes = [f"question file {name if len(files) == 1 else each}: {note}" for each, note in _notes(files, paths)]
    notes += [f"question file {name}: {note}" for note in said if note is not None]
    letters = ""
    if not found.options:  # a question without options is skipped as one with too few
        samples = [replace(sample, options=sample.options or ()) for sample in samples]
        letters = OPTION_LETTERS[: max(2, *(len(sample.options or ()) for sample in samples))]
    return QuestionSet(str(name), file.sha256, samples, images, notes, found, letters)


def _find_task(asked: str | None, samples: Sequence[Sample], file: "QuestionFile", path: Path) -> Task:
    """The task asked for, or that of the form of a file; raises `HeadflowError` if it is not one for its questions."""
    own = any(sample.options for sample in samples)
    if asked is None:
        return task_of({sample.category for sample in samples}, options=own, marked=file.marked)
    task = TASKS[asked]
    if own == bool(task.options):
        has = "options of their own" if own else "no options"
        of = f"questions with the answer {task.either}" if task.options else CHOICES.meaning
        others = ", ".join(each.name for each in TASKS.values() if own != bool(each.options))
        raise HeadflowError(
            f"question file {path}: its questions have {has}, and the task {task.name} is of {of}; name one "
            f"of {others}",
            setting="task",
        )
    if task.named and not any(task.name in ids for ids in file.groups):
        columns = listed(list(dict.fromkeys(name for group in task.named for name in group.columns)), shown=8)
        raise HeadflowError(
            f"question file {path}: no row says which questions are scored together, as the task {task.name} needs; it "
            f"reads {columns}",
            setting="task",
        )
    return task


def _not_scored_together(samples: Sequence[Sample], task: Task) -> Iterator[str]:
    """Lines on questions that are in no group of their task, or in one that is not whole."""
    if not task.named:
        return
    if alone := sum(sample.groups is None and sample.image != "" for sample in samples):
        yield f"{counted(alone, 'row is', 'rows are')} in no group of questions that are scored together"
    for place, group in enumerate(task.named):
        of_group = [(sample.category, sample.groups[place]) for sample in samples if sample.groups]
        sizes = Counter(of_group)
        short = {
            key
            for key, sample in zip(of_group, (each for each in samples if each.groups), strict=True)
            if sizes[key] < (len(sample.options or ()) if group.least is None else group.least)
        }
        if short:
            names = listed(sorted(str(name) for _, name in short))
            yield (
                f"`{group.name}`: {len(short)} of {len(sizes)} groups of questions that are scored together "
                f"{'lacks' if len(short) == 1 else 'lack'} a question: {names}; their rows are asked and not scored"
            )


def _names_of(name: str) -> list[str]:
    """The files that a name says: itself, where a file has it, or those between its commas."""
    parts = [each for part in name.split(",") if (each := part.strip())]
    return parts if len(parts) > 1 and not Path(name).exists() else [name]


def _files_of(path: Path) -> list[Path]:
    """The path of a question file; of a folder with POPE's own files, these."""
    if not path.is_dir() or find_shards(path):
        return [path]
    return sorted(each for each in path.iterdir() if each.suffix.lower() in _JSON and _category_of(each)) or [path]


def _checked(file: "QuestionFile", path: Path) -> "QuestionFile":
    """A question file whose rows can be read, with a line on those that have been mended, see `without_faults`."""
    rows, faults = without_faults(file.rows, path)
    return replace(file, rows=rows, notes=[*file.notes, *faults])


def _join(files: Sequence["QuestionFile"], paths: Sequence[Path]) -> "QuestionFile":
    """The questions of several files as those of one.

    Raises:
        HeadflowError: one of several holds images itself.
    """
    if len(files) == 1:
        return files[0]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise HeadflowError(f"question file {twice} is named twice")
    for file, path in zip(files, paths, strict=True):
        if file.images is not None:
            raise HeadflowError(
                f"question file {path} holds its images, and is given beside others: only files of text that name "
                "their images are read together; name the files of a Parquet folder by the folder, or by a pattern"
            )
    hashes = {f"{place}/{path.name}": path for place, path in enumerate(paths)}
    return QuestionFile(
        [row for file in files for row in file.rows],
        _sha256_of_files(hashes),
        None,
        groups=[ids for file in files for ids in file.groups],
        marked=files[0].marked if all(file.marked is files[0].marked for file in files) else None,
        columns_from_1=all(file.columns_from_1 for file in files),
    )


def _notes(files: Sequence["QuestionFile"], paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """What is to be said of each file, with its path."""
    return ((path, note) for path, file in zip(paths, files, strict=True) for note in file.notes)


@dataclass(frozen=True)
class QuestionFile:
    """What a question file or folder holds.

    Attributes:
        rows: the questions in its order, with the fields of MME_test.json, not checked.
        sha256: of the file; of several files, of their names and contents.
        images: those in the file, or the folder itself; None: the file does not say where its images are.
        names_images: whether it names files of images beside those that it holds itself.
        notes: what it has beside its questions and is not asked, in a line each.
        groups: what tells the groups of each row from others, by the name of a task.
        marked: the task that its rows show.
        columns_from_1: whether options stand in columns numbered from 1.
    """

    rows: list[Any]
    sha256: str
    images: Path | StoredImages | None
    names_images: bool = False
    notes: list[str] = field(default_factory=list)
    groups: Sequence[Mapping[str, Sequence[str | None]]] = ()
    marked: Task | None = None
    columns_from_1: bool = False


def read_question_file(path: Path, mapped: Mapping[str, str] = MappingProxyType({})) -> QuestionFile:
    """Read a question file or folder of any form.

    Args:
        mapped: of fields that stand in columns of other names, see `read_columns`.

    Raises:
        HeadflowError: nothing is there, it is not of the form that its name promises, it holds no questions, or these
            are others without what is not asked.
    """
    columns: list[str] = []
    if shards := find_shards(path):
        columns = columns_of_shards(shards)
        check_columns(columns, mapped, path)
        file = _read_shards(path, shards, mapped)
    elif path.is_dir():
        file = _read_release(path)
    else:
        file = QuestionFile(read_rows(path, mapped), _sha256(path), None)
    if not file.rows:
        raise HeadflowError(f"question file {path} holds no questions")
    if mapped and not columns:
        check_columns(
            list(dict.fromkeys(name for row in file.rows if isinstance(row, dict) for name in row)), mapped, path
        )
    more: list[str] = []
    if "answer" not in mapped:
        file, more = _with_annotations(file, path)
    to_rename = {field: name for field, name in mapped.items() if field != IMAGE or file.images is None}
    rows, of_chats = from_chats([renamed(row, to_rename) for row in file.rows])
    file, columns = replace(file, rows=rows), [name for name in columns if name not in mapped.values()]
    check_asked_whole(file.rows, path)
    rows, images, names_images = file.rows, file.images, False
    there = columns_of(rows)
    named = [name for name in there if name.strip().lower() in FIELD_NAMES["image_file"]] + image_columns(there)
    if encoded := encoded_columns(rows, named):
        rows, images = take_encoded(rows, encoded)
        names_images = encoded != named
    where, beside = f"question file {path}: row", _beside(path) if shards else ()
    ids, marked = _groups(rows, there)
    read = {column for name in {*chain(*ids)} for group in TASKS[name].named for column in group.columns}
    return replace(
        file,
        rows=[
            _with_category(to_mme_fields(row, f"{where} {number}"), _category_of(path))
            for number, row in enumerate(rows)
        ],
        groups=ids,
        images=images,
        names_images=names_images,
        notes=[*notes(columns or there, rows, read), *more, *of_chats, *beside],
        marked=marked,
        columns_from_1=any(map(is_first_option, there)),
    )


def _groups(rows: Sequence[Any], columns: Iterable[str]) -> tuple[list[dict[str, list[str | None]]], Task | None]:
    """The groups of each row by the name of a task, see `group_ids`; and the task that the rows show."""
    if not (tasks := grouping_tasks([name.strip().lower() for name in columns])):
        return [{}] * len(rows), None
    small = [with_small_names(row) if isinstance(row, dict) else {} for row in rows]
    ids = [group_ids(row, tasks) for row in small]
    return ids, marked_task(small, ids)


def _with_annotations(file: QuestionFile, path: Path) -> tuple[QuestionFile, list[str]]:
    """Queries of AMBER with what its annotations say of them, and a line on these; any other file as it is."""
    if not all(map(is_query, file.rows)):
        return file, []
    if (annotations := find_annotations(path)) is None:
        return file, [
            f"it has no answers, and there is no {ANNOTATIONS} beside it or in the folder above, as AMBER has"
        ]
    rows, note = with_annotations(file.rows, annotations)
    return replace(file, rows=rows, sha256=_sha256_of_files({each.name: each for each in (path, annotations)})), [note]


def _category_of(path: Path) -> str | None:
    """The category of the questions of one of POPE's own files, by its name; None: it is none."""
    found = _OF_POPE.fullmatch(path.stem.lower())
    return found[1] if found else None


def _beside(folder: Path) -> list[str]:
    """A line on question files that a folder of Parquet files also holds; empty if there are none."""
    files = _texts_in(folder) if folder.is_dir() else []
    return [f"beside its Parquet files, {listed(files)} {'is' if len(files) == 1 else 'are'} not read"] if files else []


def _texts_in(folder: Path) -> list[str]:
    """The names of what may be question files of text in a folder."""
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix.lower() in (*_JSON, *SUFFIXES) and file.name not in _OF_THE_HUB and file.name[0] != "."
    )


def _with_category(row: Any, category: str | None) -> Any:
    """A row with a category, if it has none of its own."""
    own = not isinstance(row, dict) or category is None or not is_missing(row.get("category"))
    return row if own else row | {"category": category}


def _read_shards(path: Path, shards: Sequence[Path], mapped: Mapping[str, str]) -> QuestionFile:
    table = read_table(shards, mapped)
    rows = list(read_texts(shards, mapped)) if table is None else table
    sha256 = _sha256(path) if path.is_file() else _sha256_of_files({shard.name: shard for shard in shards})
    return QuestionFile(rows, sha256, ImageBytes(shards, mapped) if table is None else None)


def _read_release(folder: Path) -> QuestionFile:
    rows = read_released(folder)
    if not rows:
        files = _texts_in(folder)
        raise HeadflowError(
            f"question folder {folder} holds no CATEGORY/*.txt, no CATEGORY/questions_answers_YN and no *.parquet"
            + (f"; give the file itself, such as {folder / files[0]}, or several by commas" if files else "")
        )
    texts = {text.relative_to(folder).as_posix(): text for text in released_texts(folder)}
    return QuestionFile(list(rows), _sha256_of_files(texts), folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_files(files: Mapping[str, Path]) -> str:
    """The hash of several files' names and contents, in their order."""
    whole = hashlib.sha256()
    for name, file in files.items():
        whole.update(f"{name}\0".encode())
        whole.update(bytes.fromhex(_sha256(file)))
    return whole.hexdigest()
