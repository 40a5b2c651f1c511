"""What the page of a run costs at the size of MME, for a model of 32 x 32 heads: `python -m tests.bench.page`.

The run is made up: masses, contributions, and the effect of each head by knock-outs (2.4 million rows each). Time and
peak memory are those of the whole command; first paint is that of headless Chromium, from a file.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.columns import CONTRIBUTIONS, MAPS, OF_LAST
from schemas.store.thumbnails import write_thumbnail
from tests.support.maps import made_up
from tests.support.pictures import encoded
from tests.support.prunable import World, measure, singles, write_world
from tests.support.report import open_browser
from tests.support.runs import MME

HEADER = ("size", "built in", "CPU time", "peak memory", "first paint", "all charts")
POOL = 16  # samples with maps and images of their own; those of the others are the same again
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def make_run(path: Path, times: int = 1, map_heads: int = 0) -> None:
    """A run of MME's size, or a multiple of it, with maps, thumbnails, and knock-outs of each single head.

    Args:
        map_heads: how many heads have maps, spread over the layers; 0: all.
    """
    world = World.of(layers=32, heads=32)
    step = 1024 // map_heads if map_heads else 1
    kept = [divmod(cell, 32) for cell in range(0, 1024, step)]
    random = np.random.default_rng(3)
    pool = [
        made_up(random, 32, 32, rows=24, columns=24, box=(0, 0, 320, 320), size=(320, 240), kept=kept)
        for _ in range(POOL)
    ]
    write_world(
        path, world, categories={name: times * number // 2 for name, number in MME.items()},
        tables=[CONTRIBUTIONS, MAPS], maps=lambda number: pool[number % POOL], maps_of=OF_LAST,
        maps_heads=[list(each) for each in kept] if map_heads else [],
    )  # fmt: skip
    write_thumbnails(path, times)
    measure(path, world, "heads_edge", singles(world))


def write_thumbnails(path: Path, times: int) -> None:
    """A picture of 320 x 240 of each image, about as large as that of a photograph: noise, smoothed."""
    random = np.random.default_rng(4)
    contents = []
    for _ in range(POOL):
        coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
        contents.append(encoded(coarse.resize((320, 240), Image.Resampling.BICUBIC), "jpeg", quality=85))
    for name, number in MME.items():
        for image in range(times * number // 2):
            write_thumbnail(path, f"{name} {image}", contents[image % POOL])


def build(run: Path) -> tuple[float, float, float]:
    """Build the page without images; returns wall time and CPU time in seconds, and the peak memory in MB."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "analyze", "report", str(run), "--images", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("report failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def paint(page: Path, repeats: int) -> tuple[str, str]:
    """First paint and the time until all charts are drawn, in ms; medians."""
    paints, ready = [], []
    with open_browser() as browser:
        if browser is None:
            return "no browser", ""
        for _ in range(repeats):
            tab = browser.new_page()
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready]")
            ready.append(tab.evaluate("performance.now()"))
            paints.append(tab.evaluate(PAINT))
            tab.close()
    return f"{statistics.median(paints):.0f} ms", f"{statistics.median(ready):.0f} ms"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--repeats", type=int, default=3, help="medians of so many")
    parser.add_argument("--keep", type=Path, help="where the run is made, and left")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}")
    folder = Path(tempfile.mkdtemp())
    run = arguments.keep or folder / "run"
    if not run.exists():  # made in a process of its own: a child's peak memory counts from what its parent had
        maker = multiprocessing.get_context("spawn").Process(target=make_run, args=(run,))
        maker.start()
        maker.join()
    found = [build(run) for _ in range(arguments.repeats)]
    wall, cpu, memory = (statistics.median(each) for each in zip(*found, strict=True))
    page = run / "report.html"
    row = (f"{page.stat().st_size / 1e6:.1f} MB", f"{wall:.1f} s", f"{cpu:.1f} s", f"{memory:.0f} MB")
    print(f"| {' | '.join([*row, *paint(page, arguments.repeats)])} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
