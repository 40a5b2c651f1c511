"""The largest set of heads or layers that loses little of the score, how sure that is, and what it saves.

Bounds hold together for all candidates. Those of one criterion are nested and are tested from the smallest on, up to
the first one that may lose too much (a fixed sequence, which costs nothing); criteria share the error (Bonferroni).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyze.knockouts.jobs import HEADS, OF_LAYERS
from analyze.prune.curves import Costs
from analyze.prune.design import LEAST
from schemas.files.writing import write_text
from schemas.jobs.head_sets import HeadSet, ModelShape

PLAN = "plan.json"
ALLOWED = {True: 20.0, False: 1.0}  # points that may be lost, by whether the score is a sum over categories
ERROR = 0.05  # chance that the set of the plan loses more than is allowed
SAVED = ("parameters_saved", "flops_saved", "kv_cache_saved")


@dataclass(frozen=True)
class Plan:
    """What may be cut.

    Attributes:
        candidates: the `least` sets with `bound`, the most that each may lose (one-sided, of this `level`), and
            `passes`, whether it and all smaller sets of its criterion lose no more than is allowed.
        chosen: the row of the set; None if there is none.
        smallest: the smallest loss that these images can show, were no answer to change; NaN without a score.
    """

    candidates: pd.DataFrame
    level: float
    allowed: float
    chosen: Mapping[Any, Any] | None
    smallest: float


def make_plan(found: Costs, allowed: float) -> Plan:
    """Choose the largest set that loses no more points of the score than allowed.

    Sets are compared by the share of the parameters that they save; where that is not known, by their share of heads
    or layers. Among equals the one that lost least is taken.
    """
    least = found.sets[found.sets["order"] == LEAST].reset_index(drop=True)
    groups = least.groupby(["unit", "criterion"], sort=False)
    level = 1 - ERROR / max(1, groups.ngroups)
    if found.points is None or least.empty:
        return Plan(least.assign(bound=np.nan, passes=False), level, allowed, None, np.nan)
    _, bounds = found.points.bounds(least["set"].tolist(), level)
    least = least.assign(bound=bounds, passes=bounds <= allowed).sort_values("share", kind="stable")
    least["passes"] = least.groupby(["unit", "criterion"])["passes"].cummin()
    passing = least[least["passes"]]
    chosen = None
    if len(passing):
        size = passing["parameters_saved"] if passing["parameters_saved"].notna().all() else passing["share"]
        order = passing.assign(size=size).sort_values(["size", "loss"], ascending=[False, True], kind="stable")
        chosen = order.iloc[0].to_dict()
    return Plan(least.sort_index(), level, allowed, chosen, found.points.smallest(level))


def savings(chosen: HeadSet, model: ModelShape, sizes: Mapping[str, Any]) -> dict[str, float]:
    """What a set saves, in per cent of the model: `SAVED`; NaN where the run does not know the sizes.

    A head saves its columns of q and its rows of o; the keys and values that a group of heads shares, and their cache,
    are saved where all heads of the group are gone. A token takes 2 operations for each parameter of a product.

    Args:
        model: that of the run.
        sizes: of the manifest.
    """
    if not sizes:
        return dict.fromkeys(SAVED, np.nan)
    layers, heads, attending = model.layers, model.heads, chosen.layers & set(model.attending)
    groups, left = int(sizes["kv_heads"]), [head for head in chosen.heads if head[0] not in chosen.layers]
    gone = np.zeros((layers, heads), bool)
    for layer, head in left:
        gone[layer, head] = True
    whole = int(gone.reshape(layers, groups, heads // groups).all(axis=2).sum())
    others = len(chosen.layers - attending)
    saved = len(attending) * sizes["layer_parameters"] + len(left) * sizes["head_parameters"]
    saved += others * sizes["mixer_layer_parameters"] if others else 0
    saved += whole * sizes["kv_head_parameters"]
    parameters = 100 * saved / sizes["parameters"]
    operations = 100 * saved / (sizes["parameters"] - sizes["lookup_parameters"])
    cache = 100 * (whole + len(attending) * groups) / (len(model.attending) * groups)
    return dict(zip(SAVED, (parameters, operations, cache), strict=True))


def add_savings(sets: pd.DataFrame, named: Mapping[str, HeadSet], model: ModelShape, sizes: Any) -> pd.DataFrame:
    """The table of sets with what each saves."""
    found = pd.DataFrame([savings(named[name], model, sizes) for name in sets["set"]], columns=list(SAVED))
    return sets.assign(**{name: found[name].to_numpy() for name in SAVED})


def write_plan(folder: Path, plan: Plan, found: Costs, named: Mapping[str, HeadSet], job: str, seed: int) -> list[Path]:
    """Write `plan.json`, or remove an old one where no set qualifies; returns its path if it is there."""
    path = folder / PLAN
    if plan.chosen is None:
        path.unlink(missing_ok=True)
        return []
    row, chosen = plan.chosen, named[plan.chosen["set"]].to_object()
    evidence = {
        "set": row["set"], "unit": row["unit"],
        "score_untouched": found.score, "score": row["score"],
        "loss": row["loss"], "loss_low": row["loss_low"], "loss_high": row["loss_high"],
        "loss_bound": row["bound"], "loss_allowed": plan.allowed, "error": ERROR, "candidates": len(plan.candidates),
        "effect": row["effect"], "accuracy_untouched": found.accuracy, "accuracy": row["accuracy"],
        "p": row["p"], "p_less": row["p_less"], "random_sets": int(row["random"]),
        "samples": found.samples, "images": found.images, "job": job, "seed": seed,
        **{name: row[name] for name in SAVED},
    }  # fmt: skip
    content: dict[str, Any] = {
        HEADS: chosen["heads"],
        OF_LAYERS: chosen["layers"],
        "criterion": row["criterion"],
        "share": row["share"],
    }
    content["evidence"] = {name: _plain(value) for name, value in evidence.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in content.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return [path]


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it; None for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
