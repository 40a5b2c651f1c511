"""Pages of made-up runs, opened in Chromium from a file and with the network cut."""

import copy
import re

import pyarrow as pa
import pytest

from analyze.report import charts
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
def other(tmp_path_factory):
    """Another run of the same questions, in which some heads look more."""
    run = write_whole_run(tmp_path_factory.mktemp("other") / "other", seed=1)
    rewrite(run, "heads", more_of_some_heads)
    return run


def more_of_some_heads(table):
    frame = table.to_pandas()
    frame.loc[(frame["layer"] == 1) & (frame["head"] > 1), "a2v"] *= 0.25
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


@pytest.fixture(scope="package")
def files(run, other):
    return {"en": make_report(run), "zh": make_report(run, "--lang", "zh"), "two": make_report(run, other)}


@pytest.fixture
def shown(browser, files):
    """Open a page; at the end, nothing may have been said on its console, and nothing asked of the network."""
    contexts, said = [], []

    def open_page(name: str = "en", *, width: int = 1400, scheme: str = "light", at: str = ""):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_offline(True)
        context.route(re.compile("^(?!file:|data:)"), lambda route: (said.append(route.request.url), route.abort()))
        page = context.new_page()
        page.set_default_timeout(60_000)  # a machine may be busy
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(files[name].as_uri() + at)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
