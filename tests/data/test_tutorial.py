"""Oracle: outputs made here, whose differences are known; of the notebooks, each other."""

import base64
import copy
from io import BytesIO

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image, ImageDraw

from data import tutorial
from data.tutorial import CHINESE, ENGLISH, PLACE, ROOT, code_cells, different_code, drifted, main

LARGEST, LARGEST_PICTURE = 1_000_000, 40_000  # bytes
SILENT = {"setup", "own"}


@pytest.fixture(scope="module")
def notebooks():
    found = [nbformat.read(path, as_version=4) for path in (ENGLISH, CHINESE)]
    for each in found:
        nbformat.validate(each)
    return found


def png(size=(40, 30), line=None, grey=200):
    picture = Image.new("RGB", size, (grey,) * 3)
    if line is not None:
        ImageDraw.Draw(picture).line((0, line, size[0], line))
    content = BytesIO()
    picture.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def shows(text="", html="", picture=None):
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    data = {"text/plain": "<picture>", "text/html": html, "image/png": picture}
    outputs += [new_output("display_data", data={kind: value for kind, value in data.items() if value})]
    return new_notebook(cells=[new_code_cell("pass", id="setup"), new_code_cell("1", id="look", outputs=outputs)])


def embedded(picture):
    return f'<p>L1H0</p><img src="data:image/png;base64,{picture}">'


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (shows("a\nb 1.20\n"), shows("a\nb 1.21\n"), "cell look: stdout: 'b 1.20' is now 'b 1.21'"),
        (shows("a\n"), shows("a\nb\n"), "cell look: stdout: 1 lines are now 2"),
        (shows("a\n"), shows(), "cell look: kinds of output: 'stdout' is now 'text/plain'"),
        (shows(html="<b>1</b>"), shows(html="<b>2</b>"), "cell look: text/html: '<b>1</b>' is now '<b>2</b>'"),
        (shows(picture=png()), shows(picture=png((40, 31))), "cell look: picture 1: 40 x 30 pixels are now 40 x 31"),
        (shows(picture=png()), shows(picture=png(line=9)), "cell look: picture 1: its pixels differ by 1.83 of 255"),
        (shows(html=embedded(png())), shows(html=embedded(png(line=9))), "cell look: picture 1: its pixels differ by"),
        (shows(picture=png()), shows(), "cell look: kinds of output: 'image/png' is now 'text/plain'"),
    ],
)
def test_what_drifts_is_one_line(before, now, says):
    (line,) = drifted(before, now)
    assert line.startswith(says)
    assert "\n" not in line
    assert drifted(now, copy.deepcopy(now)) == []


def test_rounding_paths_and_times_are_no_drift():
    for before, now in (
        (shows(picture=png(grey=200)), shows(picture=png(grey=200, line=None))),
        (shows(html=embedded(png(grey=200))), shows(html=embedded(png(grey=200)))),
        (shows("took 3 s, 1.1 MB in a\n"), shows("took 12.5 s, 0.9 MB in a\n")),
        (shows(f"{PLACE}/data: 4 layers\n"), shows(f"{ROOT}/data: 4 layers\n")),
    ):
        assert drifted(before, now) == []
    noisy = Image.new("RGB", (40, 30), (200,) * 3)
    noisy.putpixel((3, 3), (255,) * 3)
    content = BytesIO()
    noisy.save(content, "PNG")
    assert drifted(shows(picture=png()), shows(picture=base64.b64encode(content.getvalue()).decode())) == []


def test_the_command_fails_on_drift_and_writes_both_languages(tmp_path, monkeypatch, capsys):
    before, now = shows("a\n", picture=png()), shows("b\n", picture=png())
    paths = [tmp_path / "en.ipynb", tmp_path / "zh.ipynb"]
    for path, name in zip(paths, ("ENGLISH", "CHINESE"), strict=True):
        nbformat.write(before, path)
        monkeypatch.setattr(tutorial, name, path)
    monkeypatch.setattr(tutorial, "execute", lambda notebook: copy.deepcopy(now))
    assert main([]) == 1
    assert "cell look: stdout: 'a' is now 'b'\n" in capsys.readouterr().out
    assert main(["--write"]) == 0
    assert main([]) == 0
    one, other = (nbformat.read(path, as_version=4) for path in paths)
    assert code_cells(other)[1].outputs[0].text == "b\n"
    assert different_code(one, other) == []


def test_both_languages_have_the_same_code_and_outputs(notebooks):
    assert different_code(*notebooks) == []
    changed = copy.deepcopy(notebooks[1])
    code_cells(changed)[2].source += " "
    assert different_code(notebooks[0], changed) == [code_cells(changed)[2].id]
    changed.cells.pop()
    assert different_code(notebooks[0], changed)
    prose = [[cell.source for cell in each.cells if cell.cell_type == "markdown"] for each in notebooks]
    assert not {*prose[0]} & {*prose[1]}


def test_outputs_are_there_small_and_of_no_machine(notebooks):
    for path, notebook in zip((ENGLISH, CHINESE), notebooks, strict=True):
        assert path.stat().st_size <= LARGEST
        assert str(ROOT) not in path.read_text(encoding="utf-8")
        for cell in code_cells(notebook):
            assert (not cell.outputs) == (cell.id in SILENT)
            for output in cell.outputs:
                assert output.output_type != "error"
                assert len(base64.b64decode(output.get("data", {}).get("image/png", ""))) <= LARGEST_PICTURE, cell.id
