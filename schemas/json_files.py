"""A JSON object in a file, or the one line that says why there is none."""

import json
from pathlib import Path
from typing import Any

from schemas.errors import HeadflowError, one_line


def read_object(path: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file, which errors call `name`.

    Raises:
        HeadflowError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HeadflowError(f"{name} cannot be read: {one_line(error)}") from None
    except (ValueError, RecursionError) as error:  # the second where lists lie too deep in lists
        raise HeadflowError(f"{name} is not JSON in UTF-8: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise HeadflowError(f"{name} holds no JSON object")
    return content
