"""Some samples of a run, as a run: `python -m analyze subset RUN OUT`.

A subset is a selection of samples: each keeps all of its rows, as every command needs them.
"""

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype

from analyze.derived.samples import check_output, write_samples
from analyze.tables.frames import Heads, chosen_categories
from schemas.columns import OK, STEP_NAMES, STEPS
from schemas.errors import HeadflowError
from schemas.files.locations import Location
from schemas.manifest import SUBSET
from schemas.store.run import Run
from schemas.text import one_line, short

Mask = npt.NDArray[np.bool_]


def subset(
    heads: Heads,
    out: Location,
    *,
    categories: Sequence[str] | None,
    query: str | None,
    heads_query: str | None,
    overwrite: bool,
) -> Run:
    """Write the samples of a run that fit all conditions that are given; returns the new run.

    Args:
        categories: names of categories; `None`: all.
        query: a condition on the columns of `samples`, as `pandas.DataFrame.query` takes it.
        heads_query: a condition on the columns of one row of `heads`; a sample fits if at least one of its rows does.

    Raises:
        HeadflowError: no observed sample fits, a condition cannot be evaluated, or the run cannot be read or written.
    """
    run, samples = heads.run, heads.samples
    check_output(out, [run.path], overwrite=overwrite)
    chosen = np.ones(len(samples), np.bool_)
    if categories is not None:
        category = samples["category"].astype(str)
        chosen &= category.isin(chosen_categories(categories, category.unique().tolist())).to_numpy()
    if query is not None:
        chosen &= _evaluate(samples, query, "query")
    if heads_query is not None:
        chosen &= samples["sample_id"].isin(_fitting(run, heads_query)).to_numpy()
    if not (chosen & (samples["status"] == OK).to_numpy()).any():
        raise HeadflowError(f"{run.path}: no observed sample fits; nothing was written")
    arguments: dict[str, Any] = {
        "command": "subset", "run": str(run.path), "categories": categories and list(categories),
        "query": query, "heads_query": heads_query,
    }  # fmt: skip
    manifest = replace(run.manifest, num_chunks=1, derived=SUBSET)
    images = {name: each for ledger in run.ledgers.values() for name, each in ledger.images.items()}
    wanted = set(samples.loc[chosen, "sample_id"].astype(str))
    return write_samples(out, manifest, [(run, wanted)], arguments, images=images, change={}, overwrite=overwrite)


def _fitting(run: Run, query: str) -> set[str]:
    """Ids of the samples that have a row of `heads` that fits."""
    _check_of_one_row(query, [column.name for column in run.columns("heads")])
    found: set[str] = set()
    for path in run.part_paths("heads"):
        rows = run.read_part(path).to_pandas()
        found.update(rows.loc[_evaluate(rows, query, "heads_query"), "sample_id"].astype(str).unique())
    return found


def _check_of_one_row(query: str, columns: Sequence[str]) -> None:
    """Check that a query compares columns within a row; parts are read one by one, so that others see one part.

    Raises:
        HeadflowError: it calls a function, such as `t2v.mean()`, or has names that are no columns.
    """
    try:
        nodes = list(ast.walk(ast.parse(query.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise HeadflowError(f"{short(query)} is no condition: {one_line(error)[:200]}", setting="heads_query") from None
    if any(isinstance(node, ast.Call | ast.Attribute | ast.Subscript) for node in nodes):
        raise HeadflowError(
            f"{short(query)} is not of one row: compare columns and numbers, without functions", setting="heads_query"
        )
    if unknown := [node.id for node in nodes if isinstance(node, ast.Name) and node.id not in columns]:
        where = f": `{STEPS}` has" if unknown[0] in STEP_NAMES else ""
        raise HeadflowError(
            f"{short(query)}: `heads` has no column {unknown[0]}{where}; it has {', '.join(columns)}",
            setting="heads_query",
        )


def _evaluate(table: pd.DataFrame, query: str, setting: str) -> Mask:
    """Which rows fit a query that names only columns of the table; null is no.

    Raises:
        HeadflowError: pandas cannot evaluate it, or it is not true or false of each row.
    """
    try:
        found = table.eval(query, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas raises anything
        columns = ", ".join(map(str, table))
        raise HeadflowError(
            f"{short(query)} cannot be evaluated: {one_line(error)[:200]}; the columns are {columns}", setting=setting
        ) from None
    if not isinstance(found, pd.Series) or (len(found) and infer_dtype(found, skipna=True) != "boolean"):
        raise HeadflowError(f"{short(query)} is not true or false of each row", setting=setting)
    return found.eq(True).fillna(False).to_numpy(np.bool_)
