"""Hold what pages quote of commands.

python -m data.guide.quotes [PAGE ...]    # `make tour` ends with it; exit code 1 if a quote is not printed
python -m data.guide.quotes --write       # put what is printed in place of quotes

A quote is a fenced block that begins with `$ headflow ...`. The commands of all quotes run once each, those of
`extract` first, in the root of the project. The lines after a command must stand in what it prints, one after the
other; `...` takes the place of lines that are left out. Times may differ, nothing else. A row of a table whose last two
cells are a command on a run of `make tour` and a text is a quote, too: the text is a part of a line. Lines of Python
after `>>>` are run by doctest.
"""

import argparse
import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from schemas.cli import run_command

ROOT = Path(__file__).parents[2]
PLACES = ("", "analyze", "analyze/guide", "extract", "extract/guide", "schemas", "data/demo")
GAP = "..."
_PROMPT = "$ headflow "
_BLOCK = re.compile(r"^```\n(?=\$ )(.*?)^```$", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\|.*\| `(headflow .*runs/tour/.*?)` \| (.*) \|$", re.MULTILINE)
_TIME = re.compile(r"\d+(?:\.\d+)? ?(?:s|seconds|ms|min)\b")
_HEADFLOW = "import sys; from schemas.commands.headflow import main; sys.exit(main())"


@dataclass(frozen=True)
class Quote:
    """A command of a page, and the lines that the page has of what it prints; `line` is that of the command.

    With `part`, the only line is a part of one that is printed.
    """

    page: str
    line: int
    command: str
    lines: tuple[str, ...]
    part: bool = False

    def missing(self, printed: str) -> list[str]:
        """The quoted lines that the command does not print at their place."""
        if self.part:
            return [line for line in self.lines if line not in printed]
        found, place, shown = [], 0, [_bare(line) for line in printed.splitlines()]
        for part in _parts(self.lines):
            starts = range(place, len(shown) - len(part) + 1)
            start = next((each for each in starts if shown[each : each + len(part)] == [*map(_bare, part)]), None)
            if start is None:
                rest = set(shown[place:])
                found += [line for line in part if _bare(line) not in rest] or [" / ".join(part)]
            else:
                place = start + len(part)
        return found

    def mended(self, printed: str) -> "Quote":
        """The quote with the printed line that is most like each of its lines; a part of a line stays as it is."""
        if self.part:
            return self
        shown = printed.splitlines()
        lines = [line if line in (GAP, "") else next(iter(get_close_matches(line, shown, 1, 0.5)), line)
                 for line in self.lines]  # fmt: skip
        return replace(self, lines=tuple(lines))


def _bare(line: str) -> str:
    """A line without what differs from run to run."""
    return _TIME.sub("TIME", line.rstrip())


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines between gaps, and without blank lines at either end."""
    part: list[str] = []
    for line in (*lines, GAP):
        if line != GAP:
            part.append(line)
            continue
        while part and not part[-1].strip():
            part.pop()
        if part:
            yield part
        part = []


def quotes_in(page: str, text: str) -> list[Quote]:
    """The quotes of a page; a command may go on after a backslash."""
    found = []
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + 2
        for each in re.finditer(r"^\$ (?:.*\\\n)*.*\n((?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
            command = each[0][: each.start(1) - each.start()].replace("\\\n", " ").strip()
            line = first + block[1].count("\n", 0, each.start())
            if command.startswith(_PROMPT):
                found.append(Quote(page, line, command[2:], tuple(each[1].splitlines())))
    rows = ((text.count("\n", 0, row.start()) + 1, row) for row in _ROW.finditer(text))
    return [*found, *(Quote(page, line, row[1], (row[2],), part=True) for line, row in rows)]


def pages() -> dict[str, str]:
    """The pages that may quote, with their texts."""
    files = [file for place in PLACES for file in sorted((ROOT / place).glob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def run(command: str) -> str:
    """What a command prints; its errors too."""
    words = shlex.split(command)[1:]
    done = subprocess.run([sys.executable, "-c", _HEADFLOW, *words], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    return done.stdout


def write(page: str, quotes: Sequence[Quote], mended: Sequence[Quote]) -> None:
    """Put mended quotes in place of those of a page."""
    lines = (ROOT / page).read_text(encoding="utf-8").split("\n")
    for old, new in zip(quotes, mended, strict=True):
        if new == old:
            continue
        start = next(
            each for each in range(old.line, len(lines)) if tuple(lines[each : each + len(old.lines)]) == old.lines
        )
        lines[start : start + len(old.lines)] = new.lines
    (ROOT / page).write_text("\n".join(lines), encoding="utf-8")


def check(quotes: Sequence[Quote], printed: Mapping[str, str]) -> list[str]:
    """A line for each quoted line that is not printed."""
    return [
        f"{quote.page}:{quote.line}: {quote.command}: does not print: {line}"
        for quote in quotes
        for line in quote.missing(printed[quote.command])
    ]


def holds(text: str, page: str) -> bool:
    """Whether the Python of a page prints what the page says; says what differs."""
    test = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    return doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the commands of all quotes, or of some pages; the exit code is 1 if a quote is not printed."""
    texts = pages()
    parser = argparse.ArgumentParser(prog="python -m data.guide.quotes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="pages by their paths (default: all)")
    parser.add_argument("--write", action="store_true", help="put what is printed in place of quotes")
    asked = parser.parse_args(argv)
    if unknown := [page for page in asked.pages if page not in texts]:
        parser.error(f"no page of the guide: {', '.join(unknown)}")
    texts = {page: text for page, text in texts.items() if page in (asked.pages or texts)}
    quotes = [quote for page, text in texts.items() for quote in quotes_in(page, text)]
    commands = sorted(
        dict.fromkeys(quote.command for quote in quotes), key=lambda each: not each.startswith("headflow extract")
    )
    printed = {command: run(command) for command in commands}
    wrong = check(quotes, printed)
    wrong += [f"{page}: its Python prints other values, see above" for page, text in texts.items()
              if not holds(text, page)]  # fmt: skip
    print(*wrong, f"{len(quotes)} quotes of {len(commands)} commands, {len(wrong)} lines differ", sep="\n")
    if not asked.write:
        return 1 if wrong else 0
    for page in dict.fromkeys(quote.page for quote in quotes):
        own = [quote for quote in quotes if quote.page == page]
        write(page, own, [quote.mended(printed[quote.command]) for quote in own])
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
