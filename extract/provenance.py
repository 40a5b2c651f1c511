"""Versions and commit: what makes a run traceable."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    packages = ("torch", "transformers", "tokenizers", "pillow", "pyarrow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def git_commit() -> str | None:
    """The commit of the checkout that this file lies in, `-dirty` where it has changes; null outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
