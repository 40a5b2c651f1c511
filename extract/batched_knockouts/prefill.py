"""One untouched pass over an image and its questions, kept as far as knock-outs need it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from extract.attention.layout import prefix_length
from extract.attention.packing import Batch, pack
from extract.attention.readers import LayerInput
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions
from extract.prompts.prompt_builder import Prompt
from schemas.errors import HeadflowError
from schemas.roles import IMAGE

# What layers that read the image by cross-attention are called with; the first has no axis of text
_STATES, *_OF_ROWS = _ACROSS = ("cross_attention_states", "cross_attention_mask", "full_text_row_masked_out_mask")
# Arguments with an axis of tokens: where it is; the axis before it is that of sequences. Of others, they come first
POSITIONED = {"position_embeddings": -2, "position_ids": -1, "cache_position": -1}


@dataclass(frozen=True)
class Prefill:
    """What one pass leaves.

    Attributes:
        prompts: for each question its places in the packed sequence, int64, in order, on the CPU.
        roles: int64 [length], codes of `schemas.roles`, on the CPU.
        prefix: number of tokens up to the last one of the image, which all questions share.
        image: int64, the places of image tokens among the keys that are kept, on the CPU.
        inputs: [length, width], what the first layer gets.
        arguments: what each layer is called with beside its input, by name.
        added: of each layer what is added to its output before the next one gets it, [length, width], such as features
            of the image in Qwen3-VL; None: nothing.
        keys: of each layer that attends [1, kv_heads, prefix, head_dim]; `values` too. Where the image is read by
            cross-attention, all keys: those of the image stand after those of text.
        logits: [questions, vocabulary]; `hidden`: [questions, width], as `Checkpoint.forward` gives them.
        sent: what the pass reads, kept for as long as the device may do so.
    """

    prompts: list[Tensor]
    roles: Tensor
    prefix: int
    image: Tensor
    inputs: Tensor
    arguments: list[dict[str, Any]]
    added: list[Tensor | None]
    keys: list[Tensor]
    values: list[Tensor]
    logits: Tensor
    hidden: Tensor
    sent: tuple[Batch, dict[str, Tensor]]

    def of_rows(self, layer: int, columns: Tensor, question: Tensor) -> dict[str, Any]:
        """What a layer is called with for some tokens of questions, in the place of the whole sequence.

        Args:
            columns: int64 [questions, length], their places in the packed sequence.
            question: int64 [rows], the question that each row is about.
        """
        return {name: _select(name, value, columns, question) for name, value in self.arguments[layer].items()}

    def with_added(self, layer: int, after: Tensor, columns: Tensor, question: Tensor) -> Tensor:
        """What the next layer gets where a layer gives `after` [rows, length, width]; see `of_rows`."""
        added = self.added[layer]
        return after if added is None else after + added[columns[question]]


def run_prefill(model: TransformersModel, image: ImageQuestions) -> Prefill:
    """Run an image with its questions, untouched.

    Raises:
        HeadflowError: the model's layers are called in a way that is not known.
    """
    prompts = [question.prompt for question in image.questions]
    batch, inputs = sent = model.uploader.send(pack([prompts]), [image.pixels])
    prefix = prefix_length(prompts[0])
    crossing = bool(prompts[0].crossing)
    roles = torch.from_numpy(batch.layout.roles[0])
    kept = _Kept(len(roles) if crossing else prefix)
    with kept.reading(model.stack.layers):
        logits, _, hidden = model.forward(batch, inputs, readers=[kept])
    return Prefill(
        [torch.arange(batch.layout.read)] if crossing else _places(prompts, prefix),
        roles,
        prefix,
        (roles[: len(roles) if crossing else prefix] == IMAGE).argwhere()[:, 0],
        kept.inputs[0],
        kept.arguments,
        [*kept.added, None],
        kept.keys,
        kept.values,
        logits,
        hidden,
        sent,
    )


def adds_the_same(model: TransformersModel, image: ImageQuestions, prefill: Prefill, tolerance: float) -> bool:
    """Whether what is added between layers does not depend on these: it is the same without the first layer.

    Args:
        prefill: the untouched pass over the image.
        tolerance: how far it may differ, as a share of its norm.
    """
    if not any(each is not None for each in prefill.added):
        return True
    hook = model.stack.layers[0].register_forward_hook(lambda _, given, made: given[0])
    try:
        others = run_prefill(model, image).added
    finally:
        hook.remove()
    return all(
        one is None or (other is not None and bool((one - other).norm() <= tolerance * one.norm()))
        for one, other in zip(prefill.added, others, strict=True)
    )


def _places(prompts: Sequence[Prompt], prefix: int) -> list[Tensor]:
    """The places of each question's tokens: the shared prefix, then its own, which stand one question after another."""
    places, begin = [], prefix
    for prompt in prompts:
        end = begin + len(prompt.input_ids) - prefix
        places.append(torch.cat([torch.arange(prefix), torch.arange(begin, end)]))
        begin = end
    return places


