"""The page's samples in Chromium: the table sorts and filters as pandas does, and one sample can be opened."""

import re
from urllib.parse import quote

import numpy as np
import pandas as pd

from analyze.drawing.maps import OPAQUE
from tests.analyze.report.test_folder_in_a_browser import ALPHAS
from tests.support.report import HOSTILE, WORLD, click_head, near, said, start_again, travel

HEADS = WORLD.heads.shape[1]
# What has the focus: its id, its text, and whether it is in the open sample and can be seen
FOCUSED = """() => {
    const {activeElement: own} = document, {left, right, top, bottom} = own.getBoundingClientRect();
    if (own === document.body) return null;
    const seen = left >= 0 && right <= innerWidth && bottom > 0 && top < innerHeight;
    const inside = own.closest("dialog") !== null && seen;
    return [own.id, own.tagName === "SELECT" ? "" : own.textContent, inside];
}"""


def lines(page, column: str = "") -> list[str]:
    """A column of the table of samples as it is shown, or the ids of its samples, over all pages."""
    while not page.is_disabled("#earlier"):
        page.click("#earlier")
    found = []
    while True:
        rows = page.locator("#lines tbody tr")
        if column:
            found += rows.locator(f"[data-column={column}]").all_inner_texts()
        else:
            found += rows.evaluate_all("(all) => all.map((each) => each.dataset.sample)")
        if page.is_disabled("#later"):
            return found
        page.click("#later")


