"""The texts that a model wrote, on its page in Chromium: tokens, masses and maps are those of the tables of steps."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from analyze.__main__ import main
from analyze.drawing.maps import OPAQUE
from analyze.drawing.tokens import mass_colours
from analyze.generated.results import observe_writing
from analyze.tables.frames import open_heads
from extract.prompts.wordings import Wording
from tests.analyze.report.test_access import AXE, FOUND, SAID
from tests.analyze.report.test_folder_in_a_browser import ALPHAS
from tests.analyze.report.test_page import NAMES, set_columns
from tests.support.report import (
    MAPPED,
    PIECES,
    SUFFIX,
    WORLD,
    make_report,
    near,
    read_data,
    said,
    travel,
    write_captions,
)
from tests.support.runs import rewrite

HEADS = WORLD.heads.shape[1]
NAME, STEPS = "caption/3", len(PIECES)
ROW = 3
SHADES = """(all) => all.map((each) => getComputedStyle(each).backgroundColor.match(/\\d+/g).map(Number))"""
LETTERS = """(all) => all.map((each) => getComputedStyle(each).color.match(/\\d+/g).map(Number))"""


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    return write_captions(tmp_path_factory.mktemp("captions") / "captions")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Other texts on the same images, written with less attention on them."""
    run = write_captions(tmp_path_factory.mktemp("others") / "others", seed=1)
    rewrite(run, "steps", lambda table: set_columns(table, {"g2v": lambda frame: frame["g2v"] / 2}))
    return run


@pytest.fixture(scope="module")
def files(captions, others):
    """Pages of the run, of both runs, and as of a run without maps of steps."""
    made = make_report(captions, "--lang", "zh")
    text = made.read_text(encoding="utf-8")
    without = made.with_name("without.html")
    without.write_text(text.replace(f'"mapped_there":{len(MAPPED)}', '"mapped_there":0'), encoding="utf-8")
    return {"zh": made, "without": without, "two": make_report(captions, others)}


def masses_of(run, name: str, layer: int, head: int) -> np.ndarray:
    table = pd.read_parquet(run / "steps")
    own = table[(table["sample_id"] == name) & (table["layer"] == layer) & (table["head"] == head)]
    return own.sort_values("step")["g2v"].to_numpy(float)


def test_tokens_are_shaded_by_the_masses_of_their_steps(captions, shown):
    """Of the chosen head, or the mean over heads, on one scale; letters have a contrast of 4.5 in the dark too."""
    page = shown("zh", scheme="dark", at=f"#sample={NAME}&head=L0H1")
    tokens = page.locator("#tokens button")
    text = pd.read_parquet(captions / "samples").set_index("sample_id").loc[NAME, "text"]
    assert tokens.count() == STEPS
    assert "".join(tokens.all_inner_texts()[:2]) in text.replace(" ", "")
    table = pd.read_parquet(captions / "steps")
    own = masses_of(captions, NAME, 0, 1)
    place = int(np.diff(own).argmin()) + 1
    said_of_fall = re.findall(r"\d+\.\d+|(?<=第 )\d+", page.inner_text("#falls-most"))
    assert said_of_fall == [str(place), f"{own[place - 1]:.3f}", f"{own[place]:.3f}"]
    page.click("#falls-most button")
    assert said(page)["step"] == str(place)
    mean = table[table["sample_id"] == NAME].groupby("step", observed=True)["g2v"].mean().to_numpy(float)
    by_step = table.groupby(["sample_id", "step"], observed=True)["g2v"].mean()
    for menu, value, masses, end in (
        ("tokens-by", "head", own, table["g2v"].max()),
        ("tokens-scale", "own", own, table[(table["layer"] == 0) & (table["head"] == 1)]["g2v"].max()),
        ("tokens-by", "mean", mean, by_step.max()),
    ):
        page.select_option(f"#{menu}", value)
        colours = 255 * mass_colours()(masses / end)[:, :3]
        np.testing.assert_allclose(tokens.evaluate_all(SHADES), colours, atol=4)
        labels = [tokens.nth(place).get_attribute("aria-label") for place in range(STEPS)]
        assert all(near(label.split()[-1], mass) for label, mass in zip(labels, masses, strict=True))
        for one, other in zip(tokens.evaluate_all(SHADES), tokens.evaluate_all(LETTERS), strict=True):
            assert contrast(one, other) >= 4.5
    assert near(page.locator("#scale-of-tokens .tick").last.inner_text(), round(by_step.max(), 2))
    ticks = page.locator("#scale-of-tokens .tick").evaluate_all("(all) => all.map((each) => each.clientHeight)")
    assert len(set(ticks)) == 1  # no number is broken
    assert "↵" in tokens.nth(PIECES.index("\n")).get_attribute("aria-label")


