"""The page in Chromium: colours, sizes, keys, and that texts of data stay text."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analyze.compare.comparison import compare
from analyze.scores.accuracy import ALL_TOGETHER
from analyze.tables.frames import open_heads
from tests.analyze.report.test_access import check_that_nothing_is_english
from tests.support.report import (
    HOSTILE,
    MINUS,
    WORLD,
    click_head,
    drawn,
    make_report,
    near,
    start_again,
    write_whole_run,
)
from tests.support.runs import put, rewrite

TOO_WIDE = """[...document.querySelectorAll("section :is(p, h2, h3, select, svg, button, .tile, .card)")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".wide, .chips"))
    .map((each) => each.outerHTML.slice(0, 80))"""
UNNAMED = """[...document.querySelectorAll("button, select, input, img, [role=group]")]
    .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.alt || each.labels?.length)).length"""
CUT_OFF = """[...document.querySelectorAll("section svg text")].filter((text) => {
    const [own, chart] = [text.getBoundingClientRect(), text.closest("svg").getBoundingClientRect()];
    return own.width && (own.left < chart.left - 1 || own.right > chart.right + 1 || own.bottom > chart.bottom + 1);
}).map((text) => text.textContent)"""
GREY = "#b4b4b4"


def background(page) -> bool:
    """Whether the page is light."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) > 400


@pytest.mark.parametrize(("name", "scheme"), [("en", "dark"), ("zh", "light"), ("two", "light")])
def test_it_loads_in_both_languages_and_themes(shown, name, scheme):
    page = shown(name, scheme=scheme)
    assert page.locator("#map .layer_0_marks path").count() == WORLD.heads.size
    assert page.locator("#distribution svg path").count() > 10
    assert (page.locator("h2", has_text="注意力头").count() > 0) == (name == "zh")
    if name == "zh":
        check_that_nothing_is_english(page)
    check_labels(page)
    light = [background(page)]
    page.click("#theme")
    light.append(background(page))
    assert sorted(light) == [False, True]
    assert light[0] == (scheme == "light")
    drawn(page)
    assert page.locator("#map .layer_0_marks path").count() == WORLD.heads.size


def check_labels(page) -> None:
    """That charts cut no label off, before a head is chosen and after it."""
    drawn(page)
    assert page.evaluate(CUT_OFF) == []
    click_head(page, 1)
    assert page.evaluate(CUT_OFF) == []


def legend_of_map(page) -> list[float]:
    """The numbers at the scale of colours, from left to right."""
    texts = page.locator("#map .role-legend-label text").all_text_contents()
    return [float(text.replace(MINUS, "-").lstrip("≤≥ ")) for text in texts]


BOTH_AT_ONCE = "document.querySelector('#theme').click(); document.querySelector('[data-kind=contributing]').click()"


def check_that_colours_are_as_strong_on_either_side_of_zero(page):
    """In the map of another measure, which is drawn while that of another theme is."""
    page.evaluate(BOTH_AT_ONCE)
    drawn(page)
    assert page.locator("#map .layer_0_marks path").count() == WORLD.heads.size
    ends = legend_of_map(page)
    assert ends[0] == pytest.approx(-ends[-1], rel=0.02)


def set_column(table, name, values):
    frame = table.to_pandas().assign(**{name: values.astype(np.float32)})
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


@pytest.fixture(scope="module")
def outlier(tmp_path_factory):
    """A page of a run in which one head looks at the image, the others hardly."""
    run = write_whole_run(tmp_path_factory.mktemp("outlier") / "run")
    means = np.append(np.arange(11) / 100, 0.97)
    rewrite(run, "heads", lambda table: set_column(table, "a2v", np.tile(means, 40)))
    return make_report(run)


def check_fills(page) -> None:
    """That each two heads that differ by 0.01 have other colours, but for the last two."""
    fills = page.locator("#map .layer_0_marks path").evaluate_all(
        "(all) => all.map((each) => getComputedStyle(each).fill.match(/\\d+/g).map(Number))"
    )
    steps = np.abs(np.diff(np.array(fills, float), axis=0)).sum(axis=1)
    assert (steps[:10] > 15).all()
    assert fills[10] == fills[11]


def test_an_outlier_leaves_the_other_heads_apart(page, outlier):
    """On a light page and on a dark one."""
    page.goto(outlier.as_uri())
    page.wait_for_selector("html[data-ready]")
    check_fills(page)
    page.click("#theme")
    drawn(page)
    assert not background(page)
    check_fills(page)
    assert page.locator("#map .role-legend-label text").all_text_contents()[-1] == "≥ 0.1"
    assert legend_of_map(page) == [0, 0.05, 0.1]
    assert page.inner_text("#beyond").startswith(
        "Heads beyond the ends of the colours, which have the last one: 1 of 12."
    )
    page.locator("#map .layer_0_marks path").last.hover()
    page.locator("#vg-tooltip-element.visible", has_text="0.9700").wait_for()
    page.select_option("#shade", "rank")
    assert page.inner_text("#beyond") == ""
    drawn(page)
    assert page.locator("#map .role-legend-label text").all_text_contents() == ["Rank 12", "Rank 1"]


