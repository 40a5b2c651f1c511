"""Question files of every form that is a table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.pictures import READABLE

TEXT_FORMS = ("lines.jsonl", "table.tsv", "texts.parquet")  # images are files, or in base64
FORMS = (*TEXT_FORMS, "images.parquet")


def write_questions(path: Path, *rows: dict[str, Any]) -> Path:
    """Write a question file of the form that its name says, one of `FORMS` or a list in JSON; returns its path."""
    table = pd.DataFrame(list(rows))
    if path.name == "images.parquet":
        cells = [{"bytes": READABLE["rgb"], "path": row["image"]} for row in rows]
        with_images = pa.Table.from_pandas(table.drop(columns="image"), preserve_index=False)
        pq.write_table(with_images.append_column("image", pa.array(cells)), path)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".tsv":
        table.to_csv(path, sep="\t", index=False)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    return path
