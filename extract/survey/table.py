"""What each family of the table offers: the tables of the guide and of `headflow families`."""

from collections.abc import Sequence

from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from extract.images.tiling import FORMS, RESAMPLED
from extract.models.families import FAMILIES, OWN_INPUTS, Family, attending_layers, has_own_inputs, has_window
from extract.models.transformers_format import Described
from extract.prompts.conversation_templates import CHAT
from schemas.contract import Table
from schemas.text import listed

SQUARE, UNKNOWN = "one square picture", "its processor's"  # forms of images, beside `FORMS`
HEADER = (
    "family", "`model_type`", "template", "image", "images of a question", "sequences", "attention", "maps",
    "contributions", "image processor",
)  # fmt: skip


def form_of(family: Family) -> str:
    """In which form a family reads an image, in words."""
    if family.square:
        return SQUARE
    return UNKNOWN if family.pictures is None else FORMS.get(family.pictures, UNKNOWN)


def offers(model_type: str, family: Family) -> list[str]:
    """The cells of a family, under `HEADER`."""
    template = f"`{family.template}`"
    if family.llava_templates:
        template += ", LLaVA's" if family.template == CHAT else f", `{CHAT}`, LLaVA's"
    if family.chat_template is not None:
        template += ", its processor's own form"
    form = form_of(family)
    return [
        family.name,
        f"`{model_type}`",
        template,
        form,
        "several" if family.several else "one",
        "packed" if family.packs else "separate",
        ("fused kernel" if family.causal else "under its mask") + (", in some layers" if family.hybrid else ""),
        "no" if form in (RESAMPLED, UNKNOWN) else "yes",
        family.contributions,
        "torchvision" if family.torchvision or needs_torchvision(model_type) else "Pillow",
    ]


def needs_torchvision(model_type: str) -> bool:
    """Whether transformers has image processors for a kind of model that need torchvision, and no others."""
    kinds = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type.partition("/")[0]) or {}
    return bool(kinds.get("torchvision")) and not kinds.get("pil")


_OTHERS = (
    "others, with care", "", f"`{CHAT}`", UNKNOWN, "one", "packed if measured to be the same",
    "fused kernel if causal, else under its mask", "no", "if measured",
    "Pillow's, else torchvision's",
)  # fmt: skip


def table() -> Table:
    """All families, and others."""
    return Table(HEADER, [*(offers(model_type, family) for model_type, family in FAMILIES.items()), _OTHERS])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of text, their columns one below the other, without marks of Markdown."""
    plain = [[cell.replace("`", "") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in plain) for column in range(len(plain[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in plain]


def lines() -> list[str]:
    """The table as text, for a terminal."""
    found = table()
    return aligned([found.header, *found.rows])


def lines_of(name: str, found: Described) -> list[str]:
    """What would happen to a model, in lines: its place in the table, or what is measured before a run."""
    family, model_type, text = found.family, found.config.model_type, found.config.get_text_config()
    cells = dict(zip(HEADER, offers(model_type, family), strict=True))
    default = found.prompt_format.default_template
    templates = cells["template"].replace("`", "").split(", ")
    cells["template"] = ", ".join([default, *(each for each in templates if each != default)])
    images = found.preprocessor.describe()
    cells["image processor"] = f"{images['processor']} ({images['backend']})"
    if family not in FAMILIES.values():
        cells |= {name: _OTHERS[HEADER.index(name)] for name in ("attention", "sequences", "contributions")}
        says = "not in the table of families; before a run, some passes measure what is not known of it"
    else:
        says = "in the table of families"
        cells["contributions"] = "yes"
        if has_window(text):
            cells["attention"], cells["sequences"] = "under its mask, which has a window", "separate"
    if has_own_inputs(text):
        cells["contributions"] = f"no: its {OWN_INPUTS}"
    attending = attending_layers(text)
    some = len(attending) < text.num_hidden_layers
    cells |= {"layers that attend": f"{listed(attending, 16)}; others have no attention matrix"} if some else {}
    return [f"{name}: {says}", *aligned(list(cells.items()))]
