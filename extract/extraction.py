"""The loop: each sample through the model, its flows into the run."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from extract import observer
from extract.answers import AnswerReader
from extract.checkpoint import KIND, Checkpoint
from extract.images import load_image
from extract.prompts import PromptBuilder
from extract.questions import Sample, Unusable
from schemas.columns import FLOW_NAMES
from schemas.manifest import EXTRACTED
from schemas.writer import RunWriter


@dataclass(frozen=True)
class Extractor:
    """A model, its prompts and its images: everything that turns one sample into rows."""

    checkpoint: Checkpoint
    prompts: PromptBuilder
    answers: AnswerReader
    image_folder: Path

    def describe(self) -> dict[str, Any]:
        """What the manifest says of it, by field."""
        return {
            "source": EXTRACTED,
            "layers": self.checkpoint.layers,
            "heads": self.checkpoint.heads,
            "flows": list(FLOW_NAMES),
            "text_scope": "all",
            "revision": self.checkpoint.revision,
            "checkpoint": KIND,
            "dtype": str(self.checkpoint.dtype).removeprefix("torch."),
            "device": _device_name(self.checkpoint.device),
            "attention": observer.DESCRIPTION,
            "conv_mode": self.prompts.template.name,
            "system_span": self.prompts.system_span,
            "prompt_suffix": self.prompts.suffix,
            "image_preprocessing": self.checkpoint.image_preprocessing,
        }

    def observe(self, sample: Sample) -> tuple[dict[str, Any], np.ndarray]:
        """Run one sample.

        Returns:
            What it adds to the sample's row, and flows float32 [layers, heads, flows].

        Raises:
            Unusable: the sample cannot be observed.
        """
        if not sample.image:
            raise Unusable("image_missing", "the question names no image file")
        image, digest = load_image(self.image_folder / sample.image)
        try:
            prompt = self.prompts.build(sample.question)
            logits, flows = self.checkpoint.forward(
                torch.tensor([prompt.input_ids]), torch.tensor([prompt.roles]), self.checkpoint.preprocess([image])
            )
            _check_finite(logits, flows)
        except Unusable as error:
            error.image_sha256 = digest
            raise
        return {"image_sha256": digest, **prompt.counts(), **self.answers.read(logits[0])}, flows[0].numpy()

    def run(self, samples: list[Sample], writer: RunWriter) -> Counter[str]:
        """Run all samples into a run, with a progress bar; returns how many were skipped, by reason.

        On an interrupt, what has been observed is written, and the run stays `running`.
        """
        skipped: Counter[str] = Counter()
        progress = tqdm(samples, unit="sample", dynamic_ncols=True)
        try:
            for sample in progress:
                try:
                    observed, flows = self.observe(sample)
                except Unusable as error:
                    skipped[error.reason] += 1
                    progress.set_postfix(skipped=skipped.total())
                    writer.skip({**sample.record(), "image_sha256": error.image_sha256}, error.reason, error.detail)
                else:
                    writer.add({**sample.record(), **observed}, flows)
        except KeyboardInterrupt:
            writer.flush()
            raise
        writer.finish()
        return skipped


def _check_finite(logits: torch.Tensor, flows: torch.Tensor) -> None:
    layers = torch.isfinite(flows).all(dim=-1).all(dim=-1).all(dim=0)
    if not layers.all():
        raise Unusable("not_finite", f"attention of layer {int((~layers).nonzero()[0])} is not finite")
    if not torch.isfinite(logits).all():
        raise Unusable("not_finite", "logits are not finite")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
