"""A further maker: its table, and its values of `samples`, are written and checked without a word of it elsewhere.

Oracle: `heads` of the same run, of whose masses the table is made.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from extract import backends
from extract.attention.readers import PassReader
from extract.chunks import asked
from extract.passes import forward
from extract.tables.maker import Maker
from schemas import manifest as manifest_module
from schemas.columns import KEYS, TABLES, Column, Table
from schemas.validation.run import validate
from tests.support.runs import put, rewrite

NAME = "doubled"
TABLE = Table(NAME, ("layer",), (*KEYS[:3], Column("twice", pa.float32(), "", False, "", 0, 2)), fills=("difficulty",))


class Reader(PassReader):
    """Doubles the mass of text on the image in head 0."""

    def tables(self, found):
        return {NAME: 2 * found[1][:, :, 0, :1], "of samples": found[1][:, 0, 0, 0]}


class Doubling(Maker):
    """Makes the table, with NaN in layer 1 of samples that `wrong` names by their place."""

    def __init__(self, wrong):
        super().__init__([NAME])
        self._wrong = list(wrong)

    def begin(self, batch, images, samples=()):
        return Reader()

    def not_finite(self, found):
        if self._wrong and self._wrong.pop():
            found = {NAME: found[NAME].clone()}
            found[NAME][1] = np.nan
        return super().not_finite(found)

    def rows(self, found, pixels):
        samples, pictures, grids = super().rows(found, pixels)
        return samples | {"difficulty": f"{float(found['of samples']):.3f}"}, pictures, grids


@pytest.fixture
def run(extract, tmp_path, monkeypatch):
    monkeypatch.setitem(TABLES, NAME, TABLE)
    for module in (manifest_module, forward):
        monkeypatch.setattr(module, "EXTRAS", (*module.EXTRAS, NAME))
    plain = asked.asked_fields
    monkeypatch.setattr(asked, "asked_fields", lambda settings: plain(settings) | {"tables": [NAME]})
    monkeypatch.setattr(backends, "find_makers", lambda *_: [Doubling([False, True, False])])
    assert extract(tmp_path / "run", num_samples=3) == 0
    return tmp_path / "run"


def test_a_further_maker(run):
    assert list(validate(run)) == []
    samples, heads, own = (pd.read_parquet(run / table) for table in ("samples", "heads", NAME))
    expected = heads[heads["head"] == 0]
    assert own["twice"].tolist() == (2 * expected["t2v"]).tolist()
    assert len(own) == 2 * 4
    assert samples["detail"].dropna().tolist() == ["a value of `doubled` of layer 1 is not finite"]
    first = expected.loc[expected["layer"] == 0, "t2v"]
    assert samples["difficulty"].dropna().tolist() == [f"{each:.3f}" for each in first]
    rewrite(run, NAME, lambda table: put(table, "twice", 0, 3.0))
    assert any("`twice` is outside 0..2 in 1 row" in line for line in validate(run))


def test_a_missing_value_of_samples_is_said(run):
    rewrite(run, "samples", lambda table: put(table, "difficulty", 0, None))
    assert any("difficulty is null in rows of observed samples" in line for line in validate(run))
