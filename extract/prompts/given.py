"""Texts that a model is given, instead of writing its own: a JSON file of one text for each sample."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from schemas.commands.settings import in_utf8
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import counted, listed, short

SETTING = "text"


def read_texts(path: Path) -> dict[str, str]:
    """The text of each sample, by its id.

    Raises:
        HeadflowError: the file cannot be read, or a text is empty or none.
    """
    try:
        texts: dict[str, Any] = read_object(path, str(path))
    except HeadflowError as error:
        raise HeadflowError(f'{error}; the file has the form {{"SAMPLE_ID": "text", ...}}', setting=SETTING) from None
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            what = "is empty" if isinstance(text, str) else f"is {short(text)}"
            raise HeadflowError(f"{path}: the text of {short(name)} {what}", setting=SETTING)
        try:
            in_utf8(text)
        except ValueError as error:
            raise HeadflowError(f"{path}: the text of {short(name)}: {error}", setting=SETTING) from None
    return texts


def check_texts(texts: Collection[str], path: Path, *, known: Collection[str], asked: Collection[str]) -> None:
    """Check whose texts there are.

    Args:
        texts: the ids of samples that have one.
        known: all ids of the question file.
        asked: those of the run.

    Raises:
        HeadflowError: a text is of no sample of the file, or a sample of the run has none.
    """
    if others := [name for name in texts if name not in known]:
        raise HeadflowError(
            f"{path} has {counted(len(others), 'text')} of no sample of the question file: {listed(others, 1)}",
            setting=SETTING,
        )
    if missing := [name for name in asked if name not in texts]:
        raise HeadflowError(
            f"{path} has no text for {counted(len(missing), 'sample')} of {len(asked)}, such as {short(missing[0])}",
            setting=SETTING,
        )


def hash_of_texts(path: Path) -> str:
    """The SHA-256 of a file that `read_texts` has read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
