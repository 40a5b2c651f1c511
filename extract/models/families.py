"""The table of model families: what must be known of each, by the `model_type` of its config.json.

A `model_type` whose models have different vision towers has a row `model_type/tower` for those that are read otherwise.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from extract.images.tiling import (
    PicturesOf,
    aya,
    cohere2,
    fitted,
    gemma4,
    idefics,
    internvl,
    lfm2,
    llama4,
    llava_next,
    llava_onevision,
    mllama,
    ovis,
    pixtral,
    pressed,
    qwen,
    resampled,
)
from extract.prompts.conversation_templates import CHAT, VICUNA
from schemas.errors import HeadflowError
from schemas.text import listed

PALIGEMMA = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{{ bos_token }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '\\n' }}"
)
CHAMELEON = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}"
)

# Kinds of layers that attend, as config.json may name them
_ATTENDING = ("attention", "full_attention", "sliding_attention", "chunked_attention")


@dataclass(frozen=True)
class Family:
    """How the models of one `model_type` are read.

    Attributes:
        name: for people.
        template: name of the template that is used if the user names none.
        llava_templates: whether LLaVA's own templates can be used too.
        square: whether its vision tower takes one square picture, which we crop or pad; else the checkpoint's own
            processor turns images into the model's inputs.
        causal: whether attention is observed by a causal kernel; else under the model's own mask, until the self-check
            has found that mask causal.
        packs: whether a token's position is its place in its sequence, so that questions can stand after one prefix;
            else the model computes its positions itself.
        chat_template: the prompt of a family whose checkpoints have no chat template; else theirs is taken.
        bare: whether its processor writes the prompt around the image too, whatever template the checkpoint has.
        pixel_limits: whether the number of pixels of its resized images can be limited.
        pictures: which pictures its processor makes of an image; None in a `square` family, or if that is not known.
        several: whether it takes several images in one prompt.
        contributions: whether contributions, layer profiles and knock-outs are made of its models: `yes`, or in words.
        not_attending: the kinds of its layers (`layer_types`) that do not attend; questions are not packed where there
            are any, as such layers keep a state.
        torchvision: whether its processor needs torchvision, though its image processor does not.
        spaced: whether its processor writes a space between an image and a word that follows it at once.
        crossing: whether the image stands in no sequence: some layers read it by cross-attention.
    """

    name: str
    template: str = CHAT
    llava_templates: bool = False
    square: bool = False
    causal: bool = True
    packs: bool = True
    chat_template: str | None = None
    bare: bool = False
    pixel_limits: bool = False
    pictures: PicturesOf | None = None
    several: bool = False
    contributions: str = "yes"
    not_attending: tuple[str, ...] = ()
    torchvision: bool = False
    spaced: bool = False
    crossing: bool = False

    @property
    def hybrid(self) -> bool:
        """Whether only some of its layers attend."""
        return bool(self.not_attending)

    def unknown_kinds(self, kinds: Iterable[str]) -> list[str]:
        """The kinds among `kinds` that are not known to be kinds of layers of this family."""
        return sorted({*kinds} - {*_ATTENDING, *self.not_attending})


OWN_INPUTS = "layers have inputs of their own"  # of each token, beside the residual stream
IMAGE_TOKEN_ID = "image_token_id"
LLAVA = Family("LLaVA-1.5", template=VICUNA, llava_templates=True, square=True)
FAMILIES = {
    "llava": LLAVA,
    "vipllava": Family("VipLlava", llava_templates=True, square=True),
    "llava_next": Family("LLaVA-NeXT", llava_templates=True, pictures=llava_next, several=True),
    "llava_onevision": Family("LLaVA-OneVision", llava_templates=True, pictures=llava_onevision, several=True),
    "qwen2_vl": Family("Qwen2-VL", packs=False, pixel_limits=True, pictures=qwen, several=True),
    "qwen2_5_vl": Family("Qwen2.5-VL", packs=False, pixel_limits=True, pictures=qwen, several=True),
    "qwen3_5": Family(
        "Qwen3.5", packs=False, pixel_limits=True, pictures=qwen, several=True, not_attending=("linear_attention",)
    ),
    "qwen3_5_moe": Family(
        "Qwen3.5-MoE", packs=False, pixel_limits=True, pictures=qwen, several=True, not_attending=("linear_attention",)
    ),
    # The older transformers writes its convolutions as linear attention
    "lfm2_vl": Family("LFM2-VL", packs=False, pictures=lfm2, several=True, not_attending=("conv", "linear_attention")),
    "qwen3_vl": Family("Qwen3-VL", packs=False, pixel_limits=True, pictures=qwen, several=True),
    "qwen3_vl_moe": Family("Qwen3-VL", packs=False, pixel_limits=True, pictures=qwen, several=True),
    "glm4v": Family("GLM-4.1V", packs=False, pictures=qwen, several=True),
    "glm46v": Family("GLM-4.6V", packs=False, pictures=qwen, several=True),
    "glm4v_moe": Family("GLM-4.5V", packs=False, pictures=qwen, several=True),
    "llava/pixtral": Family("Pixtral", pictures=pixtral, several=True, torchvision=True),
    "mistral3": Family("Mistral 3", pictures=pixtral, several=True, torchvision=True),
    "paddleocr_vl": Family("PaddleOCR-VL", packs=False, pictures=qwen, several=True),
    "ernie4_5_vl_moe": Family("ERNIE 4.5 VL", packs=False, pictures=qwen, several=True),
    "exaone4_5": Family("EXAONE 4.5", pixel_limits=True, pictures=qwen, several=True),
    "video_llama_3": Family("VideoLLaMA 3", pixel_limits=True, pictures=qwen, several=True),
    "idefics3": Family("Idefics3", pictures=idefics, several=True),
    "idefics2": Family("Idefics2", pictures=resampled, spaced=True),
    "smolvlm": Family("SmolVLM", pictures=idefics, several=True),
    "internvl": Family("InternVL", pictures=internvl, several=True),
    # Some of their layers see a window, or a chunk
    "aya_vision": Family("Aya Vision", causal=False, packs=False, pictures=aya, several=True),
    "cohere2_vision": Family("Command A Vision", causal=False, packs=False, pictures=cohere2, several=True),
    "llama4": Family("Llama 4", causal=False, packs=False, pictures=llama4, several=True),
    "llava_next_video": Family("LLaVA-NeXT-Video", llava_templates=True, pictures=llava_next, several=True),
    "granite4_vision": Family("Granite 4 Vision", pictures=llava_next, several=True),
    "ovis2": Family("Ovis2", pictures=ovis, several=True),
    "deepseek_vl": Family("DeepSeek-VL", pictures=fitted, several=True),
    "deepseek_vl_hybrid": Family("DeepSeek-VL", pictures=fitted, several=True),
    "janus": Family("Janus", pictures=fitted, several=True),
    "aria": Family("Aria", pictures=resampled, several=True),
    "chameleon": Family("Chameleon", chat_template=CHAMELEON, several=True),
    "lighton_ocr": Family("LightOnOCR", pictures=pixtral, several=True),
    "qianfan_ocr": Family("Qianfan-OCR", pictures=internvl, several=True),
    "gemma4": Family(
        "Gemma 4",
        causal=False,
        packs=False,
        pictures=gemma4,
        several=True,
        contributions=f"not where {OWN_INPUTS}",
    ),
    # The image stands in no sequence, and each question has a mask of its own on it
    "mllama": Family("Llama 3.2 Vision", causal=False, packs=False, pictures=mllama, crossing=True),
    "gemma3": Family("Gemma 3", causal=False, packs=False, pictures=pressed, several=True),
    # All of its prompt is prefix, and each token of the prefix sees all others
    "paligemma": Family("PaliGemma", causal=False, packs=False, chat_template=PALIGEMMA, bare=True, pictures=pressed),
}


def find_family(config: Any) -> Family | None:
    """The family of a model with this config; None if it is not in the table."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    return FAMILIES.get(f"{config.model_type}/{tower}") or FAMILIES.get(config.model_type)


