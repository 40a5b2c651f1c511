"""JSON files that may be damaged: an object or a dataclass, or one line that says what is wrong."""

import dataclasses
import json
import types
import typing
from functools import cache
from typing import Any

from schemas.errors import HeadflowError
from schemas.files.locations import Location, check_no_device
from schemas.text import one_line, short


def read_object(path: Location, name: str) -> dict[str, Any]:
    """The JSON object in a file, which errors call `name`.

    Raises:
        HeadflowError: the file cannot be read, or holds something else.
    """
    try:
        check_no_device(path)
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise HeadflowError(f"{name} cannot be read: {one_line(error.strerror or error)}") from None
    except (ValueError, RecursionError) as error:  # the second if lists are nested too deeply
        raise HeadflowError(f"{name} is not JSON in UTF-8: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise HeadflowError(f"{name} holds no JSON object")
    return content


def _without_repeats(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises `ValueError` if it has a name twice, as one value would be lost."""
    content = dict(members)
    if len(content) < len(members):
        names = [name for name, _ in members]
        raise ValueError(f"it has {short(next(name for name in names if names.count(name) > 1))} twice")
    return content


def build(cls: type, content: dict[str, Any], where: str) -> Any:
    """A dataclass from a JSON object; `where` names the object in errors.

    A field that is missing takes its default. Members of the object that the dataclass does not have are left out.

    Raises:
        HeadflowError: a field is of the wrong type, or is missing and has no default.
    """
    values = {}
    required = {field.name for field in dataclasses.fields(cls) if _has_no_default(field)}
    for name, hint in _hints(cls).items():
        if name in content:
            values[name] = _value(hint, content[name], f"{where}: `{name}`")
        elif name in required:
            raise HeadflowError(f"{where}: the field `{name}` is missing")
    return cls(**values)


_hints = cache(typing.get_type_hints)


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
