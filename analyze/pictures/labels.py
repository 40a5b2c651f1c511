"""The mass columns in words and in colours, and which of them share a panel.

A column's colour is that of its keys, the same in every picture; a panel or a heading says whose attention it is.
"""

from collections.abc import Iterable

from analyze.tables.parts.steps import column_and_step
from schemas.columns import DEFAULT_FLOWS, MEAN_STEP
from schemas.roles import STEP_ROLES

SOURCES = {"t": "text", "v": "image", "q": "question", "a": "last token", "g": "generated tokens"}
TARGETS = {"v": "image", "t": "text"} | {role.short: role.name for role in STEP_ROLES}
HEADINGS = {
    "": "Attention between text and image",
    "v": "Attention of image tokens",
    "q": "Attention of question tokens",
    "a": "Attention of the last token",
    "g": "Attention while writing",
}
# Why a head or a difference is grey, in pictures and on the page
NOT_SIGNIFICANT = "not significant (5%, corrected for all heads)"
NOT_DISCOVERED = "not significant (false discovery rate 5%)"
# Of the sets of Okabe and Ito (blue, orange, black) and of Paul Tol, and a red. Any two differ in CIELAB by 27 or more,
# for normal vision and for each kind of colour blindness
COLOURS = {
    "image": "#0072B2",
    "text": "#E69F00",
    "bos": "#000000",
    "system": "#882255",
    "user": "#DDCC77",
    "question": "#66CCEE",
    "generated": "#D83048",
}


def label(flow: str) -> str:
    """`t2v` -> `T2V (text → image)`; of generated tokens, with the step."""
    column, step = column_and_step(flow)
    source = SOURCES[column.partition("2")[0]]
    which = "" if not step else ", mean over steps" if step == MEAN_STEP else f", step {step}"
    return f"{column.upper()} ({source} → {target(flow)}{which})"


def target(flow: str) -> str:
    """The keys of a column: `v2sys` -> `system`."""
    return TARGETS[column_and_step(flow)[0].partition("2")[2]]


def colour(flow: str) -> str:
    """The colour of a column, that of its keys."""
    return COLOURS[target(flow)]


def by_queries(flows: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Columns with the same queries under one heading, in the order given; T2V and V2T under one as well."""
    groups: dict[str, tuple[str, ...]] = {}
    for flow in flows:
        heading = HEADINGS["" if flow in DEFAULT_FLOWS else flow[0]]
        groups[heading] = (*groups.get(heading, ()), flow)
    return groups
