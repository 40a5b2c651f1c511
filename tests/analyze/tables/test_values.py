"""Oracle: pandas on the whole table."""

import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from analyze.tables.frames import open_heads
from analyze.tables.values import answered, observed_samples, sample_values, table_values, values_by_flow
from schemas.errors import HeadflowError
from schemas.store.run import Run
from tests.support.runs import extras, flows, rewrite, sample, start, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ten samples, two of them skipped; other answers than yes and no among them."""
    path, random = tmp_path_factory.mktemp("values") / "run", np.random.default_rng(0)
    writer = start(path, 10, fields={"layers": 3, "heads": 2})
    for number in range(10):
        row = sample(number, "OCR") | {
            "row": number,
            "prediction": "yes, it is",
            "answer": ("Yes", "No", "a cat")[number % 3],
        }
        if number in (2, 5):
            writer.skip(row, "image_missing", "gone")
        else:
            writer.add(row, {"heads": flows(random, 3, 2)})
    writer.finish()
    return path


@pytest.mark.parametrize("layers", [None, [2, 0], [1]])
@pytest.mark.parametrize("order", ["as written", "samples backwards", "mixed"])
def test_values_are_those_of_the_table(run, tmp_path, monkeypatch, layers, order):
    monkeypatch.setattr("analyze.tables.rows.BATCH", 5)
    if order != "as written":
        blocks = np.arange(48).reshape(8, 6)[::-1].ravel()  # of 8 samples observed, 6 rows each
        places = blocks if order == "samples backwards" else np.random.default_rng(0).permutation(48)
        run = shutil.copytree(run, tmp_path / "run")
        rewrite(run, "heads", lambda content: content.take(places))
    heads, _ = open_heads(run)
    found = sample_values(heads, ["t2v", "a2v"], heads.scope(None), layers)
    rows = pd.read_parquet(run / "heads").astype({"sample_id": str})
    order = observed_samples(heads)["sample_id"].astype(str)
    for flow, values in found.items():
        wide = rows.pivot_table(index="sample_id", columns=["layer", "head"], values=flow).loc[order]
        chosen = np.stack([wide[layer].to_numpy() for layer in (range(3) if layers is None else layers)], axis=1)
        assert values.dtype == np.float32
        assert np.array_equal(values, chosen.astype(np.float32))


@pytest.mark.parametrize(("room", "times"), [(2**27, 1), (2 * 48, 2), (1, 4)])
def test_flows_that_memory_has_room_for_are_read_together(run, monkeypatch, room, times):
    """8 samples of 6 values: each column is read once, and what tells rows apart once for each reading."""
    read = Counter[str]()

    def read_part(run, path, only=None, original=Run.read_part, **more):
        read.update(name for name in only or () if path.parent.name == "heads")
        return original(run, path, only, **more)

    monkeypatch.setattr(Run, "read_part", read_part)
    monkeypatch.setattr("analyze.tables.values.MOST_HELD", room)
    heads, _ = open_heads(run)
    flows = ["t2v", "v2t", "q2v", "a2v"]
    found = dict(values_by_flow(heads, flows, heads.scope(None)))
    assert read == dict.fromkeys(flows, 1) | dict.fromkeys(["sample_id", "layer", "head"], times)
    assert all((sample_values(heads, [flow], heads.scope(None))[flow] == found[flow]).all() for flow in flows)


def test_answers_as_they_are_scored(run):
    samples = observed_samples(open_heads(run)[0])
    assert samples["row"].tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    places, rights = {"Yes": 0, "No": 1}, {"Yes": True, "No": False, "a cat": None}
    assert samples["expected"].equals(samples["answer"].map(places))
    assert samples["right"].tolist() == [rights[each] for each in samples["answer"]]
    assert answered(samples)["answer"].tolist() == [each for each in samples["answer"] if each in places]


@pytest.mark.parametrize("table", ["contributions", "layers"])
def test_values_of_other_tables_are_those_of_the_table(tmp_path, table):
    """In two parts, a sample skipped in each."""
    tables, random, path = ["contributions", "layers"], np.random.default_rng(0), tmp_path / "run"
    writer = start(path, 8, fields={"layers": 3, "heads": 2, "tables": tables})
    for number in range(8):
        row = sample(number, "OCR") | {"row": number}
        if number in (1, 4):
            writer.skip(row, "image_missing", "gone")
        else:
            grids, more = extras(random, 3, 2, tables)
            writer.add(row | more, {"heads": flows(random, 3, 2), **grids})
        if number == 3:
            writer.flush()
    writer.finish()
    column = {"contributions": "d2v", "layers": "bi_last"}[table]
    heads, _ = open_heads(path)
    found = table_values(heads, table, [column])[column]
    rows = pd.read_parquet(path / table)
    assert (len(found), len(heads.parts)) == (6, 2)
    for position, name in enumerate(observed_samples(heads)["sample_id"]):
        expected = rows[rows["sample_id"] == name].sort_values(["layer", *(["head"] if "head" in rows else [])])
        assert found[position].ravel().tolist() == expected[column].tolist()


@pytest.mark.parametrize(
    ("places", "fault"),
    [
        (np.arange(1, 48), r"lacks rows of OCR/0 .*, and none for layer 0, head 0"),
        (np.append(np.arange(47), 46), r"lacks rows of OCR/4#2 .*layer 2, head 1.*, repeats rows of OCR/4#2"),
        (np.r_[:47, 41], r"lacks rows of OCR/4#2 .*layer 2, head 1.*, repeats rows of OCR/4;"),
    ],
)
def test_a_row_that_is_missing_or_twice(run, tmp_path, places, fault):
    """However rows are compared, those of 8 samples with 6 rows each; the last two are of another head, or sample."""
    run = shutil.copytree(run, tmp_path / "run")
    rewrite(run, "heads", lambda content: content.take(places))
    heads, _ = open_heads(run)
    with pytest.raises(HeadflowError, match=fault):
        sample_values(heads, ["a2v"], heads.scope(None))


def test_another_table_that_lacks_a_row(tmp_path):
    path = write_run(tmp_path / "run", tables=["layers"])
    rewrite(path, "layers", lambda content: content.slice(1))
    with pytest.raises(HeadflowError, match=r"lacks rows of OCR/0 .*, and none for layer 0"):
        table_values(open_heads(path)[0], "layers", ["bi_last"])
