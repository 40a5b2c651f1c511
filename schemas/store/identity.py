"""Whether a run that lies there is the one that a command asks for, so that it can go on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.errors import HeadflowError
from schemas.manifest import Manifest
from schemas.text import short

# What decides rows and numbers. Where a run goes on, device, batch size and versions may be others
IDENTITY = (
    "source", "layers", "heads", "flows", "text_scope", "samples", "num_chunks", "model", "revision", "checkpoint",
    "dtype", "attention", "sequences", "conv_mode", "system_span", "prompt_suffix", "image_preprocessing",
    "question_file_sha256",
)  # fmt: skip


def check_same(found: Manifest, asked: Mapping[str, Any], path: Path) -> None:
    """Hold the run in `path` against the one asked for.

    Args:
        asked: fields of `IDENTITY`, all or some.

    Raises:
        HeadflowError: they differ; the first difference is named.
    """
    for name, ours in asked.items():
        theirs = getattr(found, name)
        if theirs != ours:
            raise HeadflowError(
                f"{path} holds another run: its {name} is {short(theirs)}, this command's is {short(ours)}; "
                "choose another directory, or say --overwrite"
            )