def unknown_family(model_type: str) -> Family:
    """How a model that is not in the table is read, with the fewest assumptions."""
    return Family(model_type, causal=False, packs=False)


def image_token_id(config: Any) -> int | None:
    """The token that stands for image content, as a model's config names it; None if it names none."""
    for name in (IMAGE_TOKEN_ID, "image_token_index"):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    return None


def longest_prompt(text: Any) -> int:
    """The longest prompt, in tokens, that a language model with the config `text` has positions for."""
    return int(getattr(text, "max_position_embeddings", None) or sys.maxsize)


def has_window(text: Any) -> bool:
    """Whether some layer of a language model sees fewer tokens than it has positions for: a window, or chunks."""
    kinds = getattr(text, "layer_types", None)
    if kinds and set(kinds) == {"full_attention"}:
        return False
    widths = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    return any(width is not None and width < longest_prompt(text) for width in widths)


def has_own_inputs(text: Any) -> bool:
    """Whether `OWN_INPUTS`, as in Gemma's small models."""
    return bool(getattr(text, "hidden_size_per_layer_input", None))


def attending_layers(text: Any) -> list[int]:
    """The layers of a language model that attend, as its config says: all but linear attention and convolutions."""
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    return [layer for layer, kind in enumerate(kinds) if kind.endswith("attention") and kind != "linear_attention"]


def crossing_layers(text: Any) -> list[int]:
    """The layers of a language model in which text reads the image by cross-attention, and nothing else."""
    return sorted(getattr(text, "cross_attention_layers", None) or ())


def tokens_of_tile(config: Any) -> int:
    """How many tokens a tile has for cross-attention: its patches, and a class token before them."""
    vision = config.vision_config
    return int((vision.image_size // vision.patch_size) ** 2 + 1)


def is_attention(module: Any) -> bool:
    """Whether a module of a language model is one of attention."""
    # By the first, transformers chooses how attention is computed; cross-attention is never causal
    return hasattr(module, "is_causal") or "CrossAttention" in type(module).__name__


def other_layers(text: Any) -> list[str]:
    """The kinds of layers of a language model that are neither plain attention nor attention under a window."""
    kinds = set(getattr(text, "layer_types", None) or ())
    chunks = getattr(text, "attention_chunk_size", None)
    if not kinds and chunks is not None and chunks < longest_prompt(text):
        kinds = {"chunked_attention"}
    return sorted(kinds - {"full_attention", "sliding_attention"})


def check_new_tokens(name: str, family: Family | None, text: Any) -> None:
    """Check that what a language model writes can be observed.

    Args:
        name: what it is called.
        family: its row in the table; None: it has none.

    Raises:
        HeadflowError: what some of its layers read of earlier tokens is not known.
    """
    known = () if family is None else family.not_attending
    if unknown := sorted({*other_layers(text)} - {*known}):
        raise HeadflowError(
            f"{name} has layers of {listed(unknown)}, whose view of earlier tokens is not known: the tokens that it "
            "writes cannot be observed",
            setting="generate",
        )
