"""Where a question places its images: `<image>`, or MMMU's `<image 1>`, which names one by its number.

Images stand in the order in which the hint, the question and its options place them. Those that no text places stand
before the text. A number that comes again is text.
"""

import re
from collections.abc import Sequence

from schemas.text import counted

PLACE = "<image>"
NUMBERED = re.compile(r"<image[ _]?(\d)>")


def in_order(texts: Sequence[str], images: int) -> list[int]:
    """The numbers of a question's images, from 0, in the order in which they stand in its prompt."""
    named = [number - 1 for number in _named(texts) if number <= images]
    return [number for number in range(images) if number not in named] + named


def mark_places(texts: Sequence[str], images: int, placeholders: Sequence[str]) -> list[str]:
    """Texts with `PLACE` where an image stands, of a question with several images.

    Args:
        texts: hint, question and options.
        images: how many it has.
        placeholders: what stands for an image, or for a part of one.

    Raises:
        ValueError: it places another number than it has, or some by number and others without.
    """
    named, plain = _named(texts), [text.count(each) for text in texts for each in dict.fromkeys(placeholders)]
    if named and (sum(plain) or max(named) > images):
        what = "by number and others without" if sum(plain) else f"of which one is number {max(named)}"
        raise ValueError(f"the question has {counted(images, 'image')}, and places some {what}")
    if sum(plain) not in (0, images):
        raise ValueError(f"the question has {counted(images, 'image')}, and places for {sum(plain)}")
    seen: set[str] = set()

    def mark(match: re.Match[str]) -> str:
        if match[1] in seen:
            return match[0]
        seen.add(match[1])
        return PLACE

    marked = [NUMBERED.sub(mark, text) for text in texts]
    for each in placeholders:
        marked = [text.replace(each, PLACE) for text in marked]
    return marked


def _named(texts: Sequence[str]) -> list[int]:
    """The numbers of images that texts name, each once, in order."""
    found = (int(number) for text in texts for number in NUMBERED.findall(text))
    return [number for number in dict.fromkeys(found) if number]
