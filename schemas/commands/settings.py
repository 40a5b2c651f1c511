"""Settings as frozen dataclasses: a field says a setting's name, type, default and meaning, and which values it takes.

    @dataclass(frozen=True)
    class Plots(Settings):
        run: Annotated[Location, "directory of a run"]
        _: KW_ONLY
        dpi: Annotated[int, "dots per inch", Between(10, 1200)] = 300

Values are read and checked when an object is made: those of a command line, of a notebook's keywords and of a file in
the same way. `schemas.commands.command_line` makes flags from the fields.
"""

import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from schemas.errors import HeadflowError
from schemas.files.locations import URI, Location, ObjectPath, location
from schemas.text import listed, not_one_of, shown, storable


@dataclass(frozen=True)
class Between:
    """The least and the most that a number may be."""

    least: float
    most: float


@dataclass(frozen=True)
class OneOf:
    """The words that a setting takes, or each value of a list; a setting of numbers takes them beside numbers.

    Attributes:
        hint: what an error says of other values, such as what takes them.
    """

    words: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True)
class Needs:
    """The setting without which another one does nothing; where there are `values`, it must have one of them.

    The value None: it must not be given.
    """

    name: str
    values: tuple[str | None, ...] = ()

    def lack(self, value: Any) -> str:
        """Why the other setting does nothing beside this value of `name`; empty if it does something."""
        if not self.values:
            return "" if value not in (None, (), False) else f"without `{self.name}` it does nothing"
        if not {*self.values}.isdisjoint(value if isinstance(value, tuple) else (value,)):
            return ""
        if self.values == (None,):
            return f"beside `{self.name}` it does nothing"
        verb, of = "has" if isinstance(value, tuple) else "is", "one of " * (len(self.values) > 1)
        return f"unless `{self.name}` {verb} {of}{listed(self.values)} it does nothing"


@dataclass(frozen=True)
class Checked:
    """What reads a value further; it raises `ValueError`, which says what is wrong."""

    read: Callable[[Any], Any]


@dataclass(frozen=True)
class Flag:
    """How a setting is given on a command line, where that differs from what its type says.

    Attributes:
        metavar: what stands for a value in the help.
        bare: the value where the flag stands without one; None: it needs one. Such a flag takes its value by `=`, or as
            the next word where that is one of its words.
        typed: reads the text that a user types.
        name: of the flag, where that is no name of a field; empty: that of the field.
    """

    metavar: str | None = None
    bare: str | None = None
    typed: Callable[[str], str] | None = None
    name: str = ""


@dataclass(frozen=True)
class Setting:
    """A setting, as its field declares it. `default` is `MISSING` where one must be given."""

    name: str
    hint: Any
    help: str
    default: Any
    keyword: bool
    between: Between | None
    one_of: OneOf
    needs: Needs | None
    checks: tuple[Checked, ...]
    flag: Flag

    @property
    def words(self) -> tuple[str, ...]:
        """The words that it takes; empty if it takes any value of its type."""
        return self.one_of.words

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it takes, if it takes no other value."""
        return () if {int, float} & {*_members(self.hint)} else self.words

    def read(self, value: Any) -> Any:
        """The value in the setting's own type; raises `HeadflowError` if it cannot be."""
        try:
            found = _read(value, self.hint, self.between, self.words)
            for check in self.checks if found is not None else ():
                found = check.read(found)
        except ValueError as error:
            why = "; ".join(filter(None, (str(error), self.one_of.hint)))
            raise HeadflowError(why, setting=self.name) from None
        return found


