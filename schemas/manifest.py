"""`run.json`, the manifest of a run: the fields that decide its numbers; and who computed which part of it."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from schemas.columns import EXTRAS, FLOW_NAMES, KNOCKOUTS, STEP_MAPS, STEPS, TABLES, TOKENS, Column
from schemas.errors import HeadflowError
from schemas.files.json_objects import build
from schemas.jobs.head_sets import HeadSet, wrong_set
from schemas.jobs.settings import JobSettings
from schemas.tasks import MME, OPTION_LETTERS, TASKS
from schemas.text import counted, listed, short

SCHEMA_VERSION = 2
EXTRACTED, IMPORTED = "extract", "legacy-pt"
SUBSET, MERGE = "subset", "merge"
PARENT = "../.."  # from a job to the run that it is on
PACKED, SEPARATE = "packed", "separate"
TEXT_SCOPES = ("all", "no-system")
CROP, PAD, AS_CHECKPOINT = ASPECTS = ("crop", "pad", "checkpoint")  # how non-square images are preprocessed
# Which images the model was given
ORIGINAL, BLANK, SWAPPED, NOISE, SHUFFLE = IMAGES = ("original", "blank", "swap", "noise", "shuffle")
INDICES, ROWS = 2**15, 2**31  # most layers or heads, as `layer` and `head` are int16; most samples
# Fields that say which model answers, and how it is asked
IDENTITY_OF_MODEL = (
    "layers", "heads", "attending", "crossing", "causal", "format", "architecture", "dtype", "quantised", "removed",
    "conv_mode", "system_span", "prompts", "prompt_suffix", "answer_token_ids", "image_preprocessing",
)  # fmt: skip
DESCRIPTIVE = ("schema_version", "question_file", "sizes", "started")  # fields that decide no number


@dataclass(kw_only=True)
class Manifest:
    """The fields of `run.json`, in their order; a field that may be `None` has that default.

    All fields but `DESCRIPTIVE` decide numbers: a command resumes a run only if they are equal. A field that a
    later version adds gets the default that describes runs written before.
    """

    schema_version: Annotated[int, "version of the contract that the files follow"] = SCHEMA_VERSION
    source: Annotated[str, f"`{EXTRACTED}`, or `{IMPORTED}` for records of the earlier tool"] = EXTRACTED
    layers: Annotated[int, "decoder layers of the language model"]
    heads: Annotated[int, "attention heads of each layer that attends"]
    attending: Annotated[
        list[int],
        "the layers that attend, in order: those whose heads have rows; others, such as linear attention and "
        "convolutions, have no attention matrix (default: all layers)",
    ] = field(default_factory=list)
    crossing: Annotated[
        list[int],
        "of these, the layers in which text reads the image by cross-attention, in order: there it sees the image and "
        "no text, in the other layers text and no image (default: none; the image stands in the sequence)",
    ] = field(default_factory=list)
    flows: Annotated[list[str], "the mass columns that `heads` has"] = field(default_factory=lambda: list(FLOW_NAMES))
    tables: Annotated[
        list[str], f"tables that were asked for beside `heads` and `samples`; of a job, `{KNOCKOUTS}` and no other"
    ] = field(default_factory=list)
    maps_of: Annotated[str | None, "whose attention `maps` are of: `a` or `q`, see `of`; null without maps"] = None
    maps_heads: Annotated[
        list[list[int]],
        "`[layer, head]` of the heads that have a `map` in `maps`; empty: all have one, or all of `crossing`",
    ] = field(default_factory=list)
    generate: Annotated[int | None, "most tokens that were generated; null: none were"] = None
    every: Annotated[int, "`steps` and `step_maps` have rows of the steps that are multiples of it"] = 1
    step_heads: Annotated[
        list[list[int]], "`[layer, head]` of the heads that have rows in `steps`; empty: all have"
    ] = field(default_factory=list)
    step_map_heads: Annotated[
        list[list[int]],
        "`[layer, head]` of the heads that have rows in `step_maps`; empty: all have, or all of `crossing`",
    ] = field(default_factory=list)
    answer_after: Annotated[
        str | None, "what the answer follows in the text, such as `</think>`; null: the answer is the whole text"
    ] = None
    texts_sha256: Annotated[
        str | None, "hash of the file of texts that the model was given; null: it wrote its own"
    ] = None
    task: Annotated[
        str,
        "what an answer is: " + "; ".join(f"`{task.name}`, {task.meaning}" for task in TASKS.values()),
    ] = MME.name
    text_scope: Annotated[
        str, "what `t2v` and `v2t` count as text: `all`, or `no-system` (without the system prompt)"
    ] = TEXT_SCOPES[0]
    num_chunks: Annotated[int, "chunks that the images are divided into, each written by a process of its own"] = 1
    model: Annotated[str | None, "model id or path"] = None
    revision: Annotated[str | None, "commit of the model on its hub, if it has one"] = None
    format: Annotated[str | None, "form of the checkpoint: `transformers`, `released` or `llava-package`"] = None
    architecture: Annotated[str | None, "class of the model"] = None
    sizes: Annotated[
        dict[str, int],
        "parameters of the language model and its unembedding, of embeddings that are only looked up, of a layer, of a "
        "query head (its part of `q_proj` and `o_proj`) and of a key-value head (of `k_proj` and `v_proj`); `kv_heads` "
        "and `head_dim`; empty if not known",
    ] = field(default_factory=dict)
    removed: Annotated[
        dict[str, Any], "`heads` and `layers` that were taken out of the model, by zeros in its weights; empty: none"
    ] = field(default_factory=dict)
    dtype: Annotated[str | None, "dtype of weights and activations"] = None
    quantised: Annotated[
        dict[str, Any],
        "how the weights are quantised: `method`, and what of `bits`, `type`, `group_size` and the like the checkpoint "
        "says; empty: they are not",
    ] = field(default_factory=dict)
    causal: Annotated[bool | None, "whether no token sees a later one"] = None
    sequences: Annotated[
        str | None,
        f"`{PACKED}`: questions on one image after one prefix, or `{SEPARATE}`: each in a sequence of its own",
    ] = None
    conv_mode: Annotated[
        str | None, "conversation template of the prompts; null if each of `prompts` names its own"
    ] = None
    system_span: Annotated[str | None, "how the role `system` was assigned: `template` or `original`"] = None
    prompts: Annotated[
        dict[str, Any],
        "wordings that each question was asked in, by name: `template`, and `conv_mode` and `system` (null: the run's "
        "template, and its own system message); empty: one wording, see `prompt_suffix`",
    ] = field(default_factory=dict)
    prompt_suffix: Annotated[str | None, "what was appended to each question; null in a run with `prompts`"] = None
    answer_tokens: Annotated[
        list[str],
        "the first tokens of the answers on offer, in the order of `options`, as the vocabulary spells them: two, "
        "which `margin` compares, or the letters of options that questions have of their own; empty: neither `margin` "
        "nor `option_logits`",
    ] = field(default_factory=list)
    answer_token_ids: Annotated[list[int], "the ids of these tokens"] = field(default_factory=list)
    image_preprocessing: Annotated[dict[str, Any], "how images were resized and cropped"] = field(default_factory=dict)
    images: Annotated[
        str,
        f"what the model was given in place of each image: `{ORIGINAL}` (the image), `{BLANK}` (the mean colour), "
        f"`{SWAPPED}` (another image of the category), `{NOISE}`, or `{SHUFFLE}` (its patches in another order)",
    ] = ORIGINAL
    question_file: Annotated[str | None, "the question file, or the imported file"] = None
    question_file_sha256: Annotated[
        str | None, "hash of that file's bytes, or of the names and bytes of several files"
    ] = None
    columns: Annotated[
        dict[str, str], "the columns of that file that were read as fields of other names, by field; empty: none"
    ] = field(default_factory=dict)
    derived: Annotated[
        str | None,
        f"`{SUBSET}` or `{MERGE}`: the samples are those of other runs, and no command resumes it; else null",
    ] = None
    parent: Annotated[str | None, f"of a job, `{PARENT}`: where the run lies that it is on; else null"] = None
    job: Annotated[JobSettings | None, "of a job, what it was asked, see below; else null"] = None
    started: Annotated[str | None, "UTC time when the run was begun, ISO 8601"] = None

    def __post_init__(self) -> None:
        """Fill in the default of `attending`."""
        if not self.attending and 1 <= self.layers <= INDICES:
            self.attending = list(range(self.layers))

    @classmethod
    def from_object(cls, content: dict[str, Any], where: object) -> "Manifest":
        """Read a manifest from its JSON object; `where` names it in errors.

        Raises:
            HeadflowError: another schema version, or a field that is missing, of the wrong type, or cannot be.
        """
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise HeadflowError(
                f"{where} has schema version {short(version)}, this headflow reads {SCHEMA_VERSION}: "
                "read it with the headflow that wrote it, or extract again"
            )
        manifest: Manifest = build(cls, content, str(where))
        if wrong := next(manifest._wrong(), None):
            raise HeadflowError(f"{where}: {wrong}")
        return manifest

    @property
    def shape(self) -> tuple[int, int]:
        """How many layers attend, and how many heads each of them has."""
        return len(self.attending), self.heads

    @property
    def layers_in_words(self) -> str:
        """How many layers attend, where not all do; else empty."""
        some = len(self.attending)
        return "" if some == self.layers else f"{some} of {self.layers} layers attend"

    @property
    def without_heads(self) -> str:
        """Which layers attend, where not all do, in words; else empty."""
        if len(self.attending) == self.layers:
            return ""
        others = counted(self.layers - len(self.attending), "layer has", "layers have")
        return (
            f"the layers {listed(self.attending, 16)} attend; {others} no attention matrix (such as linear attention), "
            "and no rows in tables of heads"
        )

    @property
    def crossing_in_words(self) -> str:
        """How many layers read the image by cross-attention, where some do; else empty."""
        return f"{len(self.crossing)} of {counted(self.layers, 'layer')} read the image" if self.crossing else ""

    @property
    def across(self) -> str:
        """What masses are of a model that reads the image by cross-attention, in words; of others empty."""
        if not self.crossing:
            return ""
        return (
            f"text reads the image by cross-attention in layers {listed(self.crossing, 16)}: there it sees no text, "
            "and in the other layers no image, so that t2v, q2v and a2v say which layers these are, and not what heads "
            "do; where in the image they look is in `maps`. Statistics of a column are over layers that can have it. "
            "The image has no queries: there are no v2t and v2* columns"
        )

    def cells(self, field: str) -> list[list[int]]:
        """`[layer, head]` of the heads that a field names, `maps_heads`, `step_heads` or `step_map_heads`; empty: all.

        Where no maps are named, all heads have one that can see the image.
        """
        named: list[list[int]] = getattr(self, field)
        if named or field not in ("maps_heads", "step_map_heads"):
            return named
        return [[layer, head] for layer in self.crossing for head in range(self.heads)]

    def fixed(self, flow: str) -> list[bool]:
        """Of each layer that attends, whether a column is 0 there for lack of such keys, whatever the question is."""
        if not self.crossing:
            return [False] * len(self.attending)
        on_image = flow.partition("2")[2].partition("@")[0] == "v"
        return [(layer in self.crossing) != on_image for layer in self.attending]

    @property
    def answers_in_texts(self) -> bool:
        """Whether answers are read in texts; one that was given is no answer of the model."""
        return self.generate is not None and self.texts_sha256 is None

    def _wrong(self) -> Iterator[str]:
        """Values that cannot be, though they have the right type."""
        if self.text_scope not in TEXT_SCOPES:
            yield f"text_scope is {short(self.text_scope)}, not one of {', '.join(TEXT_SCOPES)}"
        if self.images not in IMAGES:
            yield f"images is {short(self.images)}, not one of {', '.join(IMAGES)}"
        if self.task not in TASKS:
            yield f"task is {short(self.task)}, not one of {', '.join(TASKS)}"
        for name, most in (("layers", INDICES), ("heads", INDICES), ("num_chunks", ROWS)):
            if not 1 <= getattr(self, name) <= most:
                yield f"{name} is {short(getattr(self, name))}, not from 1 to {most}"
        if not set(self.attending) <= set(range(min(self.layers, INDICES))) or self.attending != sorted(
            set(self.attending)
        ):
            yield f"attending is {short(self.attending)}, not layers of {self.layers} in order"
        if not set(self.crossing) <= set(self.attending) or self.crossing != sorted(set(self.crossing)):
            yield f"crossing is {short(self.crossing)}, not layers that attend in order"
        if unknown := [flow for flow in self.flows if flow not in FLOW_NAMES]:
            yield f"it names flows that are not in the contract: {', '.join(unknown)[:80]}"
        known = EXTRAS if self.job is None else (KNOCKOUTS,)
        if unknown := [table for table in self.tables if table not in known]:
            yield f"it names tables that are not in the contract: {', '.join(unknown)[:80]}"
        for name in ("flows", "tables"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                yield f"{name} names one of its members twice"
        for name in EXTRAS:
            for column in TABLES[name].columns:
                yield from self._wrong_field(name, column)
            if kept := TABLES[name].kept:
                yield from self._wrong_cells(kept)
        if (self.generate is not None) != (TOKENS in self.tables):
            yield f"generate is {self.generate}, with tables {', '.join(self.tables) or 'none'}"
        if not set(self.tables).isdisjoint((STEPS, STEP_MAPS)) and TOKENS not in self.tables:
            yield f"its tables are {', '.join(self.tables)}, without {TOKENS}"
        if not (1 <= (self.generate or 1) < INDICES and self.every >= 1):
            yield f"generate is {self.generate} and every is {self.every}, not from 1 to {INDICES - 1}"
        if (self.job is None) != (self.parent is None) or self.parent not in (None, PARENT):
            yield f"parent is {short(self.parent)}, and {'nothing' if self.job is None else 'something'} is under job"
        yield from self.job.wrong() if self.job is not None else ()
        if self.removed and (wrong := wrong_set(self.removed)):
            yield f"removed {wrong}"
        for name, wording in self.prompts.items():
            if not isinstance(wording, dict) or not isinstance(wording.get("template"), str):
                yield f"the wording {short(name)} of prompts is {short(wording)}, not an object with a `template`"
        number, own = len(self.answer_tokens), self.task in TASKS and not TASKS[self.task].options
        if number not in (range(2, len(OPTION_LETTERS) + 1) if own else (0, 2)) or len(self.answer_token_ids) != number:
            what = f"two to {len(OPTION_LETTERS)}" if own else "two"
            yield f"answer_tokens and answer_token_ids are not {what} tokens with their ids"

    def _wrong_field(self, table: str, column: Column) -> Iterator[str]:
        """Values that cannot be in the field of a table's column, see `Column.field`."""
        value = getattr(self, column.field) if column.field else None
        if column.choices and ((value is not None) != (table in self.tables) or value not in (None, *column.choices)):
            yield f"{column.field} is {short(value)}, with tables {', '.join(self.tables) or 'none'}"
        if column.length and column.field:
            yield from self._wrong_cells(column.field)

    def _wrong_cells(self, field: str) -> Iterator[str]:
        """Heads in a field that the model does not have."""
        cells = {"heads": getattr(self, field)}
        if cells["heads"] and (wrong := wrong_set(cells) or HeadSet.of(cells).outside(self)):
            yield f"{field} {wrong}"


@dataclass(kw_only=True)
class Session:
    """One start or resume of a chunk: who computed what followed, until the next session."""

    started: Annotated[str | None, "UTC time, ISO 8601"] = None
    finished: Annotated[str | None, "UTC time when the chunk was complete; null if the session ended before"] = None
    device: Annotated[str | None, "device that the model ran on"] = None
    kernel: Annotated[str | None, "how attention was computed and observed"] = None
    batch_size: Annotated[int | None, "images that went through the model at once, at most"] = None
    noise: Annotated[
        dict[str, float],
        "by how much `mass` and `margin` of the first questions differ at most if each is asked alone, in half "
        "precision",
    ] = field(default_factory=dict)
    git_commit: Annotated[str | None, "commit of headflow"] = None
    versions: Annotated[dict[str, str], "versions of Python, torch, transformers ..."] = field(default_factory=dict)
    arguments: Annotated[dict[str, Any], "the command's arguments"] = field(default_factory=dict)


def to_json(record: Any) -> str:
    """A dataclass as JSON text."""
    return json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False) + "\n"


def meanings(record: type) -> dict[str, str]:
    """What each field of a dataclass with annotated fields means, in their order."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}
