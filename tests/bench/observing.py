"""What observing attention costs: `make bench`, or `python -m tests.bench.observing --help`.

Ratios of times are medians over rounds; a round runs each variant once, one after the other, so that a noisy machine is
noisy for all of them. Random weights: LLaVA-1.5-7B's shape on a GPU, a narrower and shallower one on the CPU.
tests/bench/variants.py says what each variant is.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from extract.models.checkpoint import choose_dtype, use_device
from schemas.text import one_line
from tests.bench.alternatives import Alternative, installed
from tests.bench.variants import SHAPES, WORDINGS, EndToEnd, Shape, Variants, build, make_images

MME_QUESTIONS = 2374
HOST_ROUNDS = 5
NO_MEMORY = (torch.OutOfMemoryError, MemoryError)
FLOOR_SECONDS = 14.0  # MME's arithmetic for LLaVA-1.5-7B with shared prefixes, at 790 TFLOP/s


def interleave(
    variants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each variant in each round, after one round to warm up; each round begins with another variant."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = clock()
            variants[name]()
            if number:
                seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], variant: str, to: str) -> float:
    """Median over rounds of one variant's time by another's."""
    return statistics.median(a / b for a, b in zip(seconds[variant], seconds[to], strict=True))


def variants_of(shape: Shape, device: torch.device, dtype: torch.dtype) -> Variants:
    """Variants of one prefill pass of a model that is built here."""
    return Variants(build(shape, device, dtype), shape.batch)


def peak_growth(make: Callable[[], Any], variant: str, on_cuda: bool, out: Any) -> None:
    """Growth of memory in MB while one variant of those that `make` returns runs; called in a fresh process."""
    variants = make()
    variants.warm_up()  # libraries set up their workspaces
    if on_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        variants.run(variant)
        out.put((torch.cuda.max_memory_allocated() - before) / 1e6)
        return
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    variants.run(variant)
    out.put((_status("VmHWM") - before) / 1e3)


def _status(name: str) -> int:
    """A line of /proc/self/status, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def memory_of(make: Callable[[], Any], variant: str, *, on_cuda: bool) -> float | None:
    """`peak_growth`, in MB; None if the process ended before: it is killed where memory runs out."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # glibc: tensors go back to the system once freed
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=peak_growth, args=(make, variant, on_cuda, out))
    process.start()
    process.join()
    return None if process.exitcode else out.get()


def profile(variant: Callable[[], object], device: torch.device) -> str:
    """Where the time goes, by operator."""
    on_cuda = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        variant()
    order = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    return profiler.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=60)


@dataclass
class Report:
    """Rows of the table, and the same as JSON."""

    facts: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, device: torch.device, dtype: torch.dtype) -> "Report":
        """An empty one, whose facts and head are printed."""
        on_cuda = device.type == "cuda"
        facts = {
            "date": datetime.now(UTC).date().isoformat(),
            "device": torch.cuda.get_device_name(device)
            if on_cuda
            else f"{platform.machine()}, {os.cpu_count()} cores",
            "dtype": str(dtype).removeprefix("torch."),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        print(", ".join(f"{name} {value}" for name, value in facts.items()), "\n\n| what | | |\n| --- | --- | --- |")
        return cls(facts)

    def add(self, what: str, value: str, detail: str, **numbers: Any) -> None:
        """Add a row, and print it."""
        self.rows.append({"what": what, "value": value, "detail": detail, **numbers})
        print(f"| {what} | {value} | {detail} |", flush=True)

    def write(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**self.facts, "rows": self.rows}, indent=2) + "\n", encoding="utf-8")


def compare(report: Report, shape: Shape, variants: Variants, variant: str, rounds: int) -> None:
    """One variant, observed or usual, by plain; "no memory" where the device has too little for it."""
    length = variants.one.input_ids.shape[1]
    where = f"{shape.name}, {length} tokens, batch {shape.batch}"
    try:
        seconds = interleave({name: partial(variants.run, name) for name in ("plain", variant)}, rounds)
    except NO_MEMORY as error:
        torch.cuda.empty_cache()
        report.add(f"{variant} / plain", "no memory", f"{where}; {one_line(error)[:100]}", tokens=length)
        return
    plain = statistics.median(seconds["plain"])
    value = f"{ratio(seconds, variant, 'plain'):.3f}"
    report.add(f"{variant} / plain", value, f"{where}; plain {plain:.3g} s", tokens=length, seconds=seconds)


def compare_tables(report: Report, shape: Shape, variants: Variants, rounds: int) -> None:
    """Observed with each table that may be asked for, by plain; all run in one round."""
    names = ("plain", "observed", "contributions", "profile", "maps", "maps_of_question")
    seconds = interleave({name: partial(variants.run, name) for name in names}, rounds)
    for name in names[2:]:
        more = ratio(seconds, name, "observed")
        detail = f"{shape.name}, {variants.one.input_ids.shape[1]} tokens, batch {shape.batch}; by observed {more:.3f}"
        report.add(f"{name} / plain", f"{ratio(seconds, name, 'plain'):.3f}", detail, seconds=seconds)


def compare_knock_outs(report: Report, shape: Shape, variants: Variants, rounds: int) -> None:
    """All heads knocked out, each by itself, by a plain pass over one question on one image."""
    names = ("plain", "knock_outs", "knock_outs_of_two")
    seconds = interleave({name: partial(variants.run, name) for name in names}, rounds)
    heads = variants.checkpoint.layers * variants.checkpoint.heads
    for name, questions in (("knock_outs", 1), ("knock_outs_of_two", 2)):
        value = ratio(seconds, name, "plain") * shape.batch / questions
        tokens = variants.one.input_ids.shape[1]
        detail = f"{shape.name}, {tokens} tokens; {heads} heads, {questions} question(s) an image, for each"
        report.add(f"{name} / plain", f"{value:.2f}", detail, seconds=seconds)


def compare_sequences(report: Report, shape: Shape, variants: Variants, rounds: int) -> None:
    """Two questions on an image, and several wordings of them, packed by separate."""
    seconds = interleave({name: partial(variants.run, name) for name in ("separate", "packed")}, rounds)
    tokens = variants.both.input_ids.shape[1]
    detail = f"{shape.name}, {tokens} tokens packed, batch {shape.batch}; 2 questions an image"
    report.add("separate / packed", f"{ratio(seconds, 'separate', 'packed'):.2f}", detail, seconds=seconds)
    seconds = interleave({name: partial(variants.run, name) for name in ("runs", "wordings")}, max(2, rounds // 3))
    tokens = variants.all.input_ids.shape[1]
    detail = f"{shape.name}, {tokens} tokens packed, batch {shape.batch}; {WORDINGS} wordings of 2 questions an image"
    report.add("five runs / five wordings", f"{ratio(seconds, 'runs', 'wordings'):.2f}", detail, seconds=seconds)


def compare_memory(report: Report, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
    """Growth of peak memory in a pass; of what needs more than there is, a line without a number."""
    make, on_cuda = partial(variants_of, shape, device, dtype), device.type == "cuda"
    growth = {variant: memory_of(make, variant, on_cuda=on_cuda) for variant in ("plain", "observed", "usual")}
    for variant in ("observed", "usual"):
        mine, plain = growth[variant], growth["plain"]
        if mine is None or plain is None:
            where = f"{shape.name}, batch {shape.batch}; its process ended before, as where memory runs out"
            report.add(f"{variant} / plain, peak memory", "no value", where)
            continue
        detail = f"{shape.name}, batch {shape.batch}; plain {plain:.0f} MB, {variant} {mine:.0f} MB"
        report.add(f"{variant} / plain, peak memory", f"{mine / plain:.2f}", detail, megabytes=growth)


def alternative_of(name: str, shape: Shape, device: torch.device, dtype: torch.dtype) -> Alternative:
    """A public package's way, over a model that is built here."""
    return Alternative(name, variants_of(shape, device, dtype))


