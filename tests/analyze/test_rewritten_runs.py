"""Oracle: the run as it was written; pandas and other tools read its parts and write them again.

DuckDB is not installed here. `plain` has the types that it writes: plain strings, no Arrow schema, no checksums.
"""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from analyze.__main__ import main
from schemas.columns import OBJECTS, PICTURE_LIST, RECTANGLE, RECTANGLES
from schemas.store import writer as writer_module
from schemas.validation.run import validate
from tests.support.runs import PART, flows, read_tables, rewrite, sample, start, write_run

pytestmark = pytest.mark.usefixtures("unsaved")


def by_pandas(path):
    pd.read_parquet(path).to_parquet(path)


def with_an_index(path):
    table = pd.read_parquet(path)
    table.sample(frac=1, random_state=0).to_parquet(path, index=True)  # rows and __index_level_0__ in any order
    assert "__index_level_0__" in pq.read_schema(path).names


def plain(path):
    table = pq.read_table(path)
    columns = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    pq.write_table(pa.table(columns, names=table.column_names), path, store_schema=False, row_group_size=7)


WIDE_OBJECT = pa.struct(
    {
        "name": pa.large_string(),
        "words": pa.large_list(pa.large_string()),
        "boxes": pa.large_list(pa.large_list(pa.float64())),
    }
)


WIDE_PICTURE = pa.struct(
    [("image", pa.large_string()), ("image_sha256", pa.large_string())]
    + [(name, pa.int64()) for name in ("image_width", "image_height", "grid_rows", "grid_columns")]
    + [("grid_box", pa.large_list(pa.float64()))]
)


def wide(path):
    """64 bits, large strings, the columns backwards."""
    pairs = ((pa.types.is_dictionary, pa.large_string()), (pa.types.is_string, pa.large_string()),
             (pa.types.is_integer, pa.int64()), (pa.types.is_floating, pa.float64()),
             (RECTANGLE.equals, pa.large_list(pa.float64())),
             (pa.list_(pa.string()).equals, pa.large_list(pa.large_string())),
             (RECTANGLES.equals, pa.large_list(pa.large_list(pa.float64()))),
             (OBJECTS.equals, pa.large_list(WIDE_OBJECT)),
             (PICTURE_LIST.equals, pa.large_list(WIDE_PICTURE)))  # fmt: skip
    table = pq.read_table(path)
    kinds = [next(wide for check, wide in pairs if check(column.type)) for column in table.columns]
    columns = [column.cast(kind) for column, kind in zip(table.columns, kinds, strict=True)]
    pq.write_table(pa.table(columns[::-1], names=table.column_names[::-1]), path)


def narrow(path):
    """Small and unsigned integers, string views, one dictionary in several row groups."""
    table = pq.read_table(path)
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode().cast(pa.dictionary(pa.uint8(), pa.large_string()))
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.uint16())
        elif pa.types.is_string(column.type):
            column = column.cast(pa.string_view())
        columns.append(column)
    pq.write_table(pa.table(columns, names=table.column_names), path, row_group_size=13)


def results(run, folder):
    """The files of all commands, as tables."""
    assert main(["summary", str(run), "--output-dir", str(folder)]) == 0
    assert main(["export-pt", str(run), "--output-dir", str(folder)]) == 0
    torch = pytest.importorskip("torch")
    records = torch.load(folder / "mme_attention_head_records.pt", weights_only=True)
    return pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "scores.csv"), records


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run with a skipped sample, whose token counts are null (pandas makes floats of such columns); its results."""
    folder = tmp_path_factory.mktemp("original")
    writer = start(folder / "run", 5)
    for number in range(4):
        writer.add(sample(number, "OCR"), {"heads": flows(np.random.default_rng(number), 2, 3)})
    writer.skip({"sample_id": "lost", "category": "OCR"}, "image_missing", "there is none")
    writer.finish()
    return folder / "run", results(folder / "run", folder / "before")


BOTH = "heads", "samples"


@pytest.mark.parametrize(
    ("tool", "table"),
    [*((tool, BOTH) for tool in (by_pandas, with_an_index, plain, wide, narrow)), (wide, BOTH[:1]), (narrow, BOTH[1:])],
)
def test_what_is_right_is_read(original, tmp_path, tool, table):
    run, before = shutil.copytree(original[0], tmp_path / "run"), original[1]
    for name in table:
        tool(run / name / PART)
    assert list(validate(run)) == []
    after = results(run, tmp_path / "after")
    for one, other in zip(before[:2], after[:2], strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-12)
    key = lambda record: record["id"]  # noqa: E731
    assert sorted(before[2], key=key) == sorted(after[2], key=key)
    assert main(["plots", str(run), "--dpi", "20", "--metrics", "t2v", "--layers", "0"]) == 0


def test_a_run_of_which_some_parts_were_rewritten(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    run = write_run(tmp_path / "run")
    before = results(run, tmp_path / "before")
    files = sorted((run / "heads").glob("*.parquet"))
    for tool, path in zip((by_pandas, plain, wide, narrow), files, strict=False):
        tool(path)
    assert list(validate(run)) == []
    assert results(run, tmp_path / "after")[2] == before[2]
    assert len(read_tables(run)[0]) == 60  # pandas reads them together


def test_whole_samples_taken_out_of_both_tables(made_up, capsys, tmp_path):
    for table in ("heads", "samples"):
        rewrite(made_up, table, lambda content: content.filter(pc.field("category") == "OCR"))
    assert main(["summary", str(made_up), "--output-dir", str(tmp_path / "out")]) == 0
    assert (
        capsys.readouterr().err == f"warning: {made_up} was changed after it was written: 4 of 10 samples are there\n"
    )
    table = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert table.loc[table["group"] == "category", "name"].unique().tolist() == ["OCR"]
    other = write_run(tmp_path / "other")
    shutil.copy(made_up / "heads" / PART, other / "heads" / PART)
    assert main(["summary", str(other)]) == 2
    assert "has no rows of color/0, color/0#2, color/1, color/1#2, color/2 and 1 more;" in capsys.readouterr().err
    other = write_run(tmp_path / "another")
    shutil.copy(made_up / "samples" / PART, other / "samples" / PART)
    assert main(["summary", str(other)]) == 2
    says = "has rows of color/0, color/0#2, color/1, color/1#2, color/2 and 1 more, not among the observed samples of"
    assert says in capsys.readouterr().err
