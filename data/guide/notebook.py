"""What a run, and what a command found, offer in a notebook, as Markdown tables, in a language."""

import inspect
from collections.abc import Callable
from functools import cached_property
from types import FunctionType

from analyze.notebook import OpenedRun
from analyze.results import Result
from data.guide.words import Words
from schemas.contract import markdown

FIELDS = ("tables", "statements", "warnings")  # of what a command found, those that are for users


def notebook_tables(words: Words) -> dict[str, str]:
    """The tables by the names of their parts."""
    return {"run": _table("run", _members(OpenedRun), words), "found": _table("found", _found(), words)}


def _table(section: str, rows: dict[str, tuple[str, str]], words: Words) -> str:
    """A table of calls and of what each gives; the texts are under the names of the members."""
    cells = [(f"`{section}.{call}`", words.text(section, name, text)) for name, (call, text) in rows.items()]
    return markdown([words.word("call"), words.word("what it gives")], cells)


def _members(of: type) -> dict[str, tuple[str, str]]:
    """The public properties and methods of a class by name: how each is called, and what it gives."""
    return {
        name: (name if isinstance(member, cached_property) else _call(name, member), _first(member.__doc__))
        for name, member in vars(of).items()
        if not name.startswith("_") and isinstance(member, FunctionType | cached_property)
    }


def _found() -> dict[str, tuple[str, str]]:
    """The same of what a command found, whose fields are described by its docstring."""
    fields = {}
    for name in FIELDS:
        (text,) = (line for line in (inspect.getdoc(Result) or "").splitlines() if line.strip().startswith(f"{name}: "))
        fields[name] = name, _first(text.strip().removeprefix(f"{name}: "))
    return fields | _members(Result)


def _call(name: str, method: Callable[..., object]) -> str:
    """A method as it is called, without types; `...` stands for the settings of a command."""
    words = []
    for each in list(inspect.signature(method).parameters.values())[1:]:
        if each.kind is each.VAR_KEYWORD:
            words.append("...")
        else:
            star = "*" * (each.kind is each.VAR_POSITIONAL)
            words.append(f"{star}{each.name}" + ("" if each.default is each.empty else f"={each.default!r}"))
    return f"{name}({', '.join(words)})"


def _first(text: str | None) -> str:
    """The first sentence of a docstring, without where it refers to."""
    line = (text or "").strip().splitlines()[0].split("; see ")[0].rstrip(".")
    return line[0].upper() + line[1:] + "."
