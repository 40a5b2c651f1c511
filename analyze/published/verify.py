"""A run compared with published figures: settings, tolerances, verdict. `python -m analyze verify RUN`.

The tolerances are reasoned, not measured: no run of the real model was available. A run with the same weights, prompts
and images differs from the reference by rounding only:

- The reference averaged float16 attention (each weight off by up to 2^-11 of itself, without bias) and kept float16
  values (near 0.4 in steps of 2.4e-4). Over 576 keys, 32 heads and 40 or more samples this averages out to below 1e-5.
- Activations were float16 as well, by other kernels. Rounding errors from a sample's own tokens average out over
  samples; those from BOS and the system prompt are the same in each sample, and average out over heads and layers only.
  On the demo's model (6 layers, CPU), float16 instead of float32 moves single values by up to 2e-4, layer means by
  1.2e-5, category means by 4e-6, overall means by 1e-6. The real model is five times as deep and has larger
  activations: we expect ten times as much, and leave a margin for other causes, such as another JPEG decoder.

The mistakes that should be found give the upper limit. LLaVA-1.5-7B on 100 ScienceQA questions differs from it on MME
by 0.0017 (T2V) and 0.0015 (V2T) overall, and by up to 0.041 and 0.014 in a layer. The span of the system prompt, off by
one of about 40 text tokens, scales T2V by 2.6%: 0.0024 overall, 0.017 in layer 0. Neighbouring layers of the reference
differ by more than 0.003 in T2V or V2T in 30 of 31 cases. Hence

    overall mean     0.001    less than other questions, or one token of the prompt, would change
    overall std      0.001    moves no more than the mean does on the demo
    overall median   0.0015   as the mean, plus two step sizes: 2.4e-4 of float16, 1e-4 of our bins
    category mean    0.002    fewer samples than overall
    layer mean       0.003    32 heads, no other layer to average with
    min, max         shown, not judged: they are single values among millions, and one image can move them

A float32 run is judged by the same tolerances as a float16 run, as the reference itself was rounded to float16.
bfloat16 has 8 bits of precision instead of 11 and moves the demo's layer means by 2.7e-4, and overall means by 7e-5 in
one direction; its tolerances are twice as wide.

What this cannot tell: categories of like content (V2T differs by less than 0.002 in 36 of 91 pairs), and how much
padding in place of cropping would show. Hence the settings are compared as well.
"""

import dataclasses
from dataclasses import dataclass

import pandas as pd

from analyze.published.reference import Reference
from analyze.summary import summarise
from analyze.tables.frames import Heads, check_flows
from schemas.columns import DEFAULT_FLOWS, OK
from schemas.errors import HeadflowError
from schemas.text import counted

TOLERANCES = {
    ("overall", "mean"): 0.001,
    ("overall", "std"): 0.001,
    ("overall", "median"): 0.0015,
    ("category", "mean"): 0.002,
    ("layer", "mean"): 0.003,
}
WIDER = {"bfloat16": 2.0}  # tolerances, by dtype of the run
SAME, DIFFERS, _UNKNOWN = "same", "differs", "unknown"
MAY_DIFFER = ("model", "dtype")
_SHOWN = 10  # deviations named in the verdict
FEW = 3  # categories named in a setting


@dataclass(frozen=True)
class ComparedSetting:
    """One setting of a run and of the reference.

    Attributes:
        mark: `same`, `differs` or `unknown`.
        required: whether numbers cannot be compared if it differs.
    """

    name: str
    run: str
    reference: str
    mark: str
    required: bool


@dataclass(frozen=True)
class Verification:
    """The result of comparing a run with a reference.

    Attributes:
        figures: one row per figure: `group`, `name`, `flow`, `statistic`, `run` (NaN if it has none), `reference`,
            `off` (run - reference), `tolerance` (NaN if not judged), `within` (`yes`, `no`, or empty).
    """

    settings: list[ComparedSetting]
    figures: pd.DataFrame

    @property
    def obstacles(self) -> list[str]:
        """Names of the settings that keep the run from being compared."""
        return [setting.name for setting in self.settings if setting.required and setting.mark == DIFFERS]

    @property
    def matches(self) -> bool:
        """Whether the run can be compared, and all judged figures are within their tolerances."""
        return not self.obstacles and "no" not in set(self.figures["within"])

    def verdict(self) -> list[str]:
        """The verdict in words, a line each."""
        if self.obstacles:
            return [f"cannot be compared: {', '.join(self.obstacles)}"]
        judged = self.figures[self.figures["within"] != ""]
        wrong = judged[judged["within"] == "no"]
        if wrong.empty:
            lines = [f"matches: all {len(judged)} judged figures are within their tolerances"]
        else:
            lines = [f"differs: {len(wrong)} of {len(judged)} judged figures are off by more than their tolerances"]
            largest = (wrong["off"].abs() / wrong["tolerance"]).nlargest(_SHOWN).index
            lines += [_in_words(row) for _, row in wrong.loc[largest].iterrows()]
        if unknown := [setting.name for setting in self.settings if setting.mark == _UNKNOWN]:
            lines.append(f"not known to be the same: {', '.join(unknown)}")
        return lines


