"""The mass columns in words."""

from schemas.roles import ROLES

SOURCES = {"t": "text", "v": "image", "q": "question", "a": "last token"}
TARGETS = {"v": "image", "t": "text"} | {role.short: role.name for role in ROLES}
TOTAL = "total"  # T2V + V2T


def label(flow: str) -> str:
    """`t2v` -> `T2V (text → image)`."""
    if flow == TOTAL:
        return "Total (T2V + V2T)"
    source, target = flow.split("2", 1)
    return f"{flow.upper()} ({SOURCES[source]} → {TARGETS[target]})"
