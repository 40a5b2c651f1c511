"""Oracle: what the headflow that wrote the run of version 1 printed, and pandas on the run's own rows."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from analyze.__main__ import main

pytestmark = pytest.mark.usefixtures("undrawn")

RUN = Path(__file__).parents[1] / "fixtures" / "run_version_1"


@pytest.fixture
def old(tmp_path):
    return shutil.copytree(RUN, tmp_path / "run")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("validate", 0, "valid"),
        ("summary", 0, "12 ok, 1 skipped"),
        ("plots --dpi 20", 0, "18 pictures"),
        ("verify --dpi 20", 2, "cannot be compared: layers, heads, system_span, image_preprocessing, samples"),
        ("export-pt", 0, "12 records"),
        ("export-pt --text-scope no-system", 0, "12 records"),
    ],
)
def test_every_command_reads_it(old, capsys, command, code, says):
    name, *flags = command.split()
    assert main([name, str(old), *flags]) == code
    assert says in capsys.readouterr().out


def test_its_summary_is_that_of_its_rows(old):
    assert main(["summary", str(old)]) == 0
    table = pd.read_csv(old / "summary.csv").set_index(["group", "name", "flow"])
    heads = pd.read_parquet(old / "heads")
    assert table.loc[("overall", "all", "t2v"), "mean"] == pytest.approx(heads["t2v"].astype(float).mean(), abs=1e-9)
    assert table.loc[("category", "OCR", "v2t"), "rows"] == 2 * 6 * 8
    scores = pd.read_csv(old / "scores.csv").set_index("category")["score"]
    assert scores.to_dict() == {
        "existence": 200, "count": 200, "position": 200, "color": 200, "OCR": 50, "numerical_calculation": 200,
        "perception": 850, "cognition": 200,
    }  # fmt: skip
