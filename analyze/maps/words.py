"""Where heads look, in words."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analyze.maps.pointing import ALPHA, Pointing, Relation
from analyze.maps.ranking import CHOSEN, Looks
from analyze.statistics.intervals import FEW_IMAGES
from analyze.tables.values import Values
from schemas.text import counted, listed

COSTLY = 10  # heads whose knock-out costs most


def in_words(looks: Looks, pointing: Pointing | None, relation: Relation | None, sink: Values, kept: int) -> list[str]:
    """The result, a line each.

    Args:
        sink: NaN for null.
        kept: how many heads have a map.
    """
    lines = [_localising(looks, kept), _sinks(looks.layers, sink)]
    if pointing is None:
        return [*lines, "pointing: no question says where its answer lies, so it cannot be told"]
    lines += _pointing(pointing)
    return lines if relation is None else [*lines, *_relation(pointing, relation)]


def name(layer: int, head: int) -> str:
    """`L3H5`."""
    return f"L{layer}H{head}"


def _localising(looks: Looks, kept: int) -> str:
    candidates = f"of the quarter of heads with the largest mass, from {looks.threshold:.3f} on"
    number = int(looks.table["candidate"].sum())
    if not number:
        return f"localising heads cannot be told: {candidates}, none is among the {kept} that have a map"
    rows = looks.table[looks.table["localises"]].sort_values("spatial_entropy", kind="stable")
    told = not rows["chosen"].isna().any()
    found = ", ".join(
        f"{name(layer, head)} ({entropy:.2f}{f'; {chosen:.0%}' * told})"
        for layer, head, entropy, chosen in zip(
            rows["layer"], rows["head"], rows["spatial_entropy"], rows["chosen"], strict=True
        )
    )
    what = "spatial entropy" + f"; in how many resamples it is among the {CHOSEN}" * told
    return (
        f"localise best, {candidates}: {found} ({what}); {counted(number, 'candidate')} "
        f"{'has' if number == 1 else 'have'} a map"
    )


def _sinks(layers: pd.DataFrame, sink: Values) -> str:
    if np.isnan(sink).all():
        return "visual sinks: not known, as the prompt begins with the image"
    if not layers["sink"].any():
        return "visual sinks: none was found in any layer"
    most = layers.sort_values("sink_share", ascending=False, kind="stable").head(1)
    layer, share, low, high = (float(most[column].iloc[0]) for column in ("layer", "sink_share", "low", "high"))
    total = layers["sink"].sum() / layers["mass"].sum()
    return (
        f"visual sinks take {total:.1%} of the attention on the image, most in layer {layer:.0f}: "
        f"{share:.1%}{_interval(low, high)}"
    )


def _pointing(found: Pointing) -> Iterator[str]:
    yield f"pointing: {counted(found.samples, 'question')} on {counted(found.images, 'image')} with boxes" + (
        f"; in {found.unreachable} of them no patch has its centre there" if found.unreachable else ""
    )
    if found.outside:
        yield f"warning: in {counted(found.outside, 'question')} all boxes lie outside of the image; none can be hit"
    if found.tested is None or found.best is None:
        yield "no category has two images with boxes, so no head can be chosen on one half and tested on the other"
    else:
        best, *others = found.tested.to_dict("records")
        yield (
            f"{name(*found.best)} pointed best on one half of the images; on the {found.tested_images} others it looks "
            f"most into a box in {best['accuracy']:.1%}{_interval(best['low'], best['high'])} of the questions"
            + ("; so few images cannot tell whether it leads" if found.tested_images < FEW_IMAGES else "")
        )
        for row in others:
            low, high = row["lead_low"], row["lead_high"]
            told = "" if np.isnan(low) else "" if low > 0 or high < 0 else "; cannot be told apart"
            lead = (
                ""
                if np.isnan(low)
                else f"; it leads by {100 * row['lead']:.1f} ({100 * low:.1f} to {100 * high:.1f}) points"
            )
            yield f"  {row['point']}: {row['accuracy']:.1%}{lead}{told}"
    points = found.table[found.table["points"]]
    which = listed([name(*each) for each in zip(points["layer"], points["head"], strict=True)], 10)
    yield (
        f"{len(points)} of {len(found.table)} heads point better than both the image's centre and a random patch "
        f"(p at most {ALPHA}, maximum over the heads){': ' + which if len(points) else ''}"
    )


def _relation(found: Pointing, relation: Relation) -> Iterator[str]:
    how = f"{relation.job}, {counted(relation.questions, 'question')} on {counted(relation.images, 'image')}"
    if relation.correlation is None:
        yield f"pointing and the measured effect ({how}): no correlation, as all heads are alike"
    else:
        told = _interval(relation.low, relation.high, "{:+.2f}")
        yield f"rank correlation of pointing with the measured effect ({how}): {relation.correlation:+.2f}{told}"
    order = np.argsort(-relation.effects, kind="stable")[:COSTLY]
    rows = found.table.iloc[order]
    points = [name(*each) for each in zip(rows["layer"], rows["head"], strict=True)]
    those = [each for each, own in zip(points, rows["points"], strict=True) if own]
    yield f"of the {len(rows)} heads whose knock-out costs most ({', '.join(points)}), {len(those)} point" + (
        f": {', '.join(those)}" if those else ""
    )


def _interval(low: float, high: float, form: str = "{:.1%}") -> str:
    return "" if np.isnan(low) else f" ({form.format(low)} to {form.format(high)})"
