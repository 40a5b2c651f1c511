"""Write the reference of the guide from the code: `make reference`, or `python -m data.guide.pages`.

Pages are files with parts that are made, each between two comments, and text by hand around them:

    <!-- made: heads -->
    | column | type | unit | meaning |
    <!-- end -->
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from analyze.commands import COMMANDS
from data.guide.flags import Flags
from data.guide.notebook import notebook_tables
from data.guide.tables import contract_tables, families_table
from data.guide.words import LANGUAGES, Words
from extract.__main__ import STAGE_COMMANDS
from schemas.cli import run_command

ROOT = Path(__file__).parents[2]
_MADE = re.compile(r"(<!-- made: (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

FILES = {
    "schemas/README": ("contract", contract_tables),
    "extract/guide/flags": ("extract", lambda words: {"flags": extract_flags(words).page()}),
    "extract/guide/families": ("families", lambda words: {"families": families_table(words)}),
    "analyze/guide/flags": ("analyze", lambda words: {"flags": analyze_flags(words).page()}),
    "analyze/guide/notebook": ("notebook", notebook_tables),
}  # a page, the file of its Chinese words, and what makes its parts by name


def extract_flags(words: Words) -> Flags:
    """The flags of the first stage, whose commands share most of them."""
    return Flags(STAGE_COMMANDS, words, several=len(STAGE_COMMANDS), by_group=True)


def analyze_flags(words: Words) -> Flags:
    """The flags of the second stage."""
    return Flags(COMMANDS, words, several=3)


def made(page: str, language: str) -> dict[str, str]:
    """The parts of a page by name."""
    name, make = FILES[page]
    return make(Words(name, language))


def path_of(page: str, language: str) -> Path:
    """The file of a page in a language."""
    return ROOT / f"{page}{'' if language == 'en' else f'.{language}'}.md"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A page with its parts as they are made now; raises `KeyError` for a part that nothing makes."""
    return _MADE.sub(lambda found: f"{found[1]}{parts[found[2]]}\n{found[4]}", text)


def parts_in(text: str) -> list[str]:
    """The names of the parts that a page has."""
    return [found[2] for found in _MADE.finditer(text)]


def main() -> int:
    """Write all pages; returns the exit code."""
    for page in FILES:
        for language in LANGUAGES:
            file = path_of(page, language)
            text = file.read_text(encoding="utf-8")
            new = filled(text, made(page, language))
            if new != text:
                file.write_text(new, encoding="utf-8")
                print(file.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
