"""The page in Chromium, from a file and with the network cut: what it shows is what the tables hold."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from analyze.compare.comparison import compare
from analyze.scores.mme import ALL
from analyze.tables.frames import open_heads
from schemas.store.thumbnails import write_thumbnail
from tests.support.pictures import encoded
from tests.support.report import CATEGORIES, HOSTILE, JOB, WORLD, make_report, open_browser, write_whole_run
from tests.support.runs import rewrite, write_run

HEADS = WORLD.heads.shape[1]
ALPHAS = """(each) => [...each.getContext("2d").getImageData(0, 0, each.width, each.height).data]
    .filter((_, place) => place % 4 === 3)"""
TOO_WIDE = """[...document.querySelectorAll("section :is(p, h2, h3, select, svg, button, .tile, .card)")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".wide, .chips"))
    .map((each) => each.outerHTML.slice(0, 80))"""
UNNAMED = """[...document.querySelectorAll("button, select, input, img, [role=group]")]
    .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.alt || each.labels?.length)).length"""
MINUS, GREY = "−", "#b4b4b4"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        if found is None:
            pytest.skip("no browser: apt-get install chromium, and pip install playwright")
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_whole_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another run of the same questions, in which some heads look more."""
    run = write_whole_run(tmp_path_factory.mktemp("other") / "other", seed=1)
    rewrite(run, "heads", more_of_some_heads)
    return run


def set_column(table, name, values):
    frame = table.to_pandas().assign(**{name: values.astype(np.float32)})
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


def more_of_some_heads(table):
    frame = table.to_pandas()
    frame.loc[(frame["layer"] == 1) & (frame["head"] > 1), "a2v"] *= 0.25
    return pa.Table.from_pandas(frame, table.schema, preserve_index=False)


@pytest.fixture(scope="module")
def files(run, other):
    return {"en": make_report(run), "zh": make_report(run, "--lang", "zh"), "two": make_report(run, other)}


