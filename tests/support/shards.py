"""Parquet as the hub has MME, from rows of MME_test.json and a folder of images."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hub_rows(rows: Sequence[dict], images: Path) -> list[dict]:
    """The rows with their images' bytes in them."""
    return [
        {
            "question_id": row["question_id"],
            "image": {"bytes": (images / row["image_file"]).read_bytes(), "path": None},
            "question": row["question"],
            "answer": row["answer"],
            "category": row["category"],
            "boxes": row.get("boxes"),
        }
        for row in rows
    ]


def write_shards(folder: Path, rows: Sequence[dict], shards: int = 1, group: int = 1000) -> list[Path]:
    """Files of rows in their order, `group` to a row group, named as on the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows))
    table = table.set_column(table.column_names.index("image"), "image", pa.array((r["image"] for r in rows), IMAGE))
    paths, each = [], -(-len(rows) // shards)
    for number in range(shards):
        paths.append(folder / f"test-{number:05d}-of-{shards:05d}-a5bd1ae5cd5bbd9d.parquet")
        pq.write_table(table.slice(number * each, each), paths[-1], row_group_size=group)
    return paths
