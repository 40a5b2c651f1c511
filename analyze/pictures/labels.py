"""The mass columns in words and in colours, and which of them share a panel.

A column's colour is that of its keys, the same in every picture; a panel or a heading says whose attention it is.
"""

from collections.abc import Iterable

from schemas.roles import ROLES

SOURCES = {"t": "text", "v": "image", "q": "question", "a": "last token"}
TARGETS = {"v": "image", "t": "text"} | {role.short: role.name for role in ROLES}
CROSSING_FLOWS = ("t2v", "v2t")
HEADINGS = {
    "": "Attention between text and image",
    "v": "Attention of image tokens",
    "q": "Attention of question tokens",
    "a": "Attention of the last token",
}
# Of the sets of Okabe and Ito (blue, orange, black) and of Paul Tol. Any two differ in CIELAB by 27 or more, for normal
# vision and for each kind of colour blindness
COLOURS = {
    "image": "#0072B2",
    "text": "#E69F00",
    "bos": "#000000",
    "system": "#882255",
    "user": "#DDCC77",
    "question": "#66CCEE",
}


def label(flow: str) -> str:
    """`t2v` -> `T2V (text → image)`."""
    source = SOURCES[flow.partition("2")[0]]
    return f"{flow.upper()} ({source} → {target(flow)})"


def target(flow: str) -> str:
    """The keys of a column: `v2sys` -> `system`."""
    return TARGETS[flow.partition("2")[2]]


def colour(flow: str) -> str:
    """The colour of a column, that of its keys."""
    return COLOURS[target(flow)]


def by_queries(flows: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Columns with the same queries under one heading, in the order given; T2V and V2T under one as well."""
    groups: dict[str, tuple[str, ...]] = {}
    for flow in flows:
        heading = HEADINGS["" if flow in CROSSING_FLOWS else flow[0]]
        groups[heading] = (*groups.get(heading, ()), flow)
    return groups
