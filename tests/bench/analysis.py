"""What commands of `analyze` cost at the size of MME, and at several times that: `python -m tests.bench.analysis`.

CPU time is that of all processes of a command, imports included, and peak memory that of its largest process, in MB of
a million bytes. Questions are in pairs about images of their own, as in MME: resamples take time for each image.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from tests.support.runs import MME, write_run

QUIET: dict = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
LAYERS = HEADS = 32
WORDINGS = ("first", "second", "third", "fourth", "fifth")
HEADER = ("rows", "command", "CPU", "wall", "peak memory")


def measure(rows: int, command: Sequence[str], repeats: int) -> tuple[str, ...]:
    """One row of the table; `command` is a command of `analyze` with its runs and flags."""
    times, walls, peaks = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "analyze", *command], **QUIET)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - start)
        times.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss * 1024 / 1e6)
        if status:
            raise SystemExit(f"{command[0]} failed")
    cpu, wall, peak = map(statistics.median, (times, walls, peaks))
    name = " ".join(word for word in command if not Path(word).is_absolute())
    return f"{rows:,}", name, f"{cpu:.1f} s", f"{wall:.1f} s", f"{peak:.0f} MB"


def commands_on(folder: Path, times: int) -> Iterable[tuple[int, Sequence[str]]]:
    """Commands with their runs, which are written first, and how many rows a run has."""
    one, other, worded = (folder / name for name in ("a", "b", "worded"))
    each = max(1, times // len(WORDINGS))
    written: dict[Path, tuple[int, dict[str, Any]]] = {
        one: (times, {}),
        other: (times, {"seed": 1}),
        worded: (each, {"prompts": WORDINGS}),
    }
    for run, (size, options) in written.items():
        # In a process of its own: a child's peak memory counts from what its parent had
        options |= {"layers": LAYERS, "heads": HEADS, "categories": {name: size * n for name, n in MME.items()}}
        maker = multiprocessing.get_context("spawn").Process(target=write_run, args=(run,), kwargs=options)
        maker.start()
        maker.join()
    rows = times * sum(MME.values()) * LAYERS * HEADS
    for name in ("validate", "summary", "plots", "diagnose"):
        yield rows, (name, str(one))
    yield rows, ("compare", str(one), str(other))
    yield len(WORDINGS) * each * rows // times, ("prompts", str(worded))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="multiples of MME's size")
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="numbers of workers")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}")
    for times in sorted(arguments.times):
        with tempfile.TemporaryDirectory() as folder:
            for (rows, command), workers in product(commands_on(Path(folder), times), arguments.workers):
                flags = ["--workers", str(workers)] if workers > 1 else []
                print(f"| {' | '.join(measure(rows, [*command, *flags], arguments.repeats))} |", flush=True)


if __name__ == "__main__":
    main()
