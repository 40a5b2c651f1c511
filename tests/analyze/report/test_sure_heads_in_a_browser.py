"""The page in Chromium: how sure heads are, as the statistics have it; and that colours hold still."""

import numpy as np

from analyze.pictures.labels import NOT_SIGNIFICANT
from analyze.report.measures import measure
from analyze.statistics.heads.means import UNCLEAR
from analyze.tables.frames import open_heads
from tests.support.report import JOB, WORLD, drawn, near, start_again

HEADS = WORLD.heads.shape[1]
FILLS = "(all) => all.map((each) => [each.getAttribute('fill'), each.getAttribute('fill-opacity')])"


def check_that_heads_whose_interval_holds_0_are_grey_and_noise_is_pale_and_said(page, measured):
    assert page.locator("#order-note").count() == measured["a2v"].order.noise == 0
    page.click("[data-kind=mattering]")
    effects = measured[JOB].of_heads
    told = (effects.told != UNCLEAR).tolist()
    drawn(page)
    assert 0 < sum(told) < len(told)
    fills = page.locator("#map .layer_0_marks path").evaluate_all(FILLS)
    assert [fill != "#b4b4b4" for fill, _ in fills] == told
    assert {opacity for _, opacity in fills} == {"1"}
    assert page.inner_text("#grey-note").lower().startswith(f"grey: {NOT_SIGNIFICANT}")
    assert f"{sum(told)} of {len(told)} heads differ significantly" in page.inner_text("#told")
    check_that_nothing_is_said_of_a_single_category(page)
    page.click("[data-kind=contributing]")
    drawn(page)
    assert measured["d2v"].order.noise
    assert f"mostly noise: its reliability is {measured['d2v'].order.reliability:.2f}" in page.inner_text("#order-note")
    assert {opacity for _, opacity in page.locator("#map .layer_0_marks path").evaluate_all(FILLS)} == {"0.35"}


def check_that_nothing_is_said_of_a_single_category(page):
    """What is tested over all categories is named so, and greys no head of the map of one."""
    page.select_option("#category", "1")
    drawn(page)
    assert page.locator("#untested").count() == 1
    assert page.locator("#grey-note").count() == 0
    fills = page.locator("#map .layer_0_marks path").evaluate_all(FILLS)
    assert "#b4b4b4" not in [fill for fill, _ in fills]
    assert page.inner_text("[data-number=rank]").endswith(" (all categories)")
    headings = page.locator("#heads-section h3").all_inner_texts()
    assert [each for each in headings if each.endswith("(all categories)")] == [
        "Most significant effects (all categories)"
    ]
    assert "Highest heads: OCR" in headings
    page.select_option("#category", "0")
    assert page.locator("#grey-note").count() == 1


def check_that_the_surest_effects_are_dots_with_intervals(page, measured):
    """Those surest to differ from 0 on either side, from the highest to the lowest; a click chooses one."""
    page.click("[data-kind=mattering]")
    effects = measured[JOB].of_heads
    names = [f"L{cell // HEADS}H{cell % HEADS}" for cell in np.argsort(-effects.mean)]
    drawn(page)
    labels = page.locator("#dots .role-axis-label text").all_text_contents()
    assert [label for label in labels if label.startswith("L")] == names
    lead = effects.lead()
    assert not lead.told
    assert (
        f"L{lead.first // HEADS}H{lead.first % HEADS} has the highest mean, but not significantly higher than"
        in page.locator(".lead-note").first.inner_text()
    )
    page.locator("#dots .mark-symbol path").nth(2).click()
    assert page.inner_text("#head-name") == f"Layer {names[2][1]}, head {names[2][3]}"
    low, high = (each[np.argsort(-effects.mean)[2]] for each in effects.corrected)
    texts = page.inner_text("[data-number=corrected]").split(" to ")
    assert near(texts[0], low)
    assert near(texts[1], high)


def check_that_colours_are_those_of_all_categories_unless_asked(page):
    """One scale while categories change; with `own`, each category has its own."""
    page.select_option("#measure", "looking/a2sys")
    legend = lambda: page.locator("#map .role-legend-label text").all_text_contents()  # noqa: E731
    shared = []
    for category in ("0", "1", "2"):
        page.select_option("#category", category)
        drawn(page)
        shared.append(legend())
    assert shared[0] == shared[1] == shared[2]
    page.select_option("#scale", "own")
    drawn(page)
    assert legend() != shared[0]


def test_how_sure_heads_are_is_shown(run, shown):
    page, (heads, _) = shown(), open_heads(run)
    measured = {each.name: each.found for each in measure(heads, heads.scope(None)).measures}
    check_that_heads_whose_interval_holds_0_are_grey_and_noise_is_pale_and_said(page, measured)
    start_again(page)
    check_that_the_surest_effects_are_dots_with_intervals(page, measured)
    start_again(page)
    check_that_colours_are_those_of_all_categories_unless_asked(page)
