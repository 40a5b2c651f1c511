"""Docstrings, comments, READMEs and guides are in plain words: what readers had to read twice does not come back."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BANNED = {
    "likewise": r"\blikewise\b",  # say it again
    "behind": r"\bbehind\b",  # after
    "alone": r"(?<!asked )(?<!each )(?<!stands )(?<!is )(?<!are )\balone\b(?![`:])",  # only
    "such as are": r"\bsuch as are\b",
    "of which": r"\bof which\b",
    "of the one": r"\bof the one\b",
    "the one place": r"\bthe (one|only) place\b",
}
SEEN = "|".join(BANNED) + "|the only place"  # in a text that has none of them, nothing is looked for


def prose(name: str, text: str) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of a module, or the lines of another file, with the numbers of their lines."""
    if not name.endswith(".py"):
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (found := ast.get_docstring(node)):
            yield node.body[0].lineno, " ".join(found.split())


def banned(name: str, text: str) -> list[str]:
    """The places of a file that have a banned expression, a line each."""
    if not re.search(SEEN, " ".join(text.split()), re.IGNORECASE):
        return []
    return [
        f"{name}:{line}: {word}"
        for line, found in prose(name, text)
        for word, pattern in BANNED.items()
        if re.search(pattern, found, re.IGNORECASE)
    ]


def is_page(name: str) -> bool:
    """Whether a file is a README or a page of a guide, in English."""
    path = Path(name)
    return path.name == "README.md" or ("guide" in path.parts and name.endswith(".md") and ".zh." not in name)


def test_prose_has_no_banned_words():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the files of the project are known in a checkout")
    names = [name for name in listed.stdout.splitlines() if name.endswith(".py") or is_page(name)]
    assert len(names) > 100
    own = [name for name in names if name != "tests/test_words.py" and (ROOT / name).is_file()]
    assert [line for name in own for line in banned(name, (ROOT / name).read_text(encoding="utf-8"))] == []


def test_the_check_of_words_can_fail():
    source = '"""The keys; values\nlikewise."""\nx = "likewise"  # masses alone\n'
    assert banned("a.py", source) == ["a.py:3: alone", "a.py:1: likewise"]
    assert banned("README.md", "each question asked alone\nthe text behind it") == ["README.md:2: behind"]
