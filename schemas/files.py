"""Files that may be damaged: read, or one line that says what is wrong. Files that readers see only when whole."""

import dataclasses
import json
import os
import stat
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import HeadflowError
from schemas.text import one_line, short


def read_object(path: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file, which errors call `name`.

    Raises:
        HeadflowError: the file cannot be read, or holds something else.
    """
    try:
        check_no_device(path)
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise HeadflowError(f"{name} cannot be read: {one_line(error)}") from None
    except (ValueError, RecursionError) as error:  # the second if lists are nested too deeply
        raise HeadflowError(f"{name} is not JSON in UTF-8: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise HeadflowError(f"{name} holds no JSON object")
    return content


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises `ValueError` if it has a name twice, of which one value would be lost."""
    content = dict(members)
    if len(content) < len(members):
        names = [name for name, _ in members]
        raise ValueError(f"it has {short(next(name for name in names if names.count(name) > 1))} twice")
    return content


def check_no_device(path: Path) -> None:
    """Raise `OSError` for a pipe or a device, which a reader may wait for without end, or if nothing is there."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError("it is a pipe or a device, not a file")


def build(cls: type, content: dict[str, Any], where: str) -> Any:
    """A dataclass from a JSON object; `where` names the object in errors.

    A field that is missing takes its default. Members of the object that the dataclass does not have are left out.

    Raises:
        HeadflowError: a field is of the wrong type, or is missing and has no default.
    """
    values = {}
    required = {field.name for field in dataclasses.fields(cls) if _has_no_default(field)}
    for name, hint in typing.get_type_hints(cls).items():
        if name in content:
            values[name] = _value(hint, content[name], f"{where}: `{name}`")
        elif name in required:
            raise HeadflowError(f"{where}: the field `{name}` is missing")
    return cls(**values)


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, value: Any, where: str) -> Any:
    """A JSON value checked against a type hint of this module; nested dataclasses are built."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, where)
    if isinstance(hint, types.UnionType):
        return None if value is None else _value(typing.get_args(hint)[0], value, where)
    origin = typing.get_origin(hint) or hint
    if origin is Any:
        return value
    if not isinstance(origin, type) or not isinstance(value, origin) or isinstance(value, bool) != (origin is bool):
        expected = getattr(origin, "__name__", origin)
        raise HeadflowError(f"{where} is {short(value)}, not of type {expected}")
    if isinstance(value, list):
        (item,) = typing.get_args(hint)
        return [_value(item, each, f"{where}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, dict):
        _, item = typing.get_args(hint)
        return {key: _value(item, each, f"{where}[{key!r}]") for key, each in value.items()}
    return value


@contextmanager
def reading(what: object, remedy: str = "") -> Iterator[None]:
    """Around calls of pyarrow: what it raises of a file that is no Parquet, or not whole, becomes one line.

    Args:
        what: the file, as the line begins.
        remedy: how the line ends.

    Raises:
        HeadflowError: the file cannot be read. `FileNotFoundError` is left to the caller.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:  # the last of names and texts that are no UTF-8
        raise HeadflowError(f"{what} cannot be read as Parquet: {one_line(error)[:300]}{remedy}") from None


def open_parquet(path: Path, *, memory_map: bool = False) -> pq.ParquetFile:
    """Open a file; each page is compared with its checksum when it is read, if the writer gave it one."""
    check_no_device(path)
    return pq.ParquetFile(path, memory_map=memory_map, page_checksum_verification=True)


def write_text(path: Path, content: str) -> None:
    """Write a small JSON file; readers see it when it is whole."""
    with publishing(path) as aside:
        _write(aside, content)


def write_text_once(path: Path, content: str, chunk: int) -> bool:
    """Write a small JSON file unless it exists; returns whether it was written. Of the writers of chunks, one does."""
    aside = aside_of_chunk(path, chunk)
    try:
        _write(aside, content)
        _flush(aside)
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            aside.replace(path)
        _flush_folder(path.parent)
        return True
    finally:
        aside.unlink(missing_ok=True)


def aside_of_chunk(path: Path, chunk: int) -> Path:
    """Where the writer of a chunk writes a file that the writers of all chunks write."""
    return path.with_name(f".{path.name}.{chunk:05d}.tmp")


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """Where to write a file, which is then visible under its name, whole, also after a power cut."""
    aside = path.with_name(f".{path.name}.tmp")  # the dot hides it from readers of the folder
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
        _flush_folder(path.parent)
    except OSError:
        aside.unlink(missing_ok=True)  # free the space on a full disk
        raise


def _flush(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file)


def _flush_folder(path: Path) -> None:
    """Flush the names in a folder to the disk; Windows cannot open folders, and does so by itself."""
    if os.name != "posix":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", errors="backslashreplace")  # half a surrogate pair, as JSON writes it
