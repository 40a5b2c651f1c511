"""Chats as they are written for the programming interfaces of chat models, `messages` -> the fields of a question.

A message is `{"role": ..., "content": ...}`. Its content is a text, or a list of parts: `{"type": "text", "text": ...}`
and `{"type": "image_url", "image_url": {"url": ...}}` with a path or a data: URL, or `{"type": "image", "image": ...}`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from extract.questions.content.placing import PLACE
from extract.questions.fields import FIELD_NAMES, is_missing
from schemas.text import counted

MESSAGES = "messages"
_IMAGE_PARTS = ("image_url", "image", "input_image")
_ELSEWHERE = ("http://", "https://")


def from_chats(rows: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Rows with the first question about an image of their `messages`, and lines on what is not asked of them.

    It is the first message of a user with an image, or of rows with an image of their own, the first one. The answer
    of the assistant after it is the right answer, if it is the last message.
    """
    found, others, elsewhere = [], 0, 0
    for row in rows:
        messages = _messages_of(row)
        if messages is None:
            found.append(row)
            continue
        fields, more = _first_question(messages, own_image=_has_image(row))
        image = fields.get("image_file")
        if isinstance(image, str) and image.startswith(_ELSEWHERE):
            elsewhere, fields["image_file"] = elsewhere + 1, None
        others += more
        named = {"question_id": row["id"]} if "id" in row else {}
        found.append({**named, **fields, **{name: value for name, value in row.items() if name != MESSAGES}})
    notes = []
    if others:
        rows_have = counted(others, "row has", "rows have")
        notes.append(
            f"of `{MESSAGES}`, the first question about an image and its answer are read; {rows_have} more: what the "
            "system says, or further turns"
        )
    if elsewhere:
        notes.append(f"{counted(elsewhere, 'image is', 'images are')} on the web, where they are not read: skipped")
    return found, notes


def _messages_of(row: Any) -> list[dict[str, Any]] | None:
    """The messages of a row, also from their text in JSON; None if it has none."""
    value = row.get(MESSAGES) if isinstance(row, dict) else None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else None


def _has_image(row: Mapping[str, Any]) -> bool:
    names = (*FIELD_NAMES["image_file"], "images")
    return any(not is_missing(row.get(name)) and row[name] not in ("", []) for name in names)


def _first_question(messages: Sequence[Mapping[str, Any]], *, own_image: bool) -> tuple[dict[str, Any], bool]:
    """The fields of the first question about an image, and whether there is more in the chat."""
    for place, message in enumerate(messages):
        text, images = _parts(message.get("content"))
        if message.get("role") != "user" or not (images or own_image):
            continue
        after = messages[place + 1 :]
        answered = len(after) == 1 and after[0].get("role") == "assistant"
        fields: dict[str, Any] = {"image_file": None} if images or not own_image else {}
        fields |= {"question": text, "answer": _parts(after[0].get("content"))[0] if answered else None}
        if images:
            fields["image_file"] = images[0] if len(images) == 1 else images
        return fields, place > 0 or len(after) > answered
    return {"image_file": None, "question": None}, bool(messages)


def _parts(content: Any) -> tuple[str, list[str]]:
    """The text of a message, and its images; `<image>` is where one of several images stands after a text."""
    if isinstance(content, str):
        return content, []
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts: list[str] = []
    images: list[str] = []
    places: list[str] = []
    for part in parts:
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
            places.append(part["text"])
        value = next((part[name] for name in _IMAGE_PARTS if part.get(name)), None)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str):
            images.append(value.removeprefix("file://"))
            places.append(PLACE)
    placed = len(images) > 1 and places[: len(images)] != [PLACE] * len(images)
    return "\n".join(places if placed else texts), images
