"""The page in Chromium: what it shows is what the tables hold."""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analyze.drawing.maps import OPAQUE, TOPS
from schemas.store.thumbnails import write_thumbnail
from tests.support.pictures import encoded
from tests.support.report import (
    CATEGORIES,
    JOB,
    WORLD,
    click_head,
    drawn,
    make_report,
    near,
    start_again,
)
from tests.support.runs import image_hash, put, rewrite, write_run

HEADS = WORLD.heads.shape[1]
ALPHAS = """(each) => [...each.getContext("2d").getImageData(0, 0, each.width, each.height).data]
    .filter((_, place) => place % 4 === 3)"""


def figure(page, name: str) -> str:
    return page.locator(f"[data-number={name}]").inner_text()


# The texts of a head's figures, of its profile, and of its highest samples, with their ids
TEXTS_OF_HEAD = """() => {
    const all = (where) => [...document.querySelectorAll(where)];
    return {
        name: document.querySelector("#head-name").innerText,
        numbers: Object.fromEntries(all("[data-number]").map((each) => [each.dataset.number, each.innerText])),
        profile: all("#profile-table tr").map((each) => each.querySelector("td").innerText),
        top: all("#top li").map((each) => [each.dataset.sample, each.querySelector("b").innerText]),
    };
}"""


def check_ten_heads(page, run):
    table = pd.read_parquet(run / "heads")
    random = np.random.default_rng(5)
    for flow in ("a2v", "v2bos"):
        page.select_option("#measure", f"looking/{flow}")
        means = table.astype({flow: float}).groupby(["layer", "head"])[flow].mean()
        for cell in random.permutation(WORLD.heads.size)[:10]:
            click_head(page, cell)
            own = table[(table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)].astype({flow: float})
            page.evaluate("document.querySelectorAll('#detail details').forEach((each) => each.open = true)")
            texts = page.evaluate(TEXTS_OF_HEAD)
            assert texts["name"] == f"Layer {cell // HEADS}, head {cell % HEADS}"
            assert near(texts["numbers"]["mean"], own[flow].mean())
            assert texts["numbers"]["rank"] == f"{int(means.rank(ascending=False).iloc[cell])} of 12"
            for text, category in zip(texts["profile"], CATEGORIES, strict=True):
                assert near(text, own[own["category"] == category][flow].mean())
            names, values = zip(*texts["top"], strict=True)
            highest = own.nlargest(5, flow)
            assert all(near(text, value) for text, value in zip(values, highest[flow], strict=True))
            assert set(names) == set(highest["sample_id"])


def check_other_measures_and_categories(page, run):
    answers = pd.read_parquet(run / "samples").set_index("sample_id")["answer"]
    for kind, table, column, key in (
        ("contributing", "contributions", "d2q", "contributing/d2q"),
        ("mattering", f"jobs/{JOB}/knockouts", "effect", f"mattering/{JOB}"),
    ):
        rows = pd.read_parquet(run / table)
        y = np.where(rows["sample_id"].map(answers) == "Yes", 1.0, -1.0)
        rows[column] = y * (rows["margin_untouched"] - rows["margin"] if kind == "mattering" else rows[column])
        page.click(f"[data-kind={kind}]")
        page.select_option("#measure", key)
        page.select_option("#category", "1")
        click_head(page, 7)
        own = rows[(rows["layer"] == 1) & (rows["head"] == 3)].astype({column: float})
        assert near(figure(page, "mean"), own[column].mean())
        first = own[own["category"] == next(iter(CATEGORIES))][column].mean()
        assert near(figure(page, "here").partition(" (")[0], first)
        chip = page.locator("#highest button").first.inner_text().split()
        here = rows[rows["category"] == next(iter(CATEGORIES))].astype({column: float})
        assert near(chip[1], here.groupby(["layer", "head"])[column].mean().max())


HEIGHTS = "(all) => all.map((each) => each.getBoundingClientRect().height)"