def compare_alternatives(
    report: Report, shape: Shape, variants: Variants, rounds: int, device: torch.device, dtype: torch.dtype
) -> None:
    """Time and peak memory of public packages by plain; a line for those that are not measured."""
    on_cuda = device.type == "cuda"
    for name, there in installed().items():
        if not there:
            print(f"| {name} | not installed | no row of it |", flush=True)
            continue
        try:
            other = alternative_of(name, shape, device, dtype)
            runs: dict[str, Callable[[], object]] = {"plain": partial(variants.run, "plain"), name: other.run}
            seconds = interleave(runs, rounds)
        except Exception as error:  # a package raises anything, of this model or this release
            print(f"| {name} | not measured | {type(error).__name__}: {one_line(error)[:200]} |", flush=True)
            continue
        del other, runs
        where = f"{shape.name}, {variants.one.input_ids.shape[1]} tokens, batch {shape.batch}"
        report.add(f"{name} / plain", f"{ratio(seconds, name, 'plain'):.3f}", where, seconds=seconds)
        grown = memory_of(partial(alternative_of, name, shape, device, dtype), name, on_cuda=on_cuda)
        plain = memory_of(partial(variants_of, shape, device, dtype), "plain", on_cuda=on_cuda)
        if grown is not None and plain is not None:
            detail = f"{where}; plain {plain:.0f} MB, {name} {grown:.0f} MB"
            report.add(f"{name} / plain, peak memory", f"{grown / plain:.2f}", detail, megabytes=[plain, grown])


