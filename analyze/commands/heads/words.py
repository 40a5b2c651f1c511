"""`words`: where heads look while the model writes, word by word."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from analyze.commands.settings import PictureSettings, PromptSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result, Shown

if TYPE_CHECKING:
    from analyze.generated.results import Writing
    from analyze.results import Figures

_SHOWN = 12  # steps on the terminal
FOLDER = "words"


@dataclass(frozen=True)
class WordsSettings(PictureSettings, PromptSettings, RunSettings):
    """Settings of `words`."""


def observe_words(settings: WordsSettings) -> Result:
    """`words`: the verdict, tables and pictures."""
    from analyze.generated.results import observe_writing

    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, FOLDER)
    found = observe_writing(heads)
    return Result(
        heads.run.path,
        folder,
        about=[f"{heads.run.path}, {heads.run.manifest.model}"],
        statements=found.verdict(),
        shown=list(_shown(found)),
        tables=found.tables(),
        figures=_figures(found),
    )


def _shown(found: "Writing") -> Iterator[Shown]:
    from analyze.generated.steps import WRITING

    title = "mean mass in the pass that chose the token of a step; 95% intervals by image"
    apart = -(-len(found.texts.steps) // _SHOWN)
    for name, rows in found.steps.groupby("texts_of", sort=False):
        if name == WRITING or not found.texts.fixed[0].all():
            yield Shown(f"{title}: {name}", rows.iloc[::apart].drop(columns=["texts_of", "images"]), 3)


def _figures(found: "Writing") -> "Figures":
    from analyze.drawing.results.generated import layers_figure, mass_figure, roles_figure
    from analyze.pictures.of_run import subject

    of = subject(found.heads)
    yield "mass_by_step", partial(mass_figure, found.steps, of)
    yield "roles_by_step", partial(roles_figure, found.steps, of)
    yield "layers_by_step", partial(layers_figure, found.layers, found.steps, of)
