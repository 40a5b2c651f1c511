"""The samples of the page: their states, and what is said of each."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.diagnose import pairs_of_questions
from analyze.positions import CHOICE_STATES, choice_states
from analyze.report.packing import shortest
from analyze.statistics.clusters import Clusters
from analyze.statistics.contrasts import STATES
from analyze.tables.frames import Heads
from analyze.tables.values import answered, generated_tokens
from schemas.columns import N_GENERATED, N_IMAGES
from schemas.roles import ROLES
from schemas.tasks import P_OPTIONS, Task

# Numbers of a card, with the names of their words, by whether answers are opposite
NUMBERS = {True: {"margin": "margin", "p_yes": "p_yes"}, False: {"lead": "lead_of_answer", P_OPTIONS: "p_options"}}


def state_names(task: Task) -> tuple[tuple[str, ...], str]:
    """The states that `state_values` counts, and what a sample without one is called."""
    return (STATES, "no pair") if task.opposite else (CHOICE_STATES, "not scored")


def state_values(samples: pd.DataFrame, task: Task) -> npt.NDArray[np.int64]:
    """The state of each sample's pair, or of its answer where answers are not opposite; -1 where it has none.

    Args:
        samples: rows of `observed_samples`.

    Returns:
        Places in `state_names`, [samples].
    """
    known = answered(samples)
    found = np.full(len(samples), -1)
    if len(known) and not task.opposite:
        found[known.index] = [CHOICE_STATES.index(str(state)) for state in choice_states(known)]
    elif len(known):
        rows = known.index.to_numpy()
        for state, pairs in pairs_of_questions(known, Clusters.of(known), task).groupby("state"):
            for side in ("first", "second"):
                found[rows[pairs[side]]] = STATES.index(str(state))
    return found


def rows_of(
    samples: pd.DataFrame, categories: Sequence[str], states: npt.NDArray[np.int64], numbers: Iterable[str]
) -> dict[str, list[Any]]:
    """The samples by column, as the page has them, with some columns of numbers."""
    names, written = ["question", "answer", "prediction", "image"], {}
    if "hint" in samples and samples["hint"].notna().any():
        names.append("hint")
    if N_GENERATED in samples and samples[N_GENERATED].notna().any():
        names += ["text", "ended"]
        written[N_GENERATED] = generated_tokens(samples).tolist()
    texts = {name: samples[name].astype(object).where(samples[name].notna(), None).tolist() for name in names}
    return (
        texts
        | written
        | {
            "id": samples["sample_id"].astype(str).tolist(),
            "category": [categories.index(name) for name in samples["category"].astype(str)],
            "state": states.tolist(),
            "right": [None if each is None else int(each) for each in samples["right"]],
            **{name: [shortest(value) for value in samples[name].astype(float)] for name in numbers},
        }
    )


def prompt_of(heads: Heads, samples: pd.DataFrame) -> dict[str, Any]:
    """What the run keeps of its prompts: how questions are asked, and how many tokens each role has in each sample."""
    manifest, wording = heads.manifest, None
    if heads.prompt is not None and (said := manifest.prompts.get(heads.prompt)):
        wording = {"name": heads.prompt, "template": said.get("template", ""), "system": said.get("system")}
    names = [role.name for role in ROLES]
    columns = [f"n_{name}" for name in names]
    tokens = None
    if set(columns) <= set(samples) and samples[columns].notna().all(axis=None):
        tokens = {name: samples[f"n_{name}"].astype(int).tolist() for name in names}
    return {
        "template": manifest.conv_mode, "suffix": manifest.prompt_suffix, "wording": wording, "tokens": tokens,
    }  # fmt: skip


def numbers_of_images(samples: pd.DataFrame) -> list[int]:
    """How many images the question of each sample has."""
    if N_IMAGES not in samples:
        return [1] * len(samples)
    numbers: list[int] = samples[N_IMAGES].fillna(1).astype(int).tolist()
    return numbers
