"""`plots`: tally, then draw."""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import (
    FlowSettings,
    PictureSettings,
    Prefix,
    PromptSettings,
    RunSettings,
    WorkerSettings,
)
from analyze.opening import opened, output_folder, with_flows
from analyze.results import Result
from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS, DEFAULT_FLOWS, FLOW_NAMES, GROUPS, STEP_NAMES
from schemas.commands.settings import Between, Checked, Flag, Needs, OneOf
from schemas.errors import HeadflowError
from schemas.text import listed, short

if TYPE_CHECKING:
    import pandas as pd

    from analyze.pictures.kinds import Picture
    from analyze.tables.frames import Heads
    from schemas.jobs.head_sets import ModelShape

_SHOWN = 20  # letters that are named
MOST_CATEGORIES = 100  # that get pictures unless they are named
_LEAST = 1e-6  # end of an axis
SMALLEST, _LARGEST = 2, 100  # inches of a picture; a smaller one has no room for its words
OF_CONTRIBUTIONS = tuple(column.name for column in CONTRIBUTION_COLUMNS)
_OF_MASSES = Needs("metrics", (*FLOW_NAMES, *STEP_NAMES))
_LAYERS = re.compile(r"([0-9]{1,18})(-?)([0-9]{0,18})")


def layer_ranges(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers and ranges of layers; raises `ValueError` if one is neither."""
    for text in texts:
        found = _LAYERS.fullmatch(text)
        if not found or (found[3] and not found[2]):
            raise ValueError(f"{short(text)} is no layer: give numbers and ranges, such as 3, 0-7 or 24-")
    return texts


@dataclass(frozen=True)
class PlotsSettings(PictureSettings, FlowSettings, WorkerSettings, PromptSettings, RunSettings):
    """Settings of `plots`."""

    _: KW_ONLY
    metrics: Annotated[
        tuple[str, ...],
        "mass columns, or those of contributions",
        OneOf((*FLOW_NAMES, *STEP_NAMES, *OF_CONTRIBUTIONS)),
        Flag(metavar="FLOW"),
    ] = DEFAULT_FLOWS
    bins: Annotated[tuple[float, ...], "width of the bins of histograms, or their edges", _OF_MASSES] = (0.05,)
    range: Annotated[
        tuple[float, float] | None,
        "first and last edge of the bins, for a width (default: 0 1)",
        Flag(metavar="LOW HIGH"),
        _OF_MASSES,
    ] = None
    figsize: Annotated[
        tuple[float, float], "size of histograms, inches", Between(SMALLEST, _LARGEST), Flag(metavar="W H"), _OF_MASSES
    ] = (8.0, 5.0)
    ymax: Annotated[
        float | None, "end of the y axis of histograms (default: fits)", Between(_LEAST, 1 / _LEAST), _OF_MASSES
    ] = None
    vmax: Annotated[
        float | None,
        "end of the scale of bars and maps of attention; that of logits always fits (default: fits)",
        Between(_LEAST, 1),
        _OF_MASSES,
    ] = None
    layers: Annotated[
        tuple[str, ...] | None,
        "layers that get a picture, as 3, 0-7 or 24- (to the last); pictures of the run show all (default: all)",
        Checked(layer_ranges),
        Flag(metavar="L"),
        _OF_MASSES,
    ] = None
    categories: Annotated[
        tuple[str, ...] | None,
        "categories that get pictures; those of the run show all (default: all; of more than 100, the 100 largest)",
        _OF_MASSES,
    ] = None
    prefix: Prefix = "mme"
    effects: Annotated[
        tuple[str, ...], "jobs that knocked out single heads: a map of the effects of each", Flag(metavar="JOB")
    ] = ()


def draw_plots(settings: PlotsSettings) -> Result:
    """`plots`: all pictures of a run."""
    from analyze.drawing.panels import draw
    from analyze.pictures.of_run import Pictures, contribution_maps, effect_maps, subject
    from analyze.tables.bins import bin_edges
    from analyze.tables.frames import ANSWERS, IMAGE_KEYS, TOKEN_COUNTS, chosen_categories
    from analyze.tables.tallies import tally

    edges = bin_edges(settings.bins, settings.range)
    with settings.open_workers() as workers:
        columns = [*TOKEN_COUNTS, *ANSWERS, *IMAGE_KEYS, GROUPS]
        heads = opened(settings.run, settings.prompt, columns=columns, workers=workers)
        masses, added = _columns(settings.metrics, heads)
        heads, flows = with_flows(heads, masses, settings.step)
        scope = heads.scope(settings.text_scope)
        layers = chosen_layers(settings.layers, heads.run.manifest)
        categories = chosen_categories(settings.categories, heads.categories)
        folder = output_folder(settings.output_dir, heads)
        found = tally(heads, flows, scope, edges, spread=False, workers=workers) if flows else None
    of, warnings = subject(heads, scope if flows else None), []
    drawn: list[Picture] = []
    if found is not None:
        outside = {flow: share for flow, share in found.outside().items() if share}
        warnings += [f"{share:.2%} of {flow} lies outside the bins and is not drawn" for flow, share in outside.items()]
        if settings.categories is None and len(categories) > MOST_CATEGORIES:
            categories = _largest(found.samples())
            number = f"{len(categories)} of {len(found.samples()):,} categories"
            warnings.append(f"pictures of {number}, those with the most samples; --categories names others")
        crossing = heads.run.manifest.crossing
        drawn += Pictures(found, of, settings.prefix, layers, categories, settings.ymax, settings.vmax, crossing).all()
    drawn += contribution_maps(heads, added, subject(heads), settings.prefix)
    drawn += effect_maps(heads, settings.effects, subject(heads), settings.prefix)
    return Result(
        heads.run.path,
        folder,
        warnings=[*warnings, *_warnings(drawn, [*categories, *of])],
        figures=[(picture.name, partial(draw, picture, settings.figsize)) for picture in drawn],
    )


def chosen_layers(asked: Sequence[str] | None, model: "ModelShape") -> list[int]:
    """`3 5-7` -> those of 3, 5, 6, 7 that attend; `30-` -> 30 to the last; for `None` all that attend.

    Raises:
        HeadflowError: the run does not have one of them, or none of them attends.
    """
    attending, layers = list(model.attending), model.layers
    if asked is None:
        return attending
    chosen: list[int] = []
    for text in asked:
        begin, dash, end = text.partition("-")
        first = int(begin)
        last = int(end or (layers - 1 if dash else first))
        if not first <= last < layers:
            raise HeadflowError(f"{text} is no layer: this run has the layers 0 to {layers - 1}", setting="layers")
        chosen += range(first, last + 1)
    found = [layer for layer in dict.fromkeys(chosen) if layer in attending]
    if not found:
        raise HeadflowError(
            f"none of these layers attends: those that do are {listed(attending, 16)}", setting="layers"
        )
    return found


def _largest(samples: "pd.Series") -> list[str]:
    """The categories with the most samples, in the order of the run."""
    return list(map(str, samples[samples.index.isin(samples.nlargest(MOST_CATEGORIES).index)].index))


def _columns(asked: Sequence[str], heads: "Heads") -> tuple[list[str], list[str]]:
    """The mass columns that are asked for, and those of `contributions`.

    Raises:
        HeadflowError: the run does not have `contributions`.
    """
    run, names = heads.run, OF_CONTRIBUTIONS
    if (added := [name for name in dict.fromkeys(asked) if name in names]) and CONTRIBUTIONS not in run.manifest.tables:
        raise HeadflowError(f"{run.path} has no {listed(added)}: it has no table {CONTRIBUTIONS}", setting="metrics")
    return [name for name in asked if name not in names], added


def _warnings(pictures: "Sequence[Picture]", names: Sequence[str]) -> list[str]:
    """Which letters of names cannot be drawn, and whether bars or colours are cut."""
    from analyze.drawing.fonts import undrawable

    found = []
    if letters := undrawable(names):
        shown = "".join(letters[:_SHOWN]) + ("..." if len(letters) > _SHOWN else "")
        code = letters[0].encode("unicode_escape").decode()
        found.append(
            f"no font here has {shown}; pictures have codes in their place, such as {code}; install a font, such as "
            "Noto Sans CJK"
        )
    if cut := [picture.name for picture in pictures if picture.cut]:
        found.append(f"{len(cut)} of {len(pictures)} pictures cut what lies above --ymax or --vmax, {cut[0]} first")
    return found
