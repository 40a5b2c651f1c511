"""A model of transformers, run and observed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from extract.attention.causal import HELD_ON_CUDA, Observation
from extract.attention.kernels import Kernel, choose_kernel
from extract.attention.masked import MaskedObservation
from extract.attention.packing import Batch
from extract.attention.readers import AttentionReader, OwnView
from extract.attention.transformers_interface import (
    Crossing,
    observe_language_model,
    observing,
    without_observing,
)
from extract.images.preprocessing import Preprocessor
from extract.models.checkpoint import Checkpoint
from extract.models.families import FAMILIES, Family, attending_layers, check_new_tokens, crossing_layers, has_window
from extract.models.weights.devices import divide
from extract.prompts.prompt_format import PromptFormat
from schemas.errors import HeadflowError
from schemas.roles import PADDING, QUESTION


@dataclass(frozen=True, kw_only=True)
class TransformersModel(Checkpoint):
    """A model of transformers."""

    family: Family

    @property
    def dtype(self) -> torch.dtype:
        """See `Checkpoint.dtype`; that of embeddings, as other weights may be quantised."""
        dtype: torch.dtype = self.model.get_input_embeddings().weight.dtype
        return dtype

    @property
    def in_table(self) -> bool:
        """See `Checkpoint.in_table`."""
        return self.family in FAMILIES.values()

    @property
    def promises_causal(self) -> bool:
        """See `Checkpoint.promises_causal`."""
        return self.family.causal

    @property
    def stack(self) -> Any:
        """See `Checkpoint.stack`."""
        decoder = self.model.get_decoder()
        return decoder if hasattr(decoder, "layers") else decoder.model  # Llama 4's has a head of its own

    def forward(
        self, batch: Batch, inputs: dict[str, Tensor], *, readers: Sequence[AttentionReader] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Checkpoint.forward`."""
        observation = self._observation(batch)
        with (
            torch.inference_mode(),
            self.observing(observation, readers=readers),
            self._last_tokens_only(batch) as applied,
        ):
            logits = self.model(**self._arguments(batch, inputs)).logits
            masses = observation.masses()
        (hidden,) = applied
        return self._here(logits[:, 0]), masses, self._here(hidden)

    def observing(
        self, observation: Any, *, layers: Sequence[int] | None = None, readers: Sequence[AttentionReader] = ()
    ) -> AbstractContextManager[None]:
        """The context in which `observation` computes attention of its layers, or of some of them; see `observing`."""
        return observing(
            observation,
            home=self.device,
            layers=self.attending if layers is None else layers,
            readers=readers,
            crossing=Crossing(self.crossing, self.prompt_format.crossing) if self.crossing else None,
        )

    def _here(self, tensor: Tensor) -> Tensor:
        """A tensor on the model's own device, the first of several."""
        return tensor.to(self.device, non_blocking=True)

    def run_stack(self, tokens: int, **more: Tensor) -> None:
        """See `Checkpoint.run_stack`; where text reads an image by cross-attention, that is of random numbers."""
        if self.crossing:
            width = self.model.config.get_text_config().hidden_size
            random = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(0))
            more["cross_attention_states"] = random.to(self.device, self.dtype)
        with without_observing(self.model):
            super().run_stack(tokens, **more)

    def check_decoding(self) -> None:
        """See `Checkpoint.check_decoding`."""
        check_new_tokens(f"this {self.prompt_format.family}", self.family, self.model.config.get_text_config())

    def forward_new(self, observation: OwnView, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """See `Checkpoint.forward_new`."""
        named = {name: torch.zeros_like(input_ids) for name in self.preprocessor.token_types}
        if self.crossing:  # without these, its layers are left out; the observation has the keys of the image
            width = self.model.config.get_text_config().hidden_size
            named["cross_attention_states"] = torch.zeros(len(input_ids), 1, width).to(self.device, self.dtype)
        with torch.inference_mode(), self.observing(observation):
            logits: Tensor = self.model(input_ids=input_ids, position_ids=position_ids, use_cache=False, **named).logits
        return self._here(logits)

    def plain_logits(self, batch: Batch, inputs: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """See `Checkpoint.plain_logits`."""
        arguments = self._arguments(batch, inputs)
        arguments["attention_mask"] = torch.ones_like(arguments["input_ids"])
        arguments.pop("position_ids", None)
        length = arguments["input_ids"].shape[1]

        def choose(ids: Tensor, scores: Tensor) -> Tensor:
            only = torch.full_like(scores, -torch.inf)
            only[:, tokens[ids.shape[1] - length]] = 0
            return only

        with torch.inference_mode(), without_observing(self.model):
            made = self.model.generate(
                **arguments | {"use_cache": True},
                max_new_tokens=len(tokens),
                do_sample=False,
                num_beams=1,
                logits_processor=[choose],
                eos_token_id=-1,  # none ends
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            )
        return torch.cat(made.logits)

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
        """See `Checkpoint.last_hidden_states`."""
        arguments = self._arguments(batch, inputs) if whole is None else {**whole, "use_cache": False}
        if "logits_to_keep" in signature(self.model.forward).parameters:
            # As an index: with a number, the last layers of Gemma 4's small models get no other tokens
            arguments["logits_to_keep"] = torch.tensor([-1], device=[self.device, *self.others][-1])
        watching = observation or self._observation(batch)
        observed_pass = self.observing(watching, readers=readers)
        given: list[Tensor] = []
        hook = self.stack.register_forward_hook(lambda _, arguments, output: given.append(output[0]))
        try:
            with observed_pass if observed else without_observing(self.model):
                self.model(**arguments)
        finally:
            hook.remove()
        return self._here(given[-1])

    @property
    def embeddings(self) -> int:
        """See `Checkpoint.embeddings`."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def with_kernel(self, same: Callable[[Checkpoint], bool]) -> Checkpoint:
        """See `Checkpoint.with_kernel`."""
        if self.kernel is not None or has_window(self.model.config.get_text_config()):
            return self
        observe_language_model(self.model, causal=True)
        faster = replace(self, kernel=_choose_kernel(self.model))
        try:
            if same(faster):
                return faster
        except Exception:  # such as of attention that caps its scores: the mask remains
            pass
        observe_language_model(self.model, causal=False)
        return self

    def _observation(self, batch: Batch) -> Observation | MaskedObservation:
        """What observes a forward pass over a batch."""
        if self.kernel is None:
            return MaskedObservation(batch)
        return Observation(batch, self.kernel, hold=HELD_ON_CUDA if self.device.type == "cuda" else 0)

    def _arguments(self, batch: Batch, inputs: dict[str, Tensor]) -> dict[str, Any]:
        """What a forward pass is called with."""
        named: dict[str, Any] = {"input_ids": batch.input_ids, "use_cache": False, **inputs}
        if self.crossing:
            named |= _crossing_arguments(batch, inputs["aspect_ratio_mask"])
        elif self.packs:
            named["position_ids"] = batch.position_ids
        else:
            named["attention_mask"] = (batch.roles != PADDING).long()
        for name, types in self.preprocessor.token_types.items():
            named[name] = torch.zeros_like(batch.input_ids)
            for token, kind in types.items():
                named[name] += kind * (batch.input_ids == token)
        return named

    @contextmanager
    def _last_tokens_only(self, batch: Batch) -> Iterator[list[Tensor]]:
        """Let the model apply its head only to each question's last token: logits are [questions, 1, vocabulary].

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
            owner, last = (each.to(hidden.device, non_blocking=True) for each in (batch.owner, batch.last))
            applied.append(hidden[owner, last])
            return applied[-1].unsqueeze(1), *others

        hook = self.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield applied
        finally:
            hook.remove()
        if not applied:
            raise HeadflowError(f"{self.architecture} does not apply its head as a module; it is not supported")


def _crossing_arguments(batch: Batch, tiles: Tensor) -> dict[str, Tensor]:
    """What a model that reads the image by cross-attention is called with of a batch's text.

    Args:
        tiles: int64 [images, 1, tiles], 1 for those that are no padding.

    Returns:
        Token ids, which of them are no padding, and which tiles a token sees: all of its image's from the token that
        stands for it on, none before.
    """
    roles = batch.roles[:, : batch.layout.read]
    ids = batch.input_ids[:, : batch.layout.read]
    after = (roles == QUESTION).int()
    marked = after.roll(-1, dims=1) | after  # the token that stands for the image is the one before the question
    marked[:, -1] = after[:, -1]
    seen = marked[:, :, None, None] * tiles[:, None]
    return {"input_ids": ids, "attention_mask": (roles != PADDING).long(), "cross_attention_mask": seen}


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
    quantised: Mapping[str, Any] | None = None,
    others: Sequence[torch.device] = (),
) -> TransformersModel:
    """Move a model to a device and make its language model observed.

    Args:
        architecture: see `Checkpoint`; None: the model's own class.
        others: further devices, among which its layers are divided.
        quantised: see `Checkpoint`; weights that are quantised are on the device already.

    Raises:
        HeadflowError: its language model is not causal, though its family should be.
    """
    model.eval()
    if not quantised:
        divide(model, [device, *others])
    if family.causal and not all(getattr(module, "is_causal", True) for module in model.get_decoder().modules()):
        raise HeadflowError(f"the model is not causal over its prompt, as a {family.name} should be")
    text = model.config.get_text_config()
    by_kernel = family.causal and not has_window(text)
    observe_language_model(model, causal=by_kernel)
    if model.config.model_type == "mistral3":  # it squeezes the first axis of features: that of tokens, if there is one
        model.model.multi_modal_projector.register_forward_hook(lambda _, arguments, features: features[None])
    return TransformersModel(
        model=model,
        family=family,
        prompt_format=prompt_format,
        preprocessor=preprocessor,
        format=format,
        architecture=architecture or type(model).__name__,
        kernel=_choose_kernel(model) if by_kernel else None,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        attending=attending_layers(text),
        crossing=crossing_layers(text) if family.crossing else (),
        packs=family.packs and by_kernel,
        revision=revision,
        weights=weights,
        quantised=quantised or {},
        others=tuple(others),
    )


def _choose_kernel(model: Any) -> Kernel:
    """The kernel for the attention of a model's language model."""
    text = model.config.get_text_config()
    heads = text.num_attention_heads
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // heads
    return choose_kernel(model.device, model.dtype, heads=heads, kv_heads=kv_heads, head_dim=head_dim)
