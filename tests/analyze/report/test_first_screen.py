"""The page in Chromium: what its first screen shows, what it says in place, and what is left without a script."""

import re

import pytest

from tests.support.report import JOB, settle, start_again


@pytest.mark.parametrize("width", [1400, 360])
def test_the_sentence_and_a_picture_are_on_the_first_screen(shown, width):
    page = shown(width=width)
    assert page.inner_text("#claim").endswith(".")
    assert page.locator("#claim").bounding_box()["y"] > 0
    first = page.locator("#rankings svg").first.bounding_box()
    assert first["y"] + first["height"] <= (900 if width == 1400 else 1000)
    for warning in page.locator(".warnings .warning").all():
        assert warning.bounding_box()["height"] < (40 if width == 1400 else 64)
        text = warning.locator("p")
        assert text.is_hidden()
        warning.locator("summary").click()
        assert text.is_visible()


def check_that_definitions_are_of_what_the_first_screen_says_and_open_one_at_a_time(page):
    """By click and by key."""
    names = [each.split("\n")[0] for each in page.locator(".definitions > span").all_inner_texts()]
    assert {"Mattering", "Rank correlation", "Lead", "Margin"} <= {name.removesuffix("?").strip() for name in names}
    about = page.locator(".about")  # a paragraph with a definition in it: a browser ends a paragraph before one
    assert re.match(r"\d+ of \d+ images are in the page\..*A map shows", about.inner_text(), re.DOTALL)
    about.locator(".define summary").click()
    assert "Every second image" in about.inner_text()
    reliability = page.locator("#numbers .define").last
    reliability.locator("summary").click()
    assert "other images" in reliability.locator(".meaning").inner_text()
    interval = page.locator("#numbers .define summary[aria-label*=interval]")
    interval.focus()
    page.keyboard.press("Enter")
    assert page.locator("#numbers .meaning:visible").count() == 1
    assert "The unit is the image" in page.locator("#numbers .meaning:visible").inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".meaning:visible").count() == 0


def check_that_it_is_said_that_maps_are_of_other_tokens_than_the_measure(page):
    assert page.locator("#whose").count() == 0  # A2V, and maps of the last token
    page.select_option("#measure", "looking/q2v")
    assert "the attention of the question, as a mean, the maps" in page.inner_text("#whose")
    page.click("[data-kind=mattering]")
    assert "of all tokens" in page.inner_text("#whose")
    page.click("[data-kind=contributing]")
    assert page.locator("#whose").count() == 0


def test_what_the_first_screen_says_is_defined_and_whose_maps_are_shown_is_said(shown):
    page = shown()
    check_that_definitions_are_of_what_the_first_screen_says_and_open_one_at_a_time(page)
    start_again(page)
    check_that_it_is_said_that_maps_are_of_other_tokens_than_the_measure(page)


def test_print_names_what_is_shown_and_keeps_colours(shown):
    page = shown(scheme="dark")
    page.click("[data-kind=mattering]")
    page.select_option("#category", "1")
    assert page.locator(".shown").first.is_hidden()
    page.emulate_media(media="print")
    settle(page)  # a change of colours has its event with the next frame
    heads, scatter, distributions, samples = page.locator(".shown").all_inner_texts()
    assert heads.startswith(f"Measure: {JOB}: cut; Category: OCR; Colour by: value; Head: Layer ")
    assert scatter == f"Across: A2V (last token → image); Up: {JOB}: cut"
    assert distributions == "Columns: Text and image; Of: the whole run"
    assert samples.startswith("Category: All; Answered: any; Pair: any")
    assert page.locator(".controls:visible, .pages:visible, .define:visible").count() == 0
    body = "getComputedStyle(document.body)"
    assert page.evaluate(f"{body}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{body}.printColorAdjust") == "exact"
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).breakInside") == "avoid"
    page.evaluate("document.body.style.width = '500px'")  # as paper is: a chart that is made smaller leaves no gap
    for svg in page.locator(".plot svg").all():
        width, height = map(float, svg.get_attribute("viewBox").split()[2:])
        box = svg.bounding_box()
        assert box["height"] == pytest.approx(box["width"] * height / width, rel=0.01)
    text = page.locator("#map .role-axis-label text").first
    assert text.evaluate("(each) => getComputedStyle(each).fill") == "rgb(77, 85, 95)"


def test_without_a_script_there_are_a_picture_and_a_table_of_heads(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files["en"].as_uri())
    assert page.locator("#rankings svg:visible").count() == 2
    page.locator("#rankings details > summary").click()
    rows = page.locator(".ranking tbody tr:visible")
    assert rows.count() == 12
    assert all(re.fullmatch(r"L\dH\d\s+[+−]?\d\.\d{3}\s.*", row) for row in rows.all_inner_texts())
    assert page.locator("#heads-section, #samples-section, [data-chart]").locator("visible=true").count() == 0
    context.close()
