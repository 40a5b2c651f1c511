"""A notebook runs the cookbook of the guide, and `make plots`, from its first cell to its last.

Its cells are the page's own blocks. Oracle: each cell runs; each query has an answer; the pictures are there.
"""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.runs import write_run

ROOT = Path(__file__).parents[1]
COOKBOOK = ROOT / "analyze" / "guide" / "pandas.md"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The root of the repository, with a run in `runs/demo`, and the environment that runs the tests for `make`."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "schemas", "analyze", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    write_run(tmp_path / "runs" / "demo", layers=3, heads=6, categories={"OCR": 4, "color": 6})
    environment = tmp_path / "environment"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    (environment / ".laptop").touch()  # so that `make` installs nothing
    monkeypatch.setenv("VENV", str(environment))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel sets that of a notebook
    return tmp_path


def printed(outputs: list) -> str:
    """What a cell printed: a slow kernel sends a line in several pieces."""
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_the_cookbook_and_make_plots_run_in_a_notebook(folder):
    text = COOKBOOK.read_text(encoding="utf-8")
    queries = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"`(!make plots [^`]*)`", text)
    cells = [*queries, f"{command} ARGS='--dpi 20'", "import os; print(_exit_code, os.environ['MPLBACKEND'])"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()  # raises at an error
    *answers, make, last = [cell.outputs for cell in notebook.cells]
    assert answers[0] == []
    assert [output[-1].output_type for output in answers[1:]] == ["execute_result"] * (len(queries) - 1)
    assert printed(last).split() == ["0", "module://matplotlib_inline.backend_inline"]
    pictures = [name for _, _, names in os.walk(folder / "runs" / "demo") for name in names if name.endswith(".png")]
    assert f"{len(pictures)} pictures in runs/demo" in printed(make)
    assert len(pictures) > 10