@dataclass(frozen=True)
class Settings:
    """The base of all settings."""

    COMMAND: ClassVar[str] = ""  # the name under which a session records who asked

    def __post_init__(self) -> None:
        """Read and check all values.

        Raises:
            HeadflowError: a value cannot be, or does nothing beside the others, or two contradict each other; its
                `setting` is the field's name.
        """
        known = settings_of(type(self))
        for setting in known:
            object.__setattr__(self, setting.name, setting.read(getattr(self, setting.name)))
        for setting in known:
            if setting.needs is None or getattr(self, setting.name) == setting.default:
                continue
            if lack := setting.needs.lack(getattr(self, setting.needs.name)):
                raise HeadflowError(lack, setting=setting.name)
        self.check()

    def check(self) -> None:
        """Raise `HeadflowError` if values contradict each other."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from values by name; other names are passed over.

        Raises:
            HeadflowError: one is missing, or as the class itself.
        """
        known = {setting.name: setting for setting in settings_of(cls)}
        lacking = [name for name, each in known.items() if each.default is MISSING and name not in values]
        if lacking:
            raise HeadflowError(f"there is no value for {', '.join(lacking)}", setting=lacking[0])
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def of_keywords(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a notebook's keywords; raises `HeadflowError` as `of`, or if there is no such setting."""
        known = {setting.name for setting in settings_of(cls)}
        if unknown := [name for name in values if name not in known]:
            raise HeadflowError(f"there is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        try:
            return cls.of(values)
        except HeadflowError as error:
            raise HeadflowError(f"{error.setting}: {error}" if error.setting else str(error)) from None

    def recorded(self) -> dict[str, Any]:
        """The values as JSON has them, by name; with `command`, who asked."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)} | {"command": self.COMMAND}


def settings_of(cls: type[Settings]) -> tuple[Setting, ...]:
    """The settings of a class: those without keyword, required ones, and its own ones ahead of its bases'."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in fields(cls):
        hint, help, *notes = get_args(hints[field.name])
        by_kind = {type(note): note for note in notes}
        found.append(
            Setting(
                name=field.name,
                hint=hint,
                help=help,
                default=field.default,
                keyword=field.kw_only is True,
                between=by_kind.get(Between),
                one_of=by_kind.get(OneOf, OneOf(())),
                needs=by_kind.get(Needs),
                checks=tuple(note for note in notes if isinstance(note, Checked)),
                flag=by_kind.get(Flag, Flag()),
            )
        )
    order = [name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())]
    chosen = [each for each in found if each.keyword]
    chosen.sort(key=lambda each: (each.default is not MISSING, order.index(each.name)))
    return (*(each for each in found if not each.keyword), *chosen)


def list_of(hint: Any) -> bool:
    """Whether a setting takes any number of values."""
    return any(get_origin(each) is tuple and get_args(each)[1:] == (...,) for each in _members(hint))


def pair_of(hint: Any) -> bool:
    """Whether a setting takes two values."""
    return any(get_origin(each) is tuple and len(get_args(each)) == 2 for each in _members(hint)) and not list_of(hint)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _read(value: Any, hint: Any, between: Between | None, words: Sequence[str]) -> Any:
    """A value in the type that a hint names; raises `ValueError` if it cannot be."""
    members = _members(hint)
    if value is None and type(None) in members:
        return None
    if ObjectPath in members:
        return _place(value)
    kind = next(each for each in members if each is not type(None))
    if get_origin(kind) is tuple:
        return _several(value, get_args(kind), between, words)
    if kind in (int, float):
        return value if value in words else _number(value, kind, between, words)
    if kind is Path:
        return path_here(value)
    if kind is str and type(value) is int:
        value = str(value)  # a layer, a step or an id, as it is typed
    if not isinstance(value, kind):
        raise ValueError(f"{shown(value)} is not {'text' if kind is str else 'True or False'}")
    if words and value not in words:
        raise ValueError(not_one_of(value, words))
    return value


def _several(value: Any, kinds: tuple[Any, ...], between: Between | None, words: Sequence[str]) -> tuple[Any, ...]:
    if kinds[1:] == (...,) and isinstance(value, str | int | float):
        value = (value,)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{shown(value)} is one value, where a list is needed")
    if kinds[1:] == (...,):
        return tuple(_read(each, kinds[0], between, words) for each in value)
    if len(value) != len(kinds):
        raise ValueError(f"{shown(value)} has {len(value)} values, not {len(kinds)}")
    return tuple(_read(each, kind, between, words) for each, kind in zip(value, kinds, strict=True))


def _number(value: Any, kind: type, between: Between | None, words: Sequence[str]) -> Any:
    limits = between or Between(-sys.float_info.max, sys.float_info.max)
    try:
        number = None if isinstance(value, bool) or (kind is int and isinstance(value, float)) else kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or not limits.least <= number <= limits.most:
        wrong = f"{f'neither {words[0]} nor' if words else 'not'} a{' whole' if kind is int else ''} number"
        form = "d" if kind is int else "g"
        raise ValueError(f"{shown(value)} is {wrong} from {limits.least:{form}} to {limits.most:{form}}")
    return number


def in_utf8(value: str) -> str:
    """Text for a tokenizer; raises `ValueError` for a byte that is no UTF-8, which Python gives as half a surrogate."""
    if value != storable(value):
        raise ValueError("it is not text in UTF-8")
    return value


def line_breaks(text: str) -> str:
    r"""Text as it is meant on a command line: `\n` is a line break there, and `\\n` a backslash and an n."""
    return re.sub(r"(\\\\|\\)n", lambda found: "\n" if len(found[1]) == 1 else "\\n", text)


def path_here(value: Any) -> Path:
    """A path on this machine; refuses the empty text, which mostly comes from a shell variable that is not set.

    Raises:
        ValueError: it is no such path.
    """
    if isinstance(value, Path):
        return value
    if URI.match(_given(value)):
        raise ValueError(f"{value} is not a path on this machine, as is needed here")
    return Path(value)


def _place(value: Any) -> Location:
    """A path on this machine, or on an object store."""
    if isinstance(value, Path | ObjectPath):
        return value
    try:
        return location(_given(value))
    except HeadflowError as error:
        raise ValueError(str(error)) from None


def _given(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a path")
    if not value:
        raise ValueError("the path is empty")
    if "\0" in value:
        raise ValueError("a path has no zero byte")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Path | ObjectPath):
        return str(value)
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
