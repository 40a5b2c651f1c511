"""The page in Chromium for everyone: axe-core finds nothing, keys reach everything, nothing is English in Chinese."""

import re

import pytest

from tests.analyze.report.test_page import NAMES, ROOT
from tests.support.report import HOSTILE, click_head

AXE = ROOT / "analyze" / "report" / "app" / "node_modules" / "axe-core" / "axe.min.js"
# Opens all that is closed; the page marks what scrolls in it at `toggle`, which comes later
OPENED = """() => Promise.all([...document.querySelectorAll("details:not([open])")].map((each) => {
    each.removeAttribute("name");
    each.open = true;
    return new Promise((resolve) => each.addEventListener("toggle", resolve, { once: true }));
}))"""
# Each violation in what a selector finds: its rule, and the first element
FOUND = """async (where) => (await axe.run(where, {resultTypes: ["violations"]})).violations
    .map((each) => [each.id, each.nodes.length, each.nodes[0].html, each.nodes[0].failureSummary])"""
# Texts that are shown or read out, but for settings, and texts of the data
SAID = """() => {
    const texts = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const data = "script, style, code, noscript, dl:not(.numbers), bdi, .question, .link, .runs, option, tbody th";
    while (walk.nextNode()) if (!walk.currentNode.parentElement.closest(data)) texts.push(walk.currentNode.textContent);
    for (const name of ["aria-label", "title", "placeholder"])
        for (const each of document.querySelectorAll(`[${name}]`)) if (!each.closest("[aria-hidden]"))
            texts.push(each.getAttribute(name));
    return texts;
}"""
HEADS = 4


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make setup")
@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("two", "light", 1400), ("two", "dark", 360), ("zh", "dark", 1400), ("zh", "light", 360)],
)
def test_axe_finds_nothing(shown, name, scheme, width):
    page = shown(name, scheme=scheme, width=width)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    page.evaluate(OPENED)
    assert page.evaluate(FOUND, "html") == []
    page.locator(".card .question button").first.click()
    assert page.evaluate(FOUND, "dialog") == []


def test_home_and_end_lead_to_the_ends_of_a_layer_and_of_the_map(shown):
    page = shown()
    click_head(page, HEADS + 1)
    page.focus("#map")
    for key, place in (("End", (1, 3)), ("Home", (1, 0)), ("Control+End", (2, 3)), ("Control+Home", (0, 0))):
        page.keyboard.press(key)
        assert page.inner_text("#head-name") == "Layer {}, head {}".format(*place)
        assert page.evaluate("document.activeElement.id") == "map"


def test_what_is_cut_at_360_pixels_can_be_reached_and_shows_it(shown):
    page = shown("two", width=360)
    page.evaluate(OPENED)
    region = page.locator(".wide[data-more-right]").first.element_handle()
    assert region.get_attribute("tabindex") == "0"
    assert "gradient" in region.evaluate("(each) => getComputedStyle(each).maskImage")
    region.evaluate("(each) => each.scrollTo(each.scrollWidth, 0)")
    page.wait_for_function("(each) => !each.hasAttribute('data-more-right')", arg=region)


def check_that_nothing_is_english(page):
    for text in page.evaluate(SAID):
        if HOSTILE.startswith(text.rstrip("…")):
            continue  # a category, as a chart cuts it off
        plain = NAMES.sub("", re.sub(r"L\d+H\d+|\S+/\d+(#\d)?", "", text.replace(HOSTILE, "")))
        assert not re.search("[A-Za-z]{2}", plain), text
