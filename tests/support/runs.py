"""Made-up runs of any size from a seed, with the shapes of MME and LLaVA, without a model."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.columns import CONTRIBUTIONS, FLOW_NAMES, LAYERS, MAPS, OF_LAST, PARTITIONS, PARTS, TOKENS
from schemas.manifest import EXTRACTED, Manifest, Session
from schemas.store import writer as writer_module
from schemas.store.writer import RunWriter
from schemas.tasks import TASKS, lead_of
from tests.support.maps import made_up
from tests.support.texts import made_up_text

PART = "part-00000-00000.parquet"
LEDGER = "chunks/00000.json"

# MME's categories and questions; 2,374 in all
MME = {
    "existence": 60,
    "count": 60,
    "position": 60,
    "color": 60,
    "posters": 294,
    "celebrity": 340,
    "scene": 400,
    "landmark": 400,
    "artwork": 400,
    "OCR": 40,
    "commonsense_reasoning": 140,
    "numerical_calculation": 40,
    "text_translation": 40,
    "code_reasoning": 40,
}


def flows(random: np.random.Generator, layers: int, heads: int) -> np.ndarray:
    """Flows float32 [layers, heads, flows] that keep the contract: partitions sum to 1, v2t is the sum of its parts."""
    partitions = random.dirichlet(np.full(5, 0.7), size=(len(PARTITIONS), layers, heads))
    v2t = 1 - partitions[0][..., 3]
    t2v = partitions[1][..., 3] * 0.5
    return np.concatenate([t2v[..., None], v2t[..., None], *partitions], axis=-1).astype(np.float32)


def manifest(**fields) -> Manifest:
    values = {
        "source": EXTRACTED,
        "layers": 2,
        "heads": 3,
        "flows": list(FLOW_NAMES),
        "text_scope": "all",
        "model": "made/up",
    }
    return Manifest(**(values | fields))


class MadeUpWriter(RunWriter):
    """A writer of rows whose options and lead follow from their margin."""

    def add(self, sample: Mapping[str, Any], *rest: Any) -> None:
        super().add(with_lead(sample), *rest)


def with_lead(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `samples` with the options, their logits and the lead that its margin says."""
    if row.get("margin") is None or "lead" in row:
        return dict(row)
    options, logits = ["Yes", "No"], [row["margin"], 0.0]
    lead = lead_of(logits, TASKS["mme"].right_of(options, row.get("answer")), row["margin"])
    return {"options": options, "option_logits": logits, "lead": lead, **row}


def start(path: Path, samples: int, *, fields: dict | None = None, **options) -> RunWriter:
    """A writer of a made-up run; `fields` are those of its manifest."""
    return MadeUpWriter(path, manifest(**(fields or {})), Session(device="cpu"), samples=samples, **options)


def image_hash(category: str, image: int) -> str:
    """The hash of an image, one for each category and number."""
    return sha256(f"{category}/{image}".encode()).hexdigest()


