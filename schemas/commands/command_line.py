"""Command lines made from settings: a command is a class of settings and what is done with them.

Lists are given by commas or by repeating the flag; a value with a comma in it stands in quotes, as in CSV. So no flag
takes the next words, and RUN may stand anywhere.
"""

import csv
import difflib
import shutil
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Any

from schemas.commands.settings import Setting, Settings, list_of, pair_of, settings_of
from schemas.errors import HeadflowError
from schemas.text import listed, printable, short

_HELP = frozenset({"--help", "-h"})
_WIDTH = 100  # columns of the help where there is no terminal
_WRAPPED: dict[str, Any] = {"subsequent_indent": "      ", "break_long_words": False, "break_on_hyphens": False}


@dataclass(frozen=True)
class Command:
    """A command of a program.

    Attributes:
        help: one line.
        target: `module:function`, a function of one argument, its settings; imported when the command is called.
        runner: `module:function`, which is given the command's name, its function and the settings, and returns the
            exit code; empty: the function itself returns it.
        settings_at: `module:class` of its settings, where the function's module takes long to import.
    """

    help: str
    target: str
    runner: str = ""
    settings_at: str = ""

    @property
    def settings(self) -> type[Settings]:
        """The class of the command's settings."""
        if self.settings_at:
            found: type[Settings] = _named(self.settings_at)
        else:
            (found,) = [each.annotation for each in signature(self.function, eval_str=True).parameters.values()]
        return found

    @property
    def function(self) -> Callable[[Any], Any]:
        """What the command does."""
        found: Callable[[Any], Any] = _named(self.target)
        return found


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def run_program(
    program: str, help: str, commands: Mapping[str, Command], words: Sequence[str], default: Command | None = None
) -> int:
    """Parse a command line, and run its command.

    Args:
        program: its name in the usage.
        default: what runs where no command is named.

    Returns:
        The exit code.

    Raises:
        HeadflowError: the command line cannot be parsed, or as the command; it names the flag.
    """
    if not words and default is None:
        raise HeadflowError(f"there is no command; give one of {', '.join(commands)}")
    name = words[0] if words and words[0] in commands else ""
    command = commands[name] if name else default
    known = () if command is None else settings_of(command.settings)
    if not _HELP.isdisjoint(words):
        others = {} if name else {each: of.help for each, of in commands.items()}
        print(_help(f"{program} {name}".rstrip(), command.help if command and name else help, known, others))
        return 0
    if command is None or (default is command and words and not words[0].startswith("-")):
        raise _not_there("command", words[0], commands, f"give one of {', '.join(commands)}")
    try:
        asked = command.settings(**_typed(words[bool(name) :], known))
        run = partial(_named(command.runner), name, command.function) if command.runner else command.function
        code: int = run(asked)
        return code
    except HeadflowError as error:
        place = next((place_of(each) for each in known if each.name == error.setting), None)
        if place is None:
            raise
        raise HeadflowError(f"{error}; see {place}") from error


