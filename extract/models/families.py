"""The table of model families: what must be known of each, by the `model_type` of its config.json."""

import sys
from dataclasses import dataclass
from typing import Any

from extract.images.pictures import PicturesOf, idefics, internvl, llava_next, llava_onevision, pressed, qwen
from extract.prompts.templates import CHAT, VICUNA

PALIGEMMA = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{{ bos_token }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\\n' }}"
)


@dataclass(frozen=True)
class Family:
    """How the models of one `model_type` are read.

    Attributes:
        name: for people.
        template: name of the template that is used if the user names none.
        llava_templates: whether LLaVA's own templates can be used too.
        square: whether its vision tower takes one square picture, which we crop or pad; else the checkpoint's own
            processor turns images into the model's inputs.
        causal: whether no token sees a later one; else attention is observed under the model's own mask.
        packs: whether a token's position is its place in its sequence, so that questions can stand behind one prefix;
            else the model computes its positions itself.
        token_types: the input that tells the model which tokens are image tokens, and its value for them; it is 0 for
            all others. None: there is no such input.
        chat_template: the prompt of a family whose processor writes it without a chat template.
        pixel_limits: whether the number of pixels of its resized images can be limited.
        pictures: which pictures its processor makes of an image; None in a `square` family, or if that is not known.
    """

    name: str
    template: str = CHAT
    llava_templates: bool = False
    square: bool = False
    causal: bool = True
    packs: bool = True
    token_types: tuple[str, int] | None = None
    chat_template: str | None = None
    pixel_limits: bool = False
    pictures: PicturesOf | None = None


LLAVA = Family("LLaVA-1.5", template=VICUNA, llava_templates=True, square=True)
QWEN_TYPES = ("mm_token_type_ids", 1)
FAMILIES = {
    "llava": LLAVA,
    "vipllava": Family("VipLlava", llava_templates=True, square=True),
    "llava_next": Family("LLaVA-NeXT", llava_templates=True, pictures=llava_next),
    "llava_onevision": Family("LLaVA-OneVision", llava_templates=True, pictures=llava_onevision),
    "qwen2_vl": Family("Qwen2-VL", packs=False, token_types=QWEN_TYPES, pixel_limits=True, pictures=qwen),
    "qwen2_5_vl": Family("Qwen2.5-VL", packs=False, token_types=QWEN_TYPES, pixel_limits=True, pictures=qwen),
    "idefics3": Family("Idefics3", pictures=idefics),
    "smolvlm": Family("SmolVLM", pictures=idefics),
    "internvl": Family("InternVL", pictures=internvl),
    "gemma3": Family("Gemma 3", causal=False, packs=False, token_types=("token_type_ids", 1), pictures=pressed),
    # All of its prompt is prefix, of type 0, and each token of the prefix sees all others
    "paligemma": Family(
        "PaliGemma",
        causal=False,
        packs=False,
        token_types=("token_type_ids", 0),
        chat_template=PALIGEMMA,
        pictures=pressed,
    ),
}


def unknown_family(model_type: str, token_types: str | None) -> Family:
    """How a model that is not in the table is read, with the fewest assumptions.

    Args:
        token_types: the input that tells the model which tokens are image tokens; None if it takes none.
    """
    return Family(model_type, causal=False, packs=False, token_types=(token_types, 1) if token_types else None)


def image_token_id(config: Any) -> int | None:
    """The token that stands for image content, as a model's config names it; None if it names none."""
    for name in ("image_token_id", "image_token_index"):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    return None


def longest_prompt(text: Any, family: Family) -> int:
    """Most tokens for which a language model has positions, and, if it is causal, of which each sees all earlier ones.

    Args:
        text: the language model's config.
    """
    positions = getattr(text, "max_position_embeddings", None) or sys.maxsize
    window = getattr(text, "sliding_window", None) if family.causal else None
    return int(min(positions, window or sys.maxsize))