def contrast(*colours: list[int]) -> float:
    lights = []
    for colour in colours:
        shares = np.array(colour[:3]) / 255
        linear = np.where(shares <= 0.03928, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_texts_of_both_runs_are_beside_each_other(captions, others, shown):
    """Shaded on one scale; a token of B shows B's map of its step, and A's stays where it is."""
    page = shown("two", at=f"#sample={NAME}&head=L2H0")
    masses = {"": masses_of(captions, NAME, 2, 0), "-b": masses_of(others, NAME, 2, 0)}
    end = max(pd.read_parquet(run / "steps")["g2v"].max() for run in (captions, others))
    for place, own in masses.items():
        tokens = page.locator(f"#tokens{place} button")
        np.testing.assert_allclose(tokens.evaluate_all(SHADES), 255 * mass_colours()(own / end)[:, :3], atol=5)
    page.locator("#tokens-b button").nth(2).click()
    page.keyboard.press("ArrowRight")
    assert (said(page)["step-b"], "step" in said(page), said(page)["sample"]) == ("3", False, NAME)
    maps = pd.read_parquet(others / "step_maps").set_index(["sample_id", "step", "layer", "head"])
    values = np.array(maps.loc[NAME, 3, 2, 0]["map"], float)
    top = float(page.locator("#drawer-scale .tick").last.inner_text())
    alphas = np.array(page.locator("#drawer-b .picture canvas").evaluate(ALPHAS))
    np.testing.assert_allclose(
        (alphas / 255 / OPAQUE) ** 2, np.log(np.maximum(values / values.mean(), 1)) / np.log(top), atol=0.01
    )
    assert page.locator("dialog .mass").first.inner_text().startswith("L2H0, A2V ")
    assert f"{masses['-b'][3]:.3f}" in page.inner_text("#of-step-b")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.get_attribute("#tokens-b [aria-pressed=true]", "data-step") == "3"
    if AXE.is_file():
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.evaluate(FOUND, "dialog") == []
    page.click("#drawer-close")
    page.select_option("#view", "table")
    assert "B: Text" in page.locator("#lines th").all_inner_texts()


def test_a_token_shows_the_map_of_its_step(captions, shown):
    page = shown("zh", at=f"#sample={NAME}&head=L2H0")
    maps = pd.read_parquet(captions / "step_maps").set_index(["sample_id", "step", "layer", "head"])
    masses = pd.read_parquet(captions / "steps").set_index(["sample_id", "step", "layer", "head"])["g2v"]
    top = float(page.locator("#drawer-scale .tick").last.inner_text())
    page.locator("#tokens button").nth(4).click()
    assert said(page)["step"] == "4"
    page.keyboard.press("ArrowLeft")  # not the sample before
    page.keyboard.press("ArrowLeft")
    assert (said(page)["step"], said(page)["sample"]) == ("2", NAME)
    assert page.evaluate("document.activeElement.dataset.step") == "2"
    own = maps.loc[NAME, 2, 2, 0]
    values = np.array(own["map"], float)
    alphas = np.array(page.locator("dialog .picture canvas").evaluate(ALPHAS))
    np.testing.assert_allclose(
        (alphas / 255 / OPAQUE) ** 2, np.log(np.maximum(values / values.mean(), 1)) / np.log(top), atol=0.01
    )
    assert near(page.inner_text("dialog .mass").split()[-1], own["mass"])
    tiles = page.locator("#tiles button")
    assert tiles.locator("canvas").count() == sum(layer == 2 for layer, _ in MAPPED)
    for place, text in enumerate(tiles.locator(".small").all_inner_texts()):
        assert near(text.removeprefix("G2V "), masses[NAME, 2, 2, place])
    tiles.nth(3).click()  # a head without maps of steps
    assert page.locator("dialog .picture canvas").count() == 0
    assert page.locator("#of-step .link").all_inner_texts() == [f"L{layer}H{head}" for layer, head in MAPPED]
    travel(page, -1)
    assert page.locator("dialog .picture canvas").count() == 1
    travel(page, -1)
    assert said(page)["step"] == "4"
    page.keyboard.press("Home")
    page.click("#to-prompt")
    assert "step" not in said(page)
    travel(page, -1)
    page.click("#drawer-later")
    assert "step" not in said(page)


def test_without_maps_of_steps_a_line_says_which_flag_makes_them(captions, shown):
    page = shown("without", at=f"#sample={NAME}&head=L1H1&step=1")
    assert "--step-maps" in page.inner_text("#no-step-maps")
    assert f"{masses_of(captions, NAME, 1, 1)[1]:.3f}" in page.inner_text("#of-step")
    assert page.locator("dialog .picture canvas").count() == 0
    page = shown("without", at=f"#sample={NAME}&step={STEPS}")
    assert f"step={STEPS}" in page.locator("#address-part .note").inner_text()


def test_the_page_of_a_writing_run_is_about_what_it_wrote(captions, files, shown):
    """No margins, answers and pairs; image mass by step, and the commands for the rest; nothing is English."""
    page = shown("zh", width=360, scheme="dark")
    assert page.locator("#sample-answer, #sample-state, .numbers-of-sample, .card .tag").count() == 0
    options = page.locator("#sort option").evaluate_all("(all) => all.map((each) => each.value)")
    assert options == ["first", "question", "category", "value"]
    found = observe_writing(open_heads(captions)[0])
    data = read_data(files["zh"].read_text(encoding="utf-8"))["charts"]["writing"]
    (rows,) = [each["data"]["values"] for each in [data]]
    np.testing.assert_allclose([row["g2v"] for row in rows], found.steps["g2v"])
    assert page.locator("#writing svg").count() == 1
    commands = page.locator("#writing-section code").all_inner_texts()
    assert commands == ["headflow words captions", "headflow text captions"]  # no object is named
    page.select_option("#view", "table")
    assert page.locator("#lines th").count() == 4
    samples = pd.read_parquet(captions / "samples").set_index("sample_id")
    written = page.locator(f"#lines tr[data-sample='{NAME}'] [data-column=prediction]").inner_text()
    assert written.split() == samples.loc[NAME, "text"].split()
    page.locator(f"#lines tr[data-sample='{NAME}'] .link").click()
    page.locator("#tokens button").nth(1).click()
    page.click("#prompt summary")
    asked = Wording.of_suffix(SUFFIX).ask(samples.loc[NAME, "question"], (), samples.loc[NAME, "hint"])
    assert page.locator("#prompt [data-role=question]").text_content() == asked
    assert page.locator("#prompt dt").count() == 5
    assert str(samples.loc[NAME, "n_question"]) in page.locator("#prompt dt").last.inner_text()
    for text in page.evaluate(SAID):
        plain = re.sub(r"L\d+H\d+|headflow|extract|report|--[a-z-]+|vicuna_v1|caption\S*", "", text)
        if not any(piece.strip() and piece.strip() in text for piece in PIECES):
            assert not re.search("[A-Za-z]{2}", NAMES.sub("", plain)), text
    if AXE.is_file():
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.evaluate(FOUND, "dialog") == []
    assert page.locator("dialog").evaluate("(each) => each.scrollWidth <= each.clientWidth")


def test_damaged_parts_cost_no_page_and_a_folder_loads_each_text(captions, page, tmp_path, capsys):
    """The maps of the first part and the maps of steps of the last one cannot be read: those of others are there."""
    run = shutil.copytree(captions, tmp_path / "run")
    parts = sorted(path.name for path in (run / "maps").iterdir())
    for part in (run / "maps" / parts[0], run / "step_maps" / parts[-1]):
        part.write_bytes(part.read_bytes()[:-20])
    assert main(["report", str(run), "--folder"]) == 0
    said_by_command = capsys.readouterr()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{(run / 'report' / 'index.html').as_uri()}#sample={NAME}&head=L0H1&step=3")
    page.wait_for_selector("html[data-ready]")
    page.locator("dialog .picture canvas").wait_for()
    assert [url for url in asked if "/text-" in url] == [url for url in asked if url.endswith(f"text-{ROW}.js")]
    notes = " ".join(page.locator(".alert").all_inner_texts())
    for name in (f"maps/{parts[0]}", f"step_maps/{parts[-1]}"):
        assert name in notes
        assert name in said_by_command.out + said_by_command.err
    assert f"headflow validate {run}" in notes
    page.goto(f"{(run / 'report' / 'index.html').as_uri()}#sample=caption/0&head=L0H1")
    page.reload()
    page.locator("#tokens").wait_for()
    page.locator("dialog .picture img[src]").wait_for()  # it comes with the maps of its part
    assert page.locator("dialog .picture canvas, #tiles canvas").count() == 0