def verify(heads: Heads, reference: Reference) -> Verification:
    """Compare a run with a reference, in the text scope of the reference if the run can be read in it.

    Raises:
        HeadflowError: the run cannot be read.
    """
    manifest = heads.manifest
    try:
        scope = heads.scope(reference.settings.text_scope)
    except HeadflowError:  # it cannot be read in that scope
        scope = heads.scope(None)
    table = summarise(heads, check_flows(DEFAULT_FLOWS, heads.run), scope)
    settings = compare_settings({**dataclasses.asdict(manifest), "text_scope": scope.name}, reference)
    samples = heads.samples.loc[heads.samples["status"] == OK, "category"].astype(str).value_counts()
    settings += compare_samples({str(name): number for name, number in samples.items()}, reference)
    return Verification(settings, compare_figures(table, reference, manifest.dtype))


def compare_settings(run: dict[str, object], reference: Reference) -> list[ComparedSetting]:
    """Compare the manifest's fields, with the text scope that was read, with the reference's settings."""
    settings = []
    for name, expected in dataclasses.asdict(reference.settings).items():
        found = run[name]
        if isinstance(expected, dict) and isinstance(found, dict):  # other values of the run are not compared
            found = {key: found.get(key) for key in expected} if found else None
        mark = _UNKNOWN if found is None else _mark(found == expected)
        if name == "model" and mark == DIFFERS:
            mark = _UNKNOWN  # the same weights have many names
        settings.append(ComparedSetting(name, _text(found), _text(expected), mark, name not in MAY_DIFFER))
    return settings


def _text(value: object) -> str:
    """A value of a setting on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(_UNKNOWN if value is None else value).replace("\n", "\\n")


def compare_samples(run: dict[str, int], reference: Reference) -> list[ComparedSetting]:
    """Compare the numbers of observed samples, in all and by category."""
    expected = {name: category.n_samples for name, category in reference.by_category.items()}
    other = [name for name in expected | run if run.get(name, 0) != expected.get(name, 0)]
    more = f" and {len(other) - FEW} more" if len(other) > FEW else ""

    def by_category(counts: dict[str, int]) -> str:
        if not other:
            return counted(len(counts), "category", "categories")
        return ", ".join(f"{name} {counts.get(name, 0)}" for name in other[:FEW]) + more

    total = sum(run.values())
    return [
        ComparedSetting("samples", str(total), str(reference.n_samples), _mark(total == reference.n_samples), True),
        ComparedSetting("samples by category", by_category(run), by_category(expected), _mark(not other), True),
    ]


def _mark(same: bool) -> str:
    return SAME if same else DIFFERS


def compare_figures(table: pd.DataFrame, reference: Reference, dtype: str | None) -> pd.DataFrame:
    """Compare the reference's figures with those of `summarise`; returns the columns of `Verification.figures`."""
    keys = ["group", "name", "flow"]
    expected = reference.figures()
    found = table.melt(keys, expected["statistic"].unique().tolist(), "statistic", "run")
    figures = expected.merge(found, "left", [*keys, "statistic"])
    figures["off"] = figures["run"] - figures["reference"]
    wider = WIDER.get(dtype or "", 1.0)
    judged = zip(figures["group"], figures["statistic"], strict=True)
    figures["tolerance"] = [TOLERANCES.get(key, float("nan")) * wider for key in judged]
    within = (figures["off"].abs() <= figures["tolerance"]).map({True: "yes", False: "no"})
    figures["within"] = within.where(figures["tolerance"].notna(), "")
    return figures[[*keys, "statistic", "run", "reference", "off", "tolerance", "within"]]


def _in_words(row: pd.Series) -> str:
    group = row["group"] if row["group"] == "overall" else f"{row['group']} {row['name']}"
    return (
        f"{group} {row['flow']} {row['statistic']} {row['run']:.4f}, reference {row['reference']:.4f}, "
        f"off by {abs(row['off']):.4f}, tolerance {row['tolerance']:.4f}"
    )
