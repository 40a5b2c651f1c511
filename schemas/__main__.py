"""Print the contract as Markdown: `python -m schemas` (the tables of the README come from here)."""

import sys

from schemas.cli import run_command
from schemas.contract import contract


def main() -> int:
    """Print the tables; returns the exit code."""
    print("\n\n".join(f"### {title}\n\n{table}" for title, table in contract().items()))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