def check_histogram(page, run):
    table = pd.read_parquet(run / "heads")
    for cell in (2, 9):
        click_head(page, cell)
        own = table[(table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)]["a2v"]
        counts, _ = np.histogram(own.astype(float), np.arange(21) / 20)
        heights = np.array(page.locator("#histogram .layer_1_marks path").evaluate_all(HEIGHTS))
        assert len(heights) == 20
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=0.02)


def check_overlay(page, run):
    """Opacity is that of the pictures of maps: the root of the share of the scale, which is one for all."""
    table = pd.read_parquet(run / "maps")
    top = float(page.locator("#scale .tick").last.inner_text())
    assert top in TOPS
    for cell in (4, 11):
        click_head(page, cell)
        card = page.locator(".card").first
        name = card.get_attribute("data-sample")
        alphas = card.locator("canvas").evaluate(ALPHAS)
        own = table[(table["sample_id"] == name) & (table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)]
        values = np.array(own["map"].iloc[0], float)
        shares = np.log(np.maximum(values / values.mean(), 1)) / np.log(top)
        np.testing.assert_allclose((np.array(alphas) / 255 / OPAQUE) ** 2, shares, atol=0.01)
        assert card.locator(".mass").inner_text() == f"L{cell // HEADS}H{cell % HEADS}, A2V {own['mass'].iloc[0]:.3f}"
    page.uncheck("#overlay")
    assert page.locator(".card canvas").count() == 0


def check_distribution(page, run):
    page.select_option("#panel", label="Of the last token")
    page.select_option("#of-what", label="Layer 1")
    drawn(page)
    flows = [f"a2{role}" for role in ("bos", "sys", "user", "v", "q")]
    table = pd.read_parquet(run / "heads")
    rows = table[table["layer"] == 1]
    expected = np.concatenate([np.histogram(rows[flow].astype(float), np.arange(21) / 20)[0] for flow in flows])
    heights = np.array(page.locator("#distribution .mark-rect.role-mark path").evaluate_all(HEIGHTS))
    assert len(heights) == len(expected)
    np.testing.assert_allclose(heights / heights.sum(), expected / expected.sum(), atol=0.005)


def check_ten_samples(page, run):
    table = pd.read_parquet(run / "samples").set_index("sample_id")
    names = set(np.random.default_rng(6).permutation(table.index)[:10])
    seen = set()
    while True:
        for card in page.locator(".card").all():
            name = card.get_attribute("data-sample")
            if name not in names:
                continue
            row = table.loc[name]
            assert card.locator(".question").inner_text() == " ".join(row["question"].split())
            assert f"Answer: {row['answer']} · Prediction: {row['prediction']}" in card.inner_text()
            margin, p_yes = re.findall(r"[−-]?\d+\.\d+", card.locator(".numbers-of-sample").inner_text())
            assert near(margin, row["margin"])
            assert near(p_yes, row["p_yes"])
            assert card.locator(".tag").first.inner_text() == (
                "right" if row["answer"] == row["prediction"] else "wrong"
            )
            seen.add(name)
        if page.is_disabled("#later"):
            break
        page.click("#later")
    assert seen == names


def check_filters(page, run):
    table = pd.read_parquet(run / "samples")
    table["right"] = table["answer"] == table["prediction"]
    sides = table.pivot(index=["category", "question_id"], columns="answer", values="right").reset_index()
    states = {(True, True): "both right", (True, False): "yes-biased", (False, True): "no-biased"}
    sides["state"] = [states.get((yes, no), "both wrong") for yes, no in zip(sides["Yes"], sides["No"], strict=True)]
    assert sides["state"].nunique() > 2
    for place, category in enumerate(CATEGORIES):
        page.select_option("#sample-category", str(place))
        for state, number in sides[sides["category"] == category]["state"].value_counts().items():
            page.select_option("#sample-state", label=state)
            assert page.inner_text("#found") == f"{2 * number} samples"
            cards = page.locator(".card").evaluate_all(
                "(all) => all.map((each) => [each.dataset.state, each.dataset.category])"
            )
            assert set(map(tuple, cards)) == {(state, category)}
    page.select_option("#sample-category", "-1")
    page.select_option("#sample-state", "-2")
    page.fill("#search", "this 11")
    assert page.inner_text("#found") == f"{table['question'].str.contains('this 11').sum()} samples"


