"""What `plots` and `summary` cost at the size of MME, and at several times that: `python -m tests.bench.plots`.

CPU time is that of all processes of a command, imports included, and peak memory that of its largest process, in MB of
a million bytes; "tally" is the part of its wall time that reads rows.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from tests.support.runs import MME, write_run

QUIET: dict = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TALLY = """
import sys, time
from pathlib import Path
from analyze.tables.frames import open_heads
from analyze.tables.tallies import tally
from schemas.workers.opening import open_workers
if __name__ == "__main__":
    with open_workers(int(sys.argv[3]), None) as workers:
        start = time.perf_counter()
        heads, _ = open_heads(Path(sys.argv[1]), workers=workers)
        found = tally(heads, ("t2v", "v2t"), heads.scope(None), spread=sys.argv[2] == "summary", workers=workers)
        print(found.rows.sum(), time.perf_counter() - start)
"""
HEADER = ("rows", "command", "CPU", "wall", "of it the tally", "peak memory")


def measure(run: Path, command: Sequence[str], repeats: int, workers: int = 1) -> tuple[str, ...]:
    """One row of the table; `command` is a command of `analyze` with its flags."""
    command = [*command, "--workers", str(workers)] if workers > 1 else command
    tallying, times, walls, peaks = [], [], [], []
    for _ in range(repeats):
        code = [sys.executable, "-c", TALLY, str(run), command[0], str(workers)]
        rows, seconds = subprocess.run(code, check=True, capture_output=True, text=True).stdout.split()
        tallying.append(float(seconds))
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "analyze", command[0], str(run), *command[1:]], **QUIET)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - start)
        times.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss * 1024 / 1e6)
        if status:
            raise SystemExit(f"{command[0]} failed")
    cpu, wall, tally, peak = map(statistics.median, (times, walls, tallying, peaks))
    return f"{int(rows):,}", " ".join(command), f"{cpu:.1f} s", f"{wall:.1f} s", f"{tally:.2f} s", f"{peak:.0f} MB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="multiples of MME's size")
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers")
    parser.add_argument("--dpi", default="300", help="of the pictures")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}")
    for times in sorted(arguments.times):
        with tempfile.TemporaryDirectory() as folder:
            categories = {name: number * times for name, number in MME.items()}
            run = Path(folder) / "run"
            # In a process of its own: a child's peak memory counts from what its parent had
            maker = multiprocessing.get_context("spawn").Process(
                target=write_run, args=(run,), kwargs={"layers": 32, "heads": 32, "categories": categories}
            )
            maker.start()
            maker.join()
            for command, workers in product((["plots", "--dpi", arguments.dpi], ["summary"]), arguments.workers):
                print(f"| {' | '.join(measure(run, command, arguments.repeats, workers))} |", flush=True)


if __name__ == "__main__":
    main()
