"""What observing attention costs: `make bench`, or `python -m tests.bench --help`.

Ratios of times are medians over rounds; a round runs each way once, one after the other, so that a noisy machine is
noisy for all of them. Random weights: LLaVA-1.5-7B's shape on a GPU, a narrower and shallower one on the CPU.

    plain       the model as it is: sdpa, right-padded batch, logits of the last position
    observed    the same batch through headflow: logits and flows
    usual       eager attention, `output_attentions=True`, then a reduction to the same flows
    separate    two questions an image, each in a sequence of its own, observed
    packed      the same questions behind one prefix, observed
    bare        a loop of packed passes over prepared tensors, not observed
    extract     all of the extract stage: images read and preprocessed, prompts tokenised, rows written
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import (
    AttentionInterface,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)
from transformers.masking_utils import AttentionMaskInterface

from data.demo_model import IMAGE_TOKEN, train_tokenizer
from extract.answers import AnswerReader
from extract.checkpoint import Checkpoint, Preprocessor, choose_device, choose_dtype, watch
from extract.extraction import Extractor
from extract.flows import masked_attention
from extract.observer import NAME
from extract.packing import Batch, pack
from extract.passes import Passes
from extract.prompts import Prompt, PromptBuilder
from extract.questions import Sample
from extract.templates import find_template
from schemas.manifest import Manifest
from schemas.roles import BOS, IMAGE, QUESTION, SYSTEM, USER
from schemas.writer import RunWriter

QUESTIONS = ("Is there a {} in this image?", "Is the {} in this image on the left of the other one?")
THINGS = ("dog", "cat", "red car", "bottle", "chair", "person", "yellow bus", "pizza")
MME_QUESTIONS = 2374
FLOOR_SECONDS = 14.0  # MME's arithmetic for LLaVA-1.5-7B with shared prefixes, at 790 TFLOP/s


@dataclass(frozen=True)
class Shape:
    """A LLaVA, and the batch it is measured at."""

    name: str
    image_size: int
    batch: int
    vision: dict[str, int]
    text: dict[str, int]


CPU_TEXT = {"hidden_size": 1024, "intermediate_size": 2752, "num_hidden_layers": 8, "num_attention_heads": 16}
CPU_VISION = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
VISION_7B = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
SHAPES = {
    "cpu": (
        Shape("8 layers x 16 heads, width 1024", 336, 1, CPU_VISION, CPU_TEXT),
        Shape("8 layers x 16 heads, width 1024", 742, 1, CPU_VISION, CPU_TEXT),
    ),
    "cuda": (
        Shape("LLaVA-1.5-7B", 336, 8, VISION_7B, TEXT_7B),
        Shape("LLaVA-1.5-7B, 53 x 53 patches", 742, 2, VISION_7B, TEXT_7B),
    ),
}


def build(shape: Shape, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """A checkpoint with random weights, never on the disk."""
    words = [question.format(thing) for question in QUESTIONS for thing in THINGS]
    tokenizer = train_tokenizer(words)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=shape.image_size, patch_size=14, **shape.vision),
        text_config=LlamaConfig(vocab_size=32064, max_position_embeddings=4096, **shape.text),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(shape.image_size // 14) ** 2,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    with device:
        model = LlavaForConditionalGeneration(config).eval()
    torch.set_default_dtype(default)
    edge = {"height": shape.image_size, "width": shape.image_size}
    processor = CLIPImageProcessorPil(size={"shortest_edge": shape.image_size}, crop_size=edge)
    return watch(model.to(device, dtype), tokenizer, Preprocessor(processor), name=shape.name)


def prompt(checkpoint: Checkpoint, question: int, seed: int) -> Prompt:
    """A prompt as long as those of MME: 35 tokens, the image, and a question of so many."""
    words, image = random.Random(seed), checkpoint.image_tokens
    asked = [words.randrange(300, 400) for _ in range(question)]
    ids = [1, *range(300, 334), *[checkpoint.image_token_id] * image, *asked]
    return Prompt(ids, [BOS, *[SYSTEM] * 31, *[USER] * 3, *[IMAGE] * image, *[QUESTION] * question])


class Ways:
    """The ways to run a model that are compared; each is called with nothing and returns when it is done."""

    def __init__(self, checkpoint: Checkpoint, images: int) -> None:
        self.checkpoint = checkpoint
        self.device = checkpoint.device
        size = checkpoint.model.config.vision_config.image_size
        self.pixels = torch.randn(images, 3, size, size).to(self.device, checkpoint.dtype)
        prompts = [[prompt(checkpoint, 34, seed), prompt(checkpoint, 36, images + seed)] for seed in range(images)]
        self.one = pack([pair[:1] for pair in prompts]).to(self.device)
        self.other = pack([pair[1:] for pair in prompts]).to(self.device)
        self.both = pack(prompts).to(self.device)
        AttentionInterface.register("bare", bare_attention)
        AttentionMaskInterface.register("bare", lambda *_, **__: None)

    def run(self, way: str) -> None:
        """Run one of the ways to its end."""
        with torch.inference_mode():
            getattr(self, way)()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def plain(self) -> Tensor:
        with self._attention("sdpa"):
            return self._model(self.one, logits_to_keep=1).logits

    def observed(self) -> tuple[Tensor, Tensor]:
        return self.checkpoint.forward(self.one, self.pixels)

    def usual(self) -> Tensor:
        with self._attention("eager"):
            attentions = self._model(self.one, output_attentions=True, logits_to_keep=1).attentions
        strip = self.one.first
        text = torch.zeros(self.one.input_ids.shape, device=self.device).scatter_(1, strip.columns, 1.0)
        roles = torch.stack([text, 1 - text], dim=-1)[:, None].to(attentions[0].dtype)
        return torch.stack([(attention @ roles).float().sum(dim=2) for attention in attentions])

    def separate(self) -> None:
        self.checkpoint.forward(self.one, self.pixels)
        self.checkpoint.forward(self.other, self.pixels)

    def packed(self) -> None:
        self.checkpoint.forward(self.both, self.pixels)

    def bare(self, prepared: list[tuple[Batch, Tensor]]) -> None:
        """Packed passes that observe nothing, one after the other."""
        model, kernel = self.checkpoint.model, self.checkpoint.kernel
        with self._attention("bare"), torch.inference_mode():
            for batch, pixels in prepared:
                hidden = model.model(
                    input_ids=batch.input_ids,
                    position_ids=batch.position_ids,
                    pixel_values=pixels,
                    batch=batch,
                    kernel=kernel,
                    use_cache=False,
                ).last_hidden_state
                model.lm_head(hidden[batch.owner, batch.last])
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _model(self, batch: Batch, **options: Any) -> Any:
        return self.checkpoint.model(input_ids=batch.input_ids, pixel_values=self.pixels, use_cache=False, **options)

    @contextlib.contextmanager
    def _attention(self, name: str) -> Iterator[None]:
        self.checkpoint.model.set_attn_implementation({"text_config": name})
        try:
            yield
        finally:
            self.checkpoint.model.set_attn_implementation({"text_config": NAME})


def bare_attention(module, query, key, value, mask, *, batch, kernel, scaling, **_):
    output, _ = kernel.attend(query, key, value, scaling)
    if batch.further is not None:
        rows = batch.further.rows
        output[:, :, rows], _ = masked_attention(query[:, :, rows], key, value, batch.further, scale=scaling)
    return output.transpose(1, 2), None


def interleave(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one round to warm up; each round begins with another way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            ways[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], way: str, to: str) -> float:
    """Median over rounds of one way's time by another's."""
    return statistics.median(a / b for a, b in zip(seconds[way], seconds[to], strict=True))


def peak_memory(shape: Shape, device: torch.device, dtype: torch.dtype, way: str, out: Any) -> None:
    """Growth of memory in MB while one way runs; called in a fresh process."""
    ways = Ways(build(shape, device, dtype), shape.batch)
    ways.run("plain")  # libraries set up their workspaces
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        ways.run(way)
        out.put((torch.cuda.max_memory_allocated() - before) / 1e6)
        return
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    ways.run(way)
    out.put((_status("VmHWM") - before) / 1e3)


def _status(name: str) -> int:
    """A line of /proc/self/status, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def memory_of(shape: Shape, device: torch.device, dtype: torch.dtype, way: str) -> float:
    """`peak_memory`, in MB."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # glibc: tensors go back to the system once freed
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=peak_memory, args=(shape, device, dtype, way, out))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"measuring the memory of {way} failed")
    return out.get()


def make_images(folder: Path, number: int) -> list[Sample]:
    """Photographs' worth of work: 640 x 480 JPEG files, no two alike, and two questions about each."""
    kinds = []
    for seed in range(min(number, 16)):
        noise = Image.effect_noise((160, 120), 60 + seed).resize((640, 480), Image.Resampling.BICUBIC)
        path = folder / f"kind{seed}.jpg"
        Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))).save(path, quality=90)
        kinds.append(path.read_bytes())
    samples = []
    for index in range(number):
        name = f"{index:04d}.jpg"
        (folder / name).write_bytes(kinds[index % len(kinds)] + index.to_bytes(4, "big"))  # after the end of the JPEG
        for each, question in enumerate(QUESTIONS):
            text = question.format(THINGS[index % len(THINGS)])
            samples.append(Sample(f"{index}#{each}", "existence", str(index), name, text, "Yes"))
    return samples


