"""The growing pass: from an untouched pass up the layers, with ever more knock-outs side by side.

A knock-out changes nothing below its lowest layer. There it joins the batch as a copy of the untouched sequence, and
goes up the remaining layers with all others. If only tokens after the image are changed, a sequence is only those
tokens: the keys and values of the prefix stay what they are in a causal model. So all heads of a model, one by one,
cost `layers * heads / 2` short sequences, not `layers * heads` whole ones. Else, a sequence is the whole prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from extract.attention.blocks import OnDevice
from extract.batched_knockouts.attention import Changed, ChangedAttention, Keys
from extract.batched_knockouts.changes import Change, last
from extract.batched_knockouts.prefill import Prefill
from extract.models.transformers_model import TransformersModel
from extract.passes.batching import ImageQuestions
from schemas.columns import MEAN, SKIP, SWAP
from schemas.jobs.head_sets import HeadSet
from schemas.roles import PADDING


@dataclass(frozen=True)
class Sequences(OnDevice):
    """The tokens of an image's questions that are computed anew.

    Attributes:
        columns: int64 [questions, length], their places in the packed sequence; padding repeats the last.
        roles: int64 [questions, length], codes of `schemas.roles`, `PADDING` included.
        shared: tokens before them whose keys and values are those of the prefill; 0: none.
        seen: int64, the places in `shared` whose keys changed heads still see.
        other: of `swap`, int64, the places of image tokens among the keys of the other image.
        across: int64 [questions, keys], the roles of keys that are read by cross-attention; there may be none.
    """

    columns: Tensor
    roles: Tensor
    shared: int
    seen: Tensor
    other: Tensor | None
    across: Tensor

    @classmethod
    def of(cls, prefill: Prefill, change: Change, *, whole: bool, other: Prefill | None = None) -> "Sequences":
        """The whole prompts, or what stands after the image; on the CPU."""
        shared = 0 if whole else prefill.prefix
        own = [places[shared:] for places in prefill.prompts]
        columns = torch.nn.utils.rnn.pad_sequence(own, batch_first=True, padding_value=-1)
        roles = torch.where(columns < 0, PADDING, prefill.roles[columns])
        columns = columns.where(columns >= 0, columns.amax(dim=1, keepdim=True))
        seen = ~change.keys(prefill.roles[None, :shared])[0] if shared else torch.zeros(0, dtype=torch.bool)
        across = prefill.roles[len(prefill.inputs) :].expand(len(own), -1)
        return cls(columns, roles, shared, seen.argwhere()[:, 0], None if other is None else other.image, across)

    def hidden(self, change: Change) -> Tensor:
        """The keys that a change is about, bool [questions, keys of a layer] without those of the prefill."""
        own = change.keys(self.roles)
        return torch.cat([own, change.keys(self.across)], dim=1) if self.across.shape[1] else own


@dataclass(frozen=True)
class Grown:
    """What knock-outs lead to: final hidden states [knock-outs, questions, width], in the model's dtype."""

    names: list[str]
    hidden: Tensor


@dataclass(frozen=True)
class Source:
    """What the knock-outs of an image's questions stand on.

    Attributes:
        means: of `mean`, float32 [layers that attend, heads, head_dim].
        other: of `swap`, the image whose keys and values are taken.
    """

    prefill: Prefill
    sequences: Sequences
    means: Tensor | None = None
    other: Prefill | None = None

    def prefix(self, place: int) -> Keys | None:
        """The keys and values before the tokens that are computed anew; None: there are none.

        Args:
            place: of the layer, among those that attend.
        """
        return Keys(self.prefill.keys[place][0], self.prefill.values[place][0]) if self.sequences.shared else None

    def seen(self, place: int) -> Keys:
        """Those of them that changed heads still see."""
        chosen = self.sequences.seen
        return Keys(self.prefill.keys[place][0][:, chosen], self.prefill.values[place][0][:, chosen])

    def of_other(self, place: int) -> Keys:
        """Those of the other image."""
        assert self.other is not None
        image = self.sequences.other
        return Keys(self.other.keys[place][0][:, image], self.other.values[place][0][:, image])


