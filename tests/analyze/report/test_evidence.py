"""Which images and maps a page holds: those of what it links to, told from the tables by pandas."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analyze.__main__ import main
from analyze.drawing.maps import TOPS, attention_colours
from schemas.store.thumbnails import write_thumbnail
from tests.support.pictures import encoded
from tests.support.report import JOB, WORLD, read_arrays, read_data, read_piece, unpack, write_whole_run

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


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    """Make a page with some flags; returns its data."""

    def make(*flags: object, other: Path | None = None) -> dict:
        folder, runs = tmp_path_factory.mktemp("pages"), [run] if other is None else [run, other]
        assert main(["report", *map(str, runs), "--output-dir", str(folder), *map(str, flags)]) == 0
        (file,) = folder.iterdir()
        page = file.read_text(encoding="utf-8")
        data = read_data(page) | {"colours": read_arrays(page)["colours"]}
        for end in [""] if other is None else ["", "_b"]:
            data[f"evidence{end}"], data[f"read{end}"] = read_piece(page, f"evidence{end}")
            data[f"values_of_heads{end}"], data[f"all_values{end}"] = read_piece(page, f"values{end}")
        return data

    return make


@pytest.fixture(scope="module")
def of_five(made):
    """The data of a page with five images."""
    return made("--images", 5)


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
    there = with_image(made("--images", 2))
    assert len(there) == 4
    assert {highest_samples(run, "a2v")[0], wrong} <= there
    assert set(highest_samples(run, "a2v")) <= with_image(made("--images", 10))  # those of the head that is shown first


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


@pytest.mark.parametrize(("budget", "there"), [(0, 0), (9 * PATCHES + 1, 9)])
def test_a_small_budget_has_maps_of_the_first_samples_alone(run, made, budget, there):
    data = made("--images", 5, "--maps-mb", budget / 1e6)
    if not there:
        assert data["maps"] is None
        return
    assert data["read"]["maps"].size == there * PATCHES
    rows = [data["samples"]["id"].index(name) for name in highest_samples(run, "a2v")]
    assert str(rows[0]) in data["evidence"]["samples"]


def test_maps_are_those_of_the_run_within_half_a_step_of_their_logarithm(run, of_five):
    """Over an even map, with the masses of the table; no map exceeds the end of its scale, nor that of the page."""
    data, table = of_five, pd.read_parquet(run / "maps").set_index(["sample_id", "layer", "head"])
    cells, tops = data["maps"]["cells"], set()
    assert cells == data["evidence"]["cells"] == list(range(12))
    for row, sample in data["evidence"]["samples"].items():
        own = table.loc[data["samples"]["id"][int(row)]].sort_index()
        maps = np.stack(own["map"]).astype(float)
        values, top = maps / maps.mean(axis=1, keepdims=True), sample["top"]
        steps = data["read"]["maps"][sample["maps"] :][: maps.size].reshape(maps.shape)
        half = np.log(top) / 255 / 2 * 1.001
        np.testing.assert_allclose(steps / 255 * np.log(top), np.log(np.maximum(values, 1)), atol=half, rtol=0)
        np.testing.assert_allclose(data["read"]["masses"][sample["masses"] :][:12], own["mass"], atol=1e-6)
        assert top == min(each for each in TOPS if each >= values.max())
        assert (sample["rows"], sample["columns"], sample["box"], sample["size"]) == (4, 6, [0, 0, 1, 1], [60, 40])
        tops.add(top)
    assert data["maps"]["top"] == max(tops)
    assert len(tops) > 1


def test_colours_are_those_of_the_pictures_of_maps(of_five):
    expected = attention_colours()(np.linspace(0, 1, 256))
    np.testing.assert_allclose(of_five["colours"].reshape(256, 4) / 255, expected, atol=0.5 / 255)


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    """A page that is a folder, with the maps of two heads for all samples and those of all heads for three."""
    output = tmp_path_factory.mktemp("folder")
    (output / "report" / "pieces").mkdir(parents=True)
    for name in ("samples-99.js", "mine.js"):
        (output / "report" / "pieces" / name).touch()
    megabytes = 2 * 40 * 2 * PATCHES / 1e6
    assert main(["report", str(run), "--folder", "--maps-mb", str(megabytes), "--output-dir", str(output)]) == 0
    return output / "report"


def read_script(folder: Path, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    text = (folder / "pieces" / f"{name}.js").read_text(encoding="utf-8")
    assert text.startswith(f'headflowPiece("{name}",')
    piece = json.loads(text[len(f'headflowPiece("{name}",') : -2])
    return piece["data"], unpack(piece["index"], piece["packed"])


def test_a_folder_has_all_images_the_maps_of_its_budget_and_all_values(run, folder):
    data = read_data((folder / "index.html").read_text(encoding="utf-8"))
    ids, whole = data["samples"]["id"], data["folder"]["whole"]
    assert (len(ids), len(whole), len(data["maps"]["cells"])) == (40, 2 * 40 * 2 // 2 // 12, 2)
    assert data["images"] == 20
    table, tops = pd.read_parquet(run / "maps").set_index(["sample_id", "layer", "head"])["map"], []
    for row in range(40):
        names = [f"samples-{row // data['folder']['each']}", *([f"sample-{row}"] if row in whole else [])]
        piece, _ = read_script(folder, names[0])
        assert piece["images"][data["samples"]["picture"][row]]
        for name, cells in zip(names, (data["maps"]["cells"], range(12)), strict=False):
            piece, arrays = read_script(folder, name)
            one = piece["samples"][str(row)]
            maps = np.stack([table[ids[row], cell // HEADS, cell % HEADS] for cell in cells]).astype(float)
            steps = arrays["maps"][one["maps"] :][: maps.size].reshape(maps.shape)
            expected = np.log(np.maximum(maps / maps.mean(axis=1, keepdims=True), 1)) / np.log(one["top"])
            np.testing.assert_allclose(steps / 255, expected, atol=0.501 / 255)
            tops.append(one["top"])
    assert data["maps"]["top"] == max(tops)
    values = as_cells(pd.read_parquet(run / "heads"), "a2v", ids)
    number = [each["key"] for each in data["measures"]].index("looking/a2v")
    for layer in range(3):
        piece, arrays = read_script(folder, f"values-{number}-{layer}")
        own = arrays["looking/a2v"].reshape(HEADS, 40).T
        assert piece["looking/a2v"]["cells"] == list(range(layer * HEADS, (layer + 1) * HEADS))
        np.testing.assert_allclose(own, in_steps(values[:, layer * HEADS : (layer + 1) * HEADS], 0, 1), atol=0.52)


def test_a_folder_keeps_what_is_not_its_own(folder):
    names = {file.name for file in (folder / "pieces").iterdir()}
    assert "mine.js" in names
    assert "samples-99.js" not in names


def in_steps(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.where(np.isnan(values), 65535, np.rint((values - low) / (high - low) * 65534))


def as_cells(table: pd.DataFrame, column: str, ids: list[str]) -> np.ndarray:
    """The values of a column, [samples, cells]."""
    wide = table.astype({column: float}).pivot_table(column, "sample_id", ["layer", "head"], dropna=False)
    return wide.reindex(ids).to_numpy()


def test_values_of_heads_are_those_of_the_tables_within_half_a_step(run, of_five):
    """Of all heads: a small run has room for them; and of a sample with an image, by measure."""
    data = of_five
    ids, rows = data["samples"]["id"], data["evidence"]["rows"]
    assert {ids[row] for row in rows} == with_image(data)
    effects = pd.read_parquet(run / "jobs" / JOB / "knockouts")
    effects["lost"] = effects["lead_untouched"].astype(float) - effects["lead"]
    tables = {"looking/a2v": (pd.read_parquet(run / "heads"), "a2v"), f"mattering/{JOB}": (effects, "lost")}
    for key, (table, column) in tables.items():
        values, one = as_cells(table, column, ids), data["values_of_heads"][key]
        assert one["cells"] == data["values"][key] == list(range(12))
        own = data["all_values"][key].reshape(12, len(ids)).T
        np.testing.assert_allclose(own, in_steps(values, one["low"], one["high"]), atol=0.52)
        ends = data["evidence"]["values"][key]
        own = data["read"][f"values/{key}"].reshape(len(rows), 12)
        np.testing.assert_allclose(own, in_steps(values[rows], ends["low"], ends["high"]), atol=0.52)


def test_a_second_run_stands_by_the_rows_of_the_first(run, made, tmp_path):
    """Its answers, maps and values; of samples that it does not have, none."""
    other = write_whole_run(tmp_path / "other", seed=1, images=0, categories=CATEGORIES | {"OCR": 9})
    data = made("--images", 20, other=other)
    samples, ids = pd.read_parquet(other / "samples").set_index("sample_id"), data["samples"]["id"]
    there = np.array([name in samples.index for name in ids])
    assert 0 < there.sum() < len(ids)
    answers = samples["prediction"].reindex(ids).tolist()
    assert data["second"]["prediction"] == [each if isinstance(each, str) else None for each in answers]
    margins = samples["margin"].reindex(ids).to_numpy(float)
    np.testing.assert_array_equal(np.array(data["second"]["margin"], np.float32), margins.astype(np.float32))
    values = as_cells(pd.read_parquet(other / "heads"), "a2v", ids)
    own = data["all_values_b"]["looking/a2v"].reshape(12, len(ids)).T
    np.testing.assert_allclose(own, in_steps(values, 0, 1), atol=0.52)
    maps = pd.read_parquet(other / "maps").set_index(["sample_id", "layer", "head"]).sort_index()["map"]
    assert {ids[int(row)] for row in data["evidence_b"]["samples"]} == with_image(data) & set(samples.index)
    for row, sample in data["evidence_b"]["samples"].items():
        one = np.stack(maps.loc[ids[int(row)]]).astype(float)
        steps = data["read_b"]["maps"][sample["maps"] :][: one.size].reshape(one.shape)
        expected = np.log(np.maximum(one / one.mean(axis=1, keepdims=True), 1)) / np.log(sample["top"])
        np.testing.assert_allclose(steps / 255, expected, atol=0.501 / 255)
        assert sample["top"] <= data["maps"]["top"]
