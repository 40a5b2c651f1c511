"""Pages of made-up runs, opened in Chromium from a file and with the network cut."""

import copy
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from analyze.report import charts
from schemas.store.run import Run
from tests.support.report import make_report, open_browser, write_whole_run
from tests.support.runs import rewrite

WITHOUT_DATA = ("head_map", "head_dots", "head_scatter", "head_histogram", "head_profile", "distribution")


@pytest.fixture(scope="package", autouse=True)
def _charts_made_once():
    """Make a chart once for the same language and arguments, which are all that it depends on.

    Altair checks each part of it against its schema, which takes half of the time of a page.
    """
    made = {}

    def once(make):
        def call(words, *arguments, **options):
            key = make.__name__, words.language, repr((arguments, options))
            if key not in made:
                made[key] = make(words, *arguments, **options)
            return copy.deepcopy(made[key])

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in WITHOUT_DATA:
            patch.setattr(charts, name, once(getattr(charts, name)))
        yield


@pytest.fixture(scope="package")  # as its event loop must end before a test of notebooks starts one
def browser():
    with open_browser() as found:
        if found is None:
            pytest.skip("no browser: apt-get install chromium, and pip install playwright")
        yield found


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    return write_whole_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="package")
def other(run):
    """Another run of the same questions beside it, in which some heads look more."""
    other = write_whole_run(run.with_name("other"), seed=1)
    rewrite(other, "heads", more_of_some_heads)
    return other


def more_of_some_heads(table):
    frame = table.to_pandas()
    frame.loc[(frame["layer"] == 1) & (frame["head"] > 1), "a2v"] *= 0.25
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


@pytest.fixture(scope="package")
def two(run, other) -> tuple[Path, Counter]:
    """The page of two runs, and how often each column of a part was read for it."""
    found = Counter()

    def counted(read):
        def call(self, path, names=None, *rest, **options):
            found.update((str(path), name) for name in names or ())
            return read(self, path, names, *rest, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("batches", "read_part"):
            patch.setattr(Run, name, counted(getattr(Run, name)))
        return make_report(run, other), found


@pytest.fixture(scope="package")
def files(run, two):
    return {"en": make_report(run), "zh": make_report(run, "--lang", "zh"), "two": two[0]}


@pytest.fixture(scope="package")
def _kept(browser):
    return browser.new_context().new_page()


@pytest.fixture
def page(_kept):
    """An empty page, which is one for all tests: a new one has a process of its own, in which nothing is compiled."""
    _kept.goto("about:blank")
    _kept.context.set_offline(False)
    _kept.set_default_timeout(60_000)  # a machine may be busy
    _kept.set_viewport_size({"width": 1280, "height": 720})
    _kept.emulate_media(media="null", color_scheme="light")
    _kept.mouse.move(0, 0)
    yield _kept
    _kept.unroute_all()


@pytest.fixture
def shown(page, files):
    """Open a page of a run; at the end, nothing may have been said on its console, and nothing asked of the network.

    There is one tab, as only the one in front gets keys: what a test opens is in place of what it opened before.
    """
    said = []
    listeners = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.context.set_offline(True)
    opened = []
    page.route(re.compile("^(?!file:|data:)"), lambda route: (said.append(route.request.url), route.abort()))

    def open_page(name: str = "en", *, width: int = 1400, scheme: str = "light", at: str = ""):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        if opened:  # another fragment of the address that is open would load nothing
            page.goto("about:blank")
        opened.append(name)
        page.goto(files[name].as_uri() + at)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    assert said == []
