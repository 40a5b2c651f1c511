"""Which images and maps a page holds: those of what it links to, told from the tables by pandas."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analyze.__main__ import main
from analyze.drawing.maps import TOPS, attention_colours
from schemas.store.thumbnails import write_thumbnail
from tests.support.pictures import encoded
from tests.support.report import JOB, WORLD, read_arrays, read_data, read_piece, write_whole_run

HEADS = WORLD.heads.shape[1]
PATCHES = 24
CATEGORIES = {"OCR": 12, "color": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a thumbnail of each image, each of another colour."""
    run = write_whole_run(tmp_path_factory.mktemp("run") / "run", images=0, categories=CATEGORIES)
    for place, sha in enumerate(pd.read_parquet(run / "samples")["image_sha256"].unique()):
        write_thumbnail(run, sha, encoded(Image.new("RGB", (60, 40), (12 * place, 90, 30)), "jpeg"))
    return run


@pytest.fixture
def made(run, tmp_path):
    """Make a page with some flags; returns its data."""

    def make(*flags: object) -> dict:
        assert main(["report", str(run), "--output-dir", str(tmp_path), *map(str, flags)]) == 0
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        evidence, arrays = read_piece(page, "evidence")
        return read_data(page) | {"evidence": evidence, "read": arrays, "colours": read_arrays(page)["colours"]}

    return make


def highest_samples(run, flow: str) -> list[str]:
    """The samples with the highest values of the head with the highest mean, the highest first."""
    table = pd.read_parquet(run / "heads").astype({flow: float})
    layer, head = table.groupby(["layer", "head"])[flow].mean().idxmax()
    return table[(table["layer"] == layer) & (table["head"] == head)].nlargest(5, flow)["sample_id"].tolist()


def with_image(data: dict) -> set[str]:
    return {name for name, place in zip(data["samples"]["id"], data["samples"]["picture"], strict=True)
            if place is not None}  # fmt: skip


def test_the_first_images_are_those_that_are_linked_to(run, made):
    samples = pd.read_parquet(run / "samples")
    wrong = samples[samples["answer"] != samples["prediction"]]["sample_id"].iloc[0]
    for number in (2, 4):
        there = with_image(made("--images", number))
        assert len(there) == 2 * number
        assert {highest_samples(run, "a2v")[0], wrong} <= there


def test_each_kind_of_answer_and_the_wrong_ones_of_each_category_have_images(made):
    data = made("--images", 14)
    samples = pd.DataFrame({name: data["samples"][name] for name in ("category", "state", "right", "picture")})
    shown = samples[samples["picture"].notna()]
    kinds = ["category", "state"]
    assert len(shown) < len(samples)
    assert set(map(tuple, shown[kinds].to_numpy())) == set(map(tuple, samples[kinds].to_numpy()))
    assert set(shown[shown["right"] == 0]["category"]) == {0, 1}


def test_maps_keep_their_budget_and_are_of_the_heads_that_stand_out(run, made):
    table = pd.read_parquet(run / "heads").astype({"a2v": float})
    effects = pd.read_parquet(run / "jobs" / JOB / "knockouts")
    effects["loss"] = effects["lead_untouched"] - effects["lead"]
    loss = effects.groupby(["layer", "head"])["loss"].mean()
    looks = table.groupby(["layer", "head"])["a2v"].mean().idxmax()
    data = made("--images", 5, "--maps-mb", 10 * 5 * PATCHES / 1e6)
    assert data["read"]["maps"].size == 10 * 5 * PATCHES  # of ten samples
    cells = {layer * HEADS + head for layer, head in (looks, loss.idxmax(), loss.idxmin())}
    assert cells <= set(data["maps"]["cells"]) < set(range(WORLD.heads.size))
    assert len(data["evidence"]["samples"]) == 10


@pytest.mark.parametrize(("budget", "there"), [(0, 0), (2 * PATCHES, 2), (9 * PATCHES + 1, 9)])
def test_a_small_budget_has_maps_of_the_first_samples_alone(run, made, budget, there):
    data = made("--images", 5, "--maps-mb", budget / 1e6)
    if not there:
        assert data["maps"] is None
        return
    assert data["read"]["maps"].size == there * PATCHES
    rows = [data["samples"]["id"].index(name) for name in highest_samples(run, "a2v")]
    assert str(rows[0]) in data["evidence"]["samples"]


def test_maps_are_those_of_the_run_within_half_a_step_of_their_logarithm(run, made):
    """Over an even map, with the masses of the table; no map exceeds the end of its scale, nor that of the page."""
    data, table = made("--images", 5), pd.read_parquet(run / "maps").set_index(["sample_id", "layer", "head"])
    cells, tops = data["maps"]["cells"], set()
    assert cells == data["evidence"]["cells"] == list(range(12))
    for row, sample in data["evidence"]["samples"].items():
        own = table.loc[data["samples"]["id"][int(row)]].sort_index()
        maps = np.stack(own["map"]).astype(float)
        values, top = maps / maps.mean(axis=1, keepdims=True), sample["top"]
        steps = data["read"]["maps"][sample["maps"] :][: maps.size].reshape(maps.shape)
        half = np.log(top) / 255 / 2 * 1.001
        np.testing.assert_allclose(steps / 255 * np.log(top), np.log(np.maximum(values, 1)), atol=half, rtol=0)
        np.testing.assert_array_equal(data["read"]["masses"][sample["masses"] :][:12], own["mass"])
        assert top == min(each for each in TOPS if each >= values.max())
        assert (sample["rows"], sample["columns"], sample["box"], sample["size"]) == (4, 6, [0, 0, 1, 1], [60, 40])
        tops.add(top)
    assert data["maps"]["top"] == max(tops)
    assert len(tops) > 1


def test_colours_are_those_of_the_pictures_of_maps(made):
    page = made("--images", 1)
    expected = attention_colours()(np.linspace(0, 1, 256))
    np.testing.assert_allclose(page["colours"].reshape(256, 4) / 255, expected, atol=0.5 / 255)
