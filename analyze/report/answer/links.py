"""Heads in a text as links that choose them, by addresses as the page has them: `#head=L2H1&measure=looking/q2v`."""

import re
from urllib.parse import quote

from markupsafe import Markup, escape

_HEAD = re.compile(r"\bL\d+H\d+\b")
_PLACE = "heads"  # the section of the page that has their map


def address(head: str, measure: str | None = None) -> str:
    """The address of a head, and of a measure by its key, in the map of heads."""
    return f"#head={head}{'' if measure is None else f'&measure={quote(measure)}'}&at={_PLACE}"


def linked(text: str, measure: str | None = None) -> Markup:
    """The text for HTML, with a link for each head that it names."""
    found, end = Markup(), 0
    for head in _HEAD.finditer(text):
        link = Markup('<a href="{}">{}</a>').format(address(head[0], measure), head[0])
        found, end = found + escape(text[end : head.start()]) + link, head.end()
    return found + escape(text[end:])
