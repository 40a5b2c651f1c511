"""The samples of a question file together with where their images are: read once, then passed on as one object."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from extract.questions.fields import check_rows
from extract.questions.formats import read_question_file
from extract.questions.hub import local_path
from extract.questions.mme_release import add_answers
from extract.questions.parquet import ImageBytes
from extract.questions.samples import Sample, make_samples
from extract.questions.unread import repeated
from schemas.errors import HeadflowError
from schemas.files.locations import Location


@dataclass(frozen=True)
class QuestionSet:
    """Samples of a question file, all or some.

    Attributes:
        name: the question file as the user names it: a path, or a dataset on the hub.
        sha256: hash of the whole file, or of the names and contents of several files.
        samples: in the order of the file, or of its images.
        images: the folder that `Sample.image` is relative to; or the images in Parquet, by `Sample.row`; None: nothing
            says where they are.
        notes: what a user should know of the file, in a line each.
    """

    name: str
    sha256: str
    samples: list[Sample]
    images: Location | ImageBytes | None
    notes: Sequence[str] = ()

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
        """The samples that name the same image, in the order of the first sample of each."""
        groups: dict[str, list[Sample]] = {}
        for sample in self.samples:
            groups.setdefault(sample.image, []).append(sample)
        return list(groups.values())

    def windows(self, images: int, together: int) -> list[list[list[Sample]]]:
        """The samples about each image that is to be read, for `images` names of images at a time.

        In Parquet each row has an image of its own, whatever its name.

        Args:
            together: questions on one image that count as one image; more count as further ones, so that a window has
                `images * together` questions at most.
        """
        groups = [
            samples[start : start + together]
            for samples in self.by_image()
            for start in range(0, len(samples), together)
        ]
        windows = [groups[start : start + images] for start in range(0, len(groups), images)]
        if isinstance(self.images, ImageBytes):
            return [
                [list(same) for group in window for _, same in groupby(group, attrgetter("row"))] for window in windows
            ]
        return windows

    def check_images(self) -> None:
        """Raise `HeadflowError` if nothing says where the images are."""
        if self.images is None:
            raise HeadflowError(f"question file {self.name} holds no images", setting="image_folder")


def read_questions(name: str | Path, image_folder: Location | None = None) -> QuestionSet:
    """Read a question file of any form; one on the hub is downloaded first, unless it is in the cache.

    Args:
        name: a path, or `hf://datasets/OWNER/NAME[@REVISION][/PATH]`.
        image_folder: where images are that are not in the file, by default the question folder itself. If this is the
            folder of MME's release, questions without an answer get theirs from the texts in it.

    Raises:
        HeadflowError: the file cannot be read, a row has no image or question or is to be asked with more than that,
            or the image folder does not exist.
    """
    path = local_path(str(name))
    file = read_question_file(path)
    images: Location | ImageBytes | None = file.images
    if image_folder is not None and not isinstance(images, ImageBytes):
        if not image_folder.is_dir():
            raise HeadflowError(f"{image_folder} is not a directory", setting="image_folder")
        images = image_folder
    check_rows(file.rows, path)
    if isinstance(image_folder, Path) and image_folder.is_dir():
        add_answers(file.rows, image_folder)
    samples = make_samples(file.rows, path)
    twice = repeated((sample.image, sample.question) for sample in samples)
    notes = [f"question file {name}: {note}" for note in (*file.notes, twice) if note is not None]
    return QuestionSet(str(name), file.sha256, samples, images, notes)
