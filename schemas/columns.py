"""The tables of a run and their columns, as data: name, type, unit, nullable, meaning.

The writer, the reader, `validate` and the guide's tables all come from here. A new table is one entry of `TABLES`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from schemas.roles import GENERATED, QUERY_GROUPS, ROLES, STEP_ROLES, TEXT

UNKNOWN = "unknown"  # the category of a sample without one
CATEGORICAL = pa.dictionary(pa.int32(), pa.string())
RECTANGLE = pa.list_(pa.float32())
RECTANGLES = pa.list_(RECTANGLE)
PATCHES = pa.list_(pa.float32())
TEXTS = pa.list_(pa.string())
OBJECTS = pa.list_(pa.struct({"name": pa.string(), "words": TEXTS, "boxes": RECTANGLES}))
BOX = "pixels of the original image"  # the unit of rectangles `x0, y0, x1, y1`


@dataclass(frozen=True)
class Column:
    """One column of a Parquet table.

    Attributes:
        low, high: the range of numbers, also of those in lists; a float is finite in any case.
        field: of a text, the manifest's field that has its value in all rows, null in runs without the table; of a
            list, the field that has the cells of the grid which have one, empty if all have.
        choices: the values that this field may have.
        length: of a list, the columns of `samples` whose product is the length; empty: any length.
    """

    name: str
    type: pa.DataType
    unit: str
    nullable: bool
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    field: str = ""
    choices: tuple[str, ...] = ()
    length: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """Its range in words: `0..1`, or `0 or more`."""
        return f"{self.low:g} or more" if self.high == math.inf else f"{self.low:g}..{self.high:g}"


SAMPLE_ID = Column(
    "sample_id",
    CATEGORICAL,
    "",
    False,
    "unique in a run, the same in every run on one question file; `ID@NAME` in one of several wordings",
)
CATEGORY = Column("category", CATEGORICAL, "", False, f"the benchmark's category, `{UNKNOWN}` if there is none")

MASSIVE = 20.0  # a hidden state over its root mean square, in a dimension in which it marks a visual sink

KEYS = (
    SAMPLE_ID,
    CATEGORY,
    Column("layer", pa.int16(), "index", False, "decoder layer of the language model, from 0", low=0),
    Column("head", pa.int16(), "index", False, "attention (query) head, from 0", low=0),
)


def _mass(name: str, meaning: str) -> Column:
    return Column(name, pa.float32(), "mass, 0..1", False, meaning, 0, 1)


CROSSINGS = (
    _mass("t2v", "attention of all text tokens on the image: mean over queries of the sum over keys"),
    _mass("v2t", "attention of image tokens on all text: mean over queries of the sum over keys"),
)
_NOTES = {"v2v": "; in causal models not summed, but what the other four leave of 1"}
PARTITIONS = {
    group.short: tuple(
        _mass(name, f"attention of {group.meaning} on `{role.name}`{_NOTES.get(name, '')}")
        for role in ROLES
        for name in [f"{group.short}2{role.short}"]
    )
    for group in QUERY_GROUPS
}
_FLOWS = CROSSINGS + tuple(column for partition in PARTITIONS.values() for column in partition)
FLOW_NAMES = tuple(column.name for column in _FLOWS)
# Those whose queries are text: all that a run has where the image has no queries, as it is read by cross-attention
OF_TEXT = tuple(name for name in FLOW_NAMES if not name.startswith("v"))
DEFAULT_FLOWS = ("t2v", "v2t")  # that are read where no others are asked for


def _logits(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, pa.float32(), "logits", nullable, meaning)


STEP, PICTURE = "step", "picture"
STEP_COLUMN = Column(
    STEP,
    pa.int16(),
    "index",
    False,
    "the pass in which this generated token was chosen, from 0; its query is the token before it, so that step 0 has "
    "that of the last prompt token",
    0,
)
PICTURE_COLUMN = Column(
    PICTURE, pa.int16(), "index", False, "the image: its place among those of the question, from 0; see `pictures`", 0
)
GENERATED_BY = "attention of the token before the one that is chosen"
STEP_PARTITION = tuple(
    _mass(f"g2{role.short}", f"{GENERATED_BY}, on `{role.name}`{'; 0 in step 0' if role is GENERATED else ''}")
    for role in STEP_ROLES
)
# What a step may be called beside its number: that of the answer's first token, ..., the mean over those with rows
ANSWER, FIRST, FINAL, MEAN_STEP = STEP_WORDS = ("answer", "first", "last", "mean")
STEP_NAMES = tuple(column.name for column in STEP_PARTITION)
TOKEN_TEXT = Column(
    "text",
    pa.string(),
    "",
    False,
    "its text; one after the other, the texts of a sample's tokens make up its `text` in `samples`. Empty for special "
    "tokens other than `answer_after`. A letter that takes several tokens stands at the last of them",
)
TOKEN_COLUMNS = (
    Column("token_id", pa.int32(), "id", False, "the token", 0),
    TOKEN_TEXT,
    Column("logprob", pa.float32(), "nats", False, "logarithm of its probability", high=0),
    Column("entropy", pa.float32(), "nats", False, "entropy of the distribution that it was chosen from", 0),
    _logits(
        "gap",
        "its logit minus the largest other one: where it is no larger than rounding, another batch may choose another "
        "token; below 0 in a text that was given",
    ),
)

TO_ANSWER = "direct contribution to `margin` (task `choices`: to `lead`)"
CONTRIBUTION_COLUMNS = tuple(
    _logits(f"d2{role.short}", f"{TO_ANSWER} of what the last token takes from `{role.name}` by way of this head")
    for role in ROLES
)
PARTS = (
    _logits("d_embedding", f"{TO_ANSWER} of the last token's embedding", nullable=True),
    _logits("d_heads", "that of all heads: the sum of the sample's rows in `contributions`", nullable=True),
    _logits("d_mixer", "that of layers that do not attend, such as linear attention; 0 if all attend", nullable=True),
    _logits("d_mlp", "that of all MLPs", nullable=True),
    _logits("d_bias", "that of the biases of `o_proj` and of the unembedding", nullable=True),
    _logits(
        "d_rest",
        "what rounding leaves: the six add up to `margin` (task `choices`: to `lead`; where that is null, to the "
        "largest of `option_logits` minus the second)",
        nullable=True,
    ),
)


def _influence(name: str, tokens: str, null: str = "") -> Column:
    meaning = f"block influence on {tokens}: 1 minus the mean cosine between a token before and after the layer{null}"
    return Column(name, pa.float32(), "0..2", bool(null), meaning, 0, 2)


LAYER_COLUMNS = (
    _influence("bi_image", "image tokens", "; null where these stand in no sequence (`crossing`)"),
    _influence("bi_question", "question tokens"),
    _influence("bi_last", "the last token"),
    _logits("d_attention", f"{TO_ANSWER} of the layer's attention, its bias included, or of what it has instead"),
    _logits("d_mlp", f"{TO_ANSWER} of the layer's MLP"),
    _logits(
        "margin",
        "`margin` (task `choices`: `lead`) of the hidden state after this layer, through the final norm and the "
        "unembedding",
    ),
)


def _nullable(
    name: str, type: pa.DataType, unit: str, meaning: str, low: float = -math.inf, high: float = math.inf
) -> Column:
    return Column(name, type, unit, True, meaning, low, high)


def _probability(name: str, meaning: str) -> Column:
    return _nullable(name, pa.float32(), "probability", meaning, 0, 1)


PLACES = (
    _nullable(
        "image_width",
        pa.int32(),
        "pixels",
        "of the image that the model was given, before it is resized; of several, as the other columns of images, of "
        "the first",
        low=1,
    ),
    _nullable("image_height", pa.int32(), "pixels", "of that image", low=1),
    _nullable("grid_rows", pa.int32(), "patches", "rows of the grid that maps lie on; null in a run without maps", 1),
    _nullable("grid_columns", pa.int32(), "patches", "columns of that grid", low=1),
    _nullable(
        "grid_box",
        RECTANGLE,
        BOX,
        "what the grid covers, `[x0, y0, x1, y1]`: less than the image where it was cropped, more where it was padded",
    ),
)
# Columns of `samples` that the members of `pictures` have too, where a question has several images
OF_PICTURE = ("image", "image_sha256", *(column.name for column in PLACES))
_PICTURE_TYPES = dict.fromkeys(OF_PICTURE[:2], pa.string()) | {column.name: column.type for column in PLACES}
PICTURE_LIST = pa.list_(pa.struct(_PICTURE_TYPES))
PICTURES, N_IMAGES = "pictures", "n_images"
OF_LAST, OF_QUESTION = "a", "q"  # whose attention maps are of
MAP = "map"
MAP_NUMBERS = (
    _mass("mass", "attention on all tokens of the image; images of a question add up to `a2v`, `q2v` or `g2v`"),
    _nullable(
        "entropy",
        pa.float32(),
        "0..1",
        "of the map as shares `p` of N patches: `-sum p ln p / ln N`; null where the map is all 0",
        0,
        1,
    ),
    _nullable(
        "sink",
        pa.float32(),
        "mass, 0..1",
        "attention on image tokens that are visual sinks; null where the prompt begins with the image, and in models "
        "of width 400 and less, in which no state can exceed 20 times its root mean square",
        0,
        1,
    ),
    _nullable("centre_x", pa.float32(), "of the image's width", "centre of the map, from the left; null as `entropy`"),
    _nullable("centre_y", pa.float32(), "of the image's height", "centre of the map, from the top; null as `entropy`"),
    _mass("rest", "attention on image tokens, or parts of them, that lie nowhere on the grid, such as ends of rows"),
)
_ON_GRID = "attention on each patch of the grid, row by row"
MAP_COLUMNS = (
    Column(
        "of",
        CATEGORICAL,
        "",
        False,
        "whose attention it is: `a`, the last token's, or `q`, the mean over the question",
        field="maps_of",
        choices=(OF_LAST, OF_QUESTION),
    ),
    *MAP_NUMBERS,
    Column(
        MAP,
        PATCHES,
        "mass, 0..1",
        True,
        f"{_ON_GRID}; null in heads that were not asked for, or cannot see the image",
        0,
        1,
        field="maps_heads",
        length=("grid_rows", "grid_columns"),
    ),
)
STEP_MAP = Column(MAP, PATCHES, "mass, 0..1", False, _ON_GRID, 0, 1, length=("grid_rows", "grid_columns"))

OK, SKIPPED = "ok", "skipped"
REASONS = {
    "image_missing": "the image file does not exist, none is named, or the row holds none",
    "image_outside": "the image's name leads out of the image folder, by `..` or as an absolute path",
    "image_unreadable": "the image file is empty, truncated, of an unknown format, or a folder, pipe or device",
    "image_too_large": "the image exceeds Pillow's limit of pixels, as it is or once padded or resized",
    "image_refused": "the model's own processor does not take the image, such as one that is too long and thin",
    "image_unplaced": "where in the image its tokens lie is not known, so that it has no maps",
    "image_unlike": "in a knock-out, the image that takes its place has another number of tokens",
    "question_empty": "the question has no text",
    "options_unusable": "the question's options are fewer than two or more than 26, or one is empty, or two are equal",
    "several_images": "the question has several images and the model takes one, or it places more or fewer than it has",
    "prompt_too_long": "the prompt has more tokens than the model can place",
    "not_finite": "attention or logits hold NaN or infinity",
    "out_of_memory": "one question on the image does not fit into the memory of the device",
    "model_failed": "the model, its tokenizer or its chat template ends with an error on the question and the image",
}

GROUPS = "groups"
N_GENERATED, ANSWER_STEP = "n_generated", "answer_step"
STOPPED, CUT = ENDS = ("stop", "length")  # how a text ended
WRITTEN = (
    _nullable("text", pa.string(), "", "what was generated, special tokens left out; null in a run without `tokens`"),
    _nullable(N_GENERATED, pa.int32(), "tokens", "tokens that were generated, the one that ends the text included", 1),
    _nullable(
        "ended",
        pa.string(),
        "",
        f"how the text ended: `{STOPPED}`, by a token that ends texts, or `{CUT}`, at as many tokens as were asked for",
    ),
    _nullable(
        ANSWER_STEP,
        pa.int32(),
        "index",
        "step of the answer's first token: 0, or the first one after `answer_after`; null where that never came",
        0,
    ),
)
LEAD = (
    "logit of the right one of `options` minus that of the strongest wrong one: above 0 exactly where the likeliest of "
    "them is right; null where the right answer is none of them"
)
SAMPLES = (
    SAMPLE_ID,
    CATEGORY,
    Column(
        "row",
        pa.int32(),
        "index",
        True,
        "place in the question file, from 0; null in a run merged from several question files",
        0,
    ),
    Column(
        "prompt",
        pa.string(),
        "",
        True,
        "the wording that the question is asked in, a name of `prompts`; null where there is one",
    ),
    Column("question_id", pa.string(), "", True, "the benchmark's id, shared by the questions on one image in MME"),
    Column(
        "image",
        pa.string(),
        "",
        True,
        "path or name of the image, as the question file gives it; of several, all of them with ` + ` between",
    ),
    Column(
        "image_sha256",
        pa.string(),
        "hex",
        True,
        "hash of the image file's bytes; null if it was not read; of several, hash of their hashes, which tells these "
        "images in this order from others",
    ),
    _nullable(N_IMAGES, pa.int32(), "images", "how many images the question has; null in an imported run", 1),
    Column(
        PICTURES,
        PICTURE_LIST,
        "",
        True,
        "of a question with several images, each in the order of the prompt; null where there is one, which the "
        "columns of these names describe",
    ),
    Column(
        "image_shown",
        pa.string(),
        "",
        True,
        "name of the image that the model was given instead, in a run of swapped images; null in others",
    ),
    Column("question", pa.string(), "", True, "the question, as the question file gives it"),
    Column("hint", pa.string(), "", True, "what is said before the question, as the question file gives it"),
    Column(
        "answer",
        pa.string(),
        "",
        True,
        "the right answer, as the benchmark gives it; of options that a file counts from 0, the letter",
    ),
    Column(
        GROUPS,
        TEXTS,
        "",
        True,
        "the questions that it is scored together with: a name for each of the task's groups that the question file "
        "names, such as the figure and the question of HallusionBench; null where there is none",
    ),
    Column("difficulty", pa.string(), "", True, "what makes the question hard, in a word, as the question file says"),
    Column(
        "boxes",
        RECTANGLES,
        BOX,
        True,
        "where the answer lies, as the question file says: `[[x0, y0, x1, y1], ...]`",
    ),
    Column(
        "objects",
        OBJECTS,
        BOX,
        True,
        "what is in the image, as the question file says: `name`, `words` that name it, and `boxes`; null: not known",
    ),
    Column("status", pa.string(), "", False, f"`{OK}`: has its rows in `heads`; `{SKIPPED}`: has none, see `reason`"),
    Column("reason", pa.string(), "", True, "why a sample was skipped, as a code"),
    Column("detail", pa.string(), "", True, "why a sample was skipped, in words"),
    *(
        Column(f"n_{role.name}", pa.int32(), "tokens", True, f"tokens with the role `{role.name}`; null if skipped", 0)
        for role in ROLES
    ),
    Column(
        "prediction", pa.string(), "", True, "the first generated token, decoded, even where the answer is in `text`"
    ),
    _probability("p_yes", "of a first token that spells `yes`, in any case"),
    _probability("p_no", "of a first token that spells `no`, in any case"),
    _probability(
        "p_options", "of a first token that spells the letter of one of `options`; null where these are words"
    ),
    Column(
        "margin",
        pa.float32(),
        "logits",
        True,
        "logit of the first of `answer_tokens` minus that of the second, as the answer's first token: a product in "
        "float32 of the final hidden state and the unembedding, before any cap or scale of logits; null in runs "
        "without `answer_tokens`, and where there are not two options",
    ),
    Column(
        "options",
        TEXTS,
        "",
        True,
        "the answers that are on offer, those of the question itself where it has its own (task `choices`), which are "
        "answered by a letter; else null in skipped samples",
    ),
    Column(
        "option_logits",
        PATCHES,
        "logits",
        True,
        "logit of the first token of each of `options`, or of its letter, as the answer's first token, computed as "
        "`margin`",
    ),
    _nullable("lead", pa.float32(), "logits", LEAD),
    *PARTS,
    *PLACES,
    *WRITTEN,
)


LAST = "last"  # beside the roles, in knock-outs: the last token
KEY_ROLES = tuple(role.name for role in ROLES)
QUERY_ROLES = (*KEY_ROLES, LAST)
EDGE, SWAP, MEAN, ZERO, REMOVE, SKIP = KINDS = ("edge", "swap", "mean", "zero", "remove", "skip")
OF_KEYS = (EDGE, SWAP)  # kinds that say which keys
OF_TOKENS = (EDGE, SWAP, MEAN, ZERO)  # kinds that say which tokens are changed
OF_OTHERS = (SWAP, MEAN)  # kinds that take something from other images


def _text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, CATEGORICAL, "", nullable, meaning)


NOT_COMPUTED = "; null where it could not be computed"
KNOCKOUT_COLUMNS = (
    SAMPLE_ID,
    CATEGORY,
    _text("kind", f"what is done: {', '.join(f'`{kind}`' for kind in KINDS)}"),
    _text("name", "what is knocked out: `L3H5`, `layers 8-16`, or the name of a set"),
    _text("query", "role of the tokens that are changed; `last`: the last one; null: all tokens", nullable=True),
    _text(
        "key", "role of the tokens that they do not see, or see of another image; null in other kinds", nullable=True
    ),
    Column("layer", pa.int16(), "index", True, "the layer, from 0; null if there are several", 0),
    Column("head", pa.int16(), "index", True, "the head, from 0; null if it is not a single head", 0),
    _logits("margin", f"`margin` of the answer with it{NOT_COMPUTED}", nullable=True),
    _logits("margin_untouched", f"`margin` without it, computed in the same way{NOT_COMPUTED}", nullable=True),
    _logits("lead", f"`lead` of the answer with it{NOT_COMPUTED}, or the right answer is no option", nullable=True),
    _logits("lead_untouched", "`lead` without it, computed in the same way; null as `lead`", nullable=True),
    _probability("p_yes", "as in `samples`, with it"),
    _probability("p_no", "as in `samples`, with it"),
    _text("prediction", "as in `samples`, with it", nullable=True),
)


@dataclass(frozen=True)
class Sum:
    """Columns that add up to a number or to another column, but for rounding, in rows where none of them is null.

    Attributes:
        what: the sum in words.
        parts: the columns; of a list all of its values are added.
        how: what is said of it where it does not hold.
        total: a number or a column.
        of_sample: whether all rows of a sample are added up, and the total is a column of `samples`.
        relative: whether an error is a share, where the whole is above 1: of the largest part of the row, or in a sum
            over all rows of a sample of the sum of absolute values.
    """

    what: str
    parts: tuple[str, ...]
    how: str
    total: str | float
    of_sample: bool = False
    relative: bool = False


# Axes of grids, with the manifest's field of their size; those of `STEP` and `PICTURE` are each sample's own,
# `N_GENERATED` and `N_IMAGES`
AXES = {"layer": "layers", "head": "heads"}


@dataclass(frozen=True)
class Table:
    """A table of a run: a row for each sample, for each cell of a grid of each sample, or for each of its knock-outs.

    Attributes:
        axes: the grid, `STEP`, `PICTURE` and those of `AXES`; empty: there is none.
        columns: all columns, in order; a grid's are `sample_id`, `category`, the axes, and values, at most one column
            of them lists.
        fills: columns of `samples` that are not null in an observed sample of a run with this table.
        sums: what adds up.
        loose: whether values may lie as far beyond their ranges as in half precision, whatever the run's dtype.
        kept: the manifest's field that has the cells of the grid with rows, empty if all have; or none: all have.
        thinned: whether only the steps have rows that are multiples of the manifest's `every`.
        made_by: further fields of the manifest that say how it was made.
    """

    name: str
    axes: tuple[str, ...]
    columns: tuple[Column, ...]
    fills: tuple[str, ...] = ()
    sums: tuple[Sum, ...] = ()
    loose: bool = False
    kept: str = ""
    thinned: bool = False
    made_by: tuple[str, ...] = ()

    @property
    def apart(self) -> tuple[Column, ...]:
        """The columns of a table with a grid whose values are neither float32 nor follow from the manifest."""
        known = ("sample_id", "category", *self.axes)
        apart = (each for each in self.columns if each.type != pa.float32() and not each.choices)
        return tuple(each for each in apart if each.name not in known) if self.axes else ()

    def own_name(self, column: Column) -> str:
        """What the values of a column of `apart` are called beside those of the table, see `schemas.store.grids`."""
        return f"{self.name}.{column.name}"

    @property
    def list_column(self) -> Column | None:
        """The column of lists of a table with a grid; None: it has none."""
        return next((column for column in self.columns if column.length), None) if self.axes else None

    @property
    def list_name(self) -> str:
        """What its lists are called beside the other values of a sample; empty if it has none."""
        return self.own_name(self.list_column) if self.list_column else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The manifest's fields that say what only this table has."""
        return (*filter(None, [*(column.field for column in self.columns), self.kept]), *self.made_by)


