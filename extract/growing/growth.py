"""The growing pass: from an untouched pass up the layers, with ever more knock-outs side by side.

A knock-out changes nothing below its lowest layer. There it joins the batch as a copy of the untouched sequence, and
goes up the remaining layers with all others. If only tokens behind the image are changed, a sequence is those tokens
alone: the keys and values of the prefix stay what they are in a causal model. So all heads of a model, each knocked out
by itself, cost `layers * heads / 2` short sequences, not `layers * heads` whole ones. Else, a sequence is the whole
prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from extract.attention.transformers_interface import observing
from extract.growing.attention import Changed, ChangedAttention, Keys
from extract.growing.changes import Change, last
from extract.growing.prefill import Prefill
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions
from schemas.columns import MEAN, SKIP, SWAP
from schemas.jobs.head_sets import HeadSet
from schemas.roles import IMAGE, PADDING


@dataclass(frozen=True)
class Sequences:
    """The tokens of an image's questions that are computed anew.

    Attributes:
        columns: int64 [questions, length], their places in the packed sequence; padding repeats the last.
        roles: int64 [questions, length], codes of `schemas.roles`, `PADDING` included.
        shared: tokens before them whose keys and values are those of the prefill; 0: none.
    """

    columns: Tensor
    roles: Tensor
    shared: int

    @classmethod
    def of(cls, prefill: Prefill, *, whole: bool) -> "Sequences":
        """The whole prompts, or what stands behind the image."""
        shared = 0 if whole else prefill.prefix
        own = [places[shared:] for places in prefill.prompts]
        columns = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-1)
        roles = torch.where(columns < 0, PADDING, prefill.roles[columns])
        return cls(columns.where(columns >= 0, columns.amax(dim=1, keepdim=True)), roles, shared)


@dataclass(frozen=True)
class Grown:
    """What knock-outs lead to: final hidden states [knock-outs, questions, width], in the model's dtype."""

    names: list[str]
    hidden: Tensor


