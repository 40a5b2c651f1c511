"""`image`: what the answers of a run owe to the image, from a run without it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import PictureSettings, PromptSettings, ResampleSettings, RunSettings
from analyze.opening import name_with, opened, output_folder
from analyze.results import Result, Shown
from schemas.commands.settings import Flag
from schemas.files.locations import Location
from schemas.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from analyze.image.gain import Gain
    from analyze.image.pairs import ImagePairs

_SHOWN = 5  # heads on the terminal


@dataclass(frozen=True, kw_only=True)
class GainSettings(ResampleSettings, PictureSettings, PromptSettings, RunSettings):
    """Settings of `image`."""

    without: Annotated[
        Location, "a run of the same model and questions with counterfactual images", Flag(metavar="RUN_B")
    ]


def image_of_run(settings: GainSettings) -> Result:
    """`image`: the verdict, tables and a picture."""
    from analyze.drawing.results.diagnosis import gain_figure
    from analyze.image.content import content_by_head
    from analyze.image.gain import find_gain
    from analyze.pictures.of_run import subject
    from analyze.scores.accuracy import about_lead

    pairs = opened_pair(
        settings.run, settings.without, settings.prompt, resamples=settings.resamples, seed=settings.seed
    )
    folder = output_folder(settings.output_dir, pairs.run, name_with("image_over", pairs.run, pairs.without))
    found, content = find_gain(pairs), content_by_head(pairs)
    lead = about_lead(pairs.run.samples, pairs.without.samples)
    tables = {"image.csv": found.table} | ({"scores.csv": found.scores} if len(found.scores) else {})
    tables |= {} if content is None else {"heads.csv": content}
    of = (*subject(pairs.run), f"without the image: {found.images}", counted(pairs.clusters.different(), "image"))
    return Result(
        pairs.run.run.path,
        folder,
        about=[f"{pairs.run.run.path}, {pairs.run.manifest.model}", *about_pairs(pairs), *lead],
        warnings=warnings_of_pairs(pairs),
        statements=found.verdict(),
        shown=list(_shown(found, content, settings, pairs.clusters.units[1])),
        tables=tables,
        figures=[("image", partial(gain_figure, found.table, found.images, of))],
    )


def opened_pair(run: Location, without: Location, prompt: str | None, *, resamples: int, seed: int) -> "ImagePairs":
    """A run and the one without its images."""
    from analyze.image.pairs import pair_runs

    one, other = (opened(path, prompt) for path in (run, without))
    return pair_runs(one, other, resamples=resamples, seed=seed)


def about_pairs(pairs: "ImagePairs") -> list[str]:
    """Which run is without the images, and how many questions both have."""
    return [f"without the image: {pairs.without.run.path}, {pairs.without.manifest.images} images", pairs.in_words()]


def warnings_of_pairs(pairs: "ImagePairs") -> list[str]:
    """That few samples are paired, if so."""
    few = "fewer than half of the samples of a run are paired; the results are of these alone"
    return [few] if pairs.few else []


def _shown(found: "Gain", content: "pd.DataFrame | None", settings: GainSettings, units: str) -> Iterator[Shown]:
    resampled = f"{settings.resamples} resamples of {units}, seed {settings.seed}"
    title = f"with the image and without; 95% intervals, {resampled}"
    habits = [name for name in ("frequent", "unchanged", "yes", "yes_without") if name in found.table]
    yield Shown(title, found.table.drop(columns=habits), 2)
    of = f", {found.task.words[0]} with it and without" if found.task.opposite else ""
    title = f"%: right by the more frequent answer of a category, unchanged without the image{of}"
    yield Shown(title, found.table[["category", *habits]], 1)
    if len(found.scores):
        yield Shown(found.task.score, found.scores, 1)
    if content is not None:
        title = (
            f"heads whose maps differ most between the images, {_SHOWN} of {len(content)}: Jensen-Shannon divergence, "
            "from 0, the same, to 1, apart; 95% intervals by image, of each head alone: the largest of many are too "
            "large by chance"
        )
        yield Shown(title, content.head(_SHOWN), 3)
