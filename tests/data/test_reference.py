"""The reference is as the code makes it, in both languages: flags, columns, model families."""

import re
from collections.abc import Iterator

import pytest
import transformers

from analyze.commands import COMMANDS
from data.guide.flags import Flags
from data.guide.pages import FILES, filled, made, parts_in, path_of
from data.guide.words import LANGUAGES, Words
from extract.__main__ import STAGE_COMMANDS
from schemas.commands.command_line import place_of
from schemas.commands.settings import settings_of
from schemas.errors import HeadflowError

PAGES = [(page, language) for page in FILES for language in LANGUAGES]
FAMILIES = "extract/guide/families"
PINNED = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 23)


@pytest.mark.parametrize(("page", "language"), PAGES)
def test_a_page_is_as_it_is_made(page, language):
    """Of the table of families, other tests leave the order of rows changed."""
    if page == FAMILIES and not PINNED:
        pytest.skip("which processors need torchvision is as in the version that is pinned")
    text, parts = path_of(page, language).read_text(encoding="utf-8"), made(page, language)
    assert sorted(parts_in(text)) == sorted(parts), "each part has its place once"
    new = filled(text, parts)
    assert sorted(new.splitlines()) == sorted(text.splitlines()) if page == FAMILIES else new == text, "make reference"


@pytest.mark.parametrize("page", FILES)
def test_each_chinese_text_is_used_and_of_one_english_text(page):
    name, make = FILES[page]
    words = Words(name, "zh")
    make(words)
    assert words.unused() == []
    assert words.ambiguous() == []


def marks(text: str) -> set[str]:
    """What a text has in any language: its code, and words with digits in them."""
    code = {found for each in re.findall(r"`([^`]*)`", text) for found in re.findall(r"[\w./*-]+", each)}
    return code | set(re.findall(r"(?<![\w.])-?[A-Za-z]*\d[\w]*(?:\.\d+)?", text))


def pairs() -> Iterator[tuple[str, str, str]]:
    """Each text that is not of a table itself, in English and in Chinese."""
    for name, make in FILES.values():
        words = Words(name, "zh")
        make(words)
        for (section, key), english in words.used.items():
            if section != "phrases":
                yield f"{name}: {section}.{key}", next(iter(english)), words.texts[section][key]


def test_chinese_names_what_english_names():
    found = [(place, marks(en) ^ marks(zh)) for place, en, zh in pairs() if "{tasks}" not in zh]
    assert len(found) > 250
    assert [each for each in found if each[1]] == []


def test_a_text_without_chinese_is_an_error():
    words = Words("analyze", "zh")
    del words.texts["shared"]["dpi"]
    with pytest.raises(HeadflowError, match=r"there is no Chinese for plots\.dpi: dots per inch"):
        words.text("plots", "dpi", "dots per inch")


@pytest.mark.parametrize(
    ("page", "commands"), [("extract/guide/flags", STAGE_COMMANDS), ("analyze/guide/flags", COMMANDS)]
)
def test_each_setting_of_a_command_is_in_its_section(page, commands):
    sections = made(page, "en")["flags"].split("\n## ")
    by_name = {each.splitlines()[0].removeprefix("## "): each for each in sections}
    compared = 0
    for name, command in commands.items():
        for setting in settings_of(command.settings):
            assert re.search(rf"`\[?{re.escape(place_of(setting))}\b", by_name[name]), (name, setting.name)
            compared += 1
    assert compared > 80


def test_a_row_says_what_a_setting_takes():
    rows = made("analyze/guide/flags", "en")["flags"].splitlines()
    assert "| `--top N` | 1 to 100 | `6` | how many heads are drawn, where none is named; not with `--heads` |" in rows
    rows = made("extract/guide/flags", "en")["flags"].splitlines()
    (row,) = [row for row in rows if row.startswith("| `--maps-of NAME` |")]
    assert row.startswith("| `--maps-of NAME` | `last` `question` | last | whose attention")
    assert row.endswith("; only with `--maps` |")


def test_a_setting_of_several_commands_is_described_once():
    words = Words("analyze", "en")
    text = Flags(COMMANDS, words, several=3).page()
    assert text.count("dots per inch") == 1
