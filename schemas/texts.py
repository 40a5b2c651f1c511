"""Text from JSON and pickles, which may hold what no file in UTF-8 can."""


def storable(text: str) -> str:
    """The text, with `?` for each half of a surrogate pair that lacks the other one."""
    return text.encode("utf-8", "replace").decode("utf-8")
