"""Versions and commit: what makes a session traceable."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers; `more`: those of a backend."""
    packages = ("torch", "transformers", "tokenizers", "pillow", "pyarrow", *more)
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def git_commit() -> str | None:
    """The commit of the checkout that has this file, with `-dirty` if files were changed; None outside of git."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "-s", "-uno")
    return f"{commit}-dirty" if commit and changes else commit


_version = cache(version)  # of a package that stays the same while this process runs


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *command], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
