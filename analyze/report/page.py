"""The page: its sections put together, and the template filled. Nothing in it is fetched, and no text of data is code.

The page's policy (Content-Security-Policy) allows the scripts and the style that are in it, by their hashes, and images
that are in it; no network, and no code made of text: Vega's expressions are interpreted, not compiled.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analyze.pictures.labels import by_queries, colour
from analyze.report import charts, comparison, overview
from analyze.report.answer.difference import difference
from analyze.report.answer.links import linked
from analyze.report.answer.ranking import rankings
from analyze.report.answer.sentence import sentence
from analyze.report.heads.localising import spatial_entropies
from analyze.report.heads.sureness import sureness
from analyze.report.measures import (
    CONTRIBUTING,
    LOOKING,
    MATTERING,
    MEASURE_KINDS,
    Measure,
    Measured,
    measure,
    position,
    ticks,
)
from analyze.report.packing import Arrays, Piece, as_plain, script_json
from analyze.report.samples.maps import Unread, colours
from analyze.report.samples.pieces import Held, pieces_of_samples
from analyze.report.samples.second import measure_second
from analyze.report.samples.texts import has_texts, token_colours
from analyze.report.tallying import Tallied, ranks
from analyze.report.words import Words, number
from analyze.report.writing import writing_of
from analyze.statistics.heads.means import UNCLEAR
from analyze.tables.frames import Heads
from analyze.tables.values import generated_tokens
from schemas.columns import DEFAULT_FLOWS

_TEMPLATES = Path(__file__).parent / "templates"
PRUNE = "prune"  # where `prune` writes, in the folder of a run


@dataclass(frozen=True)
class Choices:
    """What may be chosen of a page.

    Attributes:
        held: of images and maps.
        related: whether one of two models was made from the other.
        seed: of the resampled images.
    """

    held: Held
    language: str = "en"
    text_scope: str | None = None
    related: bool = False
    seed: int = 0


def make_page(
    heads: Heads,
    other: Heads | None,
    choices: Choices,
    write: Callable[[Piece], None] | None = None,
    unread: Sequence[Unread] = (),
) -> str:
    """The page of a run, and of its comparison with another one.

    Args:
        write: takes the pieces of a page that is a folder, which loads them from there; None: all are in the page.
        unread: of either run, is told of parts of maps and texts that cannot be read, which the page is without.

    Raises:
        HeadflowError: a run cannot be read, or the two have no sample in common.
    """
    with TemporaryFile() as file:
        return _make_page(heads, other, choices, write, file, unread or (Unread(), Unread()))


def _make_page(
    heads: Heads,
    other: Heads | None,
    choices: Choices,
    write: Callable[[Piece], None] | None,
    file: BinaryIO,
    unread: Sequence[Unread],
) -> str:
    words, arrays = Words(choices.language), Arrays()
    scope = heads.scope(choices.text_scope)
    both = [] if other is None else comparison.compared_flows(heads, other)
    measured = measure(heads, scope, file, both)
    compared, beside = None, None
    if other is not None:
        beside = measure_second(heads, other, choices.text_scope, file, both)
        compared = comparison.compared_runs(
            heads, other, words, (measured.exact, beside.exact), _first(measured).name,
            text_scope=choices.text_scope, related=choices.related, seed=choices.seed,
        )  # fmt: skip
    name = "" if write is None else name_of_page(measured, beside, choices)
    if write is not None:
        write = _named(write, name)
    writing = writing_of(heads, words, unread[0])
    first, scores = overview.score_rows(heads, words, choices.seed)
    sets, random = comparison.pruning_of(heads.folder / PRUNE)
    arrays.add("colours", colours())
    if has_texts(heads):
        arrays.add("token_colours", token_colours())
    pieces, of_samples = pieces_of_samples(heads, other, measured, beside, choices.held, write, unread)
    data = {
        "words": words.texts,
        "page": name,
        "run": heads.run.path.resolve().name,
        "layers": heads.run.manifest.attending,
        "heads": heads.heads,
        "categories": heads.categories,
        "measures": [_measure(arrays, each, heads, words) for each in measured.measures],
        "localised": _localised(arrays, heads, unread[0]),
        "measure": _first(measured).key,
        "kinds": list(MEASURE_KINDS),
        "flows": _flows(arrays, measured, words),
        "columns": [] if compared is None else [(each, words.flow(each)) for each in compared.flows],
        "beside": None if other is None or beside is None else _beside(arrays, heads, other, measured, beside),
        **of_samples,
    }
    specs = _specs(words, heads, measured, compared, sets, random)
    if writing is not None:
        specs["writing"] = charts.mass_by_step(words, writing.rows)
    if other is not None:
        specs["map_b"] = charts.head_map(words, other.shape[0], signed=False)
    own = Piece("page", {}, arrays)
    if write is not None:
        write(own)
    return _filled(
        loads=write is not None,
        words=words,
        number=number,
        title=overview.title(heads, other, scope, words),
        notes=overview.run_notes(heads, words) + overview.unread_notes((heads, other), unread, words),
        path=heads.run.path.name,
        settings=overview.settings(heads, scope, words),
        v2t=overview.image_to_text(heads.manifest, measured, words),
        agreements=measured.agreements(),
        first=first,
        sentence=sentence(heads, measured, next(iter(first[-1:]), None), words, choices.seed),
        rankings=rankings(heads, measured, words),
        kinds={kind: any(each.kind == kind for each in measured.measures) for kind in MEASURE_KINDS},
        scores=as_plain(scores.to_dict("records")),
        groups=[(group.measure, words.get(group.measure, group.meaning)) for group in heads.task.apart],
        images=(data["images"], int(measured.samples["image_sha256"].nunique())),
        asked_images=choices.held.images != 0,
        overlays=data["maps"],
        compared=compared,
        difference=None if compared is None else difference(compared, words),
        task=heads.task.name,
        contents=[
            ("score", "score"),
            *[("writing", "writing")] * (writing is not None),
            ("heads", "heads_title"),
            ("distributions", "distributions"),
            ("samples", "samples_title"),
            *[("comparison", "comparison")] * (compared is not None),
            *[("pruning", "pruning")] * bool(sets),
        ],
        writing=writing,
        scored=data["scored"],
        no_scores=words["no_scores" if heads.samples["answer"].notna().any() else "no_answers"],
        texts=(data["texts"], np.count_nonzero(generated_tokens(heads.samples))),
        units=list(dict.fromkeys(row["unit"] for row in sets)),
        charts=list(specs),
        opposite=heads.task.opposite,
        seed=choices.seed,
        page_data=script_json(data | {"charts": specs}),
        pieces=[own, *pieces] if write is None else pieces,
    )


def name_of_page(measured: Measured, beside: Measured | None, choices: Choices) -> str:
    """A name that a page shares with its pieces, and with no page of other values, choices or another script."""
    found = hashlib.sha256((_TEMPLATES / "page.js").read_bytes() + repr(choices).encode())
    for each in (measured, beside):
        if each is not None:
            found.update("\n".join(each.samples["sample_id"].astype(str)).encode("utf-8", "replace"))
            for one in each.measures:
                found.update(one.key.encode() + one.found.means().tobytes())
    return found.hexdigest()[:16]


def _named(write: Callable[[Piece], None], page: str) -> Callable[[Piece], None]:
    """Writes pieces with the name of their page."""
    return lambda piece: write(replace(piece, page=page))


def _measure(arrays: Arrays, one: Measure, heads: Heads, words: Words) -> dict[str, Any]:
    """Add the arrays of a measure; returns what the page says of it."""
    found, key = one.found, one.key
    signed, means, of_heads = one.kind != LOOKING, found.means(), found.of_heads
    low, high = of_heads.interval()
    arrays.add(f"{key}/means", means)
    ends = np.array([charts.colour_ends(each, signed=signed) for each in means])
    shared = ends[:, 0].min(), ends[:, 1].max()
    arrays.add(f"{key}/ends", np.vstack([shared, ends]))  # shared by all that follow: of all samples, of each category
    arrays.add(f"{key}/low", low)
    arrays.add(f"{key}/high", high)
    for name, each in zip(("lowest", "highest"), of_heads.corrected, strict=True):
        arrays.add(f"{key}/{name}", each)
    if signed:
        arrays.add(f"{key}/told", np.where(of_heads.told == UNCLEAR, 0, 1).astype(np.uint8))
        arrays.add(f"{key}/sureness", of_heads.sureness)
    arrays.add(f"{key}/steady", of_heads.reliabilities())
    arrays.add(f"{key}/ranks", ranks(means[0]))
    arrays.add(f"{key}/halves", found.halves())
    arrays.add(f"{key}/bins", found.bins)
    arrays.add(f"{key}/top", found.top.T + 1)  # 0: there are no more
    arrays.add(f"{key}/values", found.values.T)
    return {
        "name": one.name, "key": key, "kind": one.kind, "label": words.measure(one),
        "meaning": words.meaning(one), "queries": one.queries,
        "signed": signed, "sure": asdict(sureness(found, heads, words, signed=signed)),
        "reliability": found.order.reliability, "kept": found.top.shape[0], **_bins(found),
    }  # fmt: skip


def _localised(arrays: Arrays, heads: Heads, unread: Unread) -> int | None:
    """Add how compact the maps of heads are; returns over how many samples, None without maps."""
    found = spatial_entropies(heads, unread)
    if found is None:
        return None
    arrays.add("localisation", found[0])
    return found[1]


def _bins(found: Tallied) -> dict[str, Any]:
    """The edges of a histogram, where they stand on its axis, and the ticks there: a position and a text each."""
    edges, middle = [float(f"{edge:.6g}") for edge in found.edges], found.middle
    if middle is None:
        return {"edges": edges, "positions": edges, "ticks": [[edge, f"{edge:g}"] for edge in np.linspace(0, 1, 6)]}
    marks = [
        [round(position(value, middle), 6), f"{value:g}".replace("-", "−")] for value in ticks(found.edges, middle)
    ]
    return {"edges": edges, "positions": [round(position(each, middle), 6) for each in found.edges], "ticks": marks}


def _beside(arrays: Arrays, heads: Heads, other: Heads, measured: Measured, beside: Measured) -> dict[str, Any]:
    """Add the means of the other run's heads, and the ends of the colours that both runs' maps share."""
    found = comparison.means_beside(heads, beside.tally)
    own: list[str] = []
    for one in measured.measures:
        if one.kind == LOOKING and one.name in found:
            both = np.hstack([one.found.means(), found[one.name]])
            arrays.add(f"b/{one.key}/means", found[one.name])
            arrays.add(f"b/{one.key}/ends", np.array([charts.colour_ends(each, signed=False) for each in both]))
            own.append(one.key)
    return {"measures": own, "layers": other.run.manifest.attending, "heads": other.heads}


def _first(measured: Measured) -> Measure:
    """The measure that is shown first."""
    return measured.first_looking() or measured.measures[0]


def _flows(arrays: Arrays, measured: Measured, words: Words) -> list[dict[str, Any]]:
    """The columns of the distributions, with their colours, and the panels that they stand in."""
    flows = overview.add_distributions(arrays, measured.tally)
    panels = {flow: number for number, group in enumerate(by_queries(flows).values()) for flow in group}
    return [
        {"name": flow, "label": words.flow(flow), "meaning": words.meaning_of_flow(flow), "colour": colour(flow),
         "panel": panels[flow], "of": "" if flow in DEFAULT_FLOWS else flow[0]}
        for flow in flows
    ]  # fmt: skip


def _specs(
    words: Words, heads: Heads, measured: Measured, compared: comparison.Compared | None, sets: Any, random: Any
) -> dict[str, Any]:
    """The charts by name."""
    specs = {
        "map": charts.head_map(words, heads.shape[0], signed=False),
        "dots": charts.head_dots(words, heads.shape, signed=False),
        "scatter": charts.head_scatter(words),
        "histogram": charts.head_histogram(words),
        "profile": charts.head_profile(words, len(heads.categories)),
        "distribution": charts.distribution(words, measured.tally.flows),
    }
    if any(each.kind in (CONTRIBUTING, MATTERING) for each in measured.measures):
        specs["map_signed"] = charts.head_map(words, heads.shape[0], signed=True)
        specs["dots_signed"] = charts.head_dots(words, heads.shape, signed=True)
    if compared is not None:
        specs |= charts.comparison(words, compared)
    for unit in dict.fromkeys(row["unit"] for row in sets):
        specs[f"pruning_{unit}"] = charts.pruning(words, sets, random, unit)
    return specs


def _filled(*, loads: bool, **values: Any) -> str:
    """The template with its values; its scripts and its style are allowed by their hashes.

    Args:
        loads: whether these scripts may load others, from the page's folder.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    scripts = [library(), script]
    policy: Mapping[str, str] = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hashed(style),
        "script-src": " ".join([*map(_hashed, scripts), *["'strict-dynamic'", "'self'"] * loads]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    text = "; ".join(f"{name} {value}" for name, value in policy.items())
    environment.filters["linked"] = linked
    return environment.get_template("page.html").render(policy=text, style=style, scripts=scripts, **values)


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from the wheel of vl-convert."""
    text: str = (
        vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as a browser reads it, so that the hash is that of its text


def _hashed(text: str) -> str:
    """A script or a style as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
