"""Oracle: the run and the job that the commands write."""

import pandas as pd
import pytest

from extract import extract_run, knock_out_of
from extract.__main__ import main
from schemas.errors import HeadflowError


def test_a_notebook_writes_what_the_commands_write(extract, checkpoint_path, questions, tmp_path, capsys):
    assert extract(tmp_path / "run", num_samples=4, num_workers=0, maps=True) == 0
    assert main(["knock-out", str(tmp_path / "run"), "--heads", "L2H5,L3H0", "--kind", "zero"]) == 0
    printed = capsys.readouterr().out
    own = {"image_folder": str(questions / "images"), "num_samples": 4, "num_workers": 0, "maps": True}
    run = extract_run(str(checkpoint_path), str(questions / "MME_test.json"), str(tmp_path / "own"), **own)
    assert run == tmp_path / "own"
    assert knock_out_of(run, heads=["L2H5", "L3H0"], kind="zero") == "heads_zero"
    assert capsys.readouterr().out == printed.replace(str(tmp_path / "run"), str(run))
    for table in ("heads", "samples", "maps", "jobs/heads_zero/knockouts"):
        one, other = (pd.read_parquet(tmp_path / name / table) for name in ("run", "own"))
        pd.testing.assert_frame_equal(one, other)


def test_a_wrong_setting_is_refused_by_its_name(tmp_path):
    with pytest.raises(HeadflowError, match="there is no setting colour"):
        extract_run("model", "questions.json", str(tmp_path / "run"), colour=1)
    with pytest.raises(HeadflowError, match="dtype: int8 is not one of"):
        extract_run("model", "questions.json", str(tmp_path / "run"), dtype="int8")
    with pytest.raises(HeadflowError, match="heads: nothing is named that is knocked out"):
        knock_out_of(str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
