"""What observing each token that a model writes costs: `make bench-writing`, or `python -m tests.bench.writing --help`.

Ratios of CPU seconds (on a GPU: of seconds) are medians over rounds; a round runs each variant once, as in
tests.bench.observing. Random weights; two questions on each image, as MME has them. Peak memory is that of a process
that has loaded the model, without the model.

decoding      the steps after a prefill, observed: what `--generate` adds to a pass, up to the tables' tensors
unobserved    the same steps, attention by torch's own kernel under the same mask; nothing kept but the tokens
whole         prefill and steps, observed
generate      transformers' generate with sdpa, one question after another
batched       the same, all questions in one batch, padded on the left
attentions    generate(output_attentions=True) with eager attention, one question after another; reduced to masses
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from extract.attention.packing import pack
from extract.attention.readers import Forward, read_pass
from extract.attention.transformers_interface import NAME
from extract.generation.observation import DecodingObservation
from extract.images.preprocessing import Pixels
from extract.models.checkpoint import choose_dtype, use_device
from extract.tables.generated import StepMaker, StepReader, Writing
from extract.tables.maker import MassMaker
from schemas.roles import ROLES
from tests.bench.observing import Report, interleave, memory_of, profile, ratio
from tests.bench.variants import SHAPES, Shape, build, prompt

VARIANTS = ("decoding", "unobserved", "whole", "generate", "batched", "attentions")
RATIOS = (("decoding", "unobserved"), ("whole", "generate"), ("whole", "batched"), ("whole", "attentions"))


class Unobserved(DecodingObservation):
    """Attention of new tokens by torch's own kernel; no masses."""

    def begin(self, tokens: int) -> None:
        super().begin(tokens)
        self._layer = 0

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, **_: Any) -> Tensor:
        keys, values = self._kept.layers[self._layer]
        self._layer += 1
        columns = slice(self._length + self._columns.start, self._length + self._columns.stop)
        keys[:, :, columns], values[:, :, columns] = key, value
        there = slice(0, columns.stop)
        mask = self._seen[None][:, None]
        return scaled_dot_product_attention(query, keys[:, :, there], values[:, :, there], mask, scale=scale)


