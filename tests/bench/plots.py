"""What `plots` costs at the size of MME, and at several times that: `python -m tests.bench.plots [--times 1 10]`.

Wall time and peak memory are those of a whole process, imports included; "counting" is the part that is not drawing.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.runs import MME, write_run

QUIET: dict = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
COUNT = """
import sys, time
from analyze.tables.blocks import open_heads
from analyze.tables.counts import count
from analyze.drawing.histograms import bin_edges
start = time.perf_counter()
heads, _ = open_heads(sys.argv[1])
counts = count(heads, ("t2v", "v2t"), heads.scope(None), bin_edges([0.05], None))
print(counts.rows.sum(), time.perf_counter() - start)
"""


def measure(run: Path, repeats: int) -> str:
    """One row of the table."""
    counting = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", COUNT, str(run)], check=True, capture_output=True, text=True)
        rows, seconds = done.stdout.split()
        counting.append(float(seconds))
    walls = []
    peaks = []
    for _ in range(repeats):
        start = time.perf_counter()
        command = subprocess.Popen([sys.executable, "-m", "analyze", "plots", str(run)], **QUIET)
        _, status, usage = os.wait4(command.pid, 0)
        walls.append(time.perf_counter() - start)
        peaks.append(usage.ru_maxrss / 1024)
        if status:
            raise SystemExit("plots failed")
    peak = statistics.median(peaks)
    pictures = len(list(run.rglob("*.png")))
    wall, counted = statistics.median(walls), statistics.median(counting)
    return f"| {int(rows):,} | {pictures} | {wall:.1f} s | {counted:.2f} s | {peak:.0f} MB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10], help="multiples of MME's size")
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many")
    arguments = parser.parse_args()
    print("| rows | pictures | plots, wall | of it counting | peak memory |\n| --- | --- | --- | --- | --- |")
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
            print(measure(run, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