@dataclass
class EndToEnd:
    """The extract stage, and the batches that it makes, on the device, for a bare loop over them."""

    ways: Ways
    folder: Path
    samples: list[Sample]
    batch_size: int
    workers: int

    def __post_init__(self) -> None:
        checkpoint = self.ways.checkpoint
        tokenizer = checkpoint.tokenizer
        prompts = PromptBuilder(
            encode=lambda text: tokenizer(text).input_ids,
            bos_token_id=tokenizer.bos_token_id,
            image_token_id=checkpoint.image_token_id,
            image_tokens=checkpoint.image_tokens,
            max_tokens=checkpoint.max_tokens,
            template=find_template("vicuna_v1"),
        )
        passes = Passes(checkpoint, AnswerReader.of(tokenizer))
        self.extractor = Extractor(
            checkpoint, prompts, passes, self.folder, packed=True, batch_size=self.batch_size, workers=self.workers
        )
        self.prepared: list[tuple[Batch, Tensor]] = []
        forward = Checkpoint.forward

        def kept(checkpoint: Checkpoint, batch: Batch, pixels: Tensor) -> tuple[Tensor, Tensor]:
            self.prepared.append((batch, pixels))
            return forward(checkpoint, batch, pixels)

        Checkpoint.forward = kept  # type: ignore[method-assign]
        try:
            self.extract()
        finally:
            Checkpoint.forward = forward  # type: ignore[method-assign]

    def extract(self) -> None:
        """Run all samples into a run."""
        with tempfile.TemporaryDirectory() as folder:
            manifest = Manifest(**self.extractor.describe(), samples=len(self.samples))
            skipped = self.extractor.run(self.samples, RunWriter(Path(folder) / "run", manifest))
        if skipped:
            raise SystemExit(f"samples were skipped: {skipped}")