@dataclass(frozen=True)
class HeadsOf:
    """The heads of one layer that knock-outs change, in the order of the knock-outs.

    Attributes:
        knock_outs: int64 [pairs], on the device; `heads`: int64 [pairs], there too.
        begins: of each knock-out its first pair, and the number of pairs.
    """

    knock_outs: Tensor
    heads: Tensor
    begins: list[int]

    @classmethod
    def of(cls, heads: Sequence[Sequence[int]], device: torch.device) -> "HeadsOf":
        """Those of each knock-out."""
        pairs = [(number, head) for number, each in enumerate(heads) for head in each]
        knock_outs, chosen = torch.tensor(pairs, dtype=torch.int64, device=device).view(len(pairs), 2).unbind(dim=1)
        return cls(knock_outs, chosen, [0, *accumulate(map(len, heads))])

    def by(self, some: slice) -> tuple[Tensor, Tensor]:
        """The pairs of some knock-outs, which are counted from the first of these."""
        pairs = slice(self.begins[some.start], self.begins[some.stop])
        return self.knock_outs[pairs] - some.start, self.heads[pairs]


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
        self._place = {layer: place for place, layer in enumerate(model.attending)}
        self._lowest = {name: min({layer for layer, _ in each.heads} | each.layers) for name, each in sets.items()}
        self._names = sorted(sets, key=lambda name: self._lowest[name])
        heads = [self._by_layer(sets[name]) for name in self._names]
        self._heads = [HeadsOf.of([each[layer] for each in heads], model.device) for layer in range(model.layers)]
        skips = [[change.skips and layer in sets[name].layers for name in self._names] for layer in range(model.layers)]
        self._skips = torch.tensor(skips, device=model.device)  # bool [layers, knock-outs]
        self._skipped = [any(each) for each in skips]
        # What has no heads, such as linear attention, takes its state from all tokens
        self.whole = model.kernel is None or not change.after or len(self._place) < model.layers

    def run(
        self, prefill: Prefill, *, means: Tensor | None = None, other: Prefill | None = None
    ) -> tuple[Tensor, Iterator[Grown]]:
        """Run all knock-outs of an image's questions.

        Args:
            means, other: see `Source`.

        Returns:
            The final hidden states without any, [questions, width], and those with them, some knock-outs at a time.
        """
        source = Source(prefill, self.sequences(prefill, other), means, other)
        states = self.untouched(source)
        number = max(1, self._tokens // source.sequences.columns.numel())
        groups = [slice(start, start + number) for start in range(0, len(self._names), number)]
        return self._final(states[-1], source), (self._grow(group, source, states) for group in groups)

    def sequences(self, prefill: Prefill, other: Prefill | None = None) -> Sequences:
        """The tokens that are computed anew."""
        return self._model.uploader.copy(Sequences.of(prefill, self._change, whole=self.whole, other=other))

    def layers_run(self) -> int:
        """How many layers all knock-outs of one sequence go through together."""
        return sum(self._model.layers - lowest for lowest in self._lowest.values())

    def halve(self, image: ImageQuestions) -> bool:
        """Halve the number of tokens that go through a layer at once; False if it is too small for one sequence."""
        self._tokens //= 2
        return self._tokens >= image.columns()

    @torch.inference_mode()
    def untouched(self, source: Source, outputs: list[Tensor] | None = None) -> list[Tensor]:
        """What each layer gets without any knock-out, and what the last one gives: [questions, length, width] each.

        Args:
            outputs: gets the outputs of the heads of each layer that attends, [questions, heads, length, head_dim].
        """
        states = [source.prefill.inputs[source.sequences.columns]]
        question = torch.arange(len(states[0]), device=states[0].device)
        for layer in range(self._model.layers):
            attention = ChangedAttention(self._model.kernel, source.prefix(self._place.get(layer, -1)), None)
            after = self._layer(layer, states[-1], source, question, attention)
            states.append(source.prefill.with_added(layer, after, source.sequences.columns, question))
            if outputs is not None and layer in self._place:
                outputs.append(attention.output)
        return states

    @torch.inference_mode()
    def _grow(self, group: slice, source: Source, states: Sequence[Tensor]) -> Grown:
        """Take some knock-outs from their lowest layers to the top; row = knock-out * questions + question."""
        questions, names = len(source.sequences.columns), self._names[group]
        joining = [self._lowest[name] for name in names]
        hidden = states[0][:0]
        for layer in range(joining[0], self._model.layers):
            there = slice(group.start, group.start + sum(lowest <= layer for lowest in joining))
            hidden = torch.cat([hidden, *[states[layer]] * joining.count(layer)])
            question = torch.arange(questions, device=hidden.device).repeat(there.stop - there.start)
            changed = self._changed(layer, there, source, question)
            attention = ChangedAttention(self._model.kernel, source.prefix(self._place.get(layer, -1)), changed)
            after = self._layer(layer, hidden, source, question, attention)
            if self._skipped[layer]:
                skips = self._skips[layer, there].repeat_interleave(questions)
                after = torch.where(skips[:, None, None], hidden, after)
            hidden = source.prefill.with_added(layer, after, source.sequences.columns, question)
        return Grown(names, self._final(hidden, source).unflatten(0, (len(names), questions)))

    def _changed(self, layer: int, there: slice, source: Source, question: Tensor) -> Changed | None:
        """The heads of a layer that some knock-outs change, `question` by row; None: none is."""
        change, sequences, place = self._change, source.sequences, self._place.get(layer, -1)
        knock_out, heads = self._heads[layer].by(there)
        if change.kind == SKIP or not len(heads):
            return None
        rows = _rows(knock_out, len(sequences.columns))
        heads = heads.repeat_interleave(len(sequences.columns))
        tokens = change.changed(sequences.roles)[question]
        if change.kind == MEAN:
            assert source.means is not None
            return Changed(rows, heads, tokens, output=source.means[place, heads])
        if change.key is None:
            width = source.prefill.values[place].shape[-1]
            return Changed(rows, heads, tokens, output=torch.zeros(len(heads), width, device=question.device))
        own, before = sequences.hidden(change)[question], None
        if sequences.shared:
            before = source.seen(place)
        if change.kind != SWAP:
            return Changed(rows, heads, tokens, before=before, hidden=own)
        taken = source.of_other(place)
        if before is None:
            return Changed(rows, heads, tokens, swapped=own, other=taken)
        before = Keys(torch.cat([before.key, taken.key], dim=1), torch.cat([before.value, taken.value], dim=1))
        return Changed(rows, heads, tokens, before=before)

    def _by_layer(self, chosen: HeadSet) -> list[list[int]]:
        """The heads that are changed, of each layer."""
        heads: list[list[int]] = [[] for _ in range(self._model.layers)]
        for layer, head in sorted(chosen.heads):
            heads[layer].append(head)
        for layer in chosen.layers:
            whole = self._change.skips or layer not in self._place
            heads[layer] = [] if whole else list(range(self._model.heads))
        return heads

    def _layer(
        self, layer: int, hidden: Tensor, source: Source, question: Tensor, attention: ChangedAttention
    ) -> Tensor:
        """One layer of the model over rows of tokens, with another attention: [rows, length, width]."""
        arguments = source.prefill.of_rows(layer, source.sequences.columns, question)
        home = hidden.device
        with self._model.observing(attention, layers=[layer] if layer in self._place else []):
            made = self._model.stack.layers[layer](hidden, **arguments)
            after: Tensor = made[0] if isinstance(made, tuple) else made
        return after.to(home, non_blocking=True)

    @torch.inference_mode()
    def _final(self, hidden: Tensor, source: Source) -> Tensor:
        """The last tokens of rows [rows, length, width] through the final norm, [rows, width]."""
        roles = source.sequences.roles
        ends = last(roles).repeat(len(hidden) // len(roles))
        normed: Tensor = self._model.final_norm(hidden[torch.arange(len(hidden), device=hidden.device), ends])
        return normed.to(hidden.device, non_blocking=True)


def _rows(knock_outs: Tensor, questions: int) -> Tensor:
    """The rows of some knock-outs, int64."""
    return (knock_outs[:, None] * questions + torch.arange(questions, device=knock_outs.device)).flatten()
