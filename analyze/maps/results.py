"""Where the heads of a run look: all numbers, from one reading of its maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.knockouts.jobs import effect_jobs
from analyze.maps.measures import Measures, measure_maps
from analyze.maps.pointing import Pointing, Relation, find_pointing, relate_to_effects
from analyze.maps.ranking import Looks, rank_looks
from analyze.maps.reading import has_picture, of_several
from analyze.maps.verdict import in_words, no_sinks
from analyze.statistics.bootstrap import RESAMPLES, SEED, Bootstrap
from analyze.statistics.clusters import Clusters
from analyze.tables.frames import Heads
from analyze.tables.values import Values, observed_rows, table_values
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.manifest import ORIGINAL


@dataclass(frozen=True)
class Localisation:
    """Where heads look.

    Attributes:
        samples: the rows of `samples` that count, in the order of `measures`.
        values: `mass`, `entropy`, `sink` of the table `maps`, of these samples, [samples, layers, heads].
        pointing: None where no sample has boxes; `relation`: None where no job knocked out each single head.
    """

    heads: Heads
    samples: pd.DataFrame
    values: Mapping[str, Values]
    measures: Measures
    looks: Looks
    pointing: Pointing | None
    relation: Relation | None

    def tables(self) -> dict[str, pd.DataFrame]:
        """The results, by the names of their files."""
        table, tables = self.looks.table, {"layers.csv": self.looks.layers}
        if self.pointing is not None:
            own = self.pointing.table
            own = own if self.relation is None else own.assign(effect=self.relation.effects)
            table = table.merge(own, "left", ["layer", "head"])
            tables |= {} if self.pointing.tested is None else {"pointing.csv": self.pointing.tested}
        return {"heads.csv": table, **tables}

    def verdict(self) -> list[str]:
        """The result in words, a line each."""
        lines = in_words(self.looks, self.pointing, self.relation, int(self.measures.kept.sum()))
        if np.isnan(self.values["sink"]).all():
            lines[1] = no_sinks(begins_with_image=not self.samples["n_bos"].fillna(0).any())
        lines += filter(None, [of_several(self.heads)])
        given = self.heads.run.manifest.images
        if self.pointing is not None and given != ORIGINAL:
            lines.append(f"the model was given {given} images, and boxes are those of the original ones")
        return lines

    def drawn_heads(self, number: int) -> list[tuple[int, int]]:
        """Heads that are drawn unless others are asked for: those that localise best, then those of largest mass."""
        table, kept = self.looks.table, self.measures.kept.ravel()
        rows = table[kept].sort_values("mass", ascending=False, kind="stable")
        most = [(int(layer), int(head)) for layer, head in zip(rows["layer"], rows["head"], strict=True)]
        return list(dict.fromkeys([*self.looks.localising, *most]))[:number]


def localise(
    heads: Heads,
    *,
    effects: Sequence[str] | None = None,
    above: float = 0,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Localisation:
    """Where the heads of a run look, over the samples of `heads.categories`.

    Args:
        effects: see `effect_jobs`.
        above: the attention above a map's mean from which on a patch counts in spatial entropy; 0 is the paper's
            definition, 0.001 what the code of LocalizationHeads takes.

    Raises:
        HeadflowError: the run has no maps, or they cannot be read; or see `effect_jobs`.
    """
    if MAPS not in heads.run.manifest.tables:
        raise HeadflowError(f"{heads.run.path} has no maps: extract it again with them")
    if effects is not None:  # also where no question says where its answer lies, and they are not needed
        effect_jobs(heads.run, effects)
    wanted: npt.NDArray[np.bool_] = has_picture(heads) & heads.samples["category"].isin(heads.categories).to_numpy()
    measures = measure_maps(heads, wanted, above)
    own = observed_rows(heads)[measures.rows]
    found = table_values(heads, MAPS, ["mass", "entropy", "sink"], picture=heads.picture)
    values = {name: each[own] for name, each in found.items()}
    samples = heads.samples.iloc[measures.rows].reset_index(drop=True)
    looks = rank_looks(samples, values, measures, Bootstrap(Clusters.of(samples).once(), resamples, seed))
    pointing = find_pointing(samples, measures, resamples, seed)
    relation = relate_to_effects(heads, measures, effects, resamples, seed) if pointing else None
    return Localisation(heads, samples, values, measures, looks, pointing, relation)
