"""The tutorial: run its cells, and say which of them no longer show what is committed.

python -m data.tutorial            # exit code 1 if a cell drifted, with a line for each
python -m data.tutorial --write    # write the outputs anew, into the notebooks of both languages
"""

import argparse
import base64
import copy
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image, ImageChops, ImageStat

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = (ROOT / "data" / name for name in ("tutorial.ipynb", "tutorial.zh.ipynb"))
PLACE = "/path/to/headflow"  # what stands for the repository in outputs
TIMEOUT = 1200  # seconds for one cell
MOST = 0.5  # mean difference of the pixels of a picture, of 255: rounding of antialiased lines, and no other value
COLOURS = 64  # of a committed picture
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # of tqdm, where there are no widgets
}
_VARIES = re.compile(r"\b\d+(\.\d+)? (?=(s|MB)\b)")  # times, and the size of the page
_EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_SHOWN = 60  # characters of a line


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run the cells in an empty folder; returns a copy with their outputs, in which `PLACE` stands for the repository.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    found = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(found, timeout=TIMEOUT, coalesce_streams=True, record_timing=False, resources=where)
        client.execute(env=os.environ | _ENVIRONMENT)
    for cell in code_cells(found):
        cell.outputs = [_portable(output) for output in cell.outputs]
    return found


def _portable(output: NotebookNode) -> NotebookNode:
    """An output without paths of this machine, and with each picture once."""
    if output.output_type == "stream":
        return NotebookNode(output | {"text": _without_paths(output.text)})
    if "data" in output:
        data = dict(output.data)
        if "image/png" in data:
            data.pop("image/jpeg", None)
            data["image/png"] = _small(data["image/png"])
        shown = {kind: _without_paths(value) if kind.startswith("text/") else value for kind, value in data.items()}
        return NotebookNode(output | {"data": shown})
    return output


def _small(png: str) -> str:
    """A PNG in base64, in a third of the bytes: with a palette."""
    content = BytesIO()
    _picture(png).quantize(COLOURS).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def _picture(png: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(png))).convert("RGB")


def _without_paths(text: str) -> str:
    return text.replace(str(ROOT), PLACE)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def different_code(one: NotebookNode, other: NotebookNode) -> list[str]:
    """The ids of cells in which the notebooks of two languages differ: code, what it shows, or the order of cells."""
    kept = [
        {
            cell.id: (cell.cell_type, cell.source, cell.outputs) if cell.cell_type == "code" else ()
            for cell in each.cells
        }
        for each in (one, other)
    ]
    if list(kept[0]) != list(kept[1]):
        return sorted(kept[0].keys() ^ kept[1].keys()) or ["the order of cells"]
    return [name for name in kept[0] if kept[0][name] != kept[1][name]]


def drifted(expected: NotebookNode, found: NotebookNode) -> list[str]:
    """A line for each cell whose outputs are not as expected."""
    pairs = zip(code_cells(expected), code_cells(found), strict=True)
    lines = ((cell.id, _difference(cell.outputs, other.outputs)) for cell, other in pairs)
    return [f"cell {name}: {line}" for name, line in lines if line]


def _difference(expected: Sequence[NotebookNode], found: Sequence[NotebookNode]) -> str:
    """How the outputs of a cell differ, in one line; empty: not at all."""
    one, other = ([*_texts(each)] for each in (expected, found))
    if kinds := _unlike([kind for kind, _ in one], [kind for kind, _ in other]):
        return f"kinds of output: {kinds}"
    for (kind, text), (_, now) in zip(one, other, strict=True):
        if lines := _unlike(_comparable(text), _comparable(now)):
            return f"{kind}: {lines}"
    both = zip(_pictures(expected), _pictures(found), strict=True)
    for number, (picture, own) in enumerate(both):
        if line := _unlike_pictures(picture, own):
            return f"picture {number + 1}: {line}"
    return ""


def _texts(outputs: Sequence[NotebookNode]) -> Iterator[tuple[str, str]]:
    """The kind and the text of each output, without the pictures."""
    for output in outputs:
        if output.output_type == "stream":
            yield output.name, output.text
        for kind, value in sorted(output.get("data", {}).items()):
            yield kind, _EMBEDDED.sub("picture", value) if kind.startswith("text/") else ""


def _comparable(text: str) -> list[str]:
    """The lines of a text, without what differs between two runs on one machine."""
    return _VARIES.sub("N ", _without_paths(text)).splitlines()


def _unlike(expected: Sequence[str], found: Sequence[str]) -> str:
    """The first line that differs, before and now; empty: all are the same."""
    for before, now in zip(expected, found, strict=False):
        if before != now:
            return f"{before.strip()[:_SHOWN]!r} is now {now.strip()[:_SHOWN]!r}"
    return "" if len(expected) == len(found) else f"{len(expected)} lines are now {len(found)}"


def _pictures(outputs: Sequence[NotebookNode]) -> Iterator[Image.Image]:
    """All pictures of a cell, those within a page as well."""
    for output in outputs:
        for kind, value in output.get("data", {}).items():
            for content in [value] if kind == "image/png" else _EMBEDDED.findall(value) if kind == "text/html" else []:
                yield _picture(content)


def _unlike_pictures(before: Image.Image, now: Image.Image) -> str:
    """How two pictures differ; empty: by no more than rounding."""
    if before.size != now.size:
        return "{} x {} pixels are now {} x {}".format(*before.size, *now.size)
    mean = float(np.mean(ImageStat.Stat(ImageChops.difference(before, now)).mean))
    return f"its pixels differ by {mean:.2f} of 255 on average, more than {MOST}" if mean > MOST else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tutorial; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m data.tutorial", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--write", action="store_true", help="write the outputs anew, into both notebooks")
    asked = parser.parse_args(argv)
    english, chinese = (nbformat.read(path, as_version=4) for path in (ENGLISH, CHINESE))
    found = execute(english)
    if asked.write:
        outputs = {cell.id: (cell.outputs, cell.execution_count) for cell in code_cells(found)}
        for path, notebook in ((ENGLISH, english), (CHINESE, chinese)):
            for cell in code_cells(notebook):
                cell.outputs, cell.execution_count = outputs[cell.id]
            nbformat.write(notebook, path)
        print(f"written: {ENGLISH}, {CHINESE}")
        return 0
    lines = drifted(english, found)
    print(*lines or ["no cell drifted"], sep="\n")
    if lines:
        print("if the new outputs are meant: make tutorial ARGS=--write", file=sys.stderr)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
