"""The page in Chromium: charts as files, and the histograms that are in them."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support.report import JOB


def saved(page, chart: str, kind: str) -> tuple[str, bytes]:
    """The name and the content of a file that the menu of a chart offers, opened by key."""
    figure = page.locator("figure", has=page.locator(f"#{chart}"))
    figure.locator(".save summary").focus()
    page.keyboard.press("Enter")
    with page.expect_download() as found:
        figure.locator(f"[data-save={kind}]").press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Save chart"
    assert not figure.locator(".save").evaluate("(menu) => menu.open")
    return found.value.suggested_filename, found.value.path().read_bytes()


def effects(run) -> pd.Series:
    """The mean effect of each head, from the tables."""
    rows = pd.read_parquet(run / "jobs" / JOB / "knockouts")
    return rows.assign(effect=single_effects(run)).groupby(["layer", "head"])["effect"].mean()


def single_effects(run) -> pd.Series:
    """The effect of each head on each sample."""
    rows = pd.read_parquet(run / "jobs" / JOB / "knockouts")
    answers = pd.read_parquet(run / "samples").set_index("sample_id")["answer"]
    y = np.where(rows["sample_id"].map(answers) == "Yes", 1.0, -1.0)
    return (y * (rows["margin_untouched"] - rows["margin"])).astype(float)


def test_a_chart_is_saved_for_print_and_as_values(run, shown):
    """On a dark page too: white, without a title, as wide as a column or a page, with 300 dots an inch."""
    page = shown(scheme="dark")
    page.click("[data-kind=mattering]")
    page.select_option("#category", "1")
    for kind, inches in (("narrow", 3.3), ("wide", 6.9)):
        name, content = saved(page, "map", kind)
        assert name == f"run_map_{JOB}_OCR_{inches}in.png"
        image = Image.open(io.BytesIO(content))
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert image.width == pytest.approx(300 * inches, abs=2)
        edges = np.asarray(image.convert("RGB"))[[0, -1], :]
        assert (edges == 255).all()
    page.select_option("#category", "0")
    name, content = saved(page, "dots", "svg")
    text = content.decode()
    assert name == f"run_dots_{JOB}_6.9in.svg"
    assert re.search(r'<svg[^>]* width="497pt"', text)
    assert 'fill="#ffffff"' in text
    _, content = saved(page, "map", "csv")
    table = pd.read_csv(io.BytesIO(content)).set_index(["layer", "head"])
    np.testing.assert_allclose(table["value"], effects(run), atol=1e-6)
    assert page.locator(".for-print").count() == 0


def test_no_colour_is_among_the_values_of_a_chart(shown):
    _, content = saved(shown("two"), "answers", "csv")
    table = pd.read_csv(io.BytesIO(content))
    assert {"category", "difference", "low", "high"} <= set(table)
    assert not {"ink", "inside"} & set(table)


def test_most_effects_are_not_in_one_bin_and_masses_are_not_stacked(run, shown):
    page = shown()
    _, content = saved(page, "distribution", "csv")
    bars = pd.read_csv(io.BytesIO(content))
    assert bars.groupby("label")["share"].sum().tolist() == pytest.approx([1, 1], abs=1e-5)
    outlines = page.locator("#distribution .mark-line path").evaluate_all(
        "(all) => all.map((each) => each.getBBox().height)"
    )
    highest = bars.groupby("label", sort=False)["share"].agg(np.ptp)
    assert outlines[0] / outlines[1] == pytest.approx(highest.iloc[0] / highest.iloc[1], rel=0.02)
    page.click("[data-kind=mattering]")
    name, content = saved(page, "histogram", "csv")
    bins = pd.read_csv(io.BytesIO(content))
    assert name == f"run_histogram_{JOB}_{page.inner_text('.head-name')}.csv"
    whole = bins[bins["of"] == "all"]
    assert whole["share"].max() < 0.35
    assert (whole["share"] > 0.02).sum() >= 10
    assert "place" not in bins
    assert whole["right"].iloc[-1] == pytest.approx(np.abs(single_effects(run)).max(), rel=1e-4)  # edges are of values
    axis = page.locator("#histogram .role-axis-label text").all_text_contents()
    assert "0" in axis
    assert sum("−" in text for text in axis) == sum(text in ("0.01", "0.1", "1", "10") for text in axis) > 0
