"""`words`: where heads look while the model writes, word by word."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import PictureSettings, PromptSettings, RunSettings, SeedSettings
from analyze.opening import opened, output_folder
from analyze.results import Result, Shown
from schemas.commands.settings import Flag
from schemas.files.locations import Location

if TYPE_CHECKING:
    from analyze.generated.results import WritingFound
    from analyze.results import Figures

_SHOWN = 12  # steps on the terminal, and heads
_PRINTED = [
    "layer",
    "head",
    "writing",
    "writing_low",
    "writing_high",
    "prompt",
    "prompt_low",
    "prompt_high",
    "prompt_rank",
]
_FOLDER = "words"


@dataclass(frozen=True)
class WordsSettings(PictureSettings, PromptSettings, RunSettings, SeedSettings):
    """Settings of `words`."""

    _: KW_ONLY
    words: Annotated[
        Location | None,
        'groups of words to compare, JSON: `{"group": ["word", ...], ...}` or `{"word": "group", ...}`',
        Flag(metavar="FILE"),
    ] = None


def observe_words(settings: WordsSettings) -> Result:
    """`words`: the verdict, tables and pictures."""
    from analyze.generated.results import observe_writing
    from analyze.generated.vocabulary import read_vocabulary

    vocabulary = None if settings.words is None else read_vocabulary(settings.words)
    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, _FOLDER)
    found = observe_writing(heads, vocabulary, seed=settings.seed)
    return Result(
        heads.run.path,
        folder,
        about=[f"{heads.run.path}, {heads.run.manifest.model}"],
        statements=found.verdict(),
        shown=list(_shown(found)),
        tables=found.tables(),
        figures=_figures(found),
    )


def _shown(found: "WritingFound") -> Iterator[Shown]:
    from analyze.generated.steps import WRITING

    title = "mean mass in the pass that chose the token of a step; 95% intervals by image"
    apart = -(-len(found.texts.steps) // _SHOWN)
    for name, rows in found.steps.groupby("texts_of", sort=False):
        if name == WRITING or not found.texts.fixed[0].all():
            yield Shown(f"{title}: {name}", rows.iloc[::apart].drop(columns=["texts_of", "images"]), 3)
    if found.ranked is not None:
        title = "heads with the largest mean image mass while writing; prompt: at step 0; first_token: at step 1"
        rows = found.ranked.table.sort_values("writing_rank").head(_SHOWN)
        yield Shown(title, rows[[*_PRINTED, "first_token"]].dropna(axis="columns", how="all"), 3)
    if found.groups is not None:
        title = "groups of words by steps; difference: from the other groups, words of the same step"
        yield Shown(title, found.groups.table.drop(columns=["first", "last", "images"]), 4)


def _figures(found: "WritingFound") -> "Figures":
    from analyze.drawing.results.generated import (
        groups_figure,
        heads_by_step_figure,
        heads_figure,
        layers_figure,
        mass_figure,
        roles_figure,
    )
    from analyze.pictures.of_run import subject

    of = subject(found.heads)
    yield "mass_by_step", partial(mass_figure, found.steps, of)
    yield "roles_by_step", partial(roles_figure, found.steps, of)
    yield "layers_by_step", partial(layers_figure, found.layers, found.steps, of)
    if found.ranked is not None and found.most_by_step is not None:
        yield "heads_writing", partial(heads_figure, found.ranked, of)
        yield "heads_by_step", partial(heads_by_step_figure, found.most_by_step, of)
    if found.groups is not None:
        yield "groups_of_words", partial(groups_figure, found.groups.table, of)