class Growth:
    """Knock-outs of one model."""

    def __init__(self, model: TransformersModel, change: Change, sets: Mapping[str, HeadSet], tokens: int) -> None:
        """Prepare knock-outs.

        Args:
            sets: what is knocked out together, by name.
            tokens: how many tokens go through a layer at once, about.
        """
        self._model = model
        self._change = change
        self._tokens = tokens
        self._names = sorted(sets, key=lambda name: lowest_layer(sets[name]))
        self._sets = sets
        self.whole = not (model.causal and change.behind)

    def run(
        self,
        prefill: Prefill,
        *,
        means: Tensor | None = None,
        other: Prefill | None = None,
    ) -> tuple[Tensor, Iterator[Grown]]:
        """Run all knock-outs of an image's questions.

        Args:
            means: of `mean`, float32 [layers, heads, head_dim].
            other: of `swap`, the image whose keys and values are taken.

        Returns:
            The final hidden states without any, [questions, width], and those with them, some knock-outs at a time.
        """
        sequences = Sequences.of(prefill, whole=self.whole)
        states = self.untouched(prefill, sequences)
        number = max(1, self._tokens // sequences.columns.numel())
        groups = [self._names[start : start + number] for start in range(0, len(self._names), number)]
        grown = (self._grow(names, prefill, sequences, states, means, other) for names in groups)
        return self._final(states[-1], sequences), grown

    def layers_run(self) -> int:
        """How many layers all knock-outs of one sequence go through together."""
        return sum(self._model.layers - lowest_layer(each) for each in self._sets.values())

    def halve(self, image: ImageQuestions) -> bool:
        """Let half as many tokens go through a layer at once; False if one sequence of an image has as many already."""
        self._tokens //= 2
        return self._tokens >= image.columns()

    @torch.inference_mode()
    def untouched(self, prefill: Prefill, sequences: Sequences, outputs: list[Tensor] | None = None) -> list[Tensor]:
        """What each layer gets without any knock-out, and what the last one gives: [questions, length, width] each.

        Args:
            outputs: gets the outputs of the heads of each layer, [questions, heads, length, head_dim].
        """
        states = [prefill.inputs[sequences.columns]]
        question = torch.arange(len(sequences.columns), device=states[0].device)
        for layer in range(self._model.layers):
            attention = ChangedAttention(self._model.kernel, self._prefix(prefill, sequences, layer), None)
            states.append(self._layer(layer, states[-1], prefill, sequences, question, attention))
            if outputs is not None:
                outputs.append(attention.output)
        return states

    @torch.inference_mode()
    def _grow(
        self,
        names: list[str],
        prefill: Prefill,
        sequences: Sequences,
        states: Sequence[Tensor],
        means: Tensor | None,
        other: Prefill | None,
    ) -> Grown:
        """Take some knock-outs from their lowest layers to the top; row = knock-out * questions + question."""
        questions = len(sequences.columns)
        sets = [self._sets[name] for name in names]
        joining = [lowest_layer(each) for each in sets]
        hidden = states[0][:0]
        for layer in range(joining[0], self._model.layers):
            there = len(hidden) // questions
            new = joining.count(layer)
            hidden = torch.cat([hidden, *[states[layer]] * new])
            question = torch.arange(questions, device=hidden.device).repeat(there + new)
            changed = self._changed(layer, sets[: there + new], prefill, sequences, question, means, other)
            attention = ChangedAttention(self._model.kernel, self._prefix(prefill, sequences, layer), changed)
            after = self._layer(layer, hidden, prefill, sequences, question, attention)
            skipped = [number for number, each in enumerate(sets[: there + new]) if layer in each.layers]
            if self._change.skips and skipped:
                rows = _rows(skipped, questions, hidden.device)
                after[rows] = hidden[rows]
            hidden = after
        return Grown(names, self._final(hidden, sequences).unflatten(0, (len(names), questions)))

    def _changed(
        self,
        layer: int,
        sets: Sequence[HeadSet],
        prefill: Prefill,
        sequences: Sequences,
        question: Tensor,
        means: Tensor | None,
        other: Prefill | None,
    ) -> Changed | None:
        """The heads of a layer that are changed; None: none is."""
        change, questions = self._change, len(sequences.columns)
        pairs = [(number, head) for number, each in enumerate(sets) for head in self._heads(each, layer)]
        if change.kind == SKIP or not pairs:
            return None
        knock_out, head = torch.tensor(pairs, device=question.device).T
        rows = (knock_out[:, None] * questions + torch.arange(questions, device=question.device)).flatten()
        heads = head.repeat_interleave(questions)
        tokens = change.changed(sequences.roles)[question]
        if change.key is None:
            width = prefill.keys[layer].shape[-1]
            output = torch.zeros(len(heads), width, device=question.device)
            if change.kind == MEAN:
                assert means is not None
                output = means[layer, heads]
            return Changed(rows, heads, tokens, output=output)
        own = change.keys(sequences.roles)[question]
        if change.kind != SWAP:
            seen = ~change.keys(prefill.roles[None, : prefill.prefix])[0]
            behind = _keys(prefill, layer, seen) if sequences.shared else None
            return Changed(rows, heads, tokens, before=behind, hidden=own)
        assert other is not None
        image = other.roles[: other.prefix] == IMAGE
        taken = _keys(other, layer, image)
        if not sequences.shared:
            return Changed(rows, heads, tokens, swapped=own, other=taken)
        kept = _keys(prefill, layer, prefill.roles[: prefill.prefix] != IMAGE)
        before = Keys(torch.cat([kept.key, taken.key], dim=1), torch.cat([kept.value, taken.value], dim=1))
        return Changed(rows, heads, tokens, before=before)

    def _heads(self, chosen: HeadSet, layer: int) -> list[int]:
        """The heads of a layer that are changed."""
        if layer in chosen.layers:
            return [] if self._change.skips else list(range(self._model.heads))
        return [head for at, head in sorted(chosen.heads) if at == layer]

    def _prefix(self, prefill: Prefill, sequences: Sequences, layer: int) -> Keys | None:
        if not sequences.shared:
            return None
        return Keys(prefill.keys[layer][0], prefill.values[layer][0])

    def _layer(
        self,
        layer: int,
        hidden: Tensor,
        prefill: Prefill,
        sequences: Sequences,
        question: Tensor,
        attention: ChangedAttention,
    ) -> Tensor:
        """One layer of the model over rows of tokens, with another attention: [rows, length, width]."""
        arguments = prefill.of_rows(layer, sequences.columns, question)
        with observing(attention, layers=[layer]):
            after: Tensor = self._model.stack.layers[layer](hidden, **arguments)
        return after

    @torch.inference_mode()
    def _final(self, hidden: Tensor, sequences: Sequences) -> Tensor:
        """The last tokens of rows [rows, length, width] through the final norm, [rows, width]."""
        ends = last(sequences.roles).repeat(len(hidden) // len(sequences.roles))
        normed: Tensor = self._model.stack.norm(hidden[torch.arange(len(hidden), device=hidden.device), ends])
        return normed


def lowest_layer(chosen: HeadSet) -> int:
    """The first layer that a set changes."""
    return min({layer for layer, _ in chosen.heads} | chosen.layers)


def _rows(knock_outs: Sequence[int], questions: int, device: torch.device) -> Tensor:
    """The rows of some knock-outs, int64."""
    first = torch.tensor(knock_outs, device=device)[:, None] * questions
    return (first + torch.arange(questions, device=device)).flatten()


def _keys(prefill: Prefill, layer: int, chosen: Tensor) -> Keys:
    """The keys and values of some tokens of the prefix; `chosen` is bool [prefix]."""
    return Keys(prefill.keys[layer][0][:, chosen], prefill.values[layer][0][:, chosen])
