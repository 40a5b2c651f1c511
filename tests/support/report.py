"""Runs with all that a page can show, pages of them, and a browser."""

import base64
import gzip
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qs, urldefrag

import numpy as np
from PIL import Image

from analyze.__main__ import main
from schemas.columns import CONTRIBUTIONS, LAYERS, MAPS, STEPS
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.store.thumbnails import write_thumbnail
from tests.support.maps import made_up
from tests.support.pictures import encoded
from tests.support.prunable import World, measure, singles, write_world
from tests.support.runs import PART, flows, put, rewrite, sample, start
from tests.support.texts import WRITTEN, made_up_text

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">\u2028{{ 7 * 7 }}&amp;'"
CATEGORIES = {"OCR": 12, HOSTILE: 8}
WORLD = World.of(layers=3, heads=4, strength=0.7)
JOB = "heads_edge"
MINUS = "−"
SUFFIX = "\nAnswer in one sentence."


def write_whole_run(path: Path, *, seed: int = 0, images: int = 6, categories=CATEGORIES) -> Path:
    """A run with contributions, maps, thumbnails of some images, and the effect of each head; with hostile texts.

    Args:
        images: those of the first category that have a thumbnail.
    """
    run = write_world(
        path,
        WORLD,
        categories=categories,
        seed=seed,
        tables=(CONTRIBUTIONS, LAYERS, MAPS),
        maps_of="a",
        model="made/up",
    )
    measure(run, WORLD, JOB, singles(WORLD))
    rewrite(run, "samples", lambda table: put(table, "question", 5, HOSTILE))
    for number in range(images):
        colour = (40 * number, 90, 200 - 30 * number)
        write_thumbnail(run, f"OCR {number}", encoded(Image.new("RGB", (60, 40), colour), "jpeg"))
    assert open_run(run).complete
    assert (run / "samples" / PART).is_file()
    return run


PIECES = (" a", " dog", "\n", " fl", "ower", " ", "</b>&", ".", "")  # the last one is special
MAPPED = ((0, 1), (2, 0))  # heads with maps of steps


def write_captions(path: Path, *, images: int = 8, seed: int = 0) -> Path:
    """A run of texts on images, one question on each, which has no right answer; two samples in a part."""
    random = np.random.default_rng(seed)
    shape, steps = WORLD.heads.shape, len(PIECES)
    fields = {
        "layers": shape[0], "heads": shape[1], "tables": [MAPS, *WRITTEN], "maps_of": "a", "generate": steps,
        "step_map_heads": [list(each) for each in MAPPED], "conv_mode": "vicuna_v1", "prompt_suffix": SUFFIX,
    }  # fmt: skip
    writer = start(path, images, fields=fields)
    for number in range(images):
        taken = steps - number % 3
        written, more = made_up_text(random, taken, WORLD.heads.size, len(MAPPED), pieces=list(PIECES[-taken:]))
        written[STEPS] = written[STEPS].reshape(taken, *shape, -1)
        maps, places = made_up(random, *shape)
        row = sample(2 * number, "caption") | {
            "row": number,
            "answer": None,
            "question": "What is this?",
            "margin": 1.0,
        }
        row |= {"image_sha256": f"{number}", "hint": "Look closely." if number % 2 else None} | more | places
        with patch.object(writer_module, "ROWS_PER_PART", 2 * WORLD.heads.size):
            writer.add(row, {"heads": flows(random, *shape), **maps, **written})
        write_thumbnail(path, f"{number}", encoded(Image.new("RGB", (60, 40), (20 * number, 90, 30)), "jpeg"))
    writer.finish()
    assert len(open_run(path).parts) == images // 2
    return path


def make_report(run: Path, *flags: object) -> Path:
    """The page of a run, by the command; the path of its only file."""
    before = set(run.glob("*.html"))
    assert main(["report", str(run), *map(str, flags)]) == 0
    (made,) = set(run.glob("*.html")) - before
    return made


def read_data(page: str) -> dict:
    """The data in a page."""
    return json.loads(re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1])


def read_piece(page: str, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """A piece in a page: its data, and its arrays by name."""
    piece = json.loads(re.search(rf'id="piece-{name}">(.*?)</script>', page, re.DOTALL)[1])
    return piece["data"], unpack(piece["index"], piece["packed"])


def read_arrays(page: str) -> dict[str, np.ndarray]:
    """The arrays in a page, by name."""
    return read_piece(page, "page")[1]


def unpack(index: dict, packed: str) -> dict[str, np.ndarray]:
    content = gzip.decompress(base64.b64decode(packed))
    found = {}
    for name, (kind, first, number) in index.items():
        size = np.dtype(kind).itemsize
        planes = np.frombuffer(content, np.uint8, number * size, first).reshape(size, number)
        found[name] = np.ascontiguousarray(planes.T).view(kind).reshape(-1)
    return found


@contextmanager
def open_browser():
    """Chromium, driven by playwright; None where either is missing."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        path = None
    if path is None:
        yield None
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def drawn(page) -> None:
    """Wait until no chart is being drawn."""
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")


# Two frames in a row without a chart being drawn: a scroll has its event with the next frame
SETTLED = """async () => {
    for (let quiet = 0; quiet < 2;) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        quiet = document.querySelector("[aria-busy=true]") ? 0 : quiet + 1;
    }
}"""


def settle(page) -> None:
    """Wait until charts are drawn, and the address holds the section that was scrolled to."""
    page.evaluate(SETTLED)


# The page's own listener was there before, so it has drawn
TRAVELLED = """(steps) => new Promise((resolve) => {
    addEventListener("popstate", () => resolve(), { once: true });
    history.go(steps);
})"""


def travel(page, steps: int) -> None:
    """Go forward in the history of a page, or back with `steps` below 0, to another address of the same document.

    The driver's `go_back` returns at the next change of the address, which may be that of a scroll.
    """
    page.evaluate(TRAVELLED, steps)


# As an address that is typed, without a choice in it
FIRST = "history.pushState(null, '', '#'); dispatchEvent(new PopStateEvent('popstate'))"


def start_again(page) -> None:
    """Take back all that was chosen on a page, for another check of it."""
    page.evaluate(FIRST)
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = false)")
    settle(page)


def click_head(page, cell: int) -> None:
    """Click a head in the map, and wait until the charts show it."""
    drawn(page)
    page.locator("#map .layer_0_marks path").nth(cell).click()
    drawn(page)


def address_of(page) -> str:
    """The address of a page; `page.url` follows it later."""
    return page.evaluate("location.href")


def said(page) -> dict[str, str]:
    """What the address of a page says."""
    return {name: values[0] for name, values in parse_qs(urldefrag(address_of(page)).fragment).items()}


def near(text: str, value: float) -> bool:
    """Whether a text shows a number; half a step of its last digit may be rounded either way."""
    shown = float(text.replace(MINUS, "-"))
    return abs(shown - value) <= 0.51 * 10 ** -len(text.partition(".")[2])
