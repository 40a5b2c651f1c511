"""What is asked for, read once, and compared with the run that is there."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from extract.backends import (
    answer_words,
    find_prompts,
    find_removed,
    find_wordings,
    in_wordings,
    load_format,
    packages,
)
from extract.prompts.given import check_texts, read_texts
from extract.prompts.wordings import Wording
from extract.prompts.wordings import manifest_fields as wording_fields
from extract.provenance import git_commit
from extract.questions.content.columns import read_columns
from extract.questions.question_set import QuestionSet, read_questions
from extract.settings import TRANSFORMERS, Deciding, Extract
from extract.tables import asked_fields
from schemas.commands.settings import settings_of
from schemas.errors import HeadflowError
from schemas.manifest import SEPARATE
from schemas.store.directory import holds_run, refuse_foreign_run, refuse_inside_run
from schemas.store.identity import check_division, check_fingerprints, check_same, check_same_model
from schemas.store.part_files import damaged_parts
from schemas.store.run import Run, open_run
from schemas.text import printable


def find_questions(settings: Extract) -> QuestionSet:
    """The whole question file; raises `HeadflowError` if it is wrong."""
    with packages(settings.backend):
        return read_questions(
            settings.question_file, settings.image_folder, settings.task, read_columns(settings.columns)
        )


def say_notes(questions: QuestionSet) -> None:
    """Warn of what a question file has beside what is asked."""
    for note in questions.notes:
        print(printable(f"warning: {note}"), file=sys.stderr)


@dataclass(frozen=True)
class Asked:
    """What is asked for, of all chunks.

    Attributes:
        settings: as they were given; `chunk_idx` is not read here.
        whole: the whole question file.
        questions: the samples of all chunks, in all wordings.
        model_settings: fingerprint of the model's settings and tokenizer.
        images: fingerprints of images by name, of all chunks, so that each is compared with those before.
        commit: see `git_commit`.
    """

    settings: Extract
    wordings: Sequence[Wording]
    whole: QuestionSet
    questions: QuestionSet
    model_settings: str | None
    images: dict[str, str]
    commit: str | None

    @classmethod
    def read(cls, settings: Extract) -> "Asked":
        """Read the files that settings name; raises `HeadflowError` if one cannot be."""
        whole = find_questions(settings)
        wordings = find_wordings(settings, whole.task)
        whole.check_images()
        questions = in_wordings(whole.first(settings.num_samples), wordings)
        if settings.text is not None:
            texts = read_texts(settings.text)
            known, asked = (
                {sample.sample_id: None for sample in each.samples}
                for each in (in_wordings(whole, wordings), questions)
            )
            check_texts(texts, settings.text, known=known, asked=asked)
        with packages(settings.backend):
            from extract.images.fingerprint import fingerprint_images
            from extract.models.fingerprint import fingerprint_settings
        return cls(
            settings=settings,
            wordings=wordings,
            whole=whole,
            questions=questions,
            model_settings=fingerprint_settings(settings.model_path, settings.model_base),
            images=fingerprint_images(whole),
            commit=git_commit(),
        )

    def chunk(self, index: int) -> QuestionSet:
        """The samples of a chunk."""
        return self.questions.chunk(self.settings.num_chunks, index)

    def find_run(self) -> Run | None:
        """The run to resume; None: a new one is begun.

        Raises:
            HeadflowError: another run is in the directory, as far as that can be seen without loading weights.
        """
        settings, path = self.settings, self.settings.output_dir
        refuse_foreign_run(path)
        refuse_inside_run(path)
        if settings.overwrite or not holds_run(path):
            return None
        try:
            found = open_run(path)
        except HeadflowError as error:
            raise HeadflowError(f"{error}; put the file back, or overwrite the run", setting="overwrite") from None
        check_same(found.manifest, self._known_fields, path)
        check_division(found, len(self.questions.samples))
        check_same_model(found, settings.model_path, None, self.model_settings)
        check_fingerprints(found, None, self.model_settings, self.images)
        if not self._was_asked(found) and settings.backend == TRANSFORMERS:
            prompt_format, preprocessor = load_format(settings)
            prompts = find_prompts(prompt_format, self.wordings, settings)
            fields = prompts.manifest_fields() | {"image_preprocessing": preprocessor.describe()}
            words = answer_words(settings, self.whole.letters)
            fields |= prompt_format.answer_tokens(prompts, words).manifest_fields()
            check_same(found.manifest, fields, path)
        return found

    def is_there(self, run: Run, index: int) -> bool:
        """Whether nothing is left to do: the chunk is complete, has all samples, and had the same flags."""
        ledger = run.ledgers.get(index)
        complete = ledger is not None and ledger.complete and ledger.samples >= len(self.chunk(index).samples)
        complete = complete and not damaged_parts(run, index)
        return complete and not self.settings.retry_skipped and self._was_asked(run)

    @cached_property
    def tables(self) -> dict[str, Any]:
        """The fields of the manifest about tables, see `asked_fields`, which may read an earlier run."""
        return asked_fields(self.settings)

    @cached_property
    def _known_fields(self) -> dict[str, Any]:
        """The fields of the manifest that are known before the checkpoint is read."""
        settings = self.settings
        known = {
            "num_chunks": settings.num_chunks,
            **({"revision": None} if Path(settings.model_path).is_dir() else {}),
            "model": settings.model_path,
            "task": self.whole.task.name,
            **self.tables,
            "removed": find_removed(settings).to_object(),
            "question_file_sha256": self.questions.sha256,
            "columns": read_columns(settings.columns),
            **wording_fields(self.wordings),
            "system_span": settings.system_span,
            "images": settings.images,
        }
        if settings.dtype != "auto":
            known["dtype"] = settings.dtype
        if settings.sequences == SEPARATE:
            known["sequences"] = SEPARATE
        return known

    def _was_asked(self, run: Run) -> bool:
        """Whether a session of the run had the same settings, except those that may differ in a resume."""
        record = self.settings.recorded()
        deciding = {each.name: record[each.name] for each in settings_of(Deciding)}
        sessions = [session for ledger in run.ledgers.values() for session in ledger.sessions]
        return any(deciding.items() <= session.arguments.items() for session in sessions)
