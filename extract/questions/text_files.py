"""Question files that are text -> rows as they are in the file: JSON, JSON lines, CSV and TSV.

The suffix tells CSV and TSV from JSON; what is in a file of JSON tells its form.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from extract.questions.fields import FIELD_NAMES, NAN, NEEDED, option_columns
from schemas.errors import HeadflowError
from schemas.files.locations import check_no_device
from schemas.text import one_line, short

SUFFIXES = {".csv": ",;\t", ".tsv": "\t", ".tab": "\t"}  # what may stand between cells, by suffix
LARGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is smaller than an image in base64
_LISTS = ("questions", "data")  # members of a JSON object that may hold the questions
FORMS = "a question file is a list in JSON, JSON lines, CSV, TSV, Parquet, or the folder of MME's release"


def read_rows(path: Path, columns: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
    """The rows of a question file that is text.

    Args:
        columns: of fields that stand in columns of other names.

    Raises:
        HeadflowError: nothing is there, or it is none of the forms.
    """
    text = read_text(path)
    separators = SUFFIXES.get(path.suffix.lower())
    return list(_table(text, path, separators, columns)) if separators else _json_rows(text, path, columns)


def read_text(path: Path) -> str:
    """The content of a question file; raises `HeadflowError` if it does not exist, is no file or is not UTF-8."""
    try:
        check_no_device(path)
        with path.open("rb") as file:
            marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as spreadsheets on Windows write
        return path.read_text(encoding="utf-16" if marked else "utf-8-sig")
    except FileNotFoundError:
        raise HeadflowError(f"question file {path} does not exist") from None
    except OSError as error:
        raise HeadflowError(f"question file {path} cannot be read: {one_line(error)}") from None
    except UnicodeError as error:
        raise HeadflowError(f"question file {path} is not text in UTF-8: {one_line(error)}; {FORMS}") from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _json_rows(text: str, path: Path, columns: Mapping[str, str]) -> list[Any]:
    """Rows of a list, of an object that holds the list, of a single question, or of an object a line."""
    lines = list(numbered_lines(text))
    if not lines:
        return []
    if len(lines) > 1 and _is_object(lines[0][1]):
        return [_json(line, f"{path}, line {number},") for number, line in lines]
    content = _json(text, str(path))
    if isinstance(content, dict):
        inner = next((content[name] for name in _LISTS if isinstance(content.get(name), list)), None)
        if inner is not None:
            return list(inner)
        known = {*FIELD_NAMES["image_file"], *FIELD_NAMES["question"], "conversations", "messages", *columns.values()}
        if content.keys() & known:
            return _columns(content) or [content]
    if not isinstance(content, list):
        raise HeadflowError(f"question file {path} holds a JSON {type(content).__name__}, not a list; {FORMS}")
    return content


def _columns(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an object of columns, as pandas writes it by default; empty if it is none."""
    columns = [list(each.values()) if isinstance(each, dict) else each for each in content.values()]
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        return []
    return [dict(zip(content, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeadflowError(f"question file {name} is not JSON: {one_line(error)}; {FORMS}") from None


def _table(text: str, path: Path, separators: str, columns: Mapping[str, str]) -> Iterator[dict[str, str | None]]:
    """Rows by the names in the first line; an empty cell, or one with the NaN of pandas, is None.

    An option or a right answer may be `nan`.
    """
    first = next((line for _, line in numbered_lines(text)), "")
    separator = max(separators, key=first.count)
    csv.field_size_limit(LARGEST_CELL)
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        lines = (cells for cells in reader if any(cells))  # spreadsheets end files with empty rows
        header = [name.strip() for name in next(lines, [])]
        named = [name for name in header if name]
        known = {name for names in FIELD_NAMES.values() for name in names} | {"messages"}
        if named and not columns and not {name.lower() for name in named} & known:
            raise HeadflowError(
                f"question file {path}: its first line names no column of {NEEDED}; it is {short(first)}"
            )
        if twice := {name for name in named if named.count(name) > 1}:
            raise HeadflowError(f"question file {path} has the column {min(twice)} twice")
        texts = {*option_columns(header), *(name for name in header if name.lower() in FIELD_NAMES["answer"])}
        texts |= {column for field, column in columns.items() if field in ("answer", "options")}
        for cells in lines:
            if len(cells) != len(header):
                raise HeadflowError(
                    f"question file {path}: the row that ends in line {reader.line_num} has {len(cells)} cells "
                    f"between {short(separator)}, and the first one has {len(header)}; a cell that contains the "
                    "separator needs quotes around it"
                )
            yield {name: _cell(cell, name in texts) for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise HeadflowError(
            f"question file {path}, line {reader.line_num}, is no table: {one_line(error)}; a cell that begins "
            "with a quote ends with one, and two stand for one in it"
        ) from None


def _cell(text: str, may_be_nan: bool) -> str | None:
    return None if text == "" or (text in NAN and not may_be_nan) else text
