"""Oracle: made-up runs in which it is known which head looks and matters most, and worlds with nothing to be said."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from analyze.report.answer.ranking import picture, rankings
from analyze.report.answer.sentence import LEVEL, sentence
from analyze.report.heads.sureness import sureness
from analyze.report.measures import measure
from analyze.report.page import Choices, name_of_page
from analyze.report.samples.pieces import Held
from analyze.report.words import Words
from analyze.statistics.heads.means import UNCLEAR, HeadMeans
from analyze.statistics.heads.permutations import agreement_of_heads
from analyze.tables.frames import open_heads
from tests.analyze.report.test_page import set_columns
from tests.support.prunable import World, singles, write_world
from tests.support.prunable import measure as knock_out
from tests.support.report import JOB, WORLD
from tests.support.runs import rewrite

LAYERS, HEADS, GROUPS, IMAGES = 16, 16, 40, 80
CELLS, WORLDS = LAYERS * HEADS, 100


def said(run: Path, language: str = "en") -> str:
    heads = open_heads(run)[0]
    return "".join(part.text for part in sentence(heads, measure(heads, heads.scope(None)), None, Words(language), 0))


def ranked(run: Path, language: str = "en"):
    heads = open_heads(run)[0]
    return rankings(heads, measure(heads, heads.scope(None)), Words(language))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A run in which one head looks and matters more than the others, and the effects are of the question's tokens."""
    run = write_world(tmp_path_factory.mktemp("world") / "run", WORLD, categories={"OCR": 40})
    knock_out(run, WORLD, JOB, singles(WORLD), query="question", key="image")
    return run


def best_of(values: np.ndarray) -> str:
    layer, head = np.unravel_index(values.argmax(), values.shape)
    return f"L{layer}H{head}"


def test_the_sentence_names_the_heads_that_look_and_matter_most(world):
    table = pd.read_parquet(world / "heads").astype({"q2v": float})
    means = table.groupby(["layer", "head"])["q2v"].mean().unstack().to_numpy()
    text = said(world)
    assert text.startswith(f"Of 12 heads, {best_of(means)} looks at the image most")
    assert f"Q2V (question → image) {means.max():.2f} (" in text
    assert f"{best_of(WORLD.heads)} matters most, significantly more than any other head: if it is knocked out" in text
    assert "knocked out (cut question → image), the lead of the right answer falls by" in text
    assert "heads that look more also matter more" in text


def test_a_picture_shows_its_table(world):
    for one in ranked(world):
        assert [row["value"] for row in one.table] == sorted((row["value"] for row in one.table), reverse=True)
        assert all(row["low"] <= row["value"] <= row["high"] for row in one.table)
        addresses = [f"#head={row['head']}&amp;measure={one.measure}&amp;at=heads" for row in one.table]
        assert re.findall(r'<a href="([^"]*)">', one.picture) == addresses
        assert re.findall(r">(L\d+H\d+)</text></a>", one.picture) == [row["head"] for row in one.table]
        assert not re.search("style=|<style|#0[0-9a-f]{5}", one.picture)
        assert len(one.picture) < 12_000


def test_pictures_are_as_large_whatever_the_names_and_hollow_where_nothing_is_known():
    """A page that makes them as wide makes the letters as large."""
    rows = [{"head": "A", "value": 1.0, "low": 0.5, "high": 2.0, "clear": True},
            {"head": "B", "value": 0.5, "low": float("nan"), "high": float("nan"), "clear": False}]  # fmt: skip
    named = [picture([row | {"head": row["head"] * long} for row in rows], ["#", "#"], "t", "t") for long in (2, 12)]
    short, long = (float(re.search(r'viewBox="0 0 ([\d.]+)', each)[1]) for each in named)
    assert 0.9 < long / short < 1.15
    dots = re.findall(r'<path[^>]*?(?: fill="([^"]*)")? stroke="([^"]*)" stroke-width="2" opacity="1"/>', named[0])
    assert dots == [("var(--accent)", "var(--accent)"), ("", "var(--quiet)")]
    assert 'fill="none"' in named[0]


