"""The command `report`: what it refuses is said in one line, before the page is made."""

import pytest

from analyze.__main__ import main
from tests.support.runs import write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def refused(capsys, *arguments: object) -> str:
    """The line that the command ends with."""
    assert main(["report", *map(str, arguments)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_file_in_place_of_the_folder(run, tmp_path, capsys):
    (tmp_path / "file").touch()
    line = refused(capsys, run, "--output-dir", tmp_path / "file")
    assert line == f"error: {tmp_path / 'file'} is a file, not a directory; choose another directory; see --output-dir"


def test_a_folder_in_place_of_the_file(run, capsys):
    (run / "report.zh.html").mkdir()
    line = refused(capsys, run, "--lang", "zh")
    page = run / "report.zh.html"
    assert line == f"error: {page} is a directory, and the page is a file of that name; see --output-dir"
    assert main(["report", str(run)]) == 0


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_run_is_not_compared_with_itself(run, capsys, command):
    assert main([command, str(run), str(run / ".." / "run")]) == 2
    assert capsys.readouterr().err.splitlines() == ["error: a run is named twice; name each once"]
    assert list(run.glob("*.html")) == []


@pytest.mark.parametrize("number", ["-1", "1000001", "2.5", "all"])
def test_how_many_images(run, capsys, number):
    assert main(["report", str(run), f"--images={number}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {number} is not a whole number from 0 to 1000000; see --images"


def test_a_file_in_place_of_the_page_s_folder(run, capsys):
    (run / "report").touch()
    line = refused(capsys, run, "--folder")
    assert line == f"error: {run / 'report'} is a file, and the page is a directory of that name; see --output-dir"