def compare_end_to_end(report: Report, variants: Variants, arguments: argparse.Namespace) -> None:
    """The extract stage by a bare loop."""
    with tempfile.TemporaryDirectory() as folder:
        questions = make_images(Path(folder), arguments.images)
        run = EndToEnd(variants, questions, arguments.batch_size, arguments.num_workers)
        seconds = interleave(
            {"bare": partial(variants.bare, run.prepared), "extract": run.extract}, arguments.end_to_end_rounds
        )
        whole, bare = (statistics.median(seconds[variant]) for variant in ("extract", "bare"))
        rate = len(questions.samples) / whole
        where = f"{len(questions.samples)} samples, batch {arguments.batch_size}, {arguments.num_workers} workers"
        detail = f"{where}; bare {bare:.3g} s, extract {whole:.3g} s, {rate:.1f} samples/s"
        report.add("extract / bare loop", f"{ratio(seconds, 'extract', 'bare'):.3f}", detail, seconds=seconds)
        passes = len(run.prepared)
        host = [1000 * statistics.median(run.host() or [math.nan]) for _ in range(HOST_ROUNDS)]
        floor = 1000 * FLOOR_SECONDS / MME_QUESTIONS * len(questions.samples) / passes
        detail = f"{where}; CPU time from a pass to the next; LLaVA-1.5-7B computes for {floor:.0f} ms"
        report.add("host", f"{statistics.median(host):.2f} ms", detail, milliseconds=host)
        if variants.device.type == "cuda":
            took = MME_QUESTIONS / rate
            floor = f"{FLOOR_SECONDS / took:.0%} of the arithmetic at 790 TFLOP/s, {FLOOR_SECONDS} s"
            report.add("all of MME", f"{took:.1f} s", floor, samples_per_second=rate)
        if arguments.profile:
            print(profile(run.extract, variants.device))


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
    device = use_device(arguments.device)
    dtype = choose_dtype(arguments.dtype, device)
    on_cuda = device.type == "cuda"
    for name, (on_cpu, on_gpu) in {"images": (16, 1187), "batch_size": (1, 8), "num_workers": (1, 8)}.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, on_gpu if on_cuda else on_cpu)
    report = Report.begin(device, dtype)
    short, long = SHAPES[device.type]
    variants = Variants(build(short, device, dtype), short.batch)
    report.facts["attention"] = variants.checkpoint.kernel.description
    compare(report, short, variants, "observed", arguments.rounds)
    compare_tables(report, short, variants, arguments.rounds)
    compare_knock_outs(report, short, variants, max(2, arguments.rounds // 2))
    compare_sequences(report, short, variants, arguments.rounds)
    compare_end_to_end(report, variants, arguments)
    compare(report, short, variants, "usual", max(2, arguments.rounds // 3))
    compare_alternatives(report, short, variants, max(2, arguments.rounds // 3), device, dtype)
    del variants
    variants, rounds = Variants(build(long, device, dtype), long.batch), max(3, arguments.rounds // 2)
    compare(report, long, variants, "observed", rounds)
    compare(report, long, variants, "usual", max(2, rounds // 3))  # its attention takes 34 GB on a GPU
    del variants
    torch.cuda.empty_cache()  # processes of their own need it
    compare_memory(report, long, device, dtype)
    report.write(arguments.json)
    print(f"\n{report.facts['attention']}; all numbers in {arguments.json}")


if __name__ == "__main__":
    main()
