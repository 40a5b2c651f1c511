"""The flow columns as a reader meets them: label, colour, and what counts as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns

from schemas.columns import FLOW_NAMES
from schemas.errors import HeadflowError
from schemas.manifest import EXTRACTED, Manifest
from schemas.roles import ROLES

Array = npt.NDArray[np.float64]

SOURCES = {"t": "text", "v": "image", "q": "question", "a": "last token"}
TARGETS = {"v": "image", "t": "text"} | {role.short: role.name for role in ROLES}
COLOURS = {"t2v": "#1f77b4", "v2t": "#ff7f0e", "total": "#2ca02c"}
DEFAULT = ("t2v", "v2t")


def label(flow: str) -> str:
    """`t2v` -> `T2V (text → image)`."""
    if flow == "total":
        return "Total (T2V + V2T)"
    source, target = flow.split("2", 1)
    return f"{flow.upper()} ({SOURCES[source]} → {TARGETS[target]})"


def colours(flows: Sequence[str]) -> list[str]:
    """A colour for each flow: T2V blue, V2T orange, the rest from a palette, the same in every picture."""
    others = [name for name in FLOW_NAMES if name not in COLOURS]
    palette = dict(zip(others, sns.color_palette("husl", len(others)).as_hex(), strict=True)) | COLOURS
    return [palette[flow] for flow in flows]


@dataclass(frozen=True)
class TextScope:
    """What `t2v` and `v2t` count as text: `all`, or `no-system`, which leaves the system prompt (not BOS) out.

    For a run that counted all text,

        t2v without system = t2v * n_text / (n_text - n_system)
        v2t without system = v2t - v2sys

    the first because in a causal model no token before the image can see it.
    """

    name: str
    converts: bool
    factors: Array  # of t2v, one for each row of `samples`; empty where nothing is converted

    @classmethod
    def of(cls, manifest: Manifest, samples: pd.DataFrame, asked: str | None) -> "TextScope":
        """The scope asked for, or by default that of the run.

        Raises:
            HeadflowError: an imported run has its values in the other scope, and no columns to convert them.
        """
        have = manifest.text_scope
        wanted = asked or have
        if wanted == have:
            return cls(wanted, False, np.empty(0))
        if manifest.source != EXTRACTED or have != "all":
            raise HeadflowError(
                f"--text-scope {wanted}: this run has t2v and v2t as `{have}` alone, from {manifest.question_file}; "
                "it cannot be converted"
            )
        text = samples[[f"n_{role.name}" for role in ROLES if role.name != "image"]].sum(axis=1)
        factors = text / (text - samples["n_system"])
        return cls(wanted, True, factors.to_numpy(np.float64, na_value=np.nan))

    @property
    def note(self) -> str:
        """What a picture says of the scope; nothing where all text counts."""
        return "" if self.name == "all" else "text without the system prompt"

    def columns(self, flows: Sequence[str]) -> list[str]:
        """The columns to read for these flows."""
        return list(dict.fromkeys([*flows, *(["v2sys"] if self.converts and "v2t" in flows else [])]))

    def values(self, flow: str, columns: Mapping[str, Array], sample: npt.NDArray[np.intp]) -> Array:
        """One flow in this scope.

        Args:
            columns: the columns of some rows, by name; `columns` says which are needed.
            sample: for each row, the position of its sample in the table `samples`.
        """
        values = columns[flow]
        if self.converts and flow == "t2v":
            return values * self.factors[sample]
        if self.converts and flow == "v2t":
            return np.maximum(values - columns["v2sys"], 0)  # rounding may leave -1e-8
        return values


def check_flows(flows: Sequence[str], manifest: Manifest) -> tuple[str, ...]:
    """Flows asked for, once each; raises `HeadflowError` for one that the run does not have."""
    for flow in flows:
        if flow not in manifest.flows:
            raise HeadflowError(f"--metrics {flow}: this run has {', '.join(manifest.flows)}")
    return tuple(dict.fromkeys(flows))
