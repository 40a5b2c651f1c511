"""Hypothesis strategies: what a file or a JSON value may have become."""

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

HOSTILE = (
    "", " ", "\0", "\n", "..", "../..", "/etc/passwd", "a" * 3000, "\ud800", "<", ">", "&amp;", "'\"", "$x^2$", "=1+1",
    "<ima", "<image>", "ge>", "</s>", "<|im_end|>", "<image_soft_token>", "<video>", "Is it red?",
)  # fmt: skip
ODD_NUMBERS = (0, -1, 2**31, 2**64, -(2**63), 10**400, 0.5, -0.0, float("nan"), float("inf"), -float("inf"))
LETTERS = st.characters(exclude_categories=["Cs"])  # as of `st.text()`, which takes seconds to find out what UTF-8 has
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(ODD_NUMBERS)
    | st.integers()
    | st.sampled_from(HOSTILE)
    | st.text(LETTERS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS, max_size=5), inner, max_size=3),
    max_leaves=6,
)
EDITS = ("overwrite", "insert", "delete", "repeat", "truncate")


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes, with one to four spans overwritten, put in, taken out, doubled, or all that follows cut off.

    Half of the places are within the last 2 kB, where Parquet and zip have their directories.
    """
    for _ in range(draw(st.integers(1, 4))):
        edit = draw(st.sampled_from(EDITS))
        first = draw(st.sampled_from((0, max(0, len(content) - 2000))))
        start = draw(st.integers(first, max(first, len(content) - 1)))
        span = draw(st.binary(min_size=1, max_size=8)) if edit in ("overwrite", "insert") else b""
        stop = start + (len(span) if edit == "overwrite" else draw(st.integers(1, 64)))
        content = {
            "overwrite": content[:start] + span + content[stop:],
            "insert": content[:start] + span + content[start:],
            "delete": content[:start] + content[stop:],
            "repeat": content[:stop] + content[start:],
            "truncate": content[:start],
        }[edit]
    return content


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value in which one to three members, at any depth, are replaced, taken out, or joined by another."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(values)
        owner, key = draw(st.sampled_from(places))
        edit = draw(st.sampled_from(("replace", "remove", "add")))
        if edit == "replace":
            owner[key] = draw(values)
        elif edit == "remove":
            del owner[key]
        elif isinstance(owner, dict):
            owner[draw(st.text(LETTERS, max_size=5))] = draw(values)
        else:
            owner.insert(key, draw(values))
    return value


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def changed(file: Path) -> st.SearchStrategy[bytes]:
    """What a file may have become: damaged, or where it is JSON, other JSON."""
    content = file.read_bytes()
    if file.suffix != ".json":
        return damaged(content)
    return altered(json.loads(content)).map(as_json) | damaged(content)


def _places(value: Any) -> Any:
    """Each (container, key or index) in a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(members):
        yield value, key
        yield from _places(member)
