"""The tables `tokens`, `steps` and `step_maps` of a run: what the model writes, and where it looks meanwhile."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from extract.attention.packing import Batch
from extract.attention.readers import Forward, PassReader
from extract.generation.detokenization import TokenTexts, find_marker
from extract.generation.greedy_decoding import Generation, Step, check_generation
from extract.generation.observation import ImageColumns
from extract.images.preprocessing import Pixels, blank_image
from extract.models.checkpoint import Checkpoint
from extract.prompts.prompt_builder import PromptBuilder
from extract.questions.samples import Sample
from extract.tables.maker import Maker, QuestionRows, QuestionTensors
from extract.tables.map_reader import MapReader
from extract.tables.maps import MapMaker
from schemas.columns import (
    CUT,
    FLOW_NAMES,
    MAP_NUMBERS,
    N_GENERATED,
    OF_LAST,
    PARTITIONS,
    STEP_MAPS,
    STEP_NAMES,
    STEPS,
    STOPPED,
    TABLES,
    TOKENS,
)
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet
from schemas.text import counted

_FIRST = FLOW_NAMES.index(PARTITIONS[OF_LAST][0].name)
_LAST = slice(_FIRST, _FIRST + len(PARTITIONS[OF_LAST]))  # a list would be copied to the device, and waited for
_IDS, TEXTS, LISTS = f"{TOKENS}.token_id", f"{TOKENS}.text", TABLES[STEP_MAPS].list_name


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is written and kept of it, as the manifest has it.

    Attributes:
        generate: most tokens of a text.
        every: the steps whose masses and maps are kept are its multiples.
        step_heads: [layer, head] of those in `steps`, in order; empty: all.
        step_map_heads: those in `step_maps`, if there is such a table; empty: all.
        answer_after: what the answer follows in the text; None: as the model's prompt has it.
        texts_sha256: hash of the file of given texts; None: the model writes its own.
    """

    generate: int
    every: int
    step_heads: Sequence[Sequence[int]]
    step_map_heads: Sequence[Sequence[int]]
    answer_after: str | None
    texts_sha256: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Take it from fields of the manifest."""
        values: dict[str, Any] = {each.name: fields.get(each.name) for each in dataclasses.fields(cls)}
        return cls(**values)


class StepMaker(Maker):
    """Makes the tables of what one model writes."""

    def __init__(self, checkpoint: Checkpoint, writing: Writing, *, maps: bool) -> None:
        """Prepare to write.

        Args:
            maps: whether `step_maps` is made.

        Raises:
            HeadflowError: the model's new tokens cannot be observed, a head is not in the model, or its maps cannot be
                made.
        """
        checkpoint.check_decoding()
        super().__init__([TOKENS, STEPS] + [STEP_MAPS] * maps)
        for setting, heads in (("step_heads", writing.step_heads), ("step_maps", writing.step_map_heads)):
            if outside := HeadSet(frozenset(_pairs(heads))).outside(checkpoint):
                raise HeadflowError(f"the list {outside}", setting=setting)
        self.writing, self.checkpoint = writing, checkpoint
        self.maps: MapMaker | None = None
        if maps:
            self.maps = MapMaker(checkpoint, OF_LAST, _pairs(writing.step_map_heads), setting="step_maps")
        self.ends = torch.tensor(checkpoint.end_tokens, dtype=torch.int64, device=checkpoint.device)
        self.heads = self._by_layer(writing.step_heads) if writing.step_heads else None
        seeing = checkpoint.crossing or checkpoint.attending
        whole = [(layer, head) for layer in seeing for head in range(checkpoint.heads)]
        self.map_heads = self._by_layer(writing.step_map_heads or whole if maps else [])
        self._after = writing.answer_after
        self._texts = TokenTexts(checkpoint.prompt_format.tokenizer, self._after)

    def _by_layer(self, heads: Sequence[Sequence[int]]) -> list[Tensor]:
        """Heads of each layer that attends, int64, on the device."""
        layers = self.checkpoint.attending
        chosen = [[head for layer, head in sorted(_pairs(heads)) if layer == each] for each in layers]
        return [torch.tensor(each, dtype=torch.int64, device=self.checkpoint.device) for each in chosen]

    def flat(self, heads: Sequence[Tensor]) -> Tensor:
        """Heads by layer, as places in a list of all heads, int64."""
        return torch.cat([layer * self.checkpoint.heads + each for layer, each in enumerate(heads)])

    def check(self, prompts: PromptBuilder) -> None:
        """See `Maker.check`: against the plain model; finds out what the answer follows, too."""
        check_generation(self.checkpoint, prompts)
        self._after = self.writing.answer_after or find_marker(prompts)
        self._texts = TokenTexts(self.checkpoint.prompt_format.tokenizer, self._after)

    def manifest_fields(self) -> dict[str, Any]:
        """See `Maker.manifest_fields`."""
        writing = self.writing
        return {
            "generate": writing.generate,
            "every": writing.every,
            "step_heads": [list(head) for head in writing.step_heads],
            "step_map_heads": [list(head) for head in writing.step_map_heads],
            "answer_after": self._after,
            "texts_sha256": writing.texts_sha256,
        }

    def size(self, samples: int, given: Sequence[int] | None = None) -> str:
        """See `Maker.size`: of float32 values, as masses hardly compress."""
        writing, checkpoint = self.writing, self.checkpoint
        tokens = [writing.generate] * samples if given is None else given
        steps = sum(-(-number // writing.every) for number in tokens)
        heads = len(writing.step_heads) or len(checkpoint.attending) * checkpoint.heads
        values = {STEPS: (heads, len(STEP_NAMES))}
        if self.maps is not None:
            (places,) = self.maps.places(checkpoint.preprocessor(blank_image()))
            patches = len(places.tokens)
            values[STEP_MAPS] = (sum(map(len, self.map_heads)), len(MAP_NUMBERS) + patches)
        sizes = [
            f"{steps * number:,} rows of `{name}` ({steps * number * each * 4 / 1e6:,.1f} MB)"
            for name, (number, each) in values.items()
        ]
        new = f"{counted(samples, 'sample')} with {counted(writing.generate, 'new token')} can have"
        if given is not None:
            new = f"{counted(samples, 'sample')} with {counted(sum(given), 'given token')} in all: at most"
        return f"{new} {' and '.join(sizes)}; `step_heads`, `step_maps` and `every` say which are kept"

    def begin(self, batch: Batch, images: Sequence[Pixels], samples: Sequence[Sample] = ()) -> "StepReader":
        """See `Maker.begin`."""
        return StepReader(self, batch, None if self.maps is None else self.maps.begin(batch, images))

    def not_finite(self, found: QuestionTensors) -> str | None:
        """See `Maker.not_finite`; of the sample's own steps. NaN among the numbers of a map is null."""
        steps = int(found[N_GENERATED])
        thinned = self.writing.every
        for name, every, what in ((TOKENS, 1, "a logit"), (STEPS, thinned, "attention"), (LISTS, thinned, "a map")):
            if name in found:
                own = found[name][: -(-steps // every)].flatten(1)
                finite = torch.isfinite(own).all(dim=1)
                if not finite.all():
                    return f"{what} of step {int((~finite).nonzero()[0]) * every} is not finite"
        return None

    def rows(self, found: QuestionTensors, pixels: Pixels) -> QuestionRows:
        """See `Maker.rows`."""
        steps = int(found[N_GENERATED])
        kept = -(-steps // self.writing.every)
        ids = found[_IDS][:steps]
        texts = self._texts.pieces(ids.tolist())
        samples = {
            "text": "".join(texts),
            N_GENERATED: steps,
            "ended": STOPPED if int(ids[-1]) in self.checkpoint.end_tokens else CUT,
            "answer_step": self._texts.answer_step(texts),
        }
        grids: dict[str, Any] = {
            TOKENS: found[TOKENS][:steps].numpy(),
            _IDS: ids.int().numpy(),
            TEXTS: texts,
            STEPS: found[STEPS][:kept].numpy(),
        }
        if self.maps is None:
            return samples, [], grids
        places = self.maps.places(pixels)
        grids |= {
            STEP_MAPS: found[STEP_MAPS][:kept, : len(places)].numpy(),
            LISTS: [
                found[LISTS][:kept, number, :, : len(each.tokens)].flatten(0, 1).numpy()
                for number, each in enumerate(places)
            ],
        }
        return samples, self.maps.placed(pixels), grids


def _pairs(heads: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return [(layer, head) for layer, head in heads]


class StepReader(PassReader):
    """Reads a prefill, and what the model writes after it."""

    def __init__(self, maker: StepMaker, batch: Batch, maps: MapReader | None) -> None:
        """Read a batch, which is on the model's device.

        Args:
            maps: reads the maps of step 0.
        """
        self._maker, self._maps, self._owner, self._given = maker, maps, batch.owner, batch.given
        image = None if maps is None else ImageColumns(maps.image, maker.map_heads)
        self._generation = Generation(maker.checkpoint, batch, maker.writing.generate, heads=maker.heads, image=image)
        self.readers = [self._generation.kept, *([] if maps is None else maps.readers)]
        self.sent = () if maps is None else maps.sent

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See `PassReader.reading`."""
        with ExitStack() as reading:
            reading.enter_context(self._generation.reading())
            if self._maps is not None:
                reading.enter_context(self._maps.reading())
            yield

    def tables(self, found: Forward) -> dict[str, Tensor]:
        """See `PassReader.tables`: padded to the steps of the longest text."""
        logits, masses, _ = found
        every, ends = self._maker.writing.every, self._maker.ends
        tokens, numbers, kept, maps = [], [], [], []
        given = self._given
        if given is None:
            steps = self._generation.greedy(logits, ends)
        else:
            steps = self._generation.forced(logits, given.T.clamp_min(0))
        for number, step in enumerate(steps):
            tokens.append(step.token)
            numbers.append(torch.stack([step.logprob, step.entropy, step.gap], dim=-1))
            if number % every == 0:
                kept.append(self._first(masses) if step.masses is None else step.masses)
                if self._maps is not None:
                    maps.append(self._map(step, self._maps))
        ids = torch.stack(tokens, dim=1)
        ended = torch.isin(ids, ends).int()
        own = (ended.cumsum(dim=1) - ended) == 0 if given is None else given >= 0
        made = {
            TOKENS: torch.stack(numbers, dim=1),
            _IDS: ids,
            N_GENERATED: own.sum(dim=1),
            STEPS: torch.stack(kept, dim=1),
        }
        if maps:
            made[STEP_MAPS], made[LISTS] = (torch.stack(each, dim=1) for each in zip(*maps, strict=True))
        size = len(self._maker.checkpoint.attending), self._maker.checkpoint.heads
        for name in {STEPS, STEP_MAPS} & made.keys():
            if made[name].shape[-2] == size[0] * size[1]:  # of all heads, also where they are named one by one
                made[name] = made[name].unflatten(-2, size)
        return made

    def _first(self, masses: Tensor) -> Tensor:
        """The masses of step 0: those of the last prompt token, which sees no new one."""
        first = torch.nn.functional.pad(masses[..., _LAST], (0, 1)).flatten(1, 2)
        return first if self._maker.heads is None else first[:, self._maker.flat(self._maker.heads)]

    def _map(self, step: Step, maps: MapReader) -> tuple[Tensor, Tensor]:
        """The columns and maps of a step, as of `MapReader.lay`; `maps` has those of step 0."""
        heads = self._maker.map_heads
        if step.on_image is None:
            return torch.cat(maps.numbers, dim=2)[:, :, self._maker.flat(heads)], torch.cat(maps.maps, dim=2)
        sinks = torch.cat(
            [own[:, None].expand(-1, len(each), -1) for own, each in zip(maps.sinks, heads, strict=True)], dim=1
        )
        there = maps.there[self._owner, None]
        return maps.lay(step.on_image * there, sinks)