def test_a_page_has_another_name_if_its_values_or_choices_are_others(world, tmp_path):
    changed = shutil.copytree(world, tmp_path / "run")
    rewrite(changed, "heads", lambda table: set_columns(table, {"q2v": 0.5}))
    names = [
        name_of_page(measure(heads, heads.scope(None)), None, choices)
        for heads, choices in (
            (open_heads(world)[0], Choices(Held())), (open_heads(world)[0], Choices(Held())),
            (open_heads(world)[0], Choices(Held(images=3))), (open_heads(changed)[0], Choices(Held())),
        )
    ]  # fmt: skip
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_the_mass_is_of_the_tokens_that_were_cut(world):
    """First is the mass of the question, where knock-outs are about it; else that of the last token."""
    assert ranked(world)[0].title == "Q2V (question → image)"
    assert ranked(world, "zh")[1].title == f"{JOB}：切断 问题 → 图像"


def test_of_few_images_no_head_is_named(tmp_path):
    run = write_world(tmp_path / "run", WORLD, categories={"OCR": 19})
    text = said(run)
    assert text.startswith("19 images are too few to rank heads; at least 20 are needed")
    assert text.endswith("which heads matter was not measured.")
    for one in ranked(run):
        assert one.title in one.picture.partition("aria-label")[2].partition(">")[2]  # at the axis, not in the name
        assert "zero" not in one.picture


def test_of_heads_that_all_have_one_value_none_is_first(tmp_path):
    run = write_world(tmp_path / "run", WORLD, categories={"OCR": 30})
    rewrite(run, "heads", lambda table: table.set_column(
        table.schema.get_field_index("v2q"), table.schema.field("v2q"), pa.array(np.zeros(len(table)), pa.float32())
    ))  # fmt: skip
    heads = open_heads(run)[0]
    found = {each.name: each.found for each in measure(heads, heads.scope(None)).measures}
    same = sureness(found["v2q"], heads, Words("en"), signed=False)
    assert (same.lead, same.order, same.pale) == (["All heads have the same value here: 0.000."], "", False)
    assert sureness(found["a2v"], heads, Words("en"), signed=False).lead != same.lead


def test_heads_that_are_alike_are_not_told_apart(tmp_path):
    alike = World(np.full((3, 4), 0.2), np.zeros(3), noise=1.0)
    run = write_world(tmp_path / "run", alike, categories={"OCR": 30}, looks=0.0)
    knock_out(run, alike, JOB, singles(alike))
    text = said(run)
    assert text.count("but not significantly more than") + text.count("no head has a significant effect") == 2
    assert "no significant relation between looking and mattering was found" in text


def noise(random: np.random.Generator, kind: str) -> np.ndarray:
    """Values with a mean of 0, [images, heads]."""
    if kind == "skewed":
        return random.exponential(size=(IMAGES, CELLS)) - 1
    if kind == "of layers":
        return np.repeat(random.normal(size=(IMAGES, LAYERS)), HEADS, axis=1) + random.normal(0, 0.3, (IMAGES, CELLS))
    return random.normal(size=(IMAGES, CELLS)) * random.lognormal(size=CELLS)


def means_of(values: np.ndarray) -> HeadMeans:
    sums = np.stack([values[group::GROUPS].sum(axis=0) for group in range(GROUPS)])
    return HeadMeans.of(sums, np.full(sums.shape, IMAGES / GROUPS), IMAGES)


@pytest.mark.parametrize(("kind", "tied"), [("skewed", CELLS), ("skewed", 2), ("of layers", 2), ("spread", CELLS)])
def test_where_nothing_is_there_the_sentence_is_false_in_at_most_5_percent_of_worlds(kind, tied):
    """Heads that are tied for the first place, effects of 0, and looking that has nothing to do with them."""
    random, false = np.random.default_rng(3), 0
    for world in range(WORLDS):
        looks, effects = (noise(random, kind) for _ in "ab")
        looks[:, :tied] += 30
        found, halves = means_of(effects), (looks[::2].mean(axis=0), effects[1::2].mean(axis=0))
        ends = [found.told[found.lead(lowest=lowest).first] != UNCLEAR for lowest in (False, True)]
        related = agreement_of_heads(*halves, np.arange(CELLS) // HEADS, 120, world)
        false += bool(means_of(looks).lead().told) or any(ends) or related.p <= LEVEL
    assert false <= stats.binom.ppf(0.99, WORLDS, 0.05)
