"""The page in Chromium: what is chosen is in its address, and an address shows what was chosen."""

import re
from urllib.parse import urldefrag

from tests.support.report import CATEGORIES, JOB, address_of, said, settle, travel

SHOWN = """() => [document.querySelector("#head-name").textContent, document.documentElement.dataset.theme ?? ""]
    .concat(["measure", "category", "shade", "sample-category", "sample-state", "search", "panel", "of-what"]
    .map((id) => document.getElementById(id))
    .map((each) => each.selectedOptions?.[0].text ?? each.value))"""


def chosen(page) -> dict[str, str]:
    """What the address says, but for the section that is on the screen."""
    return {name: text for name, text in said(page).items() if name != "at"}


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
    assert chosen(page) == {
        "measure": "contributing/d2v", "head": head, "category": "OCR", "colours": "rank", "columns": "a2bos",
        "rows": "layer/1", "state": "both right", "search": "this 1", "theme": "dark",
    }  # fmt: skip
    last = page.evaluate(SHOWN)
    address = urldefrag(address_of(page)).fragment
    travel(page, -1)
    assert "theme" not in said(page)
    travel(page, -1)  # a text that was typed is one step
    assert page.input_value("#search") == ""
    assert said(page)["state"] == "both right"
    travel(page, -7)
    assert chosen(page) == {}
    assert page.evaluate(SHOWN) == first
    travel(page, 9)
    assert page.evaluate(SHOWN) == last
    assert shown(at=f"#{address}").evaluate(SHOWN) == last


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
    page.wait_for_selector("#contents a[href='#heads-section'][aria-current]")
    assert page.inner_text("#head-name") == "Layer 1, head 2"


def test_the_address_can_be_copied(shown):
    page = shown(at="#head=L1H2&at=samples")
    settle(page)
    place = page.locator("#copy-link").bounding_box()
    assert 0 <= place["y"] < 60  # it stays on the screen
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.mouse.click(place["x"] + 5, place["y"] + 5)  # the driver's own click scrolls first
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == address_of(page)


def test_a_long_address_is_said_in_short(shown):
    page = shown(at=f"#head={'L1H1' * 500}", width=360)
    assert page.inner_text("#address-part").count("L1H1") < 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


SECTION = """(name) => {
    const { top, bottom } = document.getElementById(`${name}-section`).getBoundingClientRect();
    return top < innerHeight && bottom > 0;
}"""


def test_a_link_leads_to_its_place_and_the_address_holds_it(shown):
    """From the contents, by scrolling, elsewhere, and back; the column of the charts of two runs is in it too."""
    page = shown("two")
    assert page.inner_text("#difference").startswith("B compared with A: answers: ")
    page.locator("#rankings svg").nth(2).locator("a").nth(1).click()
    settle(page)
    assert page.evaluate(SECTION, "comparison")
    category = said(page)["category"]
    assert said(page) == {"at": "comparison", "category": category, "samples-of": category}
    assert category in CATEGORIES
    travel(page, -1)
    page.locator("#contents a", has_text="Samples").click()
    settle(page)
    assert page.evaluate(SECTION, "samples")
    assert said(page) == {"at": "samples"}
    assert page.locator("#contents [aria-current]").inner_text() == "Samples"
    page.locator("#compared").scroll_into_view_if_needed()
    line = page.locator("#profiles .mark-line path").first
    of_a2v = line.get_attribute("d")
    page.select_option("#compared", "t2v")
    settle(page)
    assert said(page) == {"at": "comparison", "compared": "t2v"}
    address, of_t2v = urldefrag(address_of(page)).fragment, line.get_attribute("d")
    assert of_t2v != of_a2v
    travel(page, -1)
    assert "compared" not in said(page)
    assert page.input_value("#compared") == "a2v"
    settle(page)
    assert line.get_attribute("d") == of_a2v
    there = shown("two", at=f"#{address}")
    assert there.evaluate(SECTION, "comparison")
    assert there.input_value("#compared") == "t2v"
    assert line.get_attribute("d") == of_t2v


# Charts take some frames to be drawn, and what stands above them is higher from the second one on, as in a browser
# that does not hold what is on the screen in its place
SLOW = """() => {
    const own = vegaEmbed, frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    document.documentElement.style.overflowAnchor = "none";
    vegaEmbed = async (...all) => {
        await frame();
        document.querySelector("header").style.minHeight = "2000px";
        await frame();
        dispatchEvent(new Event("scroll"));
        await frame();
        await frame();
        return own(...all);
    };
}"""


def test_a_link_leads_to_its_place_though_charts_are_slow(shown):
    page = shown()
    page.evaluate(SLOW)
    page.locator("#rankings svg").nth(1).locator("a").nth(1).click()
    settle(page)
    assert said(page)["at"] == "heads"
    assert page.evaluate(SECTION, "heads")


def test_heads_that_are_named_are_links_that_give_the_map_their_keys(shown):
    """In the first sentence and the first picture, by their measure; the chosen category stays."""
    page = shown(at="#category=OCR")
    page.locator("#rankings svg").nth(1).locator("a").nth(1).click()
    head = page.locator("#rankings svg").nth(1).locator("text", has_text="L").nth(1).text_content()
    settle(page)
    assert said(page) == {"category": "OCR", "measure": f"mattering/{JOB}", "head": head, "at": "heads"}
    assert page.inner_text("#head-name") == f"Layer {head[1]}, head {head[3]}"
    assert page.evaluate("document.activeElement.id") == "map"
    page.keyboard.press("Control+Home")
    assert page.inner_text("#head-name") == "Layer 0, head 0"
    for links, place in (("#claim a", 0), (".lead-note a", -1)):
        link = page.locator(links).nth(place)
        link.click()
        assert page.locator(".head-name").inner_text() == link.inner_text()
        assert page.input_value("#measure") == "looking/a2v"
    data = page.evaluate("JSON.parse(document.getElementById('page-data').textContent).samples")
    without = {name for name, place in zip(data["id"], data["picture"], strict=True) if place is None}
    marked = page.locator("#top li:has(.no-image)").evaluate_all("(all) => all.map((each) => each.dataset.sample)")
    named = page.locator("#top li").evaluate_all("(all) => all.map((each) => each.dataset.sample)")
    assert set(marked) == without & set(named)
