"""A model of transformers, observed: the one place that runs one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from extract.attention.causal import HELD_ON_CUDA, Observation
from extract.attention.kernels import choose_kernel
from extract.attention.masked import MaskedObservation
from extract.attention.packing import Batch
from extract.attention.readers import AttentionReader
from extract.attention.transformers_interface import observe_language_model, observing, without_observing
from extract.images.preprocessing import Preprocessor
from extract.models.checkpoint import Checkpoint
from extract.models.families import Family
from extract.prompts.prompt_format import PromptFormat
from schemas.errors import HeadflowError
from schemas.roles import IMAGE, PADDING


@dataclass(frozen=True, kw_only=True)
class TransformersModel(Checkpoint):
    """A model of transformers."""

    family: Family

    @property
    def stack(self) -> Any:
        """See `Checkpoint.stack`."""
        return self.model.get_decoder()

    def forward(
        self, batch: Batch, inputs: dict[str, Tensor], *, readers: Sequence[AttentionReader] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        observation = self._observation(batch)
        with (
            torch.inference_mode(),
            observing(observation, layers=range(self.layers), readers=readers),
            self._last_tokens_only(batch) as applied,
        ):
            logits = self.model(**self._arguments(batch, inputs)).logits
            masses = observation.masses()
        (hidden,) = applied
        return logits[:, 0], masses, hidden

    def last_hidden_states(self, batch: Batch, inputs: dict[str, Tensor], *, observed: bool) -> Tensor:
        """See `Checkpoint.last_hidden_states`."""
        observed_pass = observing(self._observation(batch), layers=range(self.layers))
        with observed_pass if observed else without_observing(self.model):
            hidden: Tensor = self.model.model(**self._arguments(batch, inputs)).last_hidden_state
            return hidden

    def _observation(self, batch: Batch) -> Observation | MaskedObservation:
        """What observes a forward pass over a batch."""
        if self.kernel is None:
            return MaskedObservation(batch)
        return Observation(batch, self.kernel, hold=HELD_ON_CUDA if self.device.type == "cuda" else 0)

    def _arguments(self, batch: Batch, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """What a forward pass is called with."""
        named: dict[str, Any] = {"input_ids": batch.input_ids, "use_cache": False, **inputs}
        if self.family.packs:
            named["position_ids"] = batch.position_ids
        else:
            named["attention_mask"] = (batch.roles != PADDING).long()
        if self.family.token_types is not None:
            name, of_image = self.family.token_types
            named[name] = of_image * (batch.roles == IMAGE).long()
        return named

    @contextmanager
    def _last_tokens_only(self, batch: Batch) -> Iterator[list[Tensor]]:
        """Let the model apply its head to each question's last token alone: logits are [questions, 1, vocabulary].

        `logits_to_keep` of transformers takes the same columns of all images, which would be images x columns. What a
        model does to logits after its head, such as capping or scaling them, is done number by number.

        Yields:
            A list that gets what the head is applied to, [questions, width], in the pass.

        Raises:
            HeadflowError: the model has no head that is a module of its own.
        """
        applied: list[Tensor] = []

        def select(_: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden, *others = arguments
            applied.append(hidden[batch.owner, batch.last])
            return applied[-1].unsqueeze(1), *others

        hook = self.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield applied
        finally:
            hook.remove()
        if not applied:
            raise HeadflowError(f"{self.architecture} does not apply its head as a module; it is not supported")


def observe(
    model: Any,
    family: Family,
    prompt_format: PromptFormat,
    preprocessor: Preprocessor,
    device: torch.device,
    *,
    format: str,
    architecture: str | None = None,
    revision: str | None = None,
    weights: str | None = None,
) -> TransformersModel:
    """Move a model to a device and make its language model observed.

    Args:
        architecture: see `Checkpoint`; None: the model's own class.

    Raises:
        HeadflowError: its language model is not causal, though its family should be.
    """
    model = model.eval().to(device)
    if family.causal and not all(getattr(module, "is_causal", True) for module in model.get_decoder().modules()):
        raise HeadflowError(f"the model is not causal over its prompt, as a {family.name} should be")
    observe_language_model(model, causal=family.causal)
    text = model.config.get_text_config()
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    shape = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    return TransformersModel(
        model=model,
        family=family,
        prompt_format=prompt_format,
        preprocessor=preprocessor,
        format=format,
        architecture=architecture or type(model).__name__,
        kernel=choose_kernel(model.device, model.dtype, **shape) if family.causal else None,
        layers=text.num_hidden_layers,
        heads=heads,
        packs=family.packs,
        revision=revision,
        weights=weights,
    )
