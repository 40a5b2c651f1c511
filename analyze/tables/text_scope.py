"""Which tokens `t2v` and `v2t` count as text: all of it, or all but the system prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analyze.statistics.clusters import Array
from schemas.errors import HeadflowError
from schemas.manifest import EXTRACTED, Manifest
from schemas.roles import ROLES

if TYPE_CHECKING:  # workers do without pandas
    import pandas as pd


@dataclass(frozen=True)
class TextScope:
    """What `t2v` and `v2t` count as text: `all`, or `no-system`, which leaves the system prompt (not BOS) out.

    For a run that counted all text,

        t2v without system = t2v * n_text / (n_text - n_system)
        v2t without system = v2t - v2sys

    The first holds because in a causal model no token before the image can see it.

    Attributes:
        name: `all` or `no-system`.
        converts: whether the run's values have to be converted.
        factors: float64 [samples], by which `t2v` is multiplied; empty if nothing is converted.
    """

    name: str
    converts: bool
    factors: Array

    @classmethod
    def of(cls, manifest: Manifest, samples: "pd.DataFrame", asked: str | None) -> "TextScope":
        """The scope asked for; None is the scope that the run was written in.

        Raises:
            HeadflowError: an imported run has its values in the other scope, and no columns to convert them.
        """
        have = manifest.text_scope
        wanted = asked or have
        if wanted == have:
            return cls(wanted, False, np.empty(0))
        if manifest.source != EXTRACTED or have != "all":
            raise HeadflowError(
                f"the run has t2v and v2t in the text scope `{have}` only, from {manifest.question_file}; "
                f"they cannot be converted to `{wanted}`",
                setting="text_scope",
            )
        if manifest.causal is False and samples["n_system"].fillna(0).any():
            raise HeadflowError(
                f"in a {manifest.architecture} text before the image sees it, so that t2v and v2t cannot be converted "
                f"to `{wanted}`",
                setting="text_scope",
            )
        text = samples[[f"n_{role.name}" for role in ROLES if role.name != "image"]].sum(axis=1)
        factors = text / (text - samples["n_system"])
        return cls(wanted, True, factors.to_numpy(np.float64, na_value=np.nan))

    @property
    def note(self) -> str:
        """What a picture says about the scope; empty if all text counts."""
        return "" if self.name == "all" else "text without the system prompt"

    def columns(self, flows: Sequence[str]) -> list[str]:
        """The columns of `heads` to read for these flows."""
        return list(dict.fromkeys([*flows, *(["v2sys"] if self.converts and "v2t" in flows else [])]))

    def of_samples(self, samples: npt.NDArray[np.integer] | slice) -> "TextScope":
        """The scope of only some of the samples, by their positions."""
        return replace(self, factors=self.factors[samples]) if self.converts else self

    def values(self, flow: str, columns: Mapping[str, npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
        """One flow in this scope, [samples, layers, heads]: float64 if it is converted, else as it is in `columns`.

        Args:
            columns: of `heads`, for the samples of this scope, [samples, layers, heads]; the method `columns` says
                which are needed.
        """
        values = columns[flow]
        if self.converts and flow == "t2v":
            return values * self.factors[:, None, None]
        if self.converts and flow == "v2t":
            return np.maximum(np.subtract(values, columns["v2sys"], dtype=np.float64), 0)  # rounding may leave -1e-8
        return values