def check_that_the_table_sorts_by_any_number(page, run):
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    for name in ("margin", "p_yes"):
        page.click(f"[data-sort={name}]")
        falling = samples[name].sort_values(ascending=False)
        assert all(near(text, value) for text, value in zip(lines(page, name), falling, strict=True))
        page.click(f"[data-sort={name}]")
        assert all(near(text, value) for text, value in zip(lines(page, name), falling[::-1], strict=True))
        assert page.get_attribute(f"th:has([data-sort={name}])", "aria-sort") == "ascending"
    cell = 6
    click_head(page, cell)
    page.select_option("#sort", "value")
    heads = pd.read_parquet(run / "heads")
    own = heads[(heads["layer"] == cell // HEADS) & (heads["head"] == cell % HEADS)].set_index("sample_id")["a2v"]
    known = page.locator("#lines tbody tr").locator("[data-column=value]").all_inner_texts()
    highest = own.astype(float).sort_values(ascending=False)
    assert all(near(text, value) for text, value in zip(known[:5], highest.iloc[:5], strict=True))
    page.click("[data-sort=question]")
    numbers = [int(each) for each in re.findall(r"Is this (\d+)", " ".join(lines(page, "question")))]
    assert numbers == sorted(numbers)
    assert len(numbers) > 30


def check_that_filters_say_who_was_right(page, run, other):
    a, b = (pd.read_parquet(each / "samples").set_index("sample_id") for each in (run, other))
    right, right_b = (each["answer"] == each["prediction"] for each in (a, b))
    kept = b["question"].reindex(a.index) == a["question"]  # the hostile question is in one run only
    for name, fits in {
        "right": right,
        "wrong": ~right,
        "a-only": right & ~right_b & kept,
        "b-only": ~right & right_b & kept,
    }.items():
        page.select_option("#sample-answer", name)
        assert set(lines(page)) == set(a.index[fits])
        assert fits.any()
    leads = dict(zip(lines(page), lines(page, "lead-b"), strict=True))
    assert all(near(text, b.loc[name, "lead"]) for name, text in leads.items())
    page.select_option("#sample-answer", "any")
    page.fill("#search", "OCR 1")
    assert set(lines(page)) == {name for name in a.index if "OCR 1" in name}


def test_the_table_sorts_and_filters(run, other, shown):
    page = shown("two", at="#view=table")
    check_that_the_table_sorts_by_any_number(page, run)
    start_again(page)
    page.select_option("#view", "table")
    check_that_filters_say_who_was_right(page, run, other)


def test_a_click_leads_from_a_head_to_where_it_looks_in_wrong_answers(run, shown):
    page = shown(at="#head=L1H2&search=nothing&samples-of=OCR")
    samples = pd.read_parquet(run / "samples")
    wrong = (samples["answer"].astype(str) != samples["prediction"].astype(str)).sum()
    assert page.inner_text("#wrong-samples") == f"Where L1H2 looks when the answer is wrong: {wrong} samples"
    page.click("#wrong-samples a")
    assert page.inner_text("#found").split()[0] == str(wrong)
    assert 0 <= page.locator("#samples-section").bounding_box()["y"] < 100
    assert "L1H2" in page.locator("#cards .mass").first.inner_text()


def test_a_sample_opens_and_gives_the_focus_back(run, shown):
    page = shown()
    masses = pd.read_parquet(run / "maps").set_index(["sample_id", "layer", "head"])["mass"]
    card = page.locator(".card").nth(1)
    name, after = card.get_attribute("data-sample"), page.locator(".card").nth(2).get_attribute("data-sample")
    small = card.locator("img").bounding_box()["width"]
    card.locator(".question button").click()
    drawer = page.locator("dialog")
    assert said(page)["sample"] == name
    assert drawer.locator(".picture img").bounding_box()["width"] > 1.2 * small
    assert drawer.evaluate("(each) => each.contains(document.activeElement)")
    page.select_option("#drawer-layer", "2")
    tiles = page.locator("#tiles button")
    assert tiles.count() == HEADS
    assert page.locator("#tiles canvas").count() == HEADS
    tiles.nth(3).click()
    assert page.inner_text("#head-name") == "Layer 2, head 3"
    for place, text in enumerate(tiles.locator(".small").all_inner_texts()):
        assert near(text.removeprefix("A2V "), masses[name, 2, place])
    page.keyboard.press("ArrowRight")
    assert said(page)["sample"] == after
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert drawer.count() == 0
    assert page.evaluate("document.activeElement.closest('.card').dataset.sample") == name
    travel(page, -1)
    assert said(page)["sample"] == name
    assert drawer.locator(".question").inner_text() == card.locator(".question").inner_text()


def test_a_sample_is_open_in_both_runs_on_one_scale(run, other, files, shown):
    """B's map, mass and value are those of its tables; its colours are those of A's scale."""
    cell, name = 7, "OCR/0"
    page = shown("two", at=f"#sample={name}&head=L1H3")
    top = float(page.locator("#drawer-scale .tick").last.inner_text())
    own = page.locator("#drawer-b")
    for table, place in ((run, page.locator(".both > div").first), (other, own)):
        maps = pd.read_parquet(table / "maps").set_index(["sample_id", "layer", "head"]).loc[name, cell // 4, cell % 4]
        values = np.array(maps["map"], float)
        shares = np.log(np.maximum(values / values.mean(), 1)) / np.log(top)
        alphas = np.array(place.locator("canvas").evaluate(ALPHAS))
        np.testing.assert_allclose((alphas / 255 / OPAQUE) ** 2, shares, atol=0.01)
        assert near(place.locator(".mass").inner_text().removeprefix("L1H3, A2V "), maps["mass"])
    heads = pd.read_parquet(other / "heads").set_index(["sample_id", "layer", "head"])["a2v"]
    assert near(re.search(r": ([\d.]+) on this", own.inner_text())[1], heads[name, 1, 3])
    said = pd.read_parquet(other / "samples").set_index("sample_id").loc[name]
    assert own.locator(".of-other").inner_text().startswith(f"B: {said['prediction']} ")

    file = files["two"].with_name("shape.html")  # as of a B with other heads
    text = files["two"].read_text(encoding="utf-8")
    file.write_text(text.replace('"second":{"layers":[0,1,2],', '"second":{"layers":[0,1],'), encoding="utf-8")
    page.goto(f"{file.as_uri()}#sample={name}&head=L1H3")
    assert "B has 2 × 4 heads" in own.inner_text()
    page.select_option("#drawer-head-b", label="L0H2")  # one of its own, whichever of A's is chosen
    mass = pd.read_parquet(other / "maps").set_index(["sample_id", "layer", "head"]).loc[name, 0, 2]["mass"]
    assert near(own.locator(".mass").inner_text().removeprefix("L0H2, A2V "), mass)
    assert near(re.search(r": ([\d.]+) on this", own.inner_text())[1], heads[name, 0, 2])
    page.click("#tiles button >> nth=0")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert own.locator(".mass").inner_text().startswith("L0H2, ")
    assert page.locator(".both .mass").first.inner_text().startswith("L1H0, ")


def test_an_open_sample_is_reached_by_keys_on_a_phone(shown):
    page = shown("two", width=360, at="#head=L0H0")
    page.focus(".card .question button")
    page.keyboard.press("Enter")
    reached = []
    for _ in range(20):
        own = page.evaluate(FOCUSED)
        if own is None or own in reached:  # the browser's own controls, or the first one again
            break
        reached.append(own)
        page.keyboard.press("Tab")
    assert {"drawer-later", "drawer-close", "drawer-layer"} <= {name for name, *_ in reached}
    assert {f"L0H{head}" for head in range(HEADS)} <= {text[:4] for _, text, _ in reached}
    assert all(inside for *_, inside in reached)
    assert page.locator("dialog").evaluate("(each) => each.scrollWidth <= each.clientWidth")
    page.locator("#tiles button").nth(2).focus()
    page.keyboard.press("Enter")
    assert said(page)["head"] == "L0H2"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('.card') !== null")


def test_an_address_opens_a_sample_and_its_texts_stay_text(shown, run):
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    (name,) = samples.index[samples["question"] == HOSTILE]
    page = shown("zh", at=f"#sample={quote(name)}&head=L1H2&maps=no")
    assert page.locator("dialog .question").text_content() == HOSTILE
    assert page.title() != "broken"
    page.mouse.click(5, 5)
    assert page.locator("dialog").count() == 0
