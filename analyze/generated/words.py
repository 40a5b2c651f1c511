"""Where heads look while the model writes, in words."""

from collections.abc import Iterator

from analyze.generated.reading import Texts
from analyze.generated.steps import Change
from analyze.statistics.intervals import FEW_IMAGES
from schemas.text import counted


def of_texts(texts: Texts) -> Iterator[str]:
    """What was read."""
    whole, (fixed, length) = texts.kept.size, texts.fixed
    images = counted(texts.clusters.images, "image")
    line = f"{counted(len(texts.counts), 'text')} on {images}, rows of {counted(len(texts.steps), 'step')}"
    heads = int(texts.kept.sum())
    line += f", every {texts.every}" if texts.every > 1 else ""
    yield line + (f"; of {heads} of {whole} heads" if heads < whole else "")
    yield (
        f"fixed set: the {counted(int(fixed.sum()), 'text')} that are written to step {texts.steps[length - 1]} or "
        "further, at least half of all; each step has the same texts there"
    )


def of_change(change: Change | None) -> str:
    """Whether image mass falls along the texts."""
    what = "image mass along the text"
    if change is None:
        return f"{what}: cannot be told, as half of the texts have fewer than two steps after step 0"
    means = f"mean mass {change.begin:.4f} at step {change.first}, {change.end:.4f} at step {change.last}"
    if change.low != change.low:
        return f"{what}: cannot be told on fewer than {FEW_IMAGES} images; {means}, in {_set(change)}"
    line = f"{change.mean:+.4f} ({change.low:+.4f} to {change.high:+.4f}) from step {change.first} to {change.last}"
    if not change.direction:
        return f"{what}: neither a fall nor a rise can be told, {line}; {means}, in {_set(change)}"
    verb = "falls" if change.direction < 0 else "rises"
    return f"image mass {verb} along the text: {line}; {means}, in {_set(change)}"


def _set(change: Change) -> str:
    return f"the fixed set, {counted(change.texts, 'text')} on {counted(change.images, 'image')}"
