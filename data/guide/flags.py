"""The flags of a stage as Markdown, from the settings of its commands: what each takes, its default and its meaning.

A setting that several commands have in the same words is described once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING

from data.guide.words import Words
from schemas.commands.command_line import Command, as_typed, place_of
from schemas.commands.settings import Needs, Setting, Settings, pair_of, settings_of
from schemas.contract import markdown
from schemas.manifest import ROWS

# At the end of a setting's help
_DEFAULT = re.compile(r" ?(?:\(default: |（默认：)((?:[^()（）]|\([^()]*\)|（[^（）]*）)*)[)）]$")
_MOST = 20  # words of a list; of a longer one, the first and the last
_HEADER = ("flag", "values", "default", "meaning")


class Flags:
    """The flags of a stage.

    Attributes:
        commands: of the stage, by name.
        words: what it says of them, in a language.
        several: a setting that this many commands have is described in a table of such settings, and not at the first
            command that has it.
        by_group: whether the settings of a command are shown by the class that declares them.
    """

    def __init__(self, commands: Mapping[str, Command], words: Words, *, several: int, by_group: bool = False) -> None:
        self.commands, self.words, self.several, self.by_group = commands, words, several, by_group
        self.settings = {name: settings_of(command.settings) for name, command in commands.items()}

    def page(self) -> str:
        """All commands with their flags."""
        parts = [part for name in self.commands for part in self._of_command(name)]
        if shared := self._shared():
            parts += [f"## {self.words.word('Flags of several commands')}", shared]
        return "\n\n".join(parts)

    def _of_command(self, name: str) -> list[str]:
        known = self.settings[name]
        placed = [as_typed(each) for each in known if not each.keyword]
        usage = " ".join(["headflow", name, *placed, "[OPTIONS]"])
        about = self.words.text("commands", name, self.commands[name].help)
        own = [each for each in known if self._described_at(each) == name]
        tables = self._tables(name, own)
        return [f"## {name}", f"`{usage}`{self.words.word(': ')}{about}", *tables, *self._others(name, known)]

    def _described_at(self, setting: Setting) -> str:
        names = [name for name, known in self.settings.items() if setting in known]
        return "" if len(names) >= self.several else names[0]

    def _tables(self, name: str, own: Sequence[Setting]) -> list[str]:
        if not self.by_group:
            return [self._table(name, own)] if own else []
        groups: dict[type, list[Setting]] = {}
        for each in own:
            groups.setdefault(_declaring(self.commands[name].settings, each.name), []).append(each)
        parts = []
        for group, settings in groups.items():
            if group is not self.commands[name].settings:
                title = (group.__doc__ or "").strip().removesuffix(".")
                parts.append(f"### {self.words.text('groups', group.__name__, title)}")
            parts.append(self._table(name, settings))
        return parts

    def _others(self, name: str, known: Sequence[Setting]) -> list[str]:
        """Lines on the settings of a command that are described elsewhere."""
        places: dict[str, list[str]] = {}
        for each in known:
            if (place := self._described_at(each)) != name:
                places.setdefault(place, []).append(f"`{place_of(each)}`")
        titles = {place: place or self.words.word("Flags of several commands") for place in places}
        links = {place: f"[{title}](#{title.lower().replace(' ', '-')})" for place, title in titles.items()}
        return [f"{self.words.word('As in')} {links[place]}{self.words.word(': ')}{' '.join(flags)}"
                for place, flags in places.items()]  # fmt: skip

    def _shared(self) -> str:
        rows: dict[tuple[str, ...], list[str]] = {}
        for name, known in self.settings.items():
            for each in known:
                if not self._described_at(each):
                    rows.setdefault(self._row("shared", each, known), []).append(name)
        if not rows:
            return ""
        lines = [(*row, " ".join(f"`{name}`" for name in names)) for row, names in rows.items()]
        return markdown(self._header("commands"), lines)

    def _table(self, name: str, settings: Sequence[Setting]) -> str:
        return markdown(self._header(), [self._row(name, each, self.settings[name]) for each in settings])

    def _header(self, *more: str) -> list[str]:
        return [self.words.word(title) for title in (*_HEADER, *more)]

    def _row(self, section: str, setting: Setting, known: Sequence[Setting]) -> tuple[str, ...]:
        help = self.words.text(section, place_of(setting).lstrip("-"), setting.help)
        said = _DEFAULT.search(help)
        meaning = help[: said.start()] if said else help
        if setting.needs is not None:
            meaning += self._needs(setting.needs, known)
        default = said[1] if said else self._default(setting)
        return f"`{as_typed(setting)}`", self._values(setting), _cell(default), _cell(meaning)

    def _needs(self, needs: Needs, known: Sequence[Setting]) -> str:
        flag = next(f"`{place_of(each)}`" for each in known if each.name == needs.name)
        if needs.values == (None,):
            return self.words.word("; not with {}").format(flag)
        return self.words.word("; only with {}").format(f"{flag} {_listed(needs.values)}".rstrip())

    def _values(self, setting: Setting) -> str:
        if setting.choices:
            return _listed(setting.choices)
        words = "".join(f"`{each}` " for each in setting.words)
        if setting.between is None:
            return words.rstrip()
        least, most = (f"{each:d}" if isinstance(each, int) else f"{each:g}" for each in
                       (setting.between.least, setting.between.most))  # fmt: skip
        form = self.words.word("N or more" if setting.between.most == ROWS else "N to M")
        return words + form.replace("N", least).replace("M", most)

    def _default(self, setting: Setting) -> str:
        if setting.default is MISSING:
            return self.words.word("required")
        if setting.default in (None, ()) or setting.default is False:
            return ""
        values = setting.default if isinstance(setting.default, tuple) else (setting.default,)
        texts = [f"{each:g}" if isinstance(each, float) else str(each) for each in values]
        return f"`{(' ' if pair_of(setting.hint) else ',').join(texts)}`"


def _declaring(settings: type[Settings], name: str) -> type:
    return next(each for each in settings.__mro__ if name in vars(each).get("__annotations__", ()))


def _listed(values: Sequence[object]) -> str:
    """Values as code; of many, the first and the last."""
    texts = [f"`{each}`" for each in values]
    return " ".join(texts) if len(texts) <= _MOST else f"{texts[0]} ... {texts[-1]}"


def _cell(text: str) -> str:
    """Text of a help as Markdown shows it in a cell: its code stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [part if part.startswith("`") else re.sub(r"([<*\[\]])", r"\\\1", part) for part in parts]
    return "".join(plain).replace("|", "\\|")
