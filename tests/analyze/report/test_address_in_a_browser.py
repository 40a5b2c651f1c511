"""The page in Chromium: what is chosen is in its address, and an address shows what was chosen."""

import re
from urllib.parse import urldefrag

from tests.support.report import said

SHOWN = """() => [document.querySelector("#head-name").textContent, document.documentElement.dataset.theme ?? ""]
    .concat(["measure", "category", "shade", "sample-category", "sample-state", "search", "panel", "of-what"]
    .map((id) => document.getElementById(id))
    .map((each) => each.selectedOptions?.[0].text ?? each.value))"""


def test_what_is_chosen_is_in_the_address_and_can_be_taken_back(shown):
    page = shown()
    assert said(page) == {}
    first = page.evaluate(SHOWN)
    page.click("[data-kind=contributing]")
    page.select_option("#category", "1")
    page.select_option("#shade", "rank")
    page.locator("#highest button[aria-pressed=false]").first.click()
    head = page.locator("#highest button[aria-pressed=true]").inner_text().split()[0]
    page.select_option("#panel", label="Of the last token")
    page.select_option("#of-what", label="Layer 1")
    page.select_option("#sample-state", label="both right")
    page.click("#search")
    page.keyboard.type("this 1")
    page.click("#theme")
    assert said(page) == {
        "measure": "contributing/d2v", "head": head, "category": "OCR", "colours": "rank", "columns": "a2bos",
        "rows": "layer/1", "state": "both right", "search": "this 1", "theme": "dark",
    }  # fmt: skip
    last = page.evaluate(SHOWN)
    assert shown(at=f"#{urldefrag(page.url).fragment}").evaluate(SHOWN) == last
    page.go_back()
    assert "theme" not in said(page)
    page.go_back()  # a text that was typed is one step
    assert page.input_value("#search") == ""
    assert said(page)["state"] == "both right"
    for _ in range(7):
        page.go_back()
    assert said(page) == {}
    assert page.evaluate(SHOWN) == first
    for _ in range(9):
        page.go_forward()
    assert page.evaluate(SHOWN) == last


def test_an_address_that_names_what_is_not_there_is_followed_as_far_as_it_can_be(shown):
    page = shown(at="#head=L99H1&category=Cats&shape=round&measure=looking/v2bos&sample=nobody")
    line = page.inner_text("#address-part")
    assert re.findall(r"\w+=\w+", line) == ["category=Cats", "head=L99H1", "sample=nobody", "shape=round"]
    assert page.input_value("#measure") == "looking/v2bos"
    page.select_option("#category", "1")
    assert page.inner_text("#address-part") == ""
    page.evaluate("location.hash = '#head=L1H2'")
    page.wait_for_function("document.querySelector('#head-name').textContent === 'Layer 1, head 2'")
    page.evaluate("location.hash = '#heads-section'")
    assert page.inner_text("#head-name") == "Layer 1, head 2"


def test_the_address_can_be_copied(shown):
    page = shown(at="#head=L1H2")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-link")
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_long_address_is_said_in_short(shown):
    page = shown(at=f"#head={'L1H1' * 500}", width=360)
    assert page.inner_text("#address-part").count("L1H1") < 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
