"""One process of a cluster: it loads the model once, and runs chunks as a process of its own would."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.chunks.asked import Asked
from extract.chunks.chunk import Done, load_for_chunk, run_chunk
from extract.chunks.progress import Reporter
from extract.questions.question_set import QuestionSet
from extract.settings import AUTO, Extract
from schemas.errors import HeadflowError, Stopped
from schemas.manifest import Session

if TYPE_CHECKING:
    from extract.runner import Extractor


class ChunkActor:
    """Runs chunks, one at a time."""

    def __init__(self, settings: Extract, commit: str | None, folder: str, progress: Any) -> None:
        """Read what is asked for.

        Args:
            settings: of all chunks.
            commit: see `Asked.commit`; this process may have no checkout.
            folder: that paths are relative to; it stays the actor's own where this machine has none of this name.
            progress: an actor `Progress`.
        """
        if Path(folder).is_dir():
            os.chdir(folder)
        self._settings, self._commit, self._progress = settings, commit, progress
        self._asked: Asked | None = None
        self._extractor: Extractor | None = None

    def ready(self) -> None:
        """Do nothing: whoever waits for it knows then that the process runs."""

    def run(self, chunk: int) -> tuple[Done | None, str]:
        """Run what a chunk lacks.

        Returns:
            What was done; or None, and why not: empty if it was told to stop.
        """
        try:
            if self._asked is None:
                self._asked = replace(Asked.read(self._settings), commit=self._commit)
            return run_chunk(self._asked, chunk, partial(self._load, chunk)), ""
        except Stopped:
            return None, ""
        except HeadflowError as error:
            return None, str(error)

    def _load(self, chunk: int, asked: Asked, questions: QuestionSet, before: Session | None) -> "Extractor":
        """The model, loaded for the first chunk; a chunk that was begun keeps its batch size (see `load_for_chunk`)."""
        import ray

        if self._extractor is None:
            self._extractor = load_for_chunk(asked, questions, before)
        own = self._extractor.session()
        keep = asked.settings.batch_size == AUTO and before is not None and before.device == own.device
        size = before.batch_size if keep and before is not None else None
        return replace(
            self._extractor,
            batch_size=size or self._extractor.batch_size,
            bar=lambda total, initial: Reporter(ray, self._progress, chunk, initial),
        )
