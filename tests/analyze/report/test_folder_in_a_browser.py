"""A page that is a folder, opened from a disk and from a web server: it loads what it shows, and nothing else."""

import re
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.drawing.maps import OPAQUE
from tests.support.report import click_head

ALPHAS = """(each) => [...each.getContext("2d").getImageData(0, 0, each.width, each.height).data]
    .filter((_, place) => place % 4 === 3)"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("folder")
    assert main(["report", str(run), "--folder", "--output-dir", str(output)]) == 0
    return output / "report"


@pytest.fixture(params=["disk", "server"])
def address(request, folder):
    if request.param == "disk":
        yield (folder / "index.html").as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_it_loads_images_and_maps_where_it_shows_them(page, run, address):
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    table, top = pd.read_parquet(run / "maps"), float(page.locator("#scale .tick").last.inner_text())
    for cell in (4, 11):
        click_head(page, cell)
        card = page.locator(".card").first
        card.locator("canvas").wait_for()
        name = card.get_attribute("data-sample")
        own = table[(table["sample_id"] == name) & (table["layer"] == cell // 4) & (table["head"] == cell % 4)]
        values = np.array(own["map"].iloc[0], float)
        shares = np.log(np.maximum(values / values.mean(), 1)) / np.log(top)
        alphas = np.array(card.locator("canvas").evaluate(ALPHAS))
        np.testing.assert_allclose((alphas / 255 / OPAQUE) ** 2, shares, atol=0.01)
        assert card.locator("img").evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 60
    names = {re.sub(r".*/pieces/", "", url) for url in asked if "/pieces/" in url}
    assert names == {"page.js", "samples-0.js"}
    assert [line for line in said if "favicon" not in line and "404" not in line] == []


def test_a_script_that_is_not_the_page_s_own_is_refused(page, address, folder):
    """Text of data that became elements could run no script, not even one that lies in the folder."""
    (folder / "pieces" / "other.js").write_text("document.title = 'broken'")
    text = (folder / "index.html").read_text(encoding="utf-8")
    hostile = """<script src="pieces/other.js"></script><script>document.title = 'broken'</script>"""
    hostile += """<img src="x" onerror="document.title = 'broken'">"""
    (folder / "other.html").write_text(text.replace("<main>", f"<main>{hostile}"), encoding="utf-8")
    page.goto(re.sub("(index.html)?$", "other.html", address, count=1))
    page.wait_for_selector("html[data-ready]")
    assert page.locator("script[src='pieces/other.js']").count() == 1
    assert page.title() != "broken"


DAMAGE = {
    "samples-0": lambda content: None,
    "values-0-0": lambda content: b"",
    "values-1-0": lambda content: content[:-40],
    "values-2-0": lambda content: re.sub(rb'("packed":".{30}).{8}', rb"\1AAAAAAAA", content),
}


def test_it_names_pieces_that_are_missing_or_damaged(page, folder, tmp_path):
    """Missing, empty, cut short, and with other bytes in its arrays."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    files = {name: tmp_path / "pieces" / f"{name}.js" for name in DAMAGE}
    for name, file in files.items():
        content = DAMAGE[name](file.read_bytes())
        file.unlink() if content is None else file.write_bytes(content)
    page.goto((tmp_path / "index.html").as_uri() + "#measure=looking/t2v&head=L0H0&view=cards")
    page.wait_for_selector("html[data-ready=yes]")
    said = page.locator("#missing-part .note")
    said.wait_for()
    assert re.search(r"Missing or damaged .*: pieces/samples-0\.js\. Copy the whole folder again", said.inner_text())
    assert page.locator("#cards .card").count() == 12  # all else is shown
    page.locator("#view").select_option("table")
    for measure, name in enumerate([*DAMAGE][1:]):
        page.locator("#measure").select_option(index=measure)
        if measure < 2:
            page.locator("#missing-part", has_text=name).wait_for()
    page.locator("#missing-part", has_text="and 1 more").wait_for()
    page.locator("#lines button.link").first.click()
    page.locator("dialog .note", has_text="pieces/samples-0.js").wait_for()


@pytest.mark.parametrize("missing", [True, False])
def test_it_says_so_where_it_cannot_be_drawn(page, folder, tmp_path, missing):
    """A piece is missing, or is that of a page which was written at another time."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    piece = tmp_path / "pieces" / "page.js"
    text = piece.read_text(encoding="utf-8")
    piece.write_text(re.sub(r'"page":"\w+"', '"page":"1"', text, count=1), encoding="utf-8")
    if missing:
        piece.unlink()
    page.goto((tmp_path / "index.html").as_uri())
    page.locator("#missing-part .note", has_text="pieces/page.js").wait_for()
