"""Published figures of a model, to compare a run with: `data/reference/*.json`, in the form of `Reference`."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.columns import DEFAULT_FLOWS
from schemas.errors import HeadflowError
from schemas.files.json_objects import build, read_object
from schemas.manifest import ORIGINAL

if TYPE_CHECKING:  # the flags of all commands name the file of figures
    import pandas as pd

LLAVA_MME = Path(__file__).parents[2] / "data" / "reference" / "llava-v1.5-7b-mme.json"


@dataclass(frozen=True)
class ReferenceSettings:
    """What the figures were made with, in the words of the manifest's fields."""

    model: str
    layers: int
    heads: int
    text_scope: str
    system_span: str
    conv_mode: str
    prompt_suffix: str
    image_preprocessing: dict[str, Any]  # the values that are compared; others of a run are not
    dtype: str
    images: str = ORIGINAL


@dataclass(frozen=True)
class Statistics:
    """Of one flow, over all (sample, layer, head) values."""

    mean: float
    median: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Overall:
    """Of each flow."""

    t2v: Statistics
    v2t: Statistics


@dataclass(frozen=True)
class Layers:
    """Means, from layer 0."""

    t2v_mean: list[float]
    v2t_mean: list[float]


@dataclass(frozen=True)
class Category:
    """Means of one category."""

    n_samples: int
    t2v_mean: float
    v2t_mean: float


@dataclass(frozen=True)
class Reference:
    """Published figures, and their source."""

    what: str
    source: str
    settings: ReferenceSettings
    n_samples: int
    overall: Overall
    by_layer: Layers
    by_category: dict[str, Category]

    def figures(self) -> "pd.DataFrame":
        """One row per figure: `group`, `name`, `flow`, `statistic`, `reference`; groups and names as in `summarise`."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=["group", "name", "flow", "statistic", "reference"])

    def _rows(self) -> Iterator[tuple[str, str, str, str, float]]:
        for flow in DEFAULT_FLOWS:
            for statistic, value in dataclasses.asdict(getattr(self.overall, flow)).items():
                yield "overall", "all", flow, statistic, value
        for layer in range(self.settings.layers):
            for flow in DEFAULT_FLOWS:
                yield "layer", str(layer), flow, "mean", getattr(self.by_layer, f"{flow}_mean")[layer]
        for name, category in self.by_category.items():
            for flow in DEFAULT_FLOWS:
                yield "category", name, flow, "mean", getattr(category, f"{flow}_mean")


def read_reference(path: Path) -> Reference:
    """Read published figures.

    Raises:
        HeadflowError: no such file, not JSON, a field missing or wrong, or figures that do not belong together.
    """
    content = read_object(path, f"reference {path}")
    reference: Reference = build(Reference, content, f"reference {path}")
    layers = reference.settings.layers
    for name, means in dataclasses.asdict(reference.by_layer).items():
        if len(means) != layers:
            raise HeadflowError(f"reference {path}: `by_layer` has {len(means)} {name}, of {layers} layers")
    if not layers or not reference.by_category:
        raise HeadflowError(f"reference {path} is without figures of layers or of categories")
    questions = sum(category.n_samples for category in reference.by_category.values())
    if questions != reference.n_samples:
        raise HeadflowError(f"reference {path}: its categories have {questions} samples, not {reference.n_samples}")
    figures = reference.figures()
    for row in figures[~figures["reference"].between(0, 1)].itertuples():
        raise HeadflowError(f"reference {path}: {row.group} {row.name} {row.flow} is {row.reference}, not in 0..1")
    return reference