def profile(way: Callable[[], object], device: torch.device) -> str:
    """Where the time goes, by operator."""
    on_cuda = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        way()
    order = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    return profiler.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=60)


@dataclass
class Report:
    """Rows of the table, and the same as JSON."""

    facts: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, value: str, detail: str, **numbers: Any) -> None:
        """Add a row, and print it."""
        self.rows.append({"what": what, "value": value, "detail": detail, **numbers})
        print(f"| {what} | {value} | {detail} |", flush=True)

    def write(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**self.facts, "rows": self.rows}, indent=2) + "\n", encoding="utf-8")


def compare(report: Report, shape: Shape, ways: Ways, rounds: int) -> None:
    """Observed and the usual way, each by plain."""
    length = ways.one.input_ids.shape[1]
    for way, times in (("observed", rounds), ("usual", max(2, rounds // 3))):
        seconds = interleave({name: partial(ways.run, name) for name in ("plain", way)}, times)
        plain = statistics.median(seconds["plain"])
        detail = f"{shape.name}, {length} tokens, batch {shape.batch}; plain {plain:.3g} s"
        report.add(f"{way} / plain", f"{ratio(seconds, way, 'plain'):.3f}", detail, tokens=length, seconds=seconds)


def compare_sequences(report: Report, shape: Shape, ways: Ways, rounds: int) -> None:
    """Two questions on an image, packed by separate."""
    seconds = interleave({name: partial(ways.run, name) for name in ("separate", "packed")}, rounds)
    detail = f"{shape.name}, {ways.both.input_ids.shape[1]} tokens packed, batch {shape.batch}; 2 questions an image"
    report.add("separate / packed", f"{ratio(seconds, 'separate', 'packed'):.2f}", detail, seconds=seconds)


def compare_memory(report: Report, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
    """Growth of peak memory in a pass."""
    growth = {way: memory_of(shape, device, dtype, way) for way in ("plain", "observed", "usual")}
    for way in ("observed", "usual"):
        times = growth[way] / growth["plain"]
        detail = f"{shape.name}, batch {shape.batch}; plain {growth['plain']:.0f} MB, {way} {growth[way]:.0f} MB"
        report.add(f"{way} / plain, peak memory", f"{times:.2f}", detail, megabytes=growth)


def compare_end_to_end(report: Report, ways: Ways, arguments: argparse.Namespace) -> None:
    """The extract stage by a bare loop."""
    with tempfile.TemporaryDirectory() as folder:
        samples = make_images(Path(folder), arguments.images)
        run = EndToEnd(ways, Path(folder), samples, arguments.batch_size, arguments.num_workers)
        seconds = interleave(
            {"bare": partial(ways.bare, run.prepared), "extract": run.extract}, arguments.end_to_end_rounds
        )
        whole, bare = (statistics.median(seconds[way]) for way in ("extract", "bare"))
        rate = len(samples) / whole
        where = f"{len(samples)} samples, batch {arguments.batch_size}, {arguments.num_workers} workers"
        detail = f"{where}; bare {bare:.3g} s, extract {whole:.3g} s, {rate:.1f} samples/s"
        report.add("extract / bare loop", f"{ratio(seconds, 'extract', 'bare'):.3f}", detail, seconds=seconds)
        if ways.device.type == "cuda":
            took = MME_QUESTIONS / rate
            floor = f"{FLOOR_SECONDS / took:.0%} of the arithmetic at 790 TFLOP/s, {FLOOR_SECONDS} s"
            report.add("all of MME", f"{took:.1f} s", floor, samples_per_second=rate)
        if arguments.profile:
            print(profile(run.extract, ways.device))


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    flags.add_argument("--device", default="auto")
    flags.add_argument("--dtype", default="auto", choices=("auto", "float16", "bfloat16", "float32"))
    flags.add_argument("--rounds", type=int, default=11, help="of the short sequences; half of it for the long ones")
    flags.add_argument("--end-to-end-rounds", type=int, default=3)
    flags.add_argument("--images", type=int, help="of the end-to-end run (default: 16 on the CPU, MME's 1187 on a GPU)")
    flags.add_argument("--batch-size", type=int, help="of the end-to-end run (default: 1 on the CPU, 8 on a GPU)")
    flags.add_argument("--num-workers", type=int, help="of the end-to-end run (default: 1 on the CPU, 8 on a GPU)")
    flags.add_argument("--profile", action="store_true", help="print where the time of the end-to-end run goes")
    flags.add_argument("--json", type=Path, default=Path("runs/bench.json"))
    return flags


def main() -> None:
    arguments = parser().parse_args()
    device = choose_device(arguments.device)
    dtype = choose_dtype(arguments.dtype, device)
    on_cuda = device.type == "cuda"
    for name, (on_cpu, on_gpu) in {"images": (16, 1187), "batch_size": (1, 8), "num_workers": (1, 8)}.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, on_gpu if on_cuda else on_cpu)
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if on_cuda else f"{platform.machine()}, {os.cpu_count()} cores",
        "dtype": str(dtype).removeprefix("torch."),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    report = Report(facts)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), "\n\n| what | | |\n| --- | --- | --- |")
    short, long = SHAPES[device.type]
    ways = Ways(build(short, device, dtype), short.batch)
    report.facts["attention"] = ways.checkpoint.kernel.description
    compare(report, short, ways, arguments.rounds)
    compare_sequences(report, short, ways, arguments.rounds)
    compare_end_to_end(report, ways, arguments)
    del ways
    compare(report, long, Ways(build(long, device, dtype), long.batch), max(3, arguments.rounds // 2))
    compare_memory(report, long, device, dtype)
    report.write(arguments.json)
    print(f"\n{report.facts['attention']}; all numbers in {arguments.json}")


if __name__ == "__main__":
    main()
