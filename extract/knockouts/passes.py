"""Batches of images -> the rows of their questions in `knockouts`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from extract.batched_knockouts.growth import Growth
from extract.batched_knockouts.prefill import Prefill, adds_the_same, run_prefill
from extract.knockouts.references import HeadMeans
from extract.models.answers import AnswerReader
from extract.models.transfer import Download
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions
from extract.passes.forward import failure
from extract.questions.samples import Sample, Skipped, Unusable
from schemas.errors import HeadflowError
from schemas.tasks import SPELLED, lead_of

_TOLERANCE, _TOLERANCE_OF_HALF = 1e-3, 0.1  # of the margin, or of 1


@dataclass(frozen=True)
class KnockedOut:
    """A sample with its rows: values by column, in the order of the knock-outs."""

    sample: Sample
    rows: dict[str, list[Any]]


def over_images(
    batches: Iterable[list[ImageQuestions] | Skipped], run: Callable[[ImageQuestions], Iterable[KnockedOut | Skipped]]
) -> Iterator[KnockedOut | Skipped]:
    """The outcomes of each image of each batch; skipped samples come through as they are."""
    for batch in batches:
        if isinstance(batch, Skipped):
            yield batch
        else:
            for image in batch:
                yield from run(image)


class KnockOutPasses:
    """Runs the knock-outs of a job over images."""

    def __init__(
        self,
        model: TransformersModel,
        answers: AnswerReader,
        growth: Growth,
        names: list[str],
        *,
        margins: Mapping[str, float | None],
        means: HeadMeans | None = None,
        partner: Callable[[ImageQuestions], ImageQuestions] | None = None,
    ) -> None:
        """Prepare passes.

        Args:
            names: the order of the rows of a sample.
            margins: what the run has of the samples, by id, the first option's logit minus the second's; the first
                samples that come are compared with it.
            means: of `mean`; `partner`: of `swap`, the image that takes another's place, with one question.
        """
        self._model = model
        self._answers = answers
        self._growth = growth
        self._names = names
        self._margins = margins
        self._means = means
        self._partner = partner
        self._compared = False
        self._scale = 1.0  # of logits, beside what the head makes of hidden states, as measured
        self._never: Tensor | None = None  # the tokens that the model never writes, as Chameleon those of images
        self._cap = getattr(model.model.config.get_text_config(), "final_logit_softcapping", None)
        self._spell = cache(lambda token: answers.tokenizer.decode([token]))

    def over(self, batches: Iterable[list[ImageQuestions] | Skipped]) -> Iterator[KnockedOut | Skipped]:
        """One outcome for each question of each batch; skipped samples come through as they are."""
        return over_images(batches, self._image)

    def _image(self, image: ImageQuestions) -> list[KnockedOut | Skipped]:
        """The outcomes of an image's questions."""
        try:
            rows = self._rows(image)
        except Exception as error:  # a model raises anything
            reason, detail = failure(error)
            if isinstance(error, torch.OutOfMemoryError):
                torch.cuda.empty_cache()
                if self._growth.halve(image):
                    return self._image(image)
            problem = Unusable(reason, detail, image_sha256=image.sha256)
            return [Skipped(question.sample, problem) for question in image.questions]
        return [KnockedOut(question.sample, each) for question, each in zip(image.questions, rows, strict=True)]

    def _rows(self, image: ImageQuestions) -> list[dict[str, list[Any]]]:
        """The rows of each of an image's questions."""
        prefill = run_prefill(self._model, image)
        means = self._means.without(image.sha256) if self._means is not None else None
        other = run_prefill(self._model, self._partner(image)) if self._partner is not None else None
        if other is not None and self._growth.whole and other.prefix != prefill.prefix:
            detail = f"{other.prefix} tokens up to the end of the other image, {prefill.prefix} with its own"
            raise Unusable("image_unlike", detail, image_sha256=image.sha256)
        hidden, grown = self._growth.run(prefill, means=means, other=other)
        untouched = self._answers.margin(hidden)
        if not self._compared:
            self._read_head(prefill)
            self._compare(image, prefill, untouched)
        found: dict[str, dict[str, Tensor]] = {}
        for each in grown:
            answers = self._read(each.hidden)
            found |= {
                name: {column: values[number] for column, values in answers.items()}
                for number, name in enumerate(each.names)
            }
        columns = ("token", *self._answers.spelled, "margin", "option_logits")
        together = [torch.stack([found[name][column] for name in self._names], dim=1) for column in columns]
        before = untouched, self._answers.option_logits(hidden)
        margins, logits, *answered = (each.tolist() for each in Download(*before, *together).wait())
        return [
            self._row(question.sample, dict(zip(columns, values, strict=True)), margin, of_options)
            for question, margin, of_options, *values in zip(image.questions, margins, logits, *answered, strict=True)
        ]

    def _read(self, hidden: Tensor) -> dict[str, Tensor]:
        """The answers of final hidden states [knock-outs, questions, width], each [knock-outs, questions]."""
        flat = hidden.flatten(0, 1)
        read = self._answers.read(self._logits(flat), flat) | {"option_logits": self._answers.option_logits(flat)}
        return {name: values.unflatten(0, hidden.shape[:2]) for name, values in read.items()}

    def _read_head(self, prefill: Prefill) -> None:
        """Find what the model does to its logits: PaliGemma of older versions does not cap them."""
        self._never = prefill.logits[0] == torch.finfo(prefill.logits.dtype).min
        capped = self._logits(prefill.hidden)
        if self._cap is not None:
            cap, self._cap = self._cap, None
            plain = self._logits(prefill.hidden)
            if (plain - prefill.logits).abs().max() > (capped - prefill.logits).abs().max():
                self._cap = cap
        self._scale *= _factor(self._logits(prefill.hidden)[:, ~self._never], prefill.logits[:, ~self._never])

    def _logits(self, hidden: Tensor) -> Tensor:
        """The model's logits of final hidden states [rows, width], capped and scaled as the model does it."""
        with torch.inference_mode():
            logits: Tensor = self._model.unembedding(hidden).to(hidden.device)
            logits = self._scale * (logits if self._cap is None else self._cap * torch.tanh(logits / self._cap))
            return logits if self._never is None else logits.masked_fill(self._never, torch.finfo(logits.dtype).min)

    def _row(
        self, sample: Sample, answers: dict[str, list[Any]], untouched: float, logits: list[float]
    ) -> dict[str, list[Any]]:
        """The columns of one question; null where a logit of an option is not finite.

        Args:
            answers: with each knock-out, see `_read`.
            untouched: the margin without any, and `logits`, those of options.
        """
        options, right = len(self._answers.options(sample)), self._answers.right(sample)
        two = options == 2

        def lead(of_options: list[float], margin: float) -> float | None:
            return lead_of(of_options[:options], right, margin if two else None)

        each = list(zip(answers["option_logits"], answers["margin"], strict=True))
        finite = [all(abs(logit) < float("inf") for logit in of_options[:options]) for of_options, _ in each]
        values = {
            "margin": [margin if two else None for _, margin in each],
            "margin_untouched": [untouched if two else None] * len(each),
            "lead": [lead(*one) for one in each],
            "lead_untouched": [lead(logits, untouched)] * len(each),
            **{column: answers.get(column, [None] * len(each)) for column in SPELLED},
            "prediction": [self._spell(token) for token in answers["token"]],
        }
        return {
            name: [value if there else None for value, there in zip(column, finite, strict=True)]
            for name, column in values.items()
        }

    def _compare(self, image: ImageQuestions, prefill: Prefill, margins: Tensor) -> None:
        """Compare the first questions that come with what the model gives in one piece, and with the run.

        Raises:
            HeadflowError: they are not the same: another model, another image, or one that is computed otherwise.
        """
        tolerance = _TOLERANCE if self._model.dtype == torch.float32 else _TOLERANCE_OF_HALF
        whole, logits = self._answers.margin(prefill.hidden), self._logits(prefill.hidden)
        wrong = (margins - whole).abs().max() > tolerance * max(1.0, float(whole.abs().max()))
        if wrong or not torch.allclose(logits, prefill.logits, rtol=tolerance, atol=tolerance):
            entire = self._growth.whole
            fewer = "; those that change only tokens after the image may be"
            raise HeadflowError(
                f"this {self._model.prompt_format.family} computes something else when its layers run one by one "
                f"over {'the whole prompt' if entire else 'the tokens after the image'} (a margin of "
                f"{float(margins[0]):.3g}, not {float(whole[0]):.3g}): knock-outs that need this are not supported for "
                f"it{fewer if entire and self._model.kernel is not None else ''}"
            )
        if not adds_the_same(self._model, image, prefill, tolerance):
            raise HeadflowError(
                f"this {self._model.prompt_format.family} changes its hidden states between layers by what these give: "
                "knock-outs are not supported for it"
            )
        for question, margin in zip(image.questions, margins.tolist(), strict=True):
            before = self._margins.get(question.sample.sample_id)
            if before is not None and abs(margin - before) > tolerance * max(1.0, abs(before)):
                raise HeadflowError(
                    f"{question.sample.sample_id} has a margin of {margin:.4g}, and {before:.4g} in the run: the model "
                    "or the images are not those of the run",
                    setting="model_path",
                )
            self._compared = self._compared or before is not None


def _factor(ours: Tensor, theirs: Tensor) -> float:
    """The number by which logits are best multiplied to be those of the model: some models scale theirs after the head.

    Exactly 1 where they differ by rounding.
    """
    of, to = ours.double(), theirs.double()
    factor = float((of * to).sum() / (of * of).sum())
    return 1.0 if abs(factor - 1) <= _TOLERANCE or not isfinite(factor) else factor
