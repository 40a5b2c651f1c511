"""Oracle: pandas on the whole table."""

import numpy as np
import pandas as pd
import pytest

from analyze.tables import frames
from analyze.tables.frames import open_heads
from analyze.tables.values import observed_samples, sample_values
from tests.support.runs import flows, sample, start


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Ten samples, of which two were skipped; other answers than yes and no among them."""
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
@pytest.mark.parametrize("at_once", [5, 10**6])
def test_values_are_those_of_the_table(run, monkeypatch, layers, at_once):
    monkeypatch.setattr(frames, "ROWS", at_once)
    heads, _ = open_heads(run)
    found = sample_values(heads, ["t2v", "a2v"], heads.scope(None), layers)
    rows = pd.read_parquet(run / "heads").astype({"sample_id": str})
    order = observed_samples(heads)["sample_id"].astype(str)
    for flow, values in found.items():
        wide = rows.pivot_table(index="sample_id", columns=["layer", "head"], values=flow).loc[order]
        chosen = np.stack([wide[layer].to_numpy() for layer in (range(3) if layers is None else layers)], axis=1)
        assert values.dtype == np.float32
        assert np.array_equal(values, chosen.astype(np.float32))


def test_answers_as_they_are_scored(run):
    samples = observed_samples(open_heads(run)[0])
    assert samples["row"].tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    expected = {"Yes": (True, True), "No": (False, False), "a cat": (None, None)}
    assert [*zip(samples["yes"], samples["right"], strict=True)] == [expected[each] for each in samples["answer"]]
