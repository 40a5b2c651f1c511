"""The loop: images through the model with their questions, their flows into the run."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from extract.batching import WINDOW, Asked, Question, batches
from extract.checkpoint import Checkpoint
from extract.loading import LoadedImage, load_images, open_images
from extract.passes import Outcome, Passes
from extract.prompts import PromptBuilder
from extract.questions import Sample, Unusable
from extract.shards import ImageBytes
from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError, one_line
from schemas.manifest import EXTRACTED, PACKED, SEPARATE
from schemas.writer import RunWriter


@dataclass(frozen=True)
class Extractor:
    """Everything that turns samples into rows.

    Attributes:
        images: the folder of image files, or the rows of shards that hold them.
        packed: whether questions on one image go behind one prefix.
        batch_size: images that go through the model at once.
        workers: processes that decode and preprocess images.
    """

    checkpoint: Checkpoint
    prompts: PromptBuilder
    passes: Passes
    images: Path | ImageBytes
    packed: bool
    batch_size: int
    workers: int

    def describe(self) -> dict[str, Any]:
        """What the manifest says of it, by field."""
        return {
            "source": EXTRACTED,
            "layers": self.checkpoint.layers,
            "heads": self.checkpoint.heads,
            "flows": list(FLOW_NAMES),
            "text_scope": "all",
            "revision": self.checkpoint.revision,
            "checkpoint": self.checkpoint.kind,
            "dtype": str(self.checkpoint.dtype).removeprefix("torch."),
            "device": _device_name(self.checkpoint.device),
            "attention": self.checkpoint.attention,
            "sequences": PACKED if self.packed else SEPARATE,
            "batch_size": self.batch_size,
            "conv_mode": self.prompts.template.name,
            "system_span": self.prompts.system_span,
            "prompt_suffix": self.prompts.suffix,
            "image_preprocessing": self.checkpoint.preprocessor.description,
        }

    def run(self, samples: Sequence[Sample], writer: RunWriter) -> Counter[str]:
        """Run all samples into a run, with a progress bar; returns how many were skipped, by reason.

        Samples are written image by image, in the order of the first question about each; where a file has the
        questions about an image side by side, that is the order of the file. On an interrupt, what has been observed
        is written, and the run stays `running`.
        """
        groups = by_image(samples)
        ordered = [sample for group in groups for sample in group]
        if not isinstance(self.images, Path):
            # Each row has bytes of its own, whatever its name; `batches` brings equal ones together
            groups = [[sample] for sample in ordered]
        skipped: Counter[str] = Counter()
        try:
            with tqdm(total=len(ordered), unit="sample", dynamic_ncols=True) as progress:
                for sample, outcome in zip(ordered, _in_order(self._outcomes(groups)), strict=True):
                    if isinstance(outcome, Unusable):
                        skipped[outcome.reason] += 1
                        progress.set_postfix(skipped=skipped.total(), refresh=False)
                        row = {**sample.record(), "image_sha256": outcome.image_sha256}
                        writer.skip(row, outcome.reason, outcome.detail)
                    else:
                        writer.add({**sample.record(), **outcome.row}, outcome.flows)
                    progress.update()
        except KeyboardInterrupt:
            writer.flush()
            raise
        writer.finish()
        return skipped

    def _outcomes(self, groups: list[list[Sample]]) -> Iterator[tuple[int, Outcome]]:
        """What came of each sample, by its place; batch by batch, so not in order."""
        asking = _Asking(self, groups)
        for outcome in self.passes.over(batches(asking, self.batch_size, packed=self.packed)):
            yield outcome
            yield from asking.take_rejected()
        yield from asking.take_rejected()


@dataclass
class _Asking:
    """Iterates over the images that can be used, with the questions that can, and keeps what cannot."""

    extractor: Extractor
    groups: list[list[Sample]]
    rejected: list[tuple[int, Unusable]] = field(default_factory=list)

    def take_rejected(self) -> list[tuple[int, Unusable]]:
        """What was found unusable since this was last asked, by place."""
        taken, self.rejected = self.rejected, []
        return taken

    def __iter__(self) -> Iterator[Asked]:
        place = 0
        for image, group in zip(self._images(), self.groups, strict=True):
            questions = []
            for sample in group:
                try:
                    prompt = self.extractor.prompts.build(sample.question, image.usable().image_ids)
                    questions.append(Question(place, prompt))
                except Unusable as error:
                    error.image_sha256 = image.sha256
                    self.rejected.append((place, error))
                place += 1
            if questions and image.sha256 is not None and image.pixels is not None:
                yield Asked(image.sha256, image.pixels, questions)

    def _images(self) -> Iterator[LoadedImage]:
        checkpoint = self.extractor.checkpoint
        files = open_images(self.extractor.images, [group[0] for group in self.groups], checkpoint.preprocessor)
        ahead, pin = WINDOW * self.extractor.batch_size, checkpoint.device.type == "cuda"
        images = load_images(files, workers=self.extractor.workers, ahead=ahead, pin=pin)
        while True:
            try:
                image = next(images)
            except StopIteration:
                return
            except RuntimeError as error:
                raise HeadflowError(f"a process that reads images failed: {one_line(error)[:300]}") from error
            yield image


def by_image(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Samples by the image that they name."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.image, []).append(sample)
    return list(groups.values())


def _in_order(outcomes: Iterable[tuple[int, Outcome]]) -> Iterator[Outcome]:
    """Outcomes by their places 0, 1, 2 ..., each as soon as those before it are there."""
    waiting: dict[int, Outcome] = {}
    following = 0
    for place, outcome in outcomes:
        waiting[place] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
