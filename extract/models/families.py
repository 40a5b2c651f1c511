"""The table of model families: what is to be known of each, by the `model_type` of its config.json."""

from dataclasses import dataclass
from typing import Any

from extract.prompts.templates import CHAT, DEFAULT

PALIGEMMA = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{{ bos_token }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\\n' }}"
)


@dataclass(frozen=True)
class Family:
    """How the models of one `model_type` are read.

    Attributes:
        name: for people.
        conv_mode: its `--conv-mode`, where the user names none.
        llava: whether LLaVA's own templates are for it too.
        square: whether its vision tower takes one square picture, which we crop or pad; else the checkpoint's own
            processor turns images into what it takes.
        causal: whether no token sees a later one; else attention is observed under the model's own mask.
        packs: whether a token's position is its place in its sequence, so that questions can stand behind one prefix;
            else the model works its positions out itself.
        token_types: the input that tells the model which tokens are image tokens, and what it says of them; it says 0
            of all others. Null: there is none.
        chat_template: the prompt of a family whose processor writes it without a chat template.
    """

    name: str
    conv_mode: str = CHAT
    llava: bool = False
    square: bool = False
    causal: bool = True
    packs: bool = True
    token_types: tuple[str, int] | None = None
    chat_template: str | None = None


LLAVA = Family("LLaVA-1.5", conv_mode=DEFAULT, llava=True, square=True)
FAMILIES = {
    "llava": LLAVA,
    "vipllava": Family("VipLlava", llava=True, square=True),
    "llava_next": Family("LLaVA-NeXT", llava=True),
    "llava_onevision": Family("LLaVA-OneVision", llava=True),
    "qwen2_vl": Family("Qwen2-VL", packs=False, token_types=("mm_token_type_ids", 1)),
    "qwen2_5_vl": Family("Qwen2.5-VL", packs=False, token_types=("mm_token_type_ids", 1)),
    "idefics3": Family("Idefics3"),
    "smolvlm": Family("SmolVLM"),
    "internvl": Family("InternVL"),
    "gemma3": Family("Gemma 3", causal=False, packs=False, token_types=("token_type_ids", 1)),
    # All of its prompt is prefix, of type 0, and each token of the prefix sees all others
    "paligemma": Family(
        "PaliGemma", causal=False, packs=False, token_types=("token_type_ids", 0), chat_template=PALIGEMMA
    ),
}


def unknown_family(model_type: str, token_types: str | None) -> Family:
    """The most careful reading of a model that the table lacks.

    Args:
        token_types: the input that tells the model which tokens are image tokens, where it takes one.
    """
    return Family(model_type, causal=False, packs=False, token_types=(token_types, 1) if token_types else None)


def image_token_id(config: Any) -> int | None:
    """The token that stands for image content, as a model's config names it; null where it names none."""
    for name in ("image_token_id", "image_token_index"):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    return None
