"""A loaded checkpoint: what all models offer to the rest of this stage, however they were loaded."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from extract.attention.kernels import Kernel
from extract.attention.masked import DESCRIPTION as MASKED
from extract.attention.masked import MaskedObservation
from extract.attention.packing import Batch
from extract.attention.readers import AttentionReader, OwnView
from extract.images.preprocessing import Preprocessor
from extract.models.transfer import Uploader
from extract.models.weights.quantised import matrix_of
from extract.prompts.prompt_format import PromptFormat
from schemas.columns import FLOW_NAMES, OF_TEXT
from schemas.errors import HeadflowError
from schemas.text import one_line

TRANSFORMERS_FORMAT, RELEASED, PACKAGE_FORMAT = "transformers", "released", "llava-package"  # formats


@dataclass(frozen=True, kw_only=True)
class Checkpoint(ABC):
    """A loaded model whose language model is observed.

    Attributes:
        prompt_format: how prompts for it are written.
        preprocessor: what turns images into its inputs.
        format: the form of the checkpoint, `TRANSFORMERS_FORMAT`, `RELEASED` or `PACKAGE_FORMAT`.
        architecture: the class that its config.json names, or that runs it.
        kernel: how attention is computed, chosen once for the device, dtype and shape; None: under the model's mask.
        crossing: of these, the layers that read the image by cross-attention: their queries see the image and no text,
            those of the other layers text and no image; empty: the image stands in the sequence.
        causal: whether no token sees a later one, as the self-check measures it; None: not measured.
        layers: decoder layers of the language model.
        heads: attention (query) heads of each layer that attends.
        attending: the layers that attend, in order; others have no attention matrix, such as linear attention.
        packs: whether questions on one image may stand after one prefix.
        single: whether it takes one question at a time.
        revision: commit of the model on its hub; None if it was loaded from a directory.
        weights: fingerprint of its weights (`extract.models.fingerprint`); None for weights that no file holds.
        quantised: how its weights are quantised, as plain values; empty: they are not.
        others: further devices that have some of its layers.
    """

    model: Any
    prompt_format: PromptFormat
    preprocessor: Preprocessor
    format: str
    architecture: str
    kernel: Kernel | None
    layers: int
    heads: int
    attending: Sequence[int]
    crossing: Sequence[int] = ()
    causal: bool | None = None
    packs: bool = True
    single: bool = False
    revision: str | None = None
    weights: str | None = None
    quantised: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[torch.device, ...] = ()

    @property
    def in_table(self) -> bool:
        """Whether the table of families says how it is read; else that is measured before a run."""
        return True

    @property
    def promises_causal(self) -> bool:
        """Whether its kind is known to be causal."""
        return self.kernel is not None

    @property
    def device(self) -> torch.device:
        """The device that the model is on; of several, the first, which takes batches and gives results."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its weights."""
        return self.model.dtype

    @cached_property
    def uploader(self) -> Uploader:
        """What copies batches to its device."""
        return Uploader(self.device, self.dtype)

    @property
    def patch_size(self) -> int:
        """The edge of a patch of the vision tower, in pixels; raises `HeadflowError` if the model does not say it."""
        return patch_size_of(getattr(self.model.config, "vision_config", None))

    @property
    def kernel_description(self) -> str:
        """How attention is computed and observed, in words, for people."""
        return MASKED if self.kernel is None else self.kernel.description

    def manifest_fields(self) -> dict[str, Any]:
        """The fields of a run's manifest that the checkpoint decides, as plain values."""
        return {
            "layers": self.layers,
            "heads": self.heads,
            "attending": list(self.attending),
            "crossing": list(self.crossing),
            "causal": self.causal,
            "revision": self.revision,
            "format": self.format,
            "architecture": self.architecture,
            "dtype": str(self.dtype).removeprefix("torch."),
            "quantised": dict(self.quantised),
            "image_preprocessing": self.preprocessor.describe(),
        }

    @property
    def flows(self) -> Sequence[str]:
        """The mass columns that it has: without those of image tokens as queries where it reads the image across."""
        return OF_TEXT if self.crossing else FLOW_NAMES

    @property
    def unembedding(self) -> nn.Module:
        """The head: final hidden states -> logits."""
        head: nn.Module = self.model.get_output_embeddings()
        return head

    def unembedding_rows(self, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The head's rows of tokens, float32 [tokens, width], and their biases, float32 [tokens].

        Raises:
            HeadflowError: it is no matrix, plain or quantised.
        """
        head = self.unembedding
        try:
            rows = matrix_of(head, self.dtype, tokens)
        except HeadflowError:
            raise HeadflowError(
                f"the head of this {self.architecture} is a {type(head).__name__}, not a matrix, so that margins "
                "cannot be computed from it; it is not supported"
            ) from None
        bias = getattr(head, "bias", None)
        biases = torch.zeros_like(rows[:, 0]) if bias is None else bias[list(tokens)].detach().float()
        return rows.to(self.device), biases.to(self.device)

    @cached_property
    def end_tokens(self) -> list[int]:
        """The tokens that end a text, as generation_config.json has them, else config.json; empty if neither says."""
        text = getattr(self.model.config, "text_config", None)
        for config in (getattr(self.model, "generation_config", None), self.model.config, text):
            found = getattr(config, "eos_token_id", None)
            if found is not None:
                return list(found) if isinstance(found, list | tuple) else [int(found)]
        return []

    @property
    def embeddings(self) -> int | None:
        """How many tokens have an embedding; None where ids that have none stand for images."""
        return None

    def with_kernel(self, same: Callable[["Checkpoint"], bool]) -> "Checkpoint":
        """A causal model, observed by a kernel from now on if it was under its mask and that is `same`; else itself.

        Args:
            same: whether the model, observed so, computes what it did.
        """
        return self

    @property
    def final_norm(self) -> nn.Module:
        """The norm after the last layer of the language model."""
        found: nn.Module = getattr(self.stack, "embedding_norm", None) or self.stack.norm
        return found

    @property
    @abstractmethod
    def stack(self) -> Any:
        """The language model without its head: the module that has `layers` and a final `norm`."""

    def run_stack(self, tokens: int, **more: Tensor) -> None:
        """Run the language model, not observed, over so many tokens of its vocabulary; `more` is passed on."""
        ids = torch.arange(tokens, device=self.device)[None]
        with torch.inference_mode():
            self.stack(input_ids=ids, use_cache=False, **more)

    @abstractmethod
    def forward(
        self, batch: Batch, inputs: dict[str, Tensor], *, readers: Sequence[AttentionReader] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One prefill pass, observed.

        Args:
            batch: the prompts, on the model's device.
            inputs: what the model reads of the batch's images (`extract.images.preprocessing`), in its dtype and on its
                device.
            readers: what else reads each layer's attention.

        Returns:
            Logits of each question's first generated token [questions, vocabulary] in the model's dtype, masses
            float32 [questions, layers that attend, heads, columns], and the final hidden state that the head turned
            into these logits [questions, width] in the model's dtype, all on the model's device.
        """

    def check_decoding(self) -> None:
        """Raise `HeadflowError` if the tokens that the model writes cannot be observed."""
        raise HeadflowError(f"the tokens that a {self.architecture} of this backend writes cannot be observed")

    def forward_new(self, observation: OwnView, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """One pass over tokens that follow a prefill, observed.

        Args:
            observation: has the keys and values of the prefill.
            input_ids: int64 [images, columns].
            position_ids: int64 [..., images, columns], in the form in which the decoder got those of the prefill.

        Returns:
            Logits of the token after each of them [images, columns, vocabulary] in the model's dtype.
        """
        raise NotImplementedError

    def plain_logits(self, batch: Batch, inputs: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """The logits from which the plain model's own generation chooses, while it is made to choose given tokens.

        Args:
            batch: one prompt; it and `inputs` as in `forward`.
            tokens: int64 [steps].

        Returns:
            [steps, vocabulary] in the model's dtype or float32.
        """
        raise NotImplementedError

    @abstractmethod
    def last_hidden_states(
        self,
        batch: Batch,
        inputs: dict[str, Tensor],
        *,
        observed: bool,
        whole: dict[str, Tensor] | None = None,
        readers: Sequence[AttentionReader] = (),
        observation: MaskedObservation | None = None,
    ) -> Tensor:
        """What the last layer of the language model gives for each token.

        Args:
            batch: as in `forward`; so are `inputs` and `readers`.
            observed: whether attention is observed, or computed as in the plain model.
            whole: what the model is called with instead, such as all that its processor writes; only if not observed.
            observation: what computes attention instead, of a model that is observed under its own mask.

        Returns:
            [images, length, width] in the model's dtype.
        """


def patch_size_of(vision: Any) -> int:
    """The edge of a patch, as the config of a vision tower has it: a number, or a height and a width."""
    size = getattr(vision, "patch_size", None)
    if isinstance(size, list | tuple) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int):
        raise HeadflowError(
            "this model does not say how large the square patches of its vision tower are", setting="images"
        )
    return size


def use_device(name: str) -> torch.device:
    """The device of a name, made ready; `auto` is CUDA if there is one, else the CPU.

    A GPU becomes torch's current one, and float32 is computed in full on it: TF32 keeps 10 bits of each factor, and
    torch takes it for convolutions unless it is told otherwise.

    Raises:
        HeadflowError: it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("it is neither the CPU nor CUDA")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = one_line(error).split(". ")[0]
        raise HeadflowError(f"the device {name} cannot be used: {why}", setting="device") from None
    if device.type == "cuda":
        if device.index is not None and torch.cuda.is_available():
            torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        # What the two switches fall back to
        torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
    return device


def device_name(*devices: torch.device) -> str:
    """The names of devices as sessions record them: those of GPUs, or `cpu`."""
    return ", ".join(torch.cuda.get_device_name(each) if each.type == "cuda" else str(each) for each in devices)


def choose_dtype(name: str, device: torch.device, declared: object = None) -> torch.dtype:
    """The dtype of a name.

    `auto` is float32 on the CPU. On CUDA it is the dtype that the checkpoint declares, if that is of half precision,
    else float16.

    Args:
        declared: the dtype that a checkpoint's config.json declares, as a dtype of torch or by its name.
    """
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if str(declared).removeprefix("torch.") == "bfloat16" else torch.float16
