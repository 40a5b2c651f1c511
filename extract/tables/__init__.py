"""The tables of a run that a forward pass makes: which are asked for, and the list of what makes them.

maker          what a maker is; that of the masses
residual       `contributions` and `layers`, from the residual stream
decoder        the modules of a language model that add to its residual stream
stream         what they add to the last tokens, read while a forward pass runs
contributions  -> what each head, MLP and the embedding contribute to the margin, or the lead
maps           `maps`: whose attention, for what heads, and where the tokens of images lie
map_reader     attention on image tokens -> maps and their numbers; visual sinks
chosen_heads   which heads keep their maps, or their rows of steps
generated      `tokens`, `steps` and `step_maps`: what the model writes, and where it looks meanwhile
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from extract.prompts.given import hash_of_texts
from extract.settings import ALL, MAPS_OF_QUESTION, Deciding
from extract.tables.chosen_heads import read_heads
from schemas.columns import CONTRIBUTIONS, EXTRAS, LAYERS, MAPS, OF_LAST, OF_QUESTION, STEP_MAPS, STEPS, TOKENS

if TYPE_CHECKING:
    from extract.models.answers import AnswerReader
    from extract.models.checkpoint import Checkpoint
    from extract.tables.maker import Maker


def asked_fields(settings: Deciding) -> dict[str, Any]:
    """The fields of the manifest about tables beside `heads` and `samples`.

    Raises:
        HeadflowError: the heads that keep their maps cannot be read.
    """
    asked = {CONTRIBUTIONS: settings.contributions, LAYERS: settings.layer_profile, MAPS: settings.maps}
    asked |= dict.fromkeys((TOKENS, STEPS), settings.generate is not None) | {STEP_MAPS: bool(settings.step_maps)}
    fields: dict[str, Any] = {"tables": [name for name in EXTRAS if asked[name]], "maps_of": None, "maps_heads": []}
    if settings.maps:
        of = OF_QUESTION if settings.maps_of == MAPS_OF_QUESTION else OF_LAST
        heads = read_heads(settings.maps_heads, f"{of}2v") if settings.maps_heads else []
        fields |= {"maps_of": of, "maps_heads": heads}
    return fields | _fields_of_steps(settings)


def _fields_of_steps(settings: Deciding) -> dict[str, Any]:
    """The fields of the manifest about what is generated; that of the answer only where it is named."""
    fields = {
        "generate": settings.generate,
        "every": settings.every or 1,
        "step_heads": _read_steps(settings.step_heads, "step_heads"),
        "step_map_heads": [] if settings.step_maps == (ALL,) else _read_steps(settings.step_maps, "step_maps"),
        "texts_sha256": None if settings.text is None else hash_of_texts(settings.text),
    }
    known = settings.generate is None or settings.answer_after is not None
    return fields | ({"answer_after": settings.answer_after} if known else {})


def _read_steps(names: Sequence[str], setting: str) -> list[list[int]]:
    return read_heads(names, f"{OF_LAST}2v", setting=setting) if names else []


def find_makers(fields: Mapping[str, Any], checkpoint: "Checkpoint", answers: "AnswerReader") -> "Iterator[Maker]":
    """What makes these tables of a model, `fields` of `asked_fields`.

    Raises:
        HeadflowError: one of the tables cannot be made for a model that is built in this way.
    """
    from extract.tables.generated import StepMaker, Writing
    from extract.tables.maps import MapMaker
    from extract.tables.residual import ResidualMaker

    tables = fields["tables"]
    if names := [name for name in (CONTRIBUTIONS, LAYERS) if name in tables]:
        yield ResidualMaker(checkpoint, answers, names)
    if MAPS in tables:
        yield MapMaker(checkpoint, fields["maps_of"], [(layer, head) for layer, head in fields["maps_heads"]])
    if TOKENS in tables:
        yield StepMaker(checkpoint, Writing.of(fields), maps=STEP_MAPS in tables)