class WritingVariants:
    """The variants of letting a model write after some questions; each is called with nothing."""

    def __init__(self, shape: Shape, device: torch.device, dtype: torch.dtype, questions: int, steps: int) -> None:
        self.checkpoint = build(shape, device, dtype)
        self.questions, self.steps = questions, steps
        each = min(questions, 2)
        size, image_ids = (shape.image_size, shape.image_size), self.checkpoint.prompt_format.image_ids
        self.prompts = [prompt(self.checkpoint, 34 + seed % 2, seed) for seed in range(questions)]
        values = torch.randn(questions // each, 3, *size).to(device, dtype)
        self.inputs = {"pixel_values": values}
        self.own = values.repeat_interleave(each, dim=0)  # of each question
        self.pixels = [Pixels({"pixel_values": value[None]}, [image_ids], [size]) for value in values]
        self.batch = pack([self.prompts[first : first + each] for first in range(0, questions, each)]).to(device)
        asked = Writing(generate=steps, every=1, step_heads=[], step_map_heads=[], answer_after=None, texts_sha256=None)
        self.maker = StepMaker(self.checkpoint, asked, maps=False)
        self.maker.ends = self.maker.ends[:0]  # each text has all its steps
        self.checkpoint.model.generation_config.eos_token_id = None
        self._read: tuple[StepReader, Forward] | None = None

    def run(self, variant: str) -> None:
        """Run one of the variants to its end."""
        with torch.inference_mode():
            getattr(self, variant)()
        if self.checkpoint.device.type == "cuda":
            torch.cuda.synchronize()

    def warm_up(self) -> None:
        """Run something once, and keep nothing."""
        self.run("prefill")
        self._read = None

    def prefill(self) -> tuple[StepReader, Forward]:
        """A pass over the prompts, from which `decoding` and `unobserved` go on."""
        if self._read is None:
            reader = self.maker.begin(self.batch, self.pixels)
            with reader.reading():
                self._read = reader, self.checkpoint.forward(self.batch, self.inputs, readers=reader.readers)
        return self._read

    def decoding(self) -> None:
        reader, found = self.prefill()
        reader.tables(found)

    def unobserved(self) -> None:
        reader, (logits, *_) = self.prefill()
        generation = reader._generation
        observation = Unobserved(self.batch, generation.kept)
        owner, slot = self.batch.owner, self.batch.slot
        tokens = [logits.argmax(dim=-1)]
        for number in range(self.steps - 1):
            ids = self.batch.input_ids.new_zeros(self.batch.ends.rows.shape)
            ids[owner, slot] = tokens[-1]
            observation.begin(1)
            found = self.checkpoint.forward_new(observation, ids, generation._next_positions() + number)
            tokens.append(found[owner, slot].argmax(dim=-1))

    def whole(self) -> None:
        readers = [maker.begin(self.batch, self.pixels) for maker in (MassMaker(), self.maker)]
        read_pass(self.checkpoint.forward, self.batch, self.inputs, readers)

    def generate(self) -> None:
        with self._attention("sdpa"):
            for asked, own in zip(self.prompts, self.own, strict=True):
                self._generate(torch.tensor([asked.input_ids]), own[None])

    def batched(self) -> None:
        most = max(len(asked.input_ids) for asked in self.prompts)
        padded = [[0] * (most - len(asked.input_ids)) + asked.input_ids for asked in self.prompts]
        there = torch.tensor([[0] * (most - len(each.input_ids)) + [1] * len(each.input_ids) for each in self.prompts])
        with self._attention("sdpa"):
            self._generate(torch.tensor(padded), self.own, attention_mask=there.to(self.checkpoint.device))

    def attentions(self) -> list[Tensor]:
        masses = []
        with self._attention("eager"):
            for asked, own in zip(self.prompts, self.own, strict=True):
                ids = torch.tensor([asked.input_ids])
                made = self._generate(ids, own[None], output_attentions=True, return_dict_in_generate=True)
                roles = torch.tensor([*asked.roles, *[len(ROLES)] * (self.steps - 1)])
                on_role = torch.nn.functional.one_hot(roles).to(self.checkpoint.device, self.checkpoint.dtype)
                rows = [torch.stack([layer[0, :, -1] for layer in step]) for step in made.attentions]
                masses.append(torch.stack([row @ on_role[: row.shape[-1]] for row in rows]))
        return masses

    def _generate(self, ids: Tensor, pixel_values: Tensor, **options: Any) -> Any:
        device = self.checkpoint.device
        options = {"attention_mask": torch.ones_like(ids, device=device), **options}
        return self.checkpoint.model.generate(
            input_ids=ids.to(device), pixel_values=pixel_values, max_new_tokens=self.steps, do_sample=False,
            pad_token_id=0, **options,
        )  # fmt: skip

    @contextlib.contextmanager
    def _attention(self, name: str) -> Iterator[None]:
        self.checkpoint.model.set_attn_implementation({"text_config": name})
        try:
            yield
        finally:
            self.checkpoint.model.set_attn_implementation({"text_config": NAME})


def compare(report: Report, variants: WritingVariants, rounds: int) -> None:
    """CPU seconds of each variant, and their ratios."""
    on_cuda = variants.checkpoint.device.type == "cuda"
    variants.run("prefill")
    seconds = interleave(
        {name: partial(variants.run, name) for name in VARIANTS},
        rounds,
        time.perf_counter if on_cuda else time.process_time,
    )
    took = {name: statistics.median(each) for name, each in seconds.items()}
    for one, other in RATIOS:
        detail = f"{variants.questions} question(s); {one} {took[one]:.3g} s, {other} {took[other]:.3g} s"
        report.add(f"{one} / {other}", f"{ratio(seconds, one, other):.3f}", detail, seconds=seconds)


def compare_memory(report: Report, make: Callable[[], WritingVariants], questions: int, *, on_cuda: bool) -> None:
    """Growth of peak memory of each variant that begins with the prompts."""
    growth = {name: memory_of(make, name, on_cuda=on_cuda) for name in ("whole", "generate", "batched", "attentions")}
    for name, each in growth.items():
        report.add(f"{name}, peak memory", f"{each:.0f} MB", f"{questions} question(s)", megabytes=growth)


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    flags.add_argument("--device", default="auto")
    flags.add_argument("--dtype", default="auto", choices=("auto", "float16", "bfloat16", "float32"))
    flags.add_argument("--questions", type=int, nargs="+", default=[1, 4, 16], help="1, or an even number")
    flags.add_argument("--steps", type=int, default=32)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--no-memory", action="store_true")
    flags.add_argument("--profile", action="store_true", help="print where the time of the steps goes, and end")
    flags.add_argument("--json", type=Path, default=Path("runs/bench-writing.json"))
    return flags


def main() -> None:
    arguments = parser().parse_args()
    device = use_device(arguments.device)
    dtype = choose_dtype(arguments.dtype, device)
    shape, _ = SHAPES[device.type]
    report = Report.begin(device, dtype)
    for questions in arguments.questions:
        make = partial(WritingVariants, shape, device, dtype, questions, arguments.steps)
        variants = make()
        if arguments.profile:
            variants.run("prefill")
            print(profile(partial(variants.run, "decoding"), device))
            print(profile(partial(variants.run, "unobserved"), device))
            continue
        compare(report, variants, arguments.rounds)
        del variants
        if not arguments.no_memory:
            compare_memory(report, make, questions, on_cuda=device.type == "cuda")
    report.write(arguments.json)


if __name__ == "__main__":
    main()
