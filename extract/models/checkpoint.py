"""What a loaded model offers to the rest of this stage, whatever loaded it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from extract.attention.kernels import Kernel
from extract.attention.masked import DESCRIPTION as MASKED
from extract.attention.packing import Batch
from extract.images.preprocessing import Preprocessor
from extract.models.families import LLAVA, Family
from extract.prompts.chat_template import ChatTemplate
from extract.prompts.prompt import ChatPromptBuilder, PromptBuilder, SystemSpan
from extract.prompts.templates import CHAT, IMAGE_PLACEHOLDER, Template, find_template
from extract.questions.formats import MME_SUFFIX
from schemas.errors import HeadflowError
from schemas.text import one_line


@dataclass(frozen=True)
class Parts:
    """What a checkpoint holds, as read.

    Attributes:
        processor: where the family takes square pictures, what resizes, crops and normalises them; else the whole
            processor of transformers.
        aspect: how the checkpoint wants images that are not square: `crop`, `pad`, or `checkpoint`, its own way.
        image_text: what stands for the image in a message of LLaVA's templates; holds `<image>`.
        kind: the form of the checkpoint.
        revision: commit of the model on its hub, where it has one.
        chat: its chat template, where it has one.
        image_token_id: the token that stands for image content, where a processor writes others beside it.
        placeholder: the text in whose place such a processor puts them.
        tiles: what reads images in its place, where a released checkpoint cuts them into tiles.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    processor: Any
    aspect: str
    kind: str
    image_text: str = IMAGE_PLACEHOLDER
    revision: str | None = None
    family: Family = LLAVA
    chat: ChatTemplate | None = None
    image_token_id: int | None = None
    placeholder: str = IMAGE_PLACEHOLDER
    tiles: Preprocessor | None = None


@dataclass(frozen=True)
class Tokens:
    """What prompts for a model are made of.

    Attributes:
        image_ids: the tokens that stand for an image; empty where they depend on its size.
        max_tokens: longest prompt in which each token is placed, and sees all earlier ones.
        image_text: what stands for the image in a message of LLaVA's templates; holds `<image>`.
        chat: the checkpoint's chat template, where it has one.
        image_token_id: the token that stands for image content, where others stand beside it.
    """

    tokenizer: PreTrainedTokenizerBase
    image_ids: list[int]
    max_tokens: int
    image_text: str = IMAGE_PLACEHOLDER
    family: Family = LLAVA
    chat: ChatTemplate | None = None
    image_token_id: int | None = None

    def find_template(self, conv_mode: str | None, model_path: str) -> Template | ChatTemplate:
        """The template of a `--conv-mode`; null: the family's own.

        Raises:
            HeadflowError: it is not for this model, or there is none of that name.
        """
        name = conv_mode or self.family.conv_mode
        if name != CHAT:
            if not self.family.llava:
                raise HeadflowError(f"--conv-mode {name} is one of LLaVA's; a {self.family.name} takes {CHAT} alone")
            return find_template(name, model_path)
        if self.chat is None:
            other = "; name one of LLaVA's with --conv-mode" if self.family.llava else ""
            raise HeadflowError(f"{model_path} has no chat template{other}")
        return self.chat

    def prompts(
        self, template: Template | ChatTemplate, *, suffix: str = MME_SUFFIX, system_span: SystemSpan = "template"
    ) -> PromptBuilder:
        """What writes prompts.

        Raises:
            HeadflowError: the tokenizer fails; the suffix holds what stands for an image; or the span of the earlier
                tool is asked for with a template that it did not have.
        """
        placeholders = self._placeholders()
        for placeholder in placeholders:
            if placeholder in suffix:
                raise HeadflowError(f"--prompt-suffix must not contain {placeholder}: the image is put first")
        chat = isinstance(template, ChatTemplate)
        if chat and system_span != "template":
            raise HeadflowError(f"--system-span {system_span} goes with LLaVA's own templates, not with {CHAT}")
        self._try_tokenizer()
        kind: Any = ChatPromptBuilder if chat else PromptBuilder
        builder: PromptBuilder = kind(
            encode=template.encode if isinstance(template, ChatTemplate) else self._encode,
            bos_token_id=self.tokenizer.bos_token_id,
            max_tokens=self.max_tokens,
            template=template,
            image_text=self.image_text,
            image_token_id=self.image_token_id,
            placeholders=placeholders,
            suffix=suffix,
            system_span=system_span,
        )
        return builder

    def _try_tokenizer(self) -> None:
        try:
            self._encode("Is there a picture?")
        except Exception as error:  # one that does not fit its own settings raises anything
            raise HeadflowError(f"the checkpoint's tokenizer fails: {one_line(error)[:300]}") from error

    def _placeholders(self) -> list[str]:
        """Texts that stand for an image: of LLaVA's templates, of the chat template, and of the tokens themselves."""
        added = self.tokenizer.added_tokens_decoder
        tokens = {*self.image_ids, self.image_token_id} & added.keys()
        chat = [self.chat.placeholder] if self.chat else []
        return [IMAGE_PLACEHOLDER, *chat, *(str(added[token]) for token in tokens)]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text).input_ids
        return ids


@dataclass(frozen=True)
class Checkpoint(ABC):
    """A loaded model whose language model is observed.

    Attributes:
        kind: the form of the checkpoint, and what read it.
        kernel: how attention is computed, chosen once for the device, dtype and shape; null: under the model's mask.
        revision: commit of the model on its hub, where it has one.
    """

    model: Any
    tokens: Tokens
    preprocessor: Preprocessor
    kind: str
    kernel: Kernel | None
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

    @property
    def packs(self) -> bool:
        """Whether questions on one image may stand behind one prefix."""
        return self.tokens.family.packs and not self.alone

    @property
    def attention(self) -> str:
        """How attention is computed and observed, in words."""
        return MASKED if self.kernel is None else self.kernel.description

    @abstractmethod
    def check(self, prompts: PromptBuilder) -> None:
        """Look once, before a run, whether tokens and model are what is assumed of them.

        Raises:
            HeadflowError: they are not.
        """

    @abstractmethod
    def forward(self, batch: Batch, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One prefill pass, observed.

        Args:
            batch: the prompts, on the model's device.
            inputs: what the model reads of the batch's images (`extract.images.preprocessing`), in its dtype and on its
                device.

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
