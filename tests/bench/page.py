"""What the page of a run costs for a model of 32 x 32 heads: `python -m tests.bench.page`, or `make bench-page`.

The run is made up, of MME's size: masses, contributions, the effect of each head by knock-outs (2.4 million rows each),
and maps of 64 heads. The page is one file, a folder, and a folder of ten times as many samples. Time and peak memory
are those of the whole command. The browser is headless Chromium, from a disk: first paint, all charts drawn, and how
long it takes until the next frame after a click on a head, after a sample is opened, and after the table is sorted.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from schemas.columns import CONTRIBUTIONS, MAPS, OF_LAST
from schemas.store.part_files import write_table
from schemas.store.thumbnails import write_thumbnail
from tests.support.maps import made_up
from tests.support.pictures import encoded
from tests.support.prunable import World, measure, singles, write_world
from tests.support.report import click_head, open_browser
from tests.support.runs import MME

HEADER = (
    "page",
    "size",
    "built in",
    "CPU time",
    "peak memory",
    *("first paint", "all charts", "head", "sample", "sort"),
)
POOL = 16  # samples with maps and images of their own; those of the others are the same again
OWN = ("sample_id", "question_id", "image", "image_sha256")  # columns that a copy of a sample has for itself
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


def multiply(run: Path, times: int) -> None:
    """Add copies of all samples to a run and its jobs, under other names: faster than to make them up."""
    for folder in [run, *sorted((run / "jobs").iterdir())]:
        path = folder / "chunks" / "00000.json"
        ledger = json.loads(path.read_text())
        samples = ledger["samples"]
        for part in list(ledger["parts"]):
            tables = {name: pq.read_table(folder / name / part["name"]) for name in part["rows"]}
            for number in range(1, times):
                own = f"part-00000-{len(ledger['parts']):05d}.parquet"
                for name, table in tables.items():
                    write_table(folder / name / own, _copied(table, number, samples))
                ledger["parts"].append({"name": own, "rows": part["rows"]})
        ledger["samples"] = ledger["samples_in_run"] = times * samples
        path.write_text(json.dumps(ledger))
    for file in list((run / "thumbnails").iterdir()):
        for number in range(1, times):
            os.link(file, file.with_name(f"{file.stem}~{number}.jpg"))


def _copied(table: pa.Table, number: int, samples: int) -> pa.Table:
    for name in [each for each in (*OWN, "row") if each in table.column_names]:
        field, column = table.schema.field(name), table[name].combine_chunks()
        if name == "row":
            column = pc.add(column, pa.scalar(number * samples, column.type))
        elif pa.types.is_dictionary(field.type):
            names = pc.binary_join_element_wise(column.dictionary, f"~{number}", "")
            column = pa.DictionaryArray.from_arrays(column.indices, names)
        else:
            column = pc.binary_join_element_wise(column, f"~{number}", "")
        table = table.set_column(table.column_names.index(name), field, column)
    return table


def make_in_a_process(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own: a child's peak memory counts from what its parent had."""
    maker = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit("the run was not made")


def build(run: Path, *flags: str) -> tuple[float, float, float]:
    """Build the page; returns wall time and CPU time in seconds, and the peak memory in MB."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "analyze", "report", str(run), *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("report failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def until_drawn(tab: Any, work: Callable[[], None]) -> float:
    """Milliseconds from an event until the frame after it; of the driver, a few of them."""
    start = time.perf_counter()
    work()
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return 1000 * (time.perf_counter() - start)


def in_tab(tab: Any, page: Path, head: int) -> tuple[float, ...]:
    """First paint, all charts, a click on a head, a sample that is opened, and the table sorted, in ms."""
    tab.goto(page.as_uri() + "#view=table")
    tab.wait_for_selector("html[data-ready]", timeout=120_000)
    drawn, first = tab.evaluate("performance.now()"), tab.evaluate(PAINT)
    clicked = until_drawn(tab, lambda: click_head(tab, head))
    opened = until_drawn(tab, lambda: tab.locator("#lines button.link").first.click())
    tab.keyboard.press("Escape")
    return first, drawn, clicked, opened, until_drawn(tab, lambda: tab.locator("[data-sort=question]").click())


def in_browser(page: Path, repeats: int) -> list[str]:
    """As `in_tab`, medians, as texts."""
    found = []
    with open_browser() as browser:
        if browser is None:
            return ["no browser"] * 5
        for number in range(repeats):
            tab = browser.new_page()
            found.append(in_tab(tab, page, 33 + number))
            tab.close()
    return [f"{statistics.median(each):.0f} ms" for each in zip(*found, strict=True)]


def row_of(name: str, run: Path, output: Path, repeats: int, *flags: str) -> list[str]:
    """A row of the table."""
    found = [build(run, "--output-dir", str(output), *flags) for _ in range(repeats)]
    wall, cpu, memory = (statistics.median(each) for each in zip(*found, strict=True))
    page = output / "report" / "index.html" if "--folder" in flags else output / "report.html"
    files = [page] if page.parent == output else [each for each in page.parent.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in files)
    numbers = [f"{size / 1e6:.1f} MB", f"{wall:.0f} s", f"{cpu:.0f} s", f"{memory:.0f} MB"]
    return [name, *numbers, *in_browser(page, max(3, repeats))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--repeats", type=int, default=1, help="medians of so many")
    parser.add_argument("--times", type=int, default=10, help="of the large run, in multiples of MME's size; 1: none")
    parser.add_argument("--keep", type=Path, help="a folder where runs and pages are made, and left")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}")
    folder = arguments.keep or Path(tempfile.mkdtemp())
    run = folder / "run"
    if not run.exists():
        make_in_a_process(make_run, run, 1, 64)
    for name, flags in (("one file", ()), ("folder", ("--folder",))):
        print(f"| {' | '.join(row_of(name, run, folder / 'pages', arguments.repeats, *flags))} |", flush=True)
    if arguments.times > 1:
        large = folder / f"run_{arguments.times}"
        if not large.exists():
            shutil.copytree(run, large)
            make_in_a_process(multiply, large, arguments.times)
        row = row_of(f"folder, {arguments.times} times", large, folder / "large", arguments.repeats, "--folder")
        print(f"| {' | '.join(row)} |", flush=True)
    if arguments.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