def sample(number: int, category: str) -> dict:
    """A row of `samples`; pairs of rows share a question id and an image of theirs, and the answers alternate."""
    return {
        "sample_id": f"{category}/{number // 2}" + ("#2" if number % 2 else ""),
        "category": category,
        "row": number,
        "question_id": f"{category}/{number // 2}",
        "image": f"{category}/{number // 2}.png",
        "image_sha256": image_hash(category, number // 2),
        "question": f"Is this {number}?",
        "answer": "No" if number % 2 else "Yes",
        "n_bos": 1,
        "n_system": 30 + number % 3,
        "n_user": 4,
        "n_image": 576,
        "n_question": 20 + number % 7,
        "prediction": "Yes",
        "p_yes": 0.75,
        "p_no": 0.25,
    }


MOST_STEPS = 3  # of a made-up text
OF_TEXT = {"generate": MOST_STEPS, "step_heads": [[0, 1]], "step_map_heads": [[1, 0]]}  # fields of the manifest


def extras(
    random: np.random.Generator,
    layers: int,
    heads: int,
    tables: Sequence[str],
    kept: Sequence[tuple[int, int]] | None = None,
) -> tuple[dict, dict]:
    """Values of a sample for some of the tables `EXTRAS`, and for `samples`, that keep the contract."""
    grids = {
        CONTRIBUTIONS: random.normal(0, 0.1, (layers, heads, 5)).astype(np.float32),
        LAYERS: random.uniform(0, 1, (layers, 6)).astype(np.float32),
    }
    parts = [0.5, float(grids[CONTRIBUTIONS].sum(dtype=np.float64)), 0.0, 0.25, 0.0, 0.0]
    names = [column.name for column in PARTS]
    values = dict(zip(names, parts, strict=True)) if CONTRIBUTIONS in tables else {}
    found = {name: grids[name] for name in tables if name in grids}
    maps, places = made_up(random, layers, heads, kept=kept) if MAPS in tables else ({}, {})
    if TOKENS in tables:  # of one head
        written, more = made_up_text(random, int(random.integers(1, MOST_STEPS + 1)), 1, 1)
        found, values = found | written, values | more
    return found | maps, {"margin": sum(parts), **values, **places}


def write_run(
    path: Path,
    *,
    layers: int = 2,
    heads: int = 3,
    seed: int = 0,
    categories: dict[str, int] | None = None,
    tables: Sequence[str] = (),
    maps_heads: Sequence[tuple[int, int]] | None = None,
    prompts: Sequence[str] = (),
):
    """A complete run with these numbers of samples by category; the values of 300 samples are repeated.

    On a disk, it is a copy of the same run that was written before.

    Args:
        maps_heads: the heads that have a map, in a run with maps; None: all.
        prompts: names of wordings; each question is asked in all of them.
    """
    options = {"layers": layers, "heads": heads, "seed": seed, "tables": tables, "maps_heads": maps_heads}
    options["prompts"] = prompts
    asked = repr((options, list((categories or {}).items()), categories is None, writer_module.ROWS_PER_PART))
    if not isinstance(path, Path):
        return _write_run(path, categories=categories, **options)
    if asked not in _written:
        _written[asked] = _write_run(Path(_folder.name) / str(len(_written)), categories=categories, **options)
    return shutil.copytree(_written[asked], path, copy_function=shutil.copy, dirs_exist_ok=True)


_folder = tempfile.TemporaryDirectory()
_written: dict[str, Path] = {}


def _write_run(path, *, layers, heads, seed, categories, tables, maps_heads, prompts):
    random = np.random.default_rng(seed)
    categories = {"OCR": 4, "color": 6} if categories is None else categories
    rows = [
        (number, name, {"prompt": prompt, "sample_id": f"{name}/{number}@{prompt}"} if prompt else {})
        for name, count in categories.items()
        for number in range(count)
        for prompt in prompts or (None,)
    ]
    pool = [flows(random, layers, heads) for _ in range(min(len(rows), 300))]
    fields: dict = {"layers": layers, "heads": heads, "tables": list(tables)}
    if MAPS in tables:
        fields |= {"maps_of": OF_LAST, "maps_heads": [list(each) for each in sorted(maps_heads or [])]}
    if TOKENS in tables:
        fields |= OF_TEXT
    if prompts:
        fields["prompts"] = {name: {"template": f"{name}: {{question}}"} for name in prompts}
    writer = start(path, len(rows), fields=fields)
    for position, (number, name, wording) in enumerate(rows):
        grids, more = extras(random, layers, heads, tables, maps_heads) if tables else ({}, {})
        row = sample(number, name) | {"row": position} | wording | more
        writer.add(row, {"heads": pool[position % len(pool)], **grids})
    writer.finish()
    return path


def read_tables(run: Path) -> list[pd.DataFrame]:
    """The tables `heads` and `samples` of a run."""
    return [pd.read_parquet(run / table) for table in ("heads", "samples")]


def apart(samples: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of `samples` of observed samples without what was computed of answers, and that, [samples, numbers]."""
    names = ["p_yes", "p_no", "margin", "lead"]
    numbers = np.column_stack([samples[names].to_numpy(float), np.stack(samples["option_logits"])])
    others = samples.drop(columns=[*names, "option_logits"])
    return others.assign(options=others["options"].map(tuple)), numbers


def rewrite(run, table, change):
    """Read a part, let `change` alter its table, write it back."""
    path = run / table / PART
    pq.write_table(change(pq.read_table(path)), path)


def put(table: pa.Table, name: str, row: int | slice, value) -> pa.Table:
    """The table with one value changed, or those of a slice."""
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    values = table[name].to_pylist()
    values[row] = value
    return table.set_column(index, field.with_nullable(True), pa.array(values, field.type))


def recast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    """The table with one column in another type."""
    return table.set_column(table.column_names.index(name), name, table[name].cast(kind))


def edit_manifest(run, **change):
    edit_json(run / "run.json", **change)


def edit_ledger(run, **change):
    edit_json(run / LEDGER, **change)


def edit_json(path: Path, **change) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
