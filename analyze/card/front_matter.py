"""The YAML at the top of a dataset card: fields of the hub, and what `load_dataset` reads.

Texts are quoted as in JSON, which is YAML too. There is no licence among the fields: whoever publishes chooses it.
"""

import json
from collections.abc import Mapping, Sequence

from analyze.card.markdown import plain
from analyze.card.words import LICENCES
from analyze.scores.mme import COGNITION, PERCEPTION

TAGS = ("attention", "attention-heads", "interpretability", "vision-language-model", "headflow")
SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)
FIRST = "heads"  # the table that is loaded if none is named


def front_matter(title: str, rows: Mapping[str, int], categories: Sequence[str], *, with_texts: bool) -> str:
    """The lines of the front matter, with those of dashes around it.

    Args:
        title: the card's, of any text.
        rows: numbers of rows, by table.
        categories: those of the run.
        with_texts: the questions are there, so that the data can also be asked.
    """
    tags = [*TAGS, *(["mme"] if {*PERCEPTION, *COGNITION} <= set(categories) else [])]
    lines = [
        "---",
        f"pretty_name: {_quoted(title)}",
        f"# license:  (not chosen yet: take one of {LICENCES})",
        *_list("tags", tags),
        *_list("size_categories", [size_category(sum(rows.values()))]),
        *(_list("task_categories", ["visual-question-answering"]) if with_texts else []),
        "configs:",
    ]
    for table in rows:
        lines += [f"- config_name: {_quoted(table)}", f"  data_files: {_quoted(f'{table}/*.parquet')}"]
        lines += ["  default: true"] if table == FIRST else []
    return "\n".join([*lines, "---"])


def size_category(rows: int) -> str:
    """The hub's name for a number of rows."""
    return SIZES[sum(rows >= 1000 * 10**power for power in range(len(SIZES) - 1))]


def _list(name: str, values: Sequence[str]) -> list[str]:
    return [f"{name}:", *(f"- {_quoted(value)}" for value in values)]


def _quoted(text: str) -> str:
    return json.dumps(plain(text), ensure_ascii=False)
