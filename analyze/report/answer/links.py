"""Addresses in the page, such as `#head=L2H1&measure=looking/q2v&at=heads`; heads in a text as links to theirs."""

import re
from urllib.parse import quote

from markupsafe import Markup, escape

_HEAD = re.compile(r"\bL\d+H\d+\b")


def head_address(head: str, measure: str | None = None) -> str:
    """The address of a head, and of a measure by its key, in the map of heads."""
    return f"#head={head}{'' if measure is None else f'&measure={quote(measure)}'}&at=heads"


def category_address(category: str | None) -> str:
    """The address of a category in the comparison, whose heads and samples are chosen too; None: of all of them."""
    if category is None:
        return "#at=comparison"
    name = quote(category, safe="")
    return f"#category={name}&samples-of={name}&at=comparison"


def linked(text: str, measure: str | None = None) -> Markup:
    """The text for HTML, with a link for each head that it names."""
    found, end = Markup(), 0
    for head in _HEAD.finditer(text):
        link = Markup('<a href="{}">{}</a>').format(head_address(head[0], measure), head[0])
        found, end = found + escape(text[end : head.start()]) + link, head.end()
    return found + escape(text[end:])