def _not_there(what: str, word: str, known: Iterable[str], else_do: str) -> HeadflowError:
    """What is said of a command or an option that is not there: the known one that it is most like, if there is one."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return HeadflowError(f"there is no {what} {printable(word)}; {f'did you mean {close[0]}?' if close else else_do}")


def flag_of(setting: Setting) -> str:
    """The flag of a setting."""
    return f"--{(setting.flag.name or setting.name).replace('_', '-')}"


def place_of(setting: Setting) -> str:
    """What a setting is called on a command line: its flag, or the word that stands for a value."""
    return flag_of(setting) if setting.keyword else _metavar(setting)


def _metavar(setting: Setting) -> str:
    """What stands for a value in the help."""
    if setting.flag.metavar or not setting.keyword:
        return setting.flag.metavar or setting.name.upper()
    kinds = {"int": "N", "float": "X", "Path": "PATH"}
    return next((word for kind, word in kinds.items() if not setting.choices and kind in str(setting.hint)), "NAME")


def _help(program: str, help: str, settings: Sequence[Setting], commands: Mapping[str, str]) -> str:
    """The help of a program or of one of its commands, as wide as the terminal."""
    asked = [as_typed(each) for each in settings if not each.keyword]
    chosen = ["[COMMAND]" if settings else "COMMAND"] if commands else []
    usage = " ".join(["Usage:", program, *chosen, *["[OPTIONS]"] * bool(settings), *asked])
    found = [usage, "", help, ""]
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    for title, entries in (
        ("Commands", commands),
        ("Arguments", {as_typed(each): _meaning(each) for each in settings if not each.keyword}),
        ("Options", {as_typed(each): _meaning(each) for each in settings if each.keyword}),
    ):
        if entries:
            lines = [textwrap.fill(f"  {name}: {text}", width, **_WRAPPED) for name, text in entries.items()]
            found += [f"{title}:", *lines, ""]
    return "\n".join(found)


def as_typed(setting: Setting) -> str:
    """A setting as it is typed."""
    value, several = _metavar(setting), list_of(setting.hint)
    if not setting.keyword:
        return f"{value} ..." if several else value if setting.default is MISSING else f"[{value}]"
    if setting.flag.bare is not None:
        return f"{flag_of(setting)}[={value}]"
    return flag_of(setting) if setting.hint is bool else f"{flag_of(setting)} {value}{',...' if several else ''}"


def _meaning(setting: Setting) -> str:
    """What a setting means, with its choices, and its default if that is a value."""
    notes = ["required"] if setting.default is MISSING else []
    notes += [f"choices: {', '.join(setting.choices)}"] if setting.choices else []
    default = setting.default
    if default not in (MISSING, None, ()) and default is not False:
        values = default if isinstance(default, tuple) else (default,)
        between = " " if pair_of(setting.hint) else ","
        shown = between.join(f"{each:g}" if isinstance(each, float) else str(each) for each in values)
        notes.append(f"default: {shown}")
    return f"{setting.help} [{'; '.join(notes)}]" if notes else setting.help


def _typed(words: Sequence[str], settings: Sequence[Setting]) -> dict[str, Any]:
    """The values that are typed, by the names of settings; the last one of a flag counts, of a list's flag all.

    Raises:
        HeadflowError: a word belongs to no setting, or a setting lacks its value.
    """
    by_flag = {flag_of(each): each for each in settings if each.keyword}
    found: dict[str, Any] = {}
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if word == "--":
            others, rest = [*others, *rest], []
        elif not word.startswith("-"):
            others.append(word)
        elif flag not in by_flag:
            raise _not_there("option", flag, by_flag, "--help shows all")
        else:
            setting = by_flag[flag]
            values = _values(flag, setting, [value] if equals else None, rest, by_flag)
            found[setting.name] = [*found.get(setting.name, ()), *values] if list_of(setting.hint) else values
    several = {each.name for each in settings if list_of(each.hint) or pair_of(each.hint)}
    given = {name: values if name in several else values[0] for name, values in found.items()}
    return _placed(others, settings, given) | given


def _values(
    flag: str, setting: Setting, own: list[Any] | None, rest: list[str], flags: Collection[str]
) -> Sequence[Any]:
    """The values of a flag: those of its `own` word, else taken from the words after it."""
    number = 2 if pair_of(setting.hint) else 1
    if setting.hint is bool:
        if own:
            raise HeadflowError(f"{flag} takes no value")
        return [True]
    if own is None and setting.flag.bare is not None and not (rest and {*setting.words} & {*rest[0].split(",")}):
        own = [setting.flag.bare]
    if own is None:
        own, rest[:number] = rest[:number], []
    if len(own) < number or any(value.partition("=")[0] in flags for value in own):
        raise HeadflowError(f"{flag} needs {'a value' if number == 1 else 'two values, with a space between them'}")
    values = [word for each in own for word in _divided(each, setting)] if list_of(setting.hint) else own
    return [setting.flag.typed(each) for each in values] if setting.flag.typed else values


def _placed(words: Sequence[str], settings: Sequence[Setting], given: Collection[str]) -> dict[str, Any]:
    """The words beside the flags, by the names of their settings; a list leaves one for each setting after it.

    Args:
        given: the names of settings whose flags are typed.

    Raises:
        HeadflowError: a word belongs to no setting, or a setting without a default is not given.
    """
    rest, found = list(words), {}
    placed = [each for each in settings if not each.keyword]
    for place, setting in enumerate(placed):
        number = max(1, len(rest) - len(placed[place + 1 :])) if list_of(setting.hint) else 1
        values, rest[:number] = rest[:number], []
        if values:
            found[setting.name] = values if list_of(setting.hint) else values[0]
    if rest:
        typed = [each for each in settings if each.name in given]
        raise HeadflowError("; ".join([f"there is no place for {short(rest[0])}", *_hints(rest[0], typed)]))
    if lacking := [each for each in settings if each.default is MISSING and each.name not in {*found, *given}]:
        names = [place_of(each) for each in lacking]
        raise HeadflowError(f"{listed(names, len(names))} {'is' if len(names) == 1 else 'are'} required")
    return found


def _hints(word: str, typed: Sequence[Setting]) -> list[str]:
    """To which of the typed flags a word may have been meant to belong, and how it is given."""
    by_itself = [each for each in typed if each.flag.bare is not None]
    refusing = [each for each in by_itself if each.choices and word not in each.choices]
    hints = [f"a list has commas: {flag_of(each)} A,B" for each in typed if list_of(each.hint) and each not in refusing]
    hints += [f"{flag_of(each)}=VALUE takes one" for each in by_itself if each not in refusing]
    for each in refusing:
        hints += filter(None, (f"{flag_of(each)} takes {', '.join(each.choices)}", each.one_of.hint))
    return hints


def _divided(text: str, setting: Setting) -> list[str]:
    """The values in a text that has commas between them."""
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), []) or [text]
    except csv.Error as error:
        raise HeadflowError(f"{short(text)} is no list: {error}", setting=setting.name) from None