class _Kept:
    """Keeps what each layer gets, what is added between two layers, and the keys and values of the prefix."""

    def __init__(self, prefix: int) -> None:
        self._prefix = prefix
        self.inputs: list[Tensor] = []
        self.arguments: list[dict[str, Any]] = []
        self.added: list[Tensor | None] = []
        self._made: Any = None
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    @contextmanager
    def reading(self, layers: Sequence[nn.Module]) -> Iterator[None]:
        """Read the forward pass that runs in this context."""
        with ExitStack() as hooks:
            for layer in layers:
                # Before what moves its arguments to a device of its own
                hooks.callback(layer.register_forward_pre_hook(self._call, with_kwargs=True, prepend=True).remove)
                hooks.callback(layer.register_forward_hook(self._keep_output).remove)
            yield

    def _keep_output(self, _: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        self._made = made[0] if isinstance(made, tuple) else made

    def _call(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if any(value is not None for value in given[1:]):
            raise HeadflowError(
                f"the model's layers get {len(given)} arguments without a name, such as embeddings of a layer's own; "
                "knock-outs do not know them"
            )
        if not self.inputs:
            self.inputs.append(given[0][0])
        else:
            self.added.append(None if given[0] is self._made else (given[0] - self._made)[0].to(self.inputs[0]))
        for name, value in named.items():
            known = name in (*POSITIONED, *_ACROSS, "attention_mask")
            if isinstance(value, Mapping) and value:
                raise HeadflowError(f"some of the model's layers take {name} of others; knock-outs do not know them")
            if not known and isinstance(value, Tensor) and value.shape[:2] != given[0].shape[:2]:
                raise HeadflowError(f"the model's layers get tensors as {name}; knock-outs do not know them")
        self.arguments.append(named)

    def read(self, layer: LayerInput) -> None:
        """See `extract.attention.readers.AttentionReader`."""
        self.keys.append(layer.key[:, :, : self._prefix].clone())
        self.values.append(layer.value[:, :, : self._prefix].clone())


def _select(name: str, value: Any, columns: Tensor, question: Tensor) -> Any:
    """An argument of a layer for some tokens of questions; see `Prefill.of_rows`."""
    if isinstance(value, tuple):
        return tuple(_select(name, each, columns, question) for each in value)
    if not isinstance(value, Tensor):
        return value
    if name == _STATES:  # [tiles, tokens of one, width]
        return value.repeat(len(question), 1, 1)
    if name in _OF_ROWS:  # [1, 1, length, keys]
        return value[:, :, columns[0]].expand(len(question), -1, -1, -1)
    if name == "attention_mask" and value.dim() == 2:  # [1, length], of one question, which has no padding
        return value[:, columns[0]].expand(len(question), -1)
    if name == "attention_mask":  # [1, 1, length, length], of one question
        return value[:, :, columns[0]][..., columns[0]].expand(len(question), -1, -1, -1)
    if name == "cache_position":  # [length]
        return value[columns[0]]
    axis = POSITIONED.get(name, 1 - value.ndim)
    chosen = value.squeeze(axis - 1).index_select(axis, columns[question].flatten())  # of one sequence
    return chosen.unflatten(axis, (len(question), -1))