def test_the_page_shows_the_numbers_of_the_tables(run, shown):
    """Of heads by two measures, and by others and categories; pictures; samples, and filters leave what fits."""
    page = shown()
    for check in (
        check_ten_heads,
        check_other_measures_and_categories,
        check_histogram,
        check_overlay,
        check_distribution,
        check_ten_samples,
        check_filters,
    ):
        check(page, run)
        start_again(page)


def test_of_several_images_it_is_said_which_one_is_shown(page, tmp_path):
    run = write_run(tmp_path / "run")
    for category in ("OCR", "color"):
        write_thumbnail(run, image_hash(category, 0), encoded(Image.new("RGB", (60, 40), "red"), "jpeg"))
    rewrite(run, "samples", lambda table: put(table, "n_images", 0, 3))
    page.goto(make_report(run).as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.locator(".picture:has(img)").all_inner_texts() == ["image 1 of 3", "", "", ""]
    tabs = page.locator("[data-kind]:disabled")
    assert tabs.all_inner_texts() == ["Contributing", "Mattering"]
    assert tabs.first.get_attribute("title") == "not in this run"


def test_a_head_without_a_map_names_those_that_have_one(page, tmp_path):
    run = write_run(tmp_path / "run", tables=["maps"], maps_heads=[(0, 1), (1, 2)])
    write_thumbnail(run, image_hash("OCR", 0), encoded(Image.new("RGB", (60, 40), "red"), "jpeg"))
    page.goto(make_report(run).as_uri())
    page.wait_for_selector("html[data-ready]")
    click_head(page, 0)
    assert page.locator("#no-map button").all_inner_texts() == ["L0H1", "L1H2"]
    page.locator("#no-map button").nth(1).click()
    assert page.inner_text("#head-name") == "Layer 1, head 2"
    assert page.is_hidden("#no-map")
    assert page.locator(".card canvas").count() > 0


def test_maps_lie_where_they_are_in_the_image(page, tmp_path):
    """Of an image of 60 x 40, one whose sides are not read, and one that was padded to a square; with boxes."""
    run = write_run(tmp_path / "run", tables=["maps"])
    for number in range(2):
        write_thumbnail(run, image_hash("OCR", number), encoded(Image.new("RGB", (60, 40), "red"), "jpeg"))
    grids = [[10.0, 0.0, 50.0, 40.0]] * 2 + [[0.0, -10.0, 60.0, 50.0]] * 2
    rewrite(run, "samples", lambda table: put(table, "grid_box", slice(0, 4), grids))
    rewrite(run, "samples", lambda table: put(table, "boxes", slice(0, 4), [[[10.0, 5.0, 30.0, 25.0]]] * 4))
    page.goto(make_report(run).as_uri())
    page.wait_for_selector("html[data-ready]")
    for card, box, outside in (("OCR/0", grids[0], True), ("OCR/1", grids[2], False)):
        frame = page.locator(f'[data-sample="{card}"] .frame')
        image = frame.locator("img").bounding_box()
        scale = image["width"] / 60
        assert image["height"] == pytest.approx(40 * scale, rel=0.02)
        for part, (x0, y0, x1, y1) in (("canvas", box), (".box", [10, 5, 30, 25])):
            found = frame.locator(part).evaluate("(each) => each.getBoundingClientRect().toJSON()")
            places = [(found["left"] - image["x"]) / scale, (found["top"] - image["y"]) / scale,
                      (found["right"] - image["x"]) / scale, (found["bottom"] - image["y"]) / scale]  # fmt: skip
            assert places == pytest.approx([x0, y0, x1, y1], abs=0.7)
        assert frame.locator(".outside").count() == outside
        assert frame.locator("img").evaluate("(each) => getComputedStyle(each).filter") == "grayscale(1)"
