"""The page in Chromium: heads by two quantities, and those that are dragged over."""

import json

import numpy as np

from analyze.report.measures import measure
from analyze.tables.frames import open_heads
from tests.support.report import JOB, WORLD, drawn, settle, start_again

HEADS = WORLD.heads.shape[1]


def test_heads_that_are_dragged_over_are_selected_in_the_map(run, shown):
    """The highest three by effect; the address keeps them, Escape takes them back. Other quantities, then."""
    page, (heads, _) = shown(), open_heads(run)
    found = {each.name: each.found.of_heads for each in measure(heads, heads.scope(None)).measures}
    assert page.input_value("#across") == "looking/a2v"
    assert page.input_value("#up") == f"mattering/{JOB}"
    dots = page.locator("#scatter .mark-symbol.role-mark path")
    assert dots.count() == WORLD.heads.size
    dots.first.scroll_into_view_if_needed()
    settle(page)
    boxes = [each.bounding_box() for each in dots.all()]
    middles = np.array([(each["x"] + each["width"] / 2, each["y"] + each["height"] / 2) for each in boxes])
    for place, name, sign in ((0, "a2v", 1), (1, JOB, -1)):  # dots stand where their values are
        assert np.corrcoef(middles[:, place], sign * found[name].mean)[0, 1] > 0.9999
    wanted = np.flatnonzero(found[JOB].mean >= np.sort(found[JOB].mean)[-3])
    page.mouse.move(middles[:, 0].min() - 9, middles[wanted, 1].max() + 5)
    page.mouse.down()
    page.mouse.move(middles[:, 0].max() + 9, middles[wanted, 1].min() - 9, steps=6)
    page.mouse.up()
    page.locator("#selected", has_text="3 heads selected").wait_for()
    drawn(page)
    assert page.locator("#map .layer_1_marks path").count() == 3
    names = ",".join(f"L{cell // HEADS}H{cell % HEADS}" for cell in wanted)
    assert f"selected={names}" in page.evaluate("decodeURIComponent(location.hash)")
    page.focus("#up")
    page.keyboard.press("Escape")
    drawn(page)
    assert page.locator("#map .layer_1_marks path").count() == 0
    page = shown(at=f"#selected={names.partition(',')[0]}")
    assert page.inner_text("#selected") == "1 head selected"
    start_again(page)
    check_that_localisation_and_reliability_may_stand_at_an_axis(page)


def check_that_localisation_and_reliability_may_stand_at_an_axis(page):
    page.select_option("#up", "localisation")
    page.select_option("#across", "reliability")
    drawn(page)
    title = json.dumps(page.locator("#scatter .role-axis-title text").all_text_contents())
    assert "spatial entropy" in title
    assert "reliability of A2V" in title
    assert "reliability" in page.evaluate("location.hash")
    page.check("#spread")
    assert "spread=yes" in page.evaluate("location.hash")
