"""Made-up runs in which it is known how much each head and layer matters, and jobs that knock them out.

The margin of a question in favour of the right answer is its own strength less the weights of what is knocked out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS, FLOW_NAMES, LAYER_COLUMNS, LAYERS, MAPS
from schemas.jobs.head_sets import HeadSet
from schemas.jobs.settings import JobSettings
from schemas.manifest import Session
from schemas.store.jobs import job_manifest, job_path
from schemas.store.run import open_run
from schemas.store.writer import RunWriter
from tests.support.runs import extras, flows, sample, start

COLUMN = {name: FLOW_NAMES.index(name) for name in ("a2v", "a2q", "q2v", "q2q")}


@dataclass
class World:
    """How much each head matters, float64 [layers, heads], and each layer beside its heads, [layers]."""

    heads: np.ndarray
    layers: np.ndarray
    strength: float = 2.0
    spread: float = 1.0
    noise: float = 0.2

    @classmethod
    def of(cls, layers: int = 3, heads: int = 4, seed: int = 0, **options: float) -> "World":
        random = np.random.default_rng([seed, 9])
        return cls(
            random.permutation(np.geomspace(0.01, 1, layers * heads)).reshape(layers, heads),
            np.zeros(layers),
            **options,
        )

    def cost(self, chosen: HeadSet) -> float:
        gone = np.zeros(self.heads.shape, bool)
        for layer, head in chosen.heads:
            gone[layer, head] = True
        gone[list(chosen.layers)] = True
        return float(self.heads[gone].sum() + self.layers[list(chosen.layers)].sum())


def write_world(
    path: Path,
    world: World,
    *,
    categories: Mapping[str, int],
    seed: int = 0,
    tables=(),
    looks: float = 1.0,
    maps: Callable[[int], tuple[dict, dict]] | None = None,
    **fields,
) -> Path:
    """A run whose heads look at the image the more, the more they matter (`looks` > 0), or the less.

    Args:
        categories: images of each, with two questions.
        tables: of `EXTRAS`; |d2v| grows with how much a head matters, block influence with its layer.
        maps: makes those of a sample, by its number, and its values for `samples`; None: as `extras` does.
    """
    random = np.random.default_rng(seed)
    layers, heads = world.heads.shape
    total = 2 * sum(categories.values())
    writer = start(path, total, fields={"layers": layers, "heads": heads, "tables": list(tables), **fields})
    of_layer = world.heads.sum(axis=1) + world.layers
    size = world.heads / world.heads.max()
    position = 0
    for name, images in categories.items():
        for number in range(2 * images):
            values = flows(random, layers, heads)
            for group in "aq":
                share = 0.5 + looks * 0.4 * (size - 0.5) + random.normal(0, 0.02, size.shape)
                free = values[..., COLUMN[f"{group}2v"]] + values[..., COLUMN[f"{group}2q"]]
                values[..., COLUMN[f"{group}2v"]] = free * share
                values[..., COLUMN[f"{group}2q"]] = free * (1 - share)
            own = tables if maps is None else [table for table in tables if table != MAPS]
            grids, more = extras(random, layers, heads, own) if own else ({}, {})
            if maps is not None:
                grids, more = grids | (found := maps(position))[0], more | found[1]
            if CONTRIBUTIONS in grids:
                place = [column.name for column in CONTRIBUTION_COLUMNS].index("d2v")
                grids[CONTRIBUTIONS][..., place] = world.heads * random.normal(0, 1, size.shape)
            if LAYERS in grids:
                for place, column in enumerate(LAYER_COLUMNS):
                    if column.name.startswith("bi_"):
                        grids[LAYERS][:, place] = 0.1 * of_layer + random.uniform(0, 0.02, layers)
            row = sample(number, name) | {"row": position, "image_sha256": f"{name} {number // 2}"} | more
            strength = world.strength + world.spread * random.normal()
            y = 1 if row["answer"] == "Yes" else -1
            row |= {"margin": y * strength, "prediction": "Yes" if y * strength > 0 else "No"}
            writer.add(row, {"heads": values, **grids})
            position += 1
    writer.finish()
    return path


def singles(world: World, unit: str = "heads") -> dict[str, dict]:
    """The knock-outs of each single head, or layer."""
    layers, heads = world.heads.shape
    if unit == "layers":
        return {f"layers {layer}": {"layers": [layer]} for layer in range(layers)}
    return {f"L{layer}H{head}": {"heads": [[layer, head]]} for layer in range(layers) for head in range(heads)}


def measure(
    path: Path,
    world: World,
    name: str,
    sets: Mapping[str, dict],
    *,
    kind: str = "edge",
    query: str | None = None,
    key: str | None = None,
    seed: int = 1,
    ids=None,
    null=(),
) -> None:
    """Write a job on a run.

    Args:
        ids: of the samples it measures; None: all.
        null: names of knock-outs whose margins could not be computed.
    """
    run, random = open_run(path), np.random.default_rng(seed)
    samples = run.samples().to_pylist()
    wanted = [each for each in samples if ids is None or each["sample_id"] in set(ids)]
    settings = JobSettings(kind=kind, query=query, key=key, knock_outs=dict(sets))
    place, manifest = job_path(path, name), job_manifest(run, settings)
    writer = RunWriter(place, manifest, Session(device="cpu"), samples=len(wanted))
    price = np.array([world.cost(each) for each in settings.sets.values()])
    gone = np.isin(list(sets), null)
    for each in wanted:
        y = 1 if each["answer"] == "Yes" else -1
        left = y * each["margin"] - price + world.noise * random.normal(0, 1, len(price)) * (price > 0)
        said = ["Yes" if y * value > 0 else "No" for value in left]
        rows = {
            "margin": [None if no else float(y * value) for value, no in zip(left, gone, strict=True)],
            "margin_untouched": [None if no else each["margin"] for no in gone],
            "lead": [None if no else float(value) for value, no in zip(left, gone, strict=True)],
            "lead_untouched": [None if no else y * each["margin"] for no in gone],
            "p_yes": [0.5] * len(said),
            "p_no": [0.5] * len(said),
            "prediction": [None if no else word for word, no in zip(said, gone, strict=True)],
        }
        writer.add_rows(each["sample_id"], each["category"], rows)
    writer.finish()


def measure_sets(path: Path, world: World, *, name: str = "prune", folder: Path | None = None, **options) -> None:
    """Knock out the sets that `prune` wrote, on the samples that test, as the command that it prints does."""
    folder = folder or path / "prune"
    sets = json.loads((folder / "sets.json").read_text())
    ids = (folder / "test_samples.txt").read_text().splitlines()
    measure(path, world, name, sets, **({"kind": "remove", "ids": ids} | options))
