"""A further table is one declaration: it is written, read, validated and taken into a subset like the others.

Oracle: pandas on the values that were handed to the writer.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analyze.__main__ import main
from schemas import manifest as manifest_module
from schemas.columns import KEYS, MAP_COLUMNS, MAPS, TABLES, Column, Sum, Table
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import extras, flows, put, rewrite, sample, start

MAP = MAP_COLUMNS[-1]
SHARE = Column("share", pa.float32(), "0..1", False, "of something", 0, 1)
DECLARED = Table(
    "declared", ("layer", "head"), (*KEYS, SHARE, MAP), fills=("difficulty",),
    sums=(Sum("`map`", (MAP.name,), "does not add up to `share`", "share"),),
)  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """With the table, beside `maps`, whose lists have the same name; lists in two heads of six."""
    monkeypatch.setitem(TABLES, DECLARED.name, DECLARED)
    monkeypatch.setattr(manifest_module, "EXTRAS", (*manifest_module.EXTRAS, DECLARED.name))
    kept, random = [(0, 2), (1, 0)], np.random.default_rng(0)
    fields = {"tables": [MAPS, DECLARED.name], "maps_of": "a", "maps_heads": [list(each) for each in kept]}
    writer = start(tmp_path / "run", 4, fields=fields)
    for number in range(4):
        grids, more = extras(random, 2, 3, [MAPS], kept)
        lists = random.dirichlet(np.ones(24), 2).astype(np.float32) * 0.5
        own = {DECLARED.name: np.full((2, 3, 1), 0.5, np.float32), DECLARED.list_name: [lists]}
        row = sample(number, "OCR") | more | {"row": number, "difficulty": "hard"}
        writer.add(row, {"heads": flows(random, 2, 3), **grids, **own})
    writer.finish()
    return tmp_path / "run"


def test_it_is_written_read_and_taken_into_a_subset(run, tmp_path):
    assert list(validate(run)) == []
    assert main(["subset", str(run), str(tmp_path / "some"), "--query", "row >= 2"]) == 0
    assert list(validate(tmp_path / "some")) == []
    for table in (DECLARED.name, MAPS):
        whole, some = (pd.read_parquet(path / table) for path in (run, tmp_path / "some"))
        expected = whole[whole["sample_id"].isin(["OCR/1", "OCR/1#2"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(some, expected, check_categorical=False)
        assert whole["map"].notna().groupby([whole["layer"], whole["head"]]).any().to_numpy().nonzero()[0].tolist() == [
            2,
            3,
        ]


@pytest.mark.parametrize(
    ("table", "name", "row", "value", "says"),
    [
        ("declared", "share", 2, 0.7, "`map` does not add up to `share` in 1 row"),
        ("declared", "share", 0, 1.5, "`share` is outside 0..1 in 1 row"),
        ("declared", "map", 3, [0.5], "`map` has another length than `grid_rows` times `grid_columns` in 1 row"),
        ("declared", "map", 3, None, "`map` is null, or not, in 1 row against `maps_heads` of the manifest"),
        ("declared", "head", 3, 1, "repeats rows of"),
        (
            "samples",
            "difficulty",
            1,
            None,
            "difficulty is null in rows of observed samples, though declared were asked",
        ),
    ],
)
def test_what_is_wrong_in_it_is_said(run, table, name, row, value, says):
    rewrite(run, table, lambda content: put(content, name, row, value))
    assert says in "\n".join(validate(run))


def test_a_writer_refuses_other_lists(tmp_path, run):
    writer = start(tmp_path / "other", 1, fields={"tables": [DECLARED.name], "maps_heads": [[0, 2]]})
    own = {"heads": flows(np.random.default_rng(0), 2, 3), DECLARED.name: np.full((2, 3, 1), 0.5, np.float32)}
    with pytest.raises(ValueError, match="there are values of heads, declared, and not of"):
        writer.add(sample(0, "OCR"), own)
    with pytest.raises(ValueError, match=r"lists of declared.map are float32 \(2, 24\)"):
        writer.add(sample(0, "OCR"), own | {DECLARED.list_name: [np.zeros((2, 24), np.float32)]})
    writer.close()


def test_an_unknown_table_is_refused(run, monkeypatch):
    monkeypatch.setattr(manifest_module, "EXTRAS", (MAPS,))
    with pytest.raises(HeadflowError, match="it names tables that are not in the contract: declared"):
        open_run(run)
