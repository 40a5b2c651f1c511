"""Where heads look, in words."""

from collections.abc import Iterator

import numpy as np

from analyze.maps.halves import FEWEST
from analyze.maps.pointing import ALPHA, Pointing, Relation
from analyze.maps.ranking import CHOSEN, Looks
from schemas.columns import MASSIVE
from schemas.jobs.head_sets import head_name
from schemas.text import counted, listed

COSTLY = 10  # heads whose knock-out costs most
FLAT = 0.999  # entropy of a map whose patches differ by some 10%


def in_words(looks: Looks, pointing: Pointing | None, relation: Relation | None, kept: int) -> list[str]:
    """The result, a line each.

    Args:
        kept: how many heads have a map.
    """
    lines = [_localising(looks, kept), _sinks(looks)]
    if pointing is None:
        return [*lines, "pointing: no question says where its answer lies, so it cannot be told"]
    lines += _pointing(pointing)
    return lines if relation is None else [*lines, *_relation(pointing, relation)]


def _localising(looks: Looks, kept: int) -> str:
    candidates = f"of the quarter of heads with the largest mass, from {looks.threshold:.3f} on"
    number = int(looks.table["candidate"].sum())
    if looks.least >= FLAT:
        return (
            f"localising heads cannot be told: the maps of all {kept} heads are flat (entropy from {looks.least:.4f})"
        )
    if not number:
        return (
            f"localising heads cannot be told: {candidates}, none of the {kept} that have a map has a spatial entropy"
        )
    rows = looks.table[looks.table["localises"]].sort_values("spatial_entropy", kind="stable")
    told = not rows["chosen"].isna().any()
    found = ", ".join(
        f"{head_name(layer, head)} ({entropy:.2f}{f'; {chosen:.0%}' * told})"
        for layer, head, entropy, chosen in zip(
            rows["layer"], rows["head"], rows["spatial_entropy"], rows["chosen"], strict=True
        )
    )
    what = "spatial entropy" + f"; in how many resamples it is among the {CHOSEN}" * told
    have = counted(number, "candidate has a map", "candidates have a map")
    lead = looks.lead
    if lead is None or np.isnan(lead.low):
        why = f"only {have}" if number <= CHOSEN else "too few images test it"
        return f"localising heads cannot be told, as {why}; lowest, {candidates}: {found} ({what})"
    gap = (
        f"{CHOSEN} that are chosen on one half of the images differ from the other candidates by {lead.mean:+.2f} nats"
        f"{_interval(lead.low, lead.high, '{:+.2f}')} on the {lead.images} others"
    )
    if not looks.told:
        return f"no head localises better than the others, as far as can be told; lowest, {candidates}: {found}; {gap}"
    return f"localise best, {candidates}: {found} ({what}); {have}; {gap}"


def no_sinks(*, begins_with_image: bool) -> str:
    """What is said where `sink` is null in all rows."""
    if begins_with_image:
        return "visual sinks: not known, as the prompt begins with the image"
    return (
        f"visual sinks: cannot be told; only in a model wider than {MASSIVE**2:.0f} can a state exceed {MASSIVE:.0f} "
        "times its root mean square"
    )


def _sinks(looks: Looks) -> str:
    layers = looks.layers
    if not layers["sink"].any():
        return "visual sinks: none was found in any layer"
    total = layers["sink"].sum() / layers["mass"].sum()
    line = f"visual sinks take {total:.1%} of the attention on the image"
    if looks.layer is None or not looks.layer[1].low > 0:
        return line
    layer, lead = looks.layer
    share = layers.set_index("layer")["sink_share"][layer]
    return (
        f"{line}, most in layer {layer}: {share:.1%}; chosen on one half of the images, it leads the other layers by "
        f"{100 * lead.mean:.1f} ({100 * lead.low:.1f} to {100 * lead.high:.1f}) points on the {lead.images} others"
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
            f"{head_name(*found.best)} pointed best on one half of the images; on the {found.tested_images} others it "
            f"looks most into a box in {best['accuracy']:.1%}{_interval(best['low'], best['high'])} of the questions"
            + ("; so few images cannot tell whether it leads" if found.tested_images < FEWEST else "")
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
    which = listed([head_name(*each) for each in zip(points["layer"], points["head"], strict=True)], 10)
    yield (
        f"{len(points)} of {counted(len(found.table), 'head')} "
        f"{'points' if len(points) == 1 else 'point'} better than both the image's centre and a random patch "
        f"(p at most {ALPHA}, corrected for all heads){': ' + which if len(points) else ''}"
    )


def _relation(found: Pointing, relation: Relation) -> Iterator[str]:
    how = f"{relation.job}, {counted(relation.questions, 'question')} on {counted(relation.images, 'image')}"
    if (agreement := relation.agreement) is None:
        yield f"pointing and the measured effect ({how}): no correlation, as heads are alike or images too few"
    else:
        sure = "" if np.isnan(agreement.p) else f" (p {agreement.p:.2g})"
        told = f"within layers {agreement.within:+.2f}" if agreement.p <= ALPHA else "none can be told within layers"
        yield (
            f"rank correlation of pointing with the measured effect ({how}), on two halves of the images: "
            f"{agreement.correlation:+.2f}; {told}{sure}"
        )
    order = np.argsort(-relation.effects, kind="stable")[:COSTLY]
    rows = found.table.iloc[order]
    points = [head_name(*each) for each in zip(rows["layer"], rows["head"], strict=True)]
    those = [each for each, own in zip(points, rows["points"], strict=True) if own]
    yield f"of the {len(rows)} heads whose knock-out costs most ({', '.join(points)}), {len(those)} point" + (
        f": {', '.join(those)}" if those else ""
    )


def _interval(low: float, high: float, form: str = "{:.1%}") -> str:
    return "" if np.isnan(low) else f" ({form.format(low)} to {form.format(high)})"