def _names(columns: Iterable[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


SUMS_OF_MASSES = (
    *(
        Sum(f"the partition {group}2*", _names(columns), "does not sum to 1", 1.0)
        for group, columns in PARTITIONS.items()
    ),
    Sum("v2t", tuple(f"v2{ROLES[role].short}" for role in TEXT), "is not the sum of its parts", "v2t"),
)
PARTS_OF_MARGIN, PARTS_OF_LEAD = (
    Sum(
        "the sum of d_embedding, d_heads, d_mixer, d_mlp, d_bias and d_rest",
        _names(PARTS),
        f"is not `{total}`",
        total,
        relative=True,
    )
    for total in ("margin", "lead")
)
PARTS_OF_HEADS = Sum(
    "the sum of a sample's rows",
    _names(CONTRIBUTION_COLUMNS),
    "is not its `d_heads`",
    "d_heads",
    of_sample=True,
    relative=True,
)
KNOCKOUTS = "knockouts"  # of a job on a run
CONTRIBUTIONS, LAYERS, MAPS = "contributions", "layers", "maps"
TOKENS, STEPS, STEP_MAPS = "tokens", "steps", "step_maps"
SUM_OF_MAP = Sum("`map`, with `rest`,", (MAP, "rest"), "does not add up to `mass`", "mass")
TABLES = {
    table.name: table
    for table in (
        Table("heads", ("layer", "head"), KEYS + _FLOWS, sums=SUMS_OF_MASSES),
        Table("samples", (), SAMPLES),  # what `PARTS` add up to depends on the task
        Table(
            CONTRIBUTIONS,
            ("layer", "head"),
            KEYS + CONTRIBUTION_COLUMNS,
            fills=_names(PARTS),
            sums=(PARTS_OF_HEADS,),
        ),
        Table(LAYERS, ("layer",), KEYS[:3] + LAYER_COLUMNS),
        Table(
            MAPS,
            (PICTURE, "layer", "head"),
            (*KEYS[:2], PICTURE_COLUMN, *KEYS[2:], *MAP_COLUMNS),
            fills=_names(PLACES),
            sums=(SUM_OF_MAP,),
            loose=True,
        ),
        Table(
            TOKENS,
            (STEP,),
            (*KEYS[:2], STEP_COLUMN, *TOKEN_COLUMNS),
            fills=("text", N_GENERATED, "ended"),
            made_by=("generate", "answer_after", "texts_sha256"),
        ),
        Table(
            STEPS,
            (STEP, "layer", "head"),
            (*KEYS[:2], STEP_COLUMN, *KEYS[2:], *STEP_PARTITION),
            sums=(Sum("the partition g2*", _names(STEP_PARTITION), "does not sum to 1", 1.0),),
            kept="step_heads",
            thinned=True,
            made_by=("every",),
        ),
        Table(
            STEP_MAPS,
            (STEP, PICTURE, "layer", "head"),
            (*KEYS[:2], STEP_COLUMN, PICTURE_COLUMN, *KEYS[2:], *MAP_NUMBERS, STEP_MAP),
            fills=_names(PLACES),
            sums=(SUM_OF_MAP,),
            loose=True,
            kept="step_map_heads",
            thinned=True,
        ),
        Table(KNOCKOUTS, (), KNOCKOUT_COLUMNS),
    )
}
EXTRAS = tuple(table.name for table in TABLES.values() if table.axes)[1:]  # that a run has if they are asked for


def heads_columns(flows: Iterable[str]) -> tuple[Column, ...]:
    """The columns of `heads` in a run that has these mass columns (all 17, or the two of an imported run)."""
    wanted = set(flows)
    return KEYS + tuple(column for column in _FLOWS if column.name in wanted)


def fits(found: pa.DataType, column: Column) -> bool:
    """Whether values of a type can be read as those of a column, as other tools write them: see `in_contract`."""
    return found == column.type or _kind(found) in (_kind(column.type), _kind(pa.null()))


def in_contract(values: pa.Array, column: Column) -> pa.Array:
    """Values of a type that `fits`, in the column's own: numbers of another width, text in another encoding.

    NaN among whole numbers is null, as pandas writes it.

    Raises:
        pa.ArrowInvalid: a number that the column's type cannot hold.
    """
    if values.type == column.type:
        return values
    if pa.types.is_integer(column.type) and pa.types.is_floating(values.type):
        import pyarrow.compute as pc  # of no use to a command's settings, which are read from here

        values = pc.if_else(pc.is_nan(values), None, values)
    if column.type != CATEGORICAL:
        return values.cast(column.type)
    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices.cast(pa.int32()), values.dictionary.cast(pa.string()))
    return values.cast(pa.string()).dictionary_encode()


def _kind(kind: pa.DataType) -> str:
    """What values of a type are, whatever their width and encoding."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_kind(kind.value_type)}"
    if pa.types.is_struct(kind):
        return ", ".join(f"{field.name} {_kind(field.type)}" for field in kind)
    return str(kind)


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """The columns as an Arrow schema."""
    return pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in columns])
