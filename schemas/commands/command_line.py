"""Command lines made from settings, by cyclopts: a command is a class of settings and what is done with them.

Lists are given by commas or by repeating the flag; a value with a comma in it stands in quotes, as in CSV. So no flag
takes the next words, and RUN may stand anywhere.
"""

import csv
import inspect
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from importlib import import_module
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from schemas.commands.settings import Setting, Settings, list_of, pair_of, settings_of
from schemas.errors import HeadflowError
from schemas.text import listed, printable, short

_HELP = frozenset({"--help", "-h"})
REPEATED = Parameter(negative=(), allow_repeating=True)  # the last value counts, of lists all
_WIDTH = 100  # columns of the help where there is no terminal
WRAPPED: dict[str, Any] = {"subsequent_indent": "      ", "break_long_words": False, "break_on_hyphens": False}


@dataclass(frozen=True)
class Command:
    """A command of a program.

    Attributes:
        help: one line.
        target: `module:function`, a function of one argument, its settings; the module is imported when the command is
            called.
        runner: `module:function`, which is given the command's name, its function and the settings, and returns the
            exit code; empty: the function itself returns it.
    """

    help: str
    target: str
    runner: str = ""

    def load(self) -> tuple[type[Settings], Callable[[Any], Any]]:
        """The command's settings, and its function."""
        function = _named(self.target)
        (settings,) = [each.annotation for each in inspect.signature(function, eval_str=True).parameters.values()]
        return settings, function

    def run(self, name: str, function: Callable[[Any], Any], settings: Settings) -> int:
        """Call the command's function; returns the exit code."""
        code: int = _named(self.runner)(name, function, settings) if self.runner else function(settings)
        return code


def _named(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


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
    known: Sequence[Setting] = ()
    if command is not None:
        settings, function = command.load()
        known = settings_of(settings)
    if not _HELP.isdisjoint(words):
        others = {} if name else {each: of.help for each, of in commands.items()}
        print(_help(f"{program} {name}".rstrip(), command.help if command and name else help, known, others))
        return 0
    app = App(name=program, help_flags=(), version_flags=(), default_parameter=REPEATED)
    for each in commands:
        if each != name:
            app.command(lambda: None, name=each)
    if command is None or (default is command and words and not words[0].startswith("-")):
        return _called(app, words[:1])  # which is no command

    def call(*positional: Any, **named: Any) -> int:
        values = {each.name: value for each, value in zip(known, positional, strict=False)} | named
        with naming(known):
            typed = {each.name: _as_typed(values[each.name], each) for each in known if each.name in values}
            return command.run(name, function, settings(**typed))

    call.__signature__ = inspect.Signature([_parameter(each) for each in known])  # type: ignore[attr-defined]
    if name:
        app.command(call, name=name)
    else:
        app.default(call)
    return _called(app, [*words[: bool(name)], *_in_order(words[bool(name) :], known)])


def _called(app: App, words: Sequence[str]) -> int:
    try:
        function, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise HeadflowError(printable(error)) from None
    return function(*bound.args, **bound.kwargs) or 0


@contextmanager
def naming(settings: Sequence[Setting]) -> Iterator[None]:
    """Let an error that names a setting say where the command line takes it."""
    try:
        yield
    except HeadflowError as error:
        place = next((_place_of(each) for each in settings if each.name == error.setting), None)
        if place is None:
            raise
        raise HeadflowError(f"{error}; see {place}") from error


def flag_of(setting: Setting) -> str:
    """The flag of a setting."""
    return f"--{setting.name.replace('_', '-')}"


def _place_of(setting: Setting) -> str:
    return flag_of(setting) if setting.keyword else _metavar(setting)


def _metavar(setting: Setting) -> str:
    """What stands for a value in the help."""
    if setting.flag.metavar or not setting.keyword:
        return setting.flag.metavar or setting.name.upper()
    kinds = {"int": "N", "float": "X", "Path": "PATH"}
    return next((word for kind, word in kinds.items() if not setting.choices and kind in str(setting.hint)), "NAME")


def _parameter(setting: Setting) -> inspect.Parameter:
    """What cyclopts is told of a setting: words are read as text, and by the settings themselves."""
    several, pair = list_of(setting.hint), pair_of(setting.hint)
    annotation: Any = tuple[str, ...] if several else tuple[str, str] if pair else bool if setting.hint is bool else str
    if setting.default is not MISSING:
        annotation |= None  # what is not typed; where pydantic is loaded, cyclopts lets it check that too
    about = Parameter(
        name=[flag_of(setting)] if setting.keyword else [_metavar(setting)],
        required=setting.default is MISSING,
        allow_leading_hyphen=pair_of(setting.hint),
    )
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY if setting.keyword else inspect.Parameter.POSITIONAL_ONLY,
        annotation=Annotated[annotation, about],
        default=inspect.Parameter.empty if setting.default is MISSING else None,
    )


