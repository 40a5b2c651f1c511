"""Commands in pages are commands, and what pages quote of them is compared line by line."""

import re
from pathlib import Path

import pytest

from analyze.commands import COMMANDS
from data.guide.quotes import Quote, check, holds, main, pages, quotes_in, write
from extract.__main__ import STAGE_COMMANDS
from schemas.commands.command_line import flag_of
from schemas.commands.settings import settings_of

ROOT = Path(__file__).parents[2]
ALL = STAGE_COMMANDS | COMMANDS
PRINTED = "5 samples\n\nright: 79.7%\nin 3.2 s\nbias: no\nheads: L0H1\n"
TEXT = """# Page

```
$ headflow diagnose RUN \\
    --column
5 samples
...
in 4.1 s
bias: no
$ headflow summary RUN
```
"""


def test_a_quote_is_read():
    first, second = quotes_in("a.md", TEXT)
    assert first == Quote(
        "a.md", 4, "headflow diagnose RUN      --column", ("5 samples", "...", "in 4.1 s", "bias: no")
    )
    assert second == Quote("a.md", 10, "headflow summary RUN", ())


def test_a_quote_is_compared():
    def missing(*lines: str) -> list[str]:
        return Quote("a.md", 1, "headflow x", lines).missing(PRINTED)

    assert missing("5 samples", "", "right: 79.7%", "...", "bias: no") == []
    assert missing("right: 79.7%", "in 9 s") == []
    assert missing("5 samples", "right: 79.8%", "...", "bias: no") == ["right: 79.8%"]
    assert missing("5 samples", "right: 79.7%") == ["5 samples / right: 79.7%"]  # a blank line is between them
    assert missing("bias: no", "...", "right: 79.7%") == ["right: 79.7%"]  # the order counts
    (line,) = check([Quote("a.md", 7, "headflow x", ("no",))], {"headflow x": PRINTED})
    assert line == "a.md:7: headflow x: does not print: no"


def test_a_quote_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr("data.guide.quotes.ROOT", tmp_path)
    (tmp_path / "a.md").write_text(TEXT.replace("bias: no", "bias: yes"))
    quotes = quotes_in("a.md", TEXT.replace("bias: no", "bias: yes"))
    write("a.md", quotes, [quote.mended(PRINTED) for quote in quotes])
    assert (tmp_path / "a.md").read_text() == TEXT.replace("4.1", "3.2")


def test_quotes_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("data.guide.quotes.ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "a.md").write_text("```\n$ headflow validate none\nnone: 1 problem\nmore\n```\n")
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 quotes of 1 commands, 1 lines differ"
    for words, says in ((["--wirte"], "unrecognized arguments: --wirte"), (["b.md"], "no page of the guide: b.md")):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        assert says in capsys.readouterr().err


def code(text: str) -> list[str]:
    """The lines of code of a page: in blocks, and between backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    joined = "\n".join([*blocks, *re.findall(r"^    (.*)$", rest, re.MULTILINE), *re.findall(r"`([^`]+)`", rest)])
    return [line.strip().removeprefix("$ ") for line in joined.replace("\\\n", " ").splitlines()]


def wrong_words(line: str) -> list[str]:
    """What a line of code asks of headflow or of make that is not there."""
    if target := re.match(r"make ([a-z-]+)", line):
        known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [] if target[1] in known else [target[1]]
    found = re.match(r"(?:\S*python -m (extract|analyze)|headflow)\b ?(.*)", line)
    if found is None:
        return []
    words = [word for word in found[2].partition(" #")[0].split() if re.fullmatch(r"\[?-*\w[\w-]*.*", word)]
    name = words[0] if words and not words[0].startswith("-") else "extract" if found[1] == "extract" else ""
    if not name or name.isupper():
        return []
    if name not in ALL:
        return [name]
    flags = {flag_of(each) for each in settings_of(ALL[name].settings) if each.keyword} | {"--help"}
    return [flag for flag in re.findall(r"(?<![\w'-])--[a-z][\w-]*", found[2]) if flag not in flags]


def test_commands_of_pages_are_there():
    lines = [(page, line) for page, text in pages().items() if page != "CHANGELOG.md" for line in code(text)]
    asked = [
        (page, line) for page, line in lines if re.match(r"headflow |\S*python -m (extract|analyze)\b|make ", line)
    ]
    assert len(asked) > 150
    assert [(page, line, wrong) for page, line in asked if (wrong := wrong_words(line))] == []


def test_the_check_of_commands_can_fail():
    assert wrong_words("headflow plots RUN --dip 3") == ["--dip"]
    assert wrong_words("python -m extract --maps --no-such x") == ["--no-such"]
    assert wrong_words("headflow plot RUN") == ["plot"]
    assert wrong_words("make diagnos RUN=x") == ["diagnos"]
    assert wrong_words("headflow prune RUN --loss 3") == wrong_words("python -m analyze --help") == []


def test_a_row_of_a_table_is_a_quote():
    (row,) = quotes_in("a.md", "| what | `headflow x runs/tour/a` | 79.7% |\n| what | `headflow y` | 3 |\n")
    assert row == Quote("a.md", 1, "headflow x runs/tour/a", ("79.7%",), part=True)
    assert row.missing(PRINTED) == []
    assert row.missing(PRINTED.replace("79.7", "79.8")) == ["79.7%"]


def test_python_of_a_page_is_run(capsys):
    assert holds("text\n\n    >>> 1 +  1\n    2\n\ntext\n", "a.md")
    assert not holds("    >>> 1 + 1\n    3\n", "a.md")
    assert "Expected:\n    3\nGot:\n    2" in capsys.readouterr().out
