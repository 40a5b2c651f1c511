"""Oracles: the table of families; what a run of the same model says of itself, or the line with which it is refused."""

import shutil

import pytest

from extract.__main__ import main
from extract.models.families import FAMILIES
from extract.tables.decoder import Decoder
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.tiny_families import make_family, make_or_skip
from tests.support.witness import hf


@pytest.fixture(scope="module")
def aya(tmp_path_factory):
    """A checkpoint whose language model has a sliding window; without weights."""
    path = tmp_path_factory.mktemp("aya_vision")
    make_family(path, "aya_vision")
    (path / "model.safetensors").unlink()
    return path


def asked(capsys, *words):
    """The lines that the command prints, by their first column."""
    assert main(["families", *map(str, words)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    return first, {line.split("  ")[0]: line.partition("  ")[2].strip() for line in lines}


def test_the_table_is_printed(capsys):
    first, rows = asked(capsys)
    assert first.split("  ")[0] == "family"
    assert {family.name for family in FAMILIES.values()} < rows.keys()
    assert "Aya Vision" in rows


def test_a_model_of_the_table(capsys, checkpoint_path, extracted):
    first, said = asked(capsys, checkpoint_path)
    assert first.endswith(": in the table of families")
    made = open_run(extracted)
    assert said["family"] == "LLaVA-1.5"
    assert said["template"].split(", ")[0] == made.manifest.conv_mode
    assert said["sequences"] == made.manifest.sequences
    assert said["image processor"] == "{processor} ({backend})".format(**made.manifest.image_preprocessing)


def test_a_window_is_told_by_the_config(capsys, aya):
    _, said = asked(capsys, aya)
    assert (said["sequences"], said["attention"]) == ("separate", "under its mask, which has a window")


@pytest.mark.parametrize(
    ("name", "says"), [("gemma4", "yes"), ("gemma4_small", "no: its layers have inputs of their own")]
)
def test_contributions_are_told_by_the_config(tmp_path, capsys, name, says):
    path = make_or_skip(tmp_path, name)
    assert asked(capsys, path)[1]["contributions"] == says
    if says != "yes":
        with pytest.raises(HeadflowError, match="its layers have inputs of their own; direct contributions"):
            Decoder.of(hf(path)[0])


def test_a_model_that_is_not_in_the_table(capsys, aya, monkeypatch):
    monkeypatch.delitem(FAMILIES, "aya_vision")
    first, said = asked(capsys, aya)
    assert first.endswith("not in the table of families; before a run, some passes measure what is not known of it")
    assert (said["maps"], said["images of a question"], said["sequences"], said["contributions"]) == (
        "no",
        "one",
        "packed if measured to be the same",
        "if measured",
    )


def test_a_model_that_is_refused(capsys, aya, tmp_path):
    path = shutil.copytree(aya, tmp_path / "model")
    (path / "tokenizer.json").unlink()
    assert main(["families", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path} cannot be loaded")