@pytest.fixture
def shown(browser, files):
    """Open a page; at the end, nothing may have been said on its console, and nothing asked of the network."""
    contexts, said = [], []

    def open_page(name: str = "en", *, width: int = 1400, scheme: str = "light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_offline(True)
        context.route(re.compile("^(?!file:|data:)"), lambda route: (said.append(route.request.url), route.abort()))
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(files[name].as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def click_head(page, cell: int) -> None:
    page.locator("#map .layer_0_marks path").nth(cell).click()


def figure(page, name: str) -> str:
    return page.locator(f"[data-number={name}]").inner_text()


def near(text: str, value: float) -> bool:
    """Whether a text shows a number; half a step of its last digit may be rounded either way."""
    shown = float(text.replace(MINUS, "-"))
    return abs(shown - value) <= 0.51 * 10 ** -len(text.partition(".")[2])


@pytest.mark.parametrize("name", ["en", "zh", "two"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_in_both_languages_and_themes(shown, name, scheme):
    page = shown(name, scheme=scheme)
    assert page.locator("#map .layer_0_marks path").count() == WORLD.heads.size
    assert page.locator("#distribution svg path").count() > 10
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 2000
    assert (page.locator("h2", has_text="注意力头").count() > 0) == (name == "zh")
    light = [background(page)]
    page.click("#theme")
    light.append(background(page))
    assert sorted(light) == [False, True]
    assert light[0] == (scheme == "light")
    page.wait_for_function("document.querySelectorAll('#map .layer_0_marks path').length === 12")


def background(page) -> bool:
    """Whether the page is light."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) > 400


def test_ten_heads_show_the_numbers_of_the_table(run, shown):
    page, table = shown(), pd.read_parquet(run / "heads")
    random = np.random.default_rng(5)
    for flow in ("a2v", "v2bos"):
        page.select_option("#measure", f"looking/{flow}")
        means = table.astype({flow: float}).groupby(["layer", "head"])[flow].mean()
        for cell in random.permutation(WORLD.heads.size)[:10]:
            click_head(page, cell)
            own = table[(table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)].astype({flow: float})
            assert page.inner_text("#head-name") == f"Layer {cell // HEADS}, head {cell % HEADS}"
            assert near(figure(page, "mean"), own[flow].mean())
            assert figure(page, "rank") == f"{int(means.rank(ascending=False).iloc[cell])} of 12"
            page.evaluate("document.querySelectorAll('#detail details').forEach((each) => each.open = true)")
            for category in CATEGORIES:
                row = page.locator("#profile-table tr").nth(list(CATEGORIES).index(category))
                here = own[own["category"] == category][flow].mean()
                assert near(row.locator("td").nth(0).inner_text(), here)
            tops = page.locator("#top li")
            highest = own.nlargest(5, flow)
            values = tops.locator("b").all_inner_texts()
            assert all(near(text, value) for text, value in zip(values, highest[flow], strict=True))
            assert {each.get_attribute("data-sample") for each in tops.all()} == set(highest["sample_id"])


def test_other_measures_and_categories_show_theirs(run, shown):
    page = shown()
    answers = pd.read_parquet(run / "samples").set_index("sample_id")["answer"]
    for kind, table, column, key in (
        ("contributing", "contributions", "d2q", "contributing/d2q"),
        ("mattering", "knockouts", "effect", f"mattering/{JOB}"),
    ):
        rows = pd.read_parquet(run / table)
        y = np.where(rows["sample_id"].map(answers) == "Yes", 1.0, -1.0)
        rows[column] = y * (rows["margin_untouched"] - rows["margin"] if table == "knockouts" else rows[column])
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


def test_colours_are_as_strong_on_either_side_of_zero(run, shown):
    page = shown()
    page.evaluate("document.querySelector('[data-kind=contributing]').click()")
    page.wait_for_selector("[data-kind=contributing][aria-pressed=true]")
    ends = legend_of_map(page)
    assert ends[0] == pytest.approx(-ends[-1], rel=0.02)


def legend_of_map(page) -> list[float]:
    """The numbers at the scale of colours, from left to right."""
    texts = page.locator("#map .role-legend-label text").all_text_contents()
    return [float(text.replace(MINUS, "-").lstrip("≤≥ ")) for text in texts]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_outlier_leaves_the_other_heads_apart(browser, tmp_path, scheme):
    """One head looks at the image, the others hardly; each two of them that differ by 0.01 have other colours."""
    means = np.append(np.arange(11) / 100, 0.97)
    run = write_whole_run(tmp_path / "run")
    rewrite(run, "heads", lambda table: set_column(table, "a2v", np.tile(means, 40)))
    page = browser.new_page(color_scheme=scheme)
    page.goto(make_report(run).as_uri())
    page.wait_for_selector("html[data-ready]")
    fills = page.locator("#map .layer_0_marks path").evaluate_all(
        "(all) => all.map((each) => getComputedStyle(each).fill.match(/\\d+/g).map(Number))"
    )
    steps = np.abs(np.diff(np.array(fills, float), axis=0)).sum(axis=1)
    assert (steps[:10] > 15).all()
    assert fills[10] == fills[11]
    assert page.locator("#map .role-legend-label text").all_text_contents()[-1] == "≥ 0.1"
    assert legend_of_map(page) == [0, 0.05, 0.1]
    assert page.inner_text("#beyond").startswith("1 of 12 heads lie beyond the ends of the colours")
    page.locator("#map .layer_0_marks path").last.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "0.9700" in page.inner_text("#vg-tooltip-element")
    page.select_option("#shade", "rank")
    page.wait_for_function("document.querySelector('#beyond').textContent === ''")
    assert page.locator("#map .role-legend-label text").all_text_contents() == ["Rank 12", "Rank 1"]
    page.close()


def test_the_histogram_is_of_the_chosen_head(run, shown):
    page, table = shown(), pd.read_parquet(run / "heads")
    for cell in (2, 9):
        click_head(page, cell)
        own = table[(table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)]["a2v"]
        counts, _ = np.histogram(own.astype(float), np.arange(21) / 20)
        marks = page.locator("#histogram .layer_1_marks path").all()
        heights = np.array([(each.bounding_box() or {"height": 0})["height"] for each in marks])
        assert len(heights) == 20
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=0.02)


def test_ten_samples_show_the_numbers_of_the_table(run, shown):
    page, table = shown(), pd.read_parquet(run / "samples").set_index("sample_id")
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


def test_filters_leave_what_fits(run, shown):
    page, table = shown(), pd.read_parquet(run / "samples")
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
            assert {each.get_attribute("data-state") for each in page.locator(".card").all()} == {state}
            assert {each.get_attribute("data-category") for each in page.locator(".card").all()} == {category}
    page.select_option("#sample-category", "-1")
    page.select_option("#sample-state", "-2")
    page.fill("#search", "this 11")
    assert page.inner_text("#found") == f"{table['question'].str.contains('this 11').sum()} samples"


def test_keys_are_enough(shown):
    page = shown()
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
    page.wait_for_selector("[data-kind=mattering][aria-pressed=true]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "measure"
    assert "Layer" in page.get_attribute("#map", "aria-label")
    assert page.evaluate(UNNAMED) == 0


def test_hostile_texts_stay_text(shown):
    page = shown("two")
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
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "onerror" in page.inner_text("#vg-tooltip-element")
    assert page.locator("img[src=x]").count() == 0


def test_the_overlay_is_the_map_of_the_chosen_head(run, shown):
    page = shown()
    table = pd.read_parquet(run / "maps")
    for cell in (4, 11):
        click_head(page, cell)
        card = page.locator(".card").first
        name = card.get_attribute("data-sample")
        alphas = card.locator("canvas").evaluate(ALPHAS)
        own = table[(table["sample_id"] == name) & (table["layer"] == cell // HEADS) & (table["head"] == cell % HEADS)]
        values = np.array(own["map"].iloc[0], float)
        np.testing.assert_allclose(alphas, 205 * np.sqrt(values / values.max()), atol=2)
    page.uncheck("#overlay")
    assert page.locator("canvas").count() == 0


def test_distributions_are_shares_of_the_rows(run, shown):
    page, table = shown(), pd.read_parquet(run / "heads")
    page.select_option("#panel", label="Of the last token")
    page.select_option("#of-what", label="Layer 1")
    flows = [f"a2{role}" for role in ("bos", "sys", "user", "v", "q")]
    rows = table[table["layer"] == 1]
    expected = np.concatenate([np.histogram(rows[flow].astype(float), np.arange(21) / 20)[0] for flow in flows])
    marks = page.locator("#distribution .mark-rect.role-mark path").all()
    heights = np.array([(each.bounding_box() or {"height": 0})["height"] for each in marks])
    assert len(heights) == len(expected)
    np.testing.assert_allclose(heights / heights.sum(), expected / expected.sum(), atol=0.005)


def test_what_is_not_significant_is_grey(run, other, shown):
    page, found = shown("two"), compare(open_heads(run)[0], open_heads(other)[0], ["a2v"])
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
        sure = not one["low"] <= 0 <= one["high"] if one["category"] == ALL else one["adjusted_p"] <= 0.05
        told = sure and one["note"] == ""
        assert ("unclear" in (row.get_attribute("class") or "")) == (not told)


@pytest.mark.parametrize(("name", "width"), [("en", 360), ("zh", 360), ("two", 360), ("two", 2560)])
def test_nothing_is_wider_than_the_screen(shown, name, width):
    page = shown(name, width=width)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("name", "screens"), [("en", 6), ("zh", 6), ("two", 8)])
def test_a_narrow_page_is_not_too_high(shown, name, screens):
    """Samples scroll in a box of their own; a sample that is marked is scrolled to."""
    page = shown(name, width=360)
    assert page.evaluate("document.documentElement.scrollHeight") < 900 * screens
    box = page.locator("#cards")
    assert box.evaluate("(each) => each.scrollHeight > each.clientHeight")
    page.locator("#top button").last.click()
    page.wait_for_selector(".card.marked")
    page.wait_for_function("""() => {
        const place = (name) => document.querySelector(name).getBoundingClientRect();
        const card = place(".card.marked"), box = place("#cards");
        return card.top >= box.top - 1 && card.top < box.bottom && card.top < innerHeight && card.bottom > 0;
    }""")


def test_a_head_without_a_map_names_those_that_have_one(browser, tmp_path):
    run = write_run(tmp_path / "run", tables=["maps"], maps_heads=[(0, 1), (1, 2)])
    write_thumbnail(run, f"{0:064x}", encoded(Image.new("RGB", (60, 40), "red"), "jpeg"))
    page = browser.new_page()
    page.goto(make_report(run).as_uri())
    page.wait_for_selector("html[data-ready]")
    click_head(page, 0)
    assert page.locator("#no-map button").all_inner_texts() == ["L0H1", "L1H2"]
    page.locator("#no-map button").nth(1).click()
    assert page.inner_text("#head-name") == "Layer 1, head 2"
    assert page.is_hidden("#no-map")
    assert page.locator("canvas").count() > 0
    page.close()
