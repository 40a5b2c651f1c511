"""Where heads look while the model writes, in words."""

from collections.abc import Iterator

from analyze.generated.groups import Difference, Groups
from analyze.generated.heads import FEWEST_HEADS, Crossing, WritingHeads
from analyze.generated.reading import Texts
from analyze.generated.steps import MassChange
from analyze.statistics.bootstrap import Interval
from analyze.statistics.intervals import FEW_IMAGES
from schemas.jobs.head_sets import head_name
from schemas.text import counted, listed, short


def of_texts(texts: Texts) -> Iterator[str]:
    """What was read."""
    whole, (fixed, length) = texts.kept.size, texts.fixed
    images = counted(texts.clusters.different(), "image")
    line = f"{counted(len(texts.counts), 'text')} on {images}, rows of {counted(len(texts.steps), 'step')}"
    heads = int(texts.kept.sum())
    line += f", every {texts.every}" if texts.every > 1 else ""
    yield line + (f"; of {heads} of {whole} heads" if heads < whole else "")
    yield (
        f"fixed set: the {counted(int(fixed.sum()), 'text')} that are written to step {texts.steps[length - 1]} or "
        "further, at least half of all; each step has the same texts there"
    )


def of_change(change: MassChange | None) -> str:
    """Whether image mass falls along the texts."""
    what = "image mass along the text"
    if change is None:
        return f"{what}: cannot be told, as half of the texts have fewer than two steps after step 0"
    means = f"mean mass {change.begin:.4f} at step {change.first}, {change.end:.4f} at step {change.last}"
    if change.low != change.low:
        return f"{what}: cannot be told on fewer than {FEW_IMAGES} images; {means}, in {_set(change)}"
    interval = f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f})"
    line = f"{interval} on the straight line from step {change.first} to {change.last}"
    if not change.direction:
        return f"{what}: neither a fall nor a rise can be told, {line}; {means}, in {_set(change)}"
    verb = "falls" if change.direction < 0 else "rises"
    return f"image mass {verb} along the text: {line}; {means}, in {_set(change)}"


def of_heads(found: WritingHeads | None) -> Iterator[str]:
    """Whether other heads look most while writing than at the prompt."""
    what = "heads while writing"
    if found is None:
        yield f"{what}: cannot be told, as no text has a step after step 0"
        return
    names = [head_name(layer, head) for layer, head in found.most("writing")[["layer", "head"]].to_numpy()]
    yield f"look most while writing: {listed(names, 10)}; {counted(found.texts, 'text')} with steps after step 0"
    if len(found.table) < FEWEST_HEADS:
        yield f"{what} and at the prompt: nothing is said of ranks of fewer than {FEWEST_HEADS} heads"
        return
    if found.correlation is None or found.own is None:
        yield f"{what} and at the prompt: no rank correlation, as heads are alike or images too few"
    else:
        yield (
            f"rank correlation over {len(found.table)} heads of image mass while writing with that at the prompt, on "
            f"two halves of the images: {found.correlation.estimate:+.2f}{_bounds(found.correlation, '{:+.2f}')}; of "
            f"each with itself {found.own[0]:+.2f} and {found.own[1]:+.2f}"
        )
    if found.crossing is not None:
        yield _of_crossing(found.crossing)


def _of_crossing(found: Crossing) -> str:
    chosen = f"{counted(found.chosen, 'head')} chosen for each on one half of the images"
    if not found.apart:
        return f"the same heads look most while writing and at the prompt, {chosen}"
    differences = (
        f"those chosen for one only differ by {found.writing.estimate:+.4f}{_bounds(found.writing)} while writing and "
        f"{found.prompt.estimate:+.4f}{_bounds(found.prompt)} at the prompt, on the {found.images} others"
    )
    if found.told:
        return f"other heads look most while writing than at the prompt: of {chosen}, {differences}"
    why = f"; intervals need {FEW_IMAGES} images" if found.writing.low is None else ""
    what = "whether the heads that look most while writing are others than at the prompt"
    return f"{what} cannot be told: of {chosen}, {differences}{why}"


def of_groups(found: Groups) -> Iterator[str]:
    """Whether a group of words has more image mass than the others."""
    yield "words: the mass of a word is that of its first piece, at the step that chose it" + (
        f"; {counted(found.left_out, 'word was', 'words were')} chosen at steps without rows" if found.left_out else ""
    )
    several = f"; intervals hold for all {len(found.names)} groups at once" if len(found.names) > 2 else ""
    if missing := [short(name) for name in found.names if name not in set(found.table["group"])]:
        yield f"no text has a word of {listed(missing)}"
    for name, difference in found.differences.items():
        if missing and not difference.words:
            continue
        against = f"{short(found.names[1])}" if len(found.names) == 2 else "the other groups"
        yield _of_difference(short(name), against, difference) + several


def _of_difference(name: str, against: str, found: Difference) -> str:
    if not found.words:
        return f"words of {name} and of {against}: cannot be compared, as no step chose both"
    of = (
        f"{found.mean:+.4f} at the same steps, {counted(found.words, 'word')} against {found.others:,}, both on "
        f"{counted(found.images, 'image')} or more"
    )
    if found.low != found.low:
        return f"words of {name} and of {against}: cannot be told on fewer than {FEW_IMAGES} images; {of}"
    of = of.replace(" at the", f" ({found.low:+.4f} to {found.high:+.4f}) at the", 1)
    if not found.direction:
        return f"words of {name} and of {against}: no difference of image mass can be told, {of}"
    return f"words of {name} have {'more' if found.direction > 0 else 'less'} image mass than those of {against}: {of}"


def _bounds(found: Interval, form: str = "{:+.4f}") -> str:
    return "" if found.low is None else f" ({form.format(found.low)} to {form.format(found.high)})"


def _set(change: MassChange) -> str:
    return f"the fixed set, {counted(change.texts, 'text')} on {counted(change.images, 'image')}"