def _help(program: str, help: str, settings: Sequence[Setting], commands: Mapping[str, str]) -> str:
    """The help of a program or of one of its commands, as wide as the terminal."""
    asked = [_shown(each) for each in settings if not each.keyword]
    chosen = ["[COMMAND]" if settings else "COMMAND"] if commands else []
    usage = " ".join(["Usage:", program, *chosen, *["[OPTIONS]"] * bool(settings), *asked])
    found = [usage, "", help, ""]
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    for title, entries in (
        ("Commands", commands),
        ("Arguments", {_shown(each): _meaning(each) for each in settings if not each.keyword}),
        ("Options", {_shown(each): _meaning(each) for each in settings if each.keyword}),
    ):
        if entries:
            lines = [textwrap.fill(f"  {name}: {text}", width, **WRAPPED) for name, text in entries.items()]
            found += [f"{title}:", *lines, ""]
    return "\n".join(found)


def _shown(setting: Setting) -> str:
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


def _in_order(words: Sequence[str], settings: Sequence[Setting]) -> list[str]:
    """The words with all flags first, so that the others may stand anywhere; a flag that needs no value has its own."""
    by_flag = {flag_of(each): each for each in settings}
    flags: list[str] = []
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        setting = by_flag.get(word)
        if word == "--":
            others, rest = [*others, *rest], []
        elif setting is not None and setting.flag.bare is not None:
            own = bool(rest) and bool(set(setting.words) & set(rest[0].split(",")))
            flags.append(f"{word}={rest.pop(0) if own else setting.flag.bare}")
        elif setting is not None:
            number = 0 if setting.hint is bool else 2 if pair_of(setting.hint) else 1
            values, rest = rest[:number], rest[number:]
            if len(values) < number or any(value.partition("=")[0] in by_flag for value in values):
                what = "a value" if number == 1 else "two values, with a space between them"
                raise HeadflowError(f"{word} needs {what}")
            flags += [f"{word}={values[0]}"] if number == 1 else [word, *values]
        else:
            (flags if word.startswith("-") else others).append(word)
    given = {flag.partition("=")[0] for flag in flags if flag.startswith("-")}
    if given <= by_flag.keys():  # else one is not known, which is said first
        _check_whole([by_flag[flag] for flag in given], others, settings)
    return [*flags, "--", *others] if others else flags


def _check_whole(given: Sequence[Setting], others: Sequence[str], settings: Sequence[Setting]) -> None:
    """Raise `HeadflowError` if a word belongs to no setting, or a setting without a default is not given.

    Args:
        given: the settings whose flags are typed; `others`: the words beside them.
    """
    placed = [each for each in settings if not each.keyword]
    left = [] if any(list_of(each.hint) for each in placed) else others[len(placed) :]
    if left:
        hints = [f"a list has commas: {flag_of(each)} A,B" for each in given if list_of(each.hint)]
        hints += [f"{flag_of(each)}=VALUE takes one" for each in given if each.flag.bare is not None]
        raise HeadflowError("; ".join([f"there is no place for {short(left[0])}", *hints]))
    lacking = [each for each in placed[len(others) :] if each.default is MISSING]
    lacking += [each for each in settings if each.keyword and each.default is MISSING and each not in given]
    if lacking:
        names = [_place_of(each) for each in lacking]
        raise HeadflowError(f"{listed(names, len(names))} {'is' if len(names) == 1 else 'are'} required")


def _as_typed(value: Any, setting: Setting) -> Any:
    """What was typed, as the settings read it: lists of flags divided at commas."""
    if isinstance(value, bool):
        return value
    if setting.keyword and list_of(setting.hint):
        value = [word for each in value for word in _divided(each, setting)]
    typed = setting.flag.typed
    if typed is None:
        return value
    return typed(value) if isinstance(value, str) else [typed(each) for each in value]


def _divided(text: str, setting: Setting) -> list[str]:
    """The values in a text that has commas between them."""
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), []) or [text]
    except csv.Error as error:
        raise HeadflowError(f"{short(text)} is no list: {error}", setting=setting.name) from None