def check_that_what_is_not_significant_is_grey(page, run, other):
    found = compare(open_heads(run)[0], open_heads(other)[0], ["a2v"])
    table = found.heads[0].table
    assert 0 < table["significant"].sum() < len(table)
    fills = page.locator("#differences .mark-rect.role-mark path").evaluate_all(
        "(all) => all.map((each) => each.getAttribute('fill'))"
    )
    assert [fill != GREY for fill in fills] == table["significant"].tolist()
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    answers = found.answers[found.answers["measure"] == "accuracy"]
    rows = page.locator("#answers-table tbody tr").all()
    for row, (_, one) in zip(rows, answers.iterrows(), strict=True):
        a, b, difference = row.locator("td").all_inner_texts()[1:4]
        assert near(a, one["a"])
        assert near(b, one["b"])
        assert near(difference, one["difference"])
        sure = not one["low"] <= 0 <= one["high"] if one["category"] == ALL_TOGETHER else one["adjusted_p"] <= 0.05
        told = sure and one["note"] == ""
        assert ("unclear" in (row.get_attribute("class") or "")) == (not told)


def test_both_runs_heads_are_beside_each_other_on_one_scale(run, other, shown):
    """Of the measure and the category that an address names, the highest heads of either; then of another category."""
    page = shown("two", at="#measure=looking/v2bos&category=OCR&head=L2H1")
    scales = [page.locator(f"#map-{each} .role-legend-label text").all_text_contents() for each in "ab"]
    assert [text.strip("≤≥ ") for text in scales[0]] == [text.strip("≤≥ ") for text in scales[1]]
    for folder, name in ((run, "a"), (other, "b")):
        table = pd.read_parquet(folder / "heads").astype({"v2bos": float})
        means = table[table["category"] == "OCR"].groupby(["layer", "head"])["v2bos"].mean()
        (layer, head), highest = means.idxmax(), means.max()
        text = page.locator(f"figure:has(#map-{name}) figcaption").inner_text()
        assert text.startswith(f"{name.upper()}, Highest heads: L{layer}H{head} {highest:.4f},")
        assert text.endswith(f"; L2H1 {means[2, 1]:.4f}")
        assert page.locator(f"#map-{name} .layer_0_marks path").count() == WORLD.heads.size
    page.click("[data-kind=mattering]")
    assert "only the masses that both runs have" in page.inner_text("#not-beside")


def check_that_keys_are_enough(page):
    page.focus("#map")
    page.evaluate("document.querySelector('#map').dispatchEvent(new KeyboardEvent('keydown', {key: 'x'}))")
    click_head(page, 0)
    page.focus("#map")
    steps = [("Down", (1, 0)), ("Right", (1, 1)), ("Up", (0, 1)), ("Up", (0, 1)), ("Left", (0, 0)), ("Left", (0, 0))]
    for key, (layer, head) in steps:
        page.keyboard.press(f"Arrow{key}")
        assert page.inner_text("#head-name") == f"Layer {layer}, head {head}"
    page.focus("[data-kind=mattering]")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "measure"
    assert "Layer" in page.get_attribute("#map", "aria-label")
    assert page.evaluate(UNNAMED) == 0


def check_that_hostile_texts_stay_text(page):
    for _ in page.locator("#category option").all():
        page.select_option("#category", "2")
    page.select_option("#sample-category", "1")
    page.fill("#search", "</script>")
    page.fill("#search", "")
    page.select_option("#sample-category", "0")
    page.fill("#search", "onerror")
    assert page.locator(".card .question").text_content() == HOSTILE
    assert page.locator("#category option").nth(2).text_content() == HOSTILE
    assert page.title() != "broken"
    assert page.locator("img[src=x]").count() == 0
    page.locator("#profile .role-axis-label text").last.hover(force=True)
    page.locator("#profile .layer_0_marks path").last.hover()
    page.locator("#vg-tooltip-element.visible", has_text="onerror").wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_colours_and_keys(shown):
    page = shown()
    check_that_colours_are_as_strong_on_either_side_of_zero(page)
    start_again(page)
    check_that_keys_are_enough(page)


def test_a_page_of_two_runs(run, other, shown):
    page = shown("two")
    check_that_what_is_not_significant_is_grey(page, run, other)
    start_again(page)
    check_that_hostile_texts_stay_text(page)


def check_width(page, width: int) -> None:
    """That nothing is wider than the screen."""
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("name", "screens"), [("en", 8), ("zh", 8), ("two", 11)])
def test_a_narrow_page(shown, name, screens):
    """Nothing is wider than it, nor is it too high: samples scroll in a box, and one that is open fills the screen."""
    page = shown(name, width=2560 if name == "two" else 360)
    if name == "two":  # first on a wide screen
        check_width(page, 2560)
        page.set_viewport_size({"width": 360, "height": 900})
    check_width(page, 360)
    assert page.evaluate("document.documentElement.scrollHeight") < 900 * screens
    box = page.locator("#cards")
    assert box.evaluate("(each) => each.scrollHeight > each.clientHeight")
    page.locator("#top button").last.click()
    place = page.locator("dialog").bounding_box()
    assert (place["x"], place["y"], place["width"], place["height"]) == (0, 0, 360, 900)
    assert page.locator("dialog").evaluate("(each) => each.scrollWidth <= each.clientWidth")
    page.keyboard.press("Escape")
    check_labels(page)


def test_long_names_and_questions_are_broken(page, tmp_path):
    """A name of 120 letters makes nothing wider than a narrow screen, a question of 600 no card higher than it."""
    run = write_whole_run(tmp_path / "run", categories={"a" * 120: 8})
    rewrite(run, "samples", lambda table: put(table, "question", slice(0, 4), ["x" * 600] * 4))
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(make_report(run).as_uri() + "#view=cards")
    page.wait_for_selector("html[data-ready]")
    page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert page.locator("#top").inner_text().count("a" * 120) == 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert max(each.bounding_box()["height"] for each in page.locator(".card").all()) < 400
