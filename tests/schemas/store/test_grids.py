"""Tables whose rows differ by sample, those of generated tokens: written, read, validated, taken into a subset.

Oracle: the values that were handed to the writer, laid out by pandas.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analyze.__main__ import main
from analyze.tables.rows import part_apart, part_lists, part_values
from schemas.columns import STEP_MAPS, STEP_NAMES, STEPS, TABLES, TOKENS
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import flows, put, rewrite, sample, start
from tests.support.texts import WRITTEN, made_up_text

TAKEN, EVERY = [5, 1, 4], 2  # steps of each sample; those that have rows in `steps`
HEADS, MAPPED = [[0, 2], [1, 0]], [[1, 1]]
FIELDS = {
    "tables": list(WRITTEN), "generate": 5, "every": EVERY, "step_heads": HEADS, "step_map_heads": MAPPED,
}  # fmt: skip


def written(number: int) -> tuple[dict, dict]:
    """A sample's values in the three tables, and in `samples`."""
    return made_up_text(np.random.default_rng(number), TAKEN[number], len(HEADS), len(MAPPED), every=EVERY)


@pytest.fixture
def run(tmp_path):
    writer = start(tmp_path / "run", len(TAKEN), fields=FIELDS)
    for number in range(len(TAKEN)):
        grids, more = written(number)
        heads = {"heads": flows(np.random.default_rng(number), 2, 3)}
        writer.add(sample(number, "OCR") | more | {"row": number}, heads | grids)
    writer.finish()
    return tmp_path / "run"


def test_rows_are_those_of_each_sample_s_steps(run):
    assert list(validate(run)) == []
    steps = pd.read_parquet(run / STEPS)
    expected = [(step, *head) for taken in TAKEN for step in range(0, taken, EVERY) for head in HEADS]
    assert list(steps[["step", "layer", "head"]].itertuples(index=False, name=None)) == expected
    given = list(map(written, range(len(TAKEN))))
    masses = np.concatenate([grids[STEPS].reshape(-1, 6) for grids, _ in given])
    np.testing.assert_array_equal(steps[list(STEP_NAMES)].to_numpy(), masses)
    tokens = pd.read_parquet(run / TOKENS)
    assert tokens.groupby("sample_id", observed=True, sort=False)["text"].sum().tolist() == [
        more["text"] for _, more in given
    ]
    assert len(pd.read_parquet(run / STEP_MAPS)) == sum(-(-taken // EVERY) for taken in TAKEN)


def test_parts_are_read_as_they_were_written_in_any_order(run):
    for table in WRITTEN:
        rewrite(run, table, lambda content: content.take(pc.sort_indices(content, [("step", "descending")])))
    opened = open_run(run)
    (part,) = opened.parts
    ids = opened.samples()["sample_id"].to_pylist()
    given = [written(number)[0] for number in range(len(TAKEN))]
    for name in WRITTEN:
        for found, grids in zip(part_values(opened, name, part, ids), given, strict=True):
            np.testing.assert_array_equal(found, grids[name])
    for found, grids in zip(part_lists(opened, STEP_MAPS, part, ids), given, strict=True):
        np.testing.assert_array_equal(found, grids["step_maps.map"])
    (text,) = (column for column in TABLES[TOKENS].apart if column.name == "text")
    assert part_apart(opened, TOKENS, part, ids, text) == [grids["tokens.text"] for grids in given]
    assert list(validate(run)) == []


def test_a_subset_has_the_rows_of_its_samples(run, tmp_path):
    assert main(["subset", str(run), str(tmp_path / "some"), "--query", "row >= 1"]) == 0
    assert list(validate(tmp_path / "some")) == []
    for table in WRITTEN:
        whole, some = (pd.read_parquet(path / table) for path in (run, tmp_path / "some"))
        expected = whole[whole["sample_id"] != "OCR/0"].reset_index(drop=True)
        pd.testing.assert_frame_equal(some, expected, check_categorical=False)


def without(content: pa.Table, row: int) -> pa.Table:
    return content.filter(pa.array(np.arange(len(content)) != row))


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        (STEPS, lambda rows: without(rows, 3), "OCR/0 (the first has 5 of 6, and none for step 2, layer 1"),
        (STEPS, lambda rows: put(rows, "step", 2, 4), "repeats rows of OCR/0"),
        (STEPS, lambda rows: put(rows, "step", 2, 3), "has rows of cells that OCR/0 should not have"),
        (STEPS, lambda rows: put(rows, "step", 6, 2), "has rows of steps of OCR/0#2 beyond `n_generated`"),
        (STEPS, lambda rows: put(rows, "step", 6, 5), "1 row has a step or layer or head beyond the manifest's 5 x 2"),
        (STEPS, lambda rows: put(rows, "head", 0, 1), "has rows of cells that OCR/0 should not have"),
        (STEPS, lambda rows: put(rows, "g2v", 0, 0.9), "the partition g2* does not sum to 1"),
        (TOKENS, lambda rows: put(rows, "logprob", 0, 0.5), "`logprob` is outside"),
        (TOKENS, lambda rows: without(rows, 9), "its ledger says 10"),
        ("samples", lambda rows: put(rows, "n_generated", 0, 4), "than `n_generated` (the first has 5 tokens, not 4)"),
        ("samples", lambda rows: put(rows, "n_generated", 0, 1), "has rows of steps of OCR/0 beyond `n_generated`"),
        ("samples", lambda rows: put(rows, "ended", 1, "stopped"), "`ended` is stopped, which is none of stop, length"),
        ("samples", lambda rows: put(rows, "answer_step", 1, 1), "is not below `n_generated` for OCR/0#2"),
        ("samples", lambda rows: put(rows, "text", 2, "No"), "OCR/1 has tokens that do not concatenate to its `text`"),
        (TOKENS, lambda rows: put(rows, "text", 5, "No"), "OCR/0#2 has tokens that do not concatenate to its `text`"),
        ("samples", lambda rows: put(rows, "text", 0, None), "text is null in rows of observed samples"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(run, table, change, says):
    rewrite(run, table, change)
    assert says in "\n".join(validate(run))
    if table == STEPS and "g2v" not in says and "partition" not in says:
        opened = open_run(run)
        with pytest.raises(HeadflowError):
            part_values(opened, STEPS, opened.parts[0], opened.samples()["sample_id"].to_pylist())


def test_a_writer_takes_as_many_rows_as_the_sample_has_steps(tmp_path):
    writer = start(tmp_path / "other", 1, fields=FIELDS)
    grids, more = written(2)
    heads = {"heads": flows(np.random.default_rng(0), 2, 3)}
    for name, values, says in (
        (STEPS, grids[STEPS][:1], "have shape"),
        ("tokens.text", grids["tokens.text"][:3], "tokens.text has 3 values for 4 rows"),
        ("step_maps.map", [grids["step_maps.map"][0][:1]], "lists of step_maps.map are"),
        ("step_maps.map", grids["step_maps.map"] * 2, "lists of step_maps.map of 2 images, not 1"),
    ):
        with pytest.raises(ValueError, match=says):
            writer.add(sample(2, "OCR") | more, heads | grids | {name: values})
    writer.close()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"generate": None}, "generate is None, with tables tokens"),
        ({"every": 0}, "every is 0"),
        ({"step_heads": [[2, 0]]}, "step_heads"),
        ({"tables": [STEPS]}, "generate is 5, with tables steps"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path, fields, says):
    with pytest.raises(HeadflowError, match=says):
        start(tmp_path / "run", 1, fields=FIELDS | fields)
