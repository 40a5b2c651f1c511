"""What a loaded model offers to the rest of this stage, whatever loaded it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.kernels import Kernel
from extract.packing import Batch
from extract.pixels import Preprocessor
from extract.prompts import PromptBuilder, SystemSpan
from extract.templates import IMAGE_PLACEHOLDER, MME_SUFFIX, Template
from schemas.errors import HeadflowError, one_line

CROP, PAD, AS_CHECKPOINT = "crop", "pad", "checkpoint"  # values of --image-aspect-ratio


@dataclass(frozen=True)
class Parts:
    """What a checkpoint holds, as read.

    Attributes:
        processor: resizes, crops and normalises images for the model's vision tower.
        aspect: how the checkpoint wants images that are not square: `crop` or `pad`.
        image_text: what stands for the image in a message; holds `<image>`.
        kind: the form of the checkpoint.
        revision: commit of the model on its hub, where it has one.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    processor: Any
    aspect: str
    kind: str
    image_text: str = IMAGE_PLACEHOLDER
    revision: str | None = None


@dataclass(frozen=True)
class Tokens:
    """What prompts for a model are made of.

    Attributes:
        image_ids: the tokens that stand for an image.
        max_tokens: longest prompt in which each token is placed, and sees all earlier ones.
        image_text: what stands for the image in a message; holds `<image>`.
    """

    tokenizer: PreTrainedTokenizerBase
    image_ids: list[int]
    max_tokens: int
    image_text: str = IMAGE_PLACEHOLDER

    def prompts(
        self, template: Template, *, suffix: str = MME_SUFFIX, system_span: SystemSpan = "template"
    ) -> PromptBuilder:
        """What writes prompts."""
        return PromptBuilder(
            encode=lambda text: self.tokenizer(text).input_ids,
            bos_token_id=self.tokenizer.bos_token_id,
            max_tokens=self.max_tokens,
            template=template,
            image_text=self.image_text,
            suffix=suffix,
            system_span=system_span,
        )


@dataclass(frozen=True)
class Checkpoint(ABC):
    """A loaded model whose language model is observed.

    Attributes:
        kind: the form of the checkpoint, and what read it.
        kernel: how attention is computed, chosen once for the device, dtype and shape.
        revision: commit of the model on its hub, where it has one.
    """

    model: Any
    tokens: Tokens
    preprocessor: Preprocessor
    kind: str
    kernel: Kernel
    layers: int
    heads: int
    revision: str | None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its weights."""
        return self.model.dtype

    @property
    def alone(self) -> bool:
        """Whether it takes no more than one question at a time."""
        return False

    @abstractmethod
    def forward(self, batch: Batch, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One prefill pass, observed.

        Args:
            batch: the prompts, on the model's device.
            inputs: what the model reads of the batch's images (see `extract.pixels`), in its dtype, on its device.

        Returns:
            Logits of each question's first generated token [questions, vocabulary] in the model's dtype, and flows
            float32 [questions, layers, heads, flows], both on the model's device.
        """


def choose_device(name: str) -> torch.device:
    """The device of `--device`: `auto` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise HeadflowError(f"--device {name} cannot be used: {one_line(error).split('. ')[0]}") from None
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of `--dtype`: `auto` is float16 on CUDA, float32 elsewhere."""
    if name == "auto":
        name = "float16" if device.type == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype
