"""Tiny checkpoints of each family in `extract.models.families`, in transformers' format, made from a config and a seed.

Real classes throughout: model, processor, image processor (of the PIL kind), and a tokenizer trained on a few words.
Query and key weights are drawn wide, so that attention is far from uniform, and so are the scales of norms.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from packaging.version import Version
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers.utils.import_utils import is_torchvision_available

WORDS = (
    "Is there a red car in this picture? Answer the question using a single word or phrase. user Yes assistant\n\n\n"
)
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "max_position_embeddings": 4096,
}
GROUPED = TEXT | {"num_key_value_heads": 2}
QWEN = {name: value for name, value in GROUPED.items() if name != "head_dim"}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 7,
}
GRID = [[28, 56], [56, 28], [56, 56]]
SQUARE = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}

NORMS = "post_attention_layernorm", "post_feedforward_layernorm"  # of Gemma's additions

VICUNA = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def chatml(image: str, system: str = "") -> str:
    """A template of turns marked as ChatML has it; `system` is said where messages have no system message."""
    default = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + system + "<|im_end|>\n{% endif %}"
    return (
        (default if system else "")
        + "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %} [/INST]{% else %} {{ message['content'][0]['text'] }}</s>{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'].replace('assistant', 'model') }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
IDEFICS = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def tokenizer(special: dict[str, str], *, more: list[str] = [], bos: bool = True, template: str | None) -> Any:  # noqa: B006
    """A byte-level tokenizer that has learnt `WORDS`; `special` become its attributes."""
    model = Tokenizer(BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = ByteLevel()
    marks = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=420, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator([WORDS] * 9, trainer)
    if bos:
        model.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = tf.TokenizersBackend(
        tokenizer_object=model, bos_token="<s>" if bos else None, eos_token="</s>", pad_token="<pad>",
        extra_special_tokens=special, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    if more:
        made.add_special_tokens({"additional_special_tokens": more}, replace_extra_special_tokens=False)
    made.chat_template = template
    return made


@dataclass(frozen=True)
class Recipe:
    """How a family's checkpoint is made.

    Attributes:
        config: (image token id, vocabulary) -> the model's config.
        system: what the template writes as system message.
        special: special tokens by the attribute of the tokenizer; `more` have none. `image` is the image token.
        processor: the name of the processor's class, and what its config holds.
        norms: names of the norms through which what attention and MLP add goes first; None: it goes through none.
        lacks: what of `tests.support.measured` is refused.
        torchvision: whether its processor needs torchvision.
    """

    config: Callable[[int, dict[str, int]], Any]
    image_processor: Callable[[], Any]
    template: str | None
    image: str = "<image>"
    system: str = ""
    special: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    bos: bool = True
    processor: dict[str, Any] = field(default_factory=dict)
    norms: tuple[str, str] | None = None
    lacks: tuple[str, ...] = ()
    torchvision: bool = False


def _clip(**changes: Any) -> Any:
    return tf.CLIPVisionConfig(**VISION | changes)


def _siglip(**changes: Any) -> Any:
    return tf.SiglipVisionConfig(**VISION | changes, vision_use_head=False)


def _idefics(kind: Any) -> Callable:
    return lambda image, sizes: kind(
        vision_config=VISION | {"image_size": 28}, text_config=tf.LlamaConfig(**GROUPED | sizes),
        image_token_id=image, scale_factor=2,
    )  # fmt: skip


def _tiles(kind: str) -> Callable[[], Any]:
    return lambda: getattr(tf, kind)(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})


SYSTEM = "<|im_start|>system\nYou answer.<|im_end|>\n"
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1000.0}
ROWS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3))
MARKS = ("<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *ROWS)
GEMMA_MARKS = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
INTERN_MARKS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_PIXELS = {"patch_size": 7, "merge_size": 2, "min_pixels": 28 * 28, "max_pixels": 56 * 56}


def _qwen(kind: Any, vision: dict[str, Any]) -> Callable:
    return lambda image, sizes: kind(
        vision_config=vision, text_config=QWEN | sizes | {"rope_parameters": dict(ROPE)}, image_token_id=image,
        video_token_id=image + 1,
    )  # fmt: skip


def _qwen3_5(kind: str, **more: Any) -> Callable:
    return lambda image, sizes: _qwen3_5_config(kind, image, sizes | more)


def _qwen3_5_config(kind: str, image: int, sizes: dict[str, Any]) -> Any:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 7, "out_hidden_size": 64,
        "num_position_embeddings": 64,
    }  # fmt: skip
    linear = {
        "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "num_hidden_layers": 5, "layer_types": [*["linear_attention", "full_attention"] * 2, "full_attention"],
    }  # fmt: skip
    rope = ROPE | {"mrope_section": [2, 1, 1], "mrope_interleaved": True, "partial_rotary_factor": 0.5}
    return getattr(tf, kind)(
        vision_config=vision, text_config=GROUPED | sizes | linear | {"rope_parameters": rope}, image_token_id=image,
        video_token_id=image - 2, vision_start_token_id=image - 4,
    )  # fmt: skip


def _gemma3(image: int, sizes: dict[str, int]) -> Any:
    text = GROUPED | sizes | {"sliding_window": 12, "query_pre_attn_scalar": 1}
    return tf.Gemma3Config(
        vision_config=_siglip(),
        text_config=tf.Gemma3TextConfig(
            **text, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
        ),
        mm_tokens_per_image=4,
        image_token_index=image,
    )


def _paligemma(text: Any) -> Callable:
    return lambda image, sizes: tf.PaliGemmaConfig(
        vision_config=_siglip(projection_dim=64), text_config=text(sizes), image_token_index=image,
        projection_dim=64, hidden_size=64, vocab_size=sizes["vocab_size"],
    )  # fmt: skip


def _gemma2(sizes: dict[str, int]) -> Any:
    return tf.Gemma2Config(
        **GROUPED | sizes, sliding_window=12, query_pre_attn_scalar=16, attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    )  # fmt: skip


def _siglip_pixels() -> Any:
    processor = tf.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    processor.image_seq_length = 16
    return processor


OLDER = Version(tf.__version__) < Version("5.23")  # whose Gemma 4 always hands on the keys of its layers
TURNS = ("<|user|>", "<|assistant|>")
WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]
QWEN3_ROPE = ROPE | {"mrope_section": [4, 2, 2], "mrope_interleaved": True}
EXPERTS = {"moe_intermediate_size": 32, "num_experts_per_tok": 2}
GLM = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|begin_of_image|><|image|><|end_of_image|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
GLM_MARKS = (
    "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|begin_of_video|>", "<|video|>", "<|end_of_video|>",
    "<|end_of_image|>", "<|begin_of_image|>",
)  # fmt: skip
GLM_NORMS = "post_self_attn_layernorm", "post_mlp_layernorm"
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}[IMG]{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}[/INST]{% else %}{{ message['content'][0]['text'] }}</s>{% endif %}{% endfor %}"
)
MISTRAL_MARKS = ("[INST]", "[/INST]", "[IMG_BREAK]", "[IMG_END]")
ERNIE_MARKS = {
    "image_start_token": "<|IMAGE_START|>", "image_end_token": "<|IMAGE_END|>",
    "video_token": "<|VIDEO_PLACEHOLDER|>", "video_start_token": "<|VIDEO_START|>",
    "video_end_token": "<|VIDEO_END|>", "image_token": "<|IMAGE_PLACEHOLDER|>",
}  # fmt: skip
ERNIE_IMAGE = "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"


def turns(image: str, *, bos: bool = True) -> str:
    """A template of turns that begin with a mark and have no end."""
    return (
        ("{{ bos_token }}" if bos else "")
        + "{% for message in messages %}{{ '<|user|>' if message['role'] == 'user' else '<|assistant|>' }}"
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}"
        "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )


def _qwen3_vl(kind: str, **text: Any) -> Callable:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 7, "out_hidden_size": 64,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip
    return lambda image, sizes: getattr(tf, kind)(
        vision_config=vision, text_config=GROUPED | sizes | {"rope_parameters": QWEN3_ROPE} | text,
        image_token_id=image, video_token_id=image - 2, vision_start_token_id=image - 4,
    )  # fmt: skip


def _glm(kind: str, vision: dict[str, Any] = {}, **text: Any) -> Callable:  # noqa: B006
    patches = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 7, "out_hidden_size": 64,
        "image_size": 56,
    }  # fmt: skip
    rope = ROPE | {"mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
    return lambda image, sizes: getattr(tf, kind)(
        vision_config=patches | vision, text_config=QWEN | sizes | {"rope_parameters": rope} | text,
        image_token_id=image, image_start_token_id=image - 1, image_end_token_id=image - 2,
        video_token_id=image - 4, video_start_token_id=image - 5, video_end_token_id=image - 3,
    )  # fmt: skip


def _pixels(kind: str, **more: Any) -> Callable[[], Any]:
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56 * 2}
    return lambda: getattr(tf, kind)(**{"patch_size": 7, "merge_size": 2, "size": size} | more)


def _pixtral(kind: str, text: str, **more: Any) -> Callable:
    vision = VISION | {"model_type": "pixtral", "head_dim": 16, "image_size": 112}
    return lambda image, sizes: getattr(tf, kind)(
        vision_config=vision, text_config=GROUPED | sizes | {"model_type": text, "sliding_window": None},
        image_token_index=image, **more,
    )  # fmt: skip


def _rows_of_patches() -> Any:
    return tf.PixtralImageProcessorPil(patch_size={"height": 7, "width": 7}, size={"longest_edge": 84})


def _ernie(image: int, sizes: dict[str, int]) -> Any:
    text = QWEN | sizes | {
        "moe_intermediate_size": [32, 32], "moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1,
        "mlp_layer_types": ["dense", "sparse", "sparse"], "rope_parameters": ROPE | {"mrope_section": [3, 3, 2]},
    }  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 7}
    return tf.Ernie4_5_VLMoeConfig(vision_config=vision, text_config=text, image_token_id=image)


def _exaone(image: int, sizes: dict[str, int]) -> Any:
    text = GROUPED | sizes | {"model_type": "exaone4", "sliding_window": 12, "layer_types": WINDOWS}
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "num_key_value_heads": 2,
        "patch_size": 7, "window_size": 28, "out_hidden_size": 64, "fullatt_block_indexes": [1],
    }  # fmt: skip
    return tf.Exaone4_5_Config(vision_config=vision, text_config=text, image_token_id=image, video_token_id=image - 1)


def _internvl(text: str, **more: Any) -> Recipe:
    return Recipe(
        lambda image, sizes: tf.InternVLConfig(
            vision_config=VISION, text_config={"model_type": text, **QWEN, **sizes, **more}, image_token_id=image,
            image_seq_length=4,
        ),
        lambda: tf.GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, min_patches=1, max_patches=3),
        chatml("<IMG_CONTEXT>\n", "You answer."),
        system=SYSTEM,
        image="<IMG_CONTEXT>",
        special=INTERN_MARKS,
        bos=False,
        processor={"image_seq_length": 4},
    )  # fmt: skip


RECIPES: dict[str, Recipe] = {
    "llava": Recipe(
        lambda image, sizes: tf.LlavaConfig(
            vision_config=_clip(), text_config=tf.LlamaConfig(**TEXT | sizes), image_token_index=image
        ),
        lambda: tf.CLIPImageProcessorPil(**SQUARE),
        VICUNA,
        processor={"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_qwen": Recipe(
        lambda image, sizes: tf.LlavaConfig(
            vision_config=_siglip(), text_config=tf.Qwen2Config(**QWEN | sizes), image_token_index=image,
            vision_feature_select_strategy="full",
        ),
        lambda: tf.SiglipImageProcessorPil(size={"height": 28, "width": 28}),
        chatml("<image>\n", "You answer."),
        system=SYSTEM,
        bos=False,
        processor={"patch_size": 7, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 0},
    ),
    "vipllava": Recipe(
        lambda image, sizes: tf.VipLlavaConfig(
            vision_config=_clip(), text_config=tf.LlamaConfig(**TEXT | sizes), image_token_index=image,
            vision_feature_layers=[-1, -2],
        ),
        lambda: tf.CLIPImageProcessorPil(**SQUARE),
        VICUNA,
        processor={"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_next": Recipe(
        lambda image, sizes: tf.LlavaNextConfig(
            vision_config=_clip(), text_config=tf.LlamaConfig(**TEXT | sizes), image_token_index=image,
            image_grid_pinpoints=GRID,
        ),
        lambda: tf.LlavaNextImageProcessorPil(**SQUARE, image_grid_pinpoints=GRID),
        VICUNA,
        processor={"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_next_mistral": Recipe(
        lambda image, sizes: tf.LlavaNextConfig(
            vision_config=_clip(), text_config=tf.MistralConfig(**GROUPED | sizes, sliding_window=None),
            image_token_index=image, image_grid_pinpoints=GRID,
        ),
        lambda: tf.LlavaNextImageProcessorPil(**SQUARE, image_grid_pinpoints=GRID),
        INSTRUCT,
        processor={"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "llava_onevision": Recipe(
        lambda image, sizes: tf.LlavaOnevisionConfig(
            vision_config=_siglip(), text_config=tf.Qwen2Config(**QWEN | sizes), image_token_index=image,
            video_token_index=image + 1, image_grid_pinpoints=GRID,
        ),
        lambda: tf.LlavaOnevisionImageProcessorPil(size={"height": 28, "width": 28}, image_grid_pinpoints=GRID),
        chatml("<image>\n"),
        more=("<video>",),
        bos=False,
        processor={"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
    ),
    "qwen2_vl": Recipe(
        _qwen(tf.Qwen2VLConfig, {
            "depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "patch_size": 7, "mlp_ratio": 2,
        }),
        lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS),
        chatml(QWEN_IMAGE, "You answer."),
        system=SYSTEM,
        image="<|image_pad|>",
        more=QWEN_MARKS,
        bos=False,
    ),
    "qwen2_5_vl": Recipe(
        _qwen(tf.Qwen2_5_VLConfig, {
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 7,
            "window_size": 28, "out_hidden_size": 64, "fullatt_block_indexes": [1],
        }),
        lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS),
        chatml(QWEN_IMAGE, "You answer."),
        system=SYSTEM,
        image="<|image_pad|>",
        more=QWEN_MARKS,
        bos=False,
    ),
    "qwen3_5": Recipe(
        _qwen3_5("Qwen3_5Config"),
        lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS),
        chatml(QWEN_IMAGE),
        image="<|image_pad|>",
        more=QWEN_MARKS,
        bos=False,
    ),
    "idefics3": Recipe(
        _idefics(tf.Idefics3Config), _tiles("Idefics3ImageProcessorPil"), IDEFICS, more=MARKS, bos=False,
        processor={"image_seq_len": 4},
    ),
    "smolvlm": Recipe(
        _idefics(tf.SmolVLMConfig), _tiles("SmolVLMImageProcessorPil"), IDEFICS, more=(*MARKS, "<video>"), bos=False,
        processor={"image_seq_len": 4},
    ),
    "internvl": _internvl("qwen2"),
    "gemma3": Recipe(
        _gemma3,
        lambda: tf.Gemma3ImageProcessorPil(size={"height": 28, "width": 28}),
        GEMMA,
        image="<image_soft_token>",
        special=GEMMA_MARKS,
        more=("<start_of_turn>", "<end_of_turn>"),
        processor={"image_seq_length": 4},
        norms=NORMS,
    ),
    "paligemma": Recipe(_paligemma(lambda sizes: tf.GemmaConfig(**GROUPED | sizes)), _siglip_pixels, None),
    "paligemma2": Recipe(_paligemma(_gemma2), _siglip_pixels, None, norms=NORMS),
}  # fmt: skip


SIGLIP = {"model_type": "siglip_vision_model", **VISION, "vision_use_head": False}
AYA_MARKS = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<image>", "TILE", "TILE_GLOBAL")
OVIS_MARKS = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>", "<image>")
JANUS_CODES = {
    "embed_dim": 8, "num_embeddings": 32, "latent_channels": 8, "base_channels": 32, "channel_multiplier": [1, 1],
    "num_res_blocks": 1, "num_patches": 4, "projection_dim": 64, "image_token_embed_dim": 64,
}  # fmt: skip
SAM = {
    "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 48,
    "window_size": 2, "global_attn_indexes": [1], "image_size": 56, "patch_size": 7,
}  # fmt: skip


def _deepseek(kind: Any, **changes: Any) -> Callable:
    return lambda image, sizes: kind(
        vision_config=SIGLIP, text_config={"model_type": "llama", **GROUPED, **sizes}, image_token_id=image, **changes
    )


CHAMELEON_CODES = {
    f"IMGIMG{code}Z".translate({48 + digit: 65 + digit for digit in range(10)}): 20 + code for code in range(16)
}


def _granite4(image: int, sizes: dict[str, int]) -> Any:
    text = TEXT | sizes | {"embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0}
    return tf.Granite4VisionConfig(
        vision_config=SIGLIP | {"hidden_size": 64},  # a head of its Q-Former has 64
        qformer_config={
            "model_type": "blip_2_qformer", "hidden_size": 64, "num_attention_heads": 1, "encoder_hidden_size": 64,
            "num_hidden_layers": 1, "intermediate_size": 48, "cross_attention_frequency": 1,
        },
        text_config=text | {"attention_multiplier": 0.25}, image_token_index=image, image_grid_pinpoints=GRID,
        downsample_rate="1/2", deepstack_layer_map=[[-2, 0]], spatial_target_layers=[1, 2],
        vision_feature_select_strategy="full",
    )  # fmt: skip


GEMMA4_MARKS = {
    "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>", "audio_token": "<|audio|>",
    "boa_token": "<|audio>", "eoa_token": "<audio|>",
}  # fmt: skip
LLAMA4_MARKS = ("<|image|>", "<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>")


def _gemma4(layers: list[str], **changes: Any) -> Callable:
    def config(image: int, sizes: dict[str, int]) -> Any:
        text = GROUPED | sizes | {
            "num_hidden_layers": len(layers), "layer_types": layers, "sliding_window": 12, "global_head_dim": 32,
            "vocab_size_per_layer_input": sizes["vocab_size"], "final_logit_softcapping": 3.0,
        }  # fmt: skip
        vision = {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "head_dim": 16, "patch_size": 7, "position_embedding_size": 64,
            "pooling_kernel_size": 2,
        }  # fmt: skip
        return tf.Gemma4Config(
            vision_config=vision, text_config=text | changes, audio_config=None, image_token_id=image,
            video_token_id=image - 1,
        )  # fmt: skip

    return config


def _gemma4_recipe(layers: list[str], *, lacks: tuple[str, ...] = (), **changes: Any) -> Recipe:
    return Recipe(
        _gemma4(layers, **changes),
        lambda: tf.Gemma4ImageProcessorPil(patch_size=7, max_soft_tokens=70, pooling_kernel_size=2),
        GEMMA.replace("start_of_turn", "|turn").replace("end_of_turn", "turn|").replace("start_of_image", "|image|"),
        image="<|image|>",
        special=GEMMA4_MARKS,
        more=("<|turn>", "<turn|>", "<|video|>"),
        norms=NORMS,
        lacks=lacks,
    )


def _deepseek_recipe(config: Callable, images: Callable) -> Recipe:
    placeholder = "<image_placeholder>"
    return Recipe(
        config,
        images,
        turns(placeholder),
        image=placeholder,
        special={"image_token": placeholder},
        more=TURNS,
        processor={"num_image_tokens": 16},
    )


MORE: dict[str, Recipe] = {  # families that differ from those above in little but their images
    "qwen3_vl": Recipe(
        _qwen3_vl("Qwen3VLConfig"), lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS), chatml(QWEN_IMAGE),
        image="<|image_pad|>", more=QWEN_MARKS, bos=False,
    ),
    "qwen3_vl_moe": Recipe(
        _qwen3_vl("Qwen3VLMoeConfig", num_experts=4, **EXPERTS), lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS),
        chatml(QWEN_IMAGE), image="<|image_pad|>", more=QWEN_MARKS, bos=False,
    ),
    "internvl35": _internvl("qwen3", head_dim=16),
    "internvl35_moe": _internvl("qwen3_moe", head_dim=16, num_experts=4, **EXPERTS),
    "glm4v": Recipe(
        _glm("Glm4vConfig"), _pixels("Glm4vImageProcessorPil"), GLM, system="[gMASK]<sop>", image="<|image|>",
        more=GLM_MARKS, bos=False, norms=GLM_NORMS,
    ),
    "glm46v": Recipe(
        _glm("Glm46VConfig", {"model_type": "glm4v_vision"}, model_type="glm4v_text"),
        _pixels("Glm46VImageProcessorPil"), GLM, system="[gMASK]<sop>", image="<|image|>", more=GLM_MARKS, bos=False,
        norms=GLM_NORMS,
    ),
    "glm4v_moe": Recipe(
        _glm("Glm4vMoeConfig", head_dim=16, n_routed_experts=4, **EXPERTS), _pixels("Glm4vImageProcessorPil"), GLM,
        system="[gMASK]<sop>", image="<|image|>", more=GLM_MARKS, bos=False,
    ),
    "mistral3": Recipe(
        _pixtral("Mistral3Config", "mistral", spatial_merge_size=2, tie_word_embeddings=False), _rows_of_patches,
        MISTRAL, image="[IMG]", more=MISTRAL_MARKS, processor={"patch_size": 7, "spatial_merge_size": 2},
        torchvision=True,
    ),
    "ministral3": Recipe(
        _pixtral("Mistral3Config", "ministral3", spatial_merge_size=2, tie_word_embeddings=False), _rows_of_patches,
        MISTRAL, image="[IMG]", more=MISTRAL_MARKS, processor={"patch_size": 7, "spatial_merge_size": 2},
        torchvision=True,
    ),
    "pixtral": Recipe(
        _pixtral("LlavaConfig", "mistral", vision_feature_select_strategy="full", vision_feature_layer=-1),
        _rows_of_patches, MISTRAL, image="[IMG]", more=MISTRAL_MARKS,
        processor={"processor_class": "PixtralProcessor", "patch_size": 7, "spatial_merge_size": 1},
        torchvision=True,
    ),
    "paddleocr_vl": Recipe(
        lambda image, sizes: tf.PaddleOCRVLConfig(
            vision_config=VISION | {"image_size": 56}, text_config=GROUPED | sizes | {"rope_parameters": dict(ROPE)},
            image_token_id=image, video_token_id=image - 1, vision_start_token_id=image - 3,
            vision_end_token_id=image - 2,
        ),
        lambda: tf.PaddleOCRVLImageProcessorPil(patch_size=7, merge_size=2, min_pixels=28 * 28, max_pixels=56 * 56),
        turns(ERNIE_IMAGE),
        image="<|IMAGE_PLACEHOLDER|>",
        special={"image_token": "<|IMAGE_PLACEHOLDER|>"},
        more=(*TURNS, "<|IMAGE_START|>", "<|IMAGE_END|>", "<|video|>"),
    ),
    "ernie4_5_vl_moe": Recipe(
        _ernie, _pixels("Ernie4_5_VLMoeImageProcessorPil"), chatml(ERNIE_IMAGE), image="<|IMAGE_PLACEHOLDER|>",
        special=ERNIE_MARKS, bos=False,
    ),
    "video_llama_3": Recipe(
        lambda image, sizes: tf.VideoLlama3Config(
            vision_config=VISION, text_config={"model_type": "qwen2", **QWEN, **sizes}, image_token_id=image,
            video_token_id=image - 1,
        ),
        lambda: tf.VideoLlama3ImageProcessorPil(patch_size=7, merge_size=1, min_pixels=28 * 28, max_pixels=56 * 56),
        chatml("<image>\n"),
        special={"image_token": "<image>"},
        more=("<video>",),
        bos=False,
    ),
    "exaone4_5": Recipe(
        _exaone, lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS),
        turns("<vision><|image_pad|></vision>", bos=False), image="<|image_pad|>",
        special={"image_token": "<|image_pad|>"}, more=(*TURNS, "<vision>", "</vision>", "<|video_pad|>"), bos=False,
        norms=NORMS,
    ),
    "aya_vision": Recipe(
        lambda image, sizes: tf.AyaVisionConfig(
            vision_config=SIGLIP, text_config={
                "model_type": "cohere2", **GROUPED, **sizes, "sliding_window": 12, "layer_types": WINDOWS,
            }, downsample_factor=2, image_token_index=image,
        ),
        lambda: tf.GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, min_patches=1, max_patches=3),
        turns("<image>"),
        image="<|IMG_PATCH|>",
        more=(*TURNS, *AYA_MARKS),
        processor={"patch_size": 7, "img_size": 28, "downsample_factor": 2},

    ),
    "llava_next_video": Recipe(
        lambda image, sizes: tf.LlavaNextVideoConfig(
            vision_config=_clip(), text_config=tf.LlamaConfig(**TEXT | sizes), image_token_index=image,
            video_token_index=image - 1, image_grid_pinpoints=GRID,
        ),
        lambda: tf.LlavaNextImageProcessorPil(**SQUARE, image_grid_pinpoints=GRID),
        VICUNA,
        more=("<video>",),
        processor={"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
    ),
    "granite4_vision": Recipe(
        _granite4,
        lambda: tf.LlavaNextImageProcessorPil(**SQUARE, image_grid_pinpoints=GRID),
        turns("<image>"),
        more=TURNS,
        processor={"patch_size": 7, "vision_feature_select_strategy": "full", "downsample_rate": "1/2"},

    ),
    "ovis2": Recipe(
        lambda image, sizes: tf.Ovis2Config(
            vision_config=VISION | {"vocab_size": 32, "num_visual_indicator_tokens": 5},
            text_config={"model_type": "qwen2", **QWEN, **sizes}, image_token_id=image,
            visual_indicator_token_ids=[*range(image - 6, image - 1)], hidden_size=64, **sizes,
        ),
        lambda: tf.Ovis2ImageProcessorPil(
            size={"height": 28, "width": 28}, min_patches=1, max_patches=3, crop_to_patches=True
        ),
        chatml("<image>\n"),
        image="<IMG_ATOM>",
        more=OVIS_MARKS,
        bos=False,
        processor={"image_seq_length": 16},
    ),
    "deepseek_vl": _deepseek_recipe(
        _deepseek(tf.DeepseekVLConfig),
        lambda: tf.DeepseekVLImageProcessorPil(size={"height": 28, "width": 28}, min_size=14),
    ),
    "deepseek_vl_hybrid": _deepseek_recipe(
        _deepseek(tf.DeepseekVLHybridConfig, high_res_vision_config={"model_type": "sam_vision_model", **SAM}),
        lambda: tf.DeepseekVLHybridImageProcessorPil(
            size={"height": 28, "width": 28}, high_res_size={"height": 56, "width": 56}, min_size=28
        ),
    ),
    "janus": Recipe(
        lambda image, sizes: tf.JanusConfig(
            vision_config=VISION | {"projection_dim": 64, "num_image_tokens": 16, "mlp_ratio": 2.0},
            vq_config=JANUS_CODES, text_config={"model_type": "llama", **GROUPED, **sizes}, image_token_id=image,
        ),
        lambda: tf.JanusImageProcessorPil(size={"height": 28, "width": 28}, min_size=14),
        turns("<image_placeholder>"),
        image="<image_placeholder>",
        special={
            "image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>",
        },
        more=TURNS,
        processor={"num_image_tokens": 16},
    ),
    "idefics2": Recipe(
        lambda image, sizes: tf.Idefics2Config(
            vision_config=VISION, perceiver_config={
                "hidden_size": 64, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2,
                "resampler_head_dim": 16, "num_key_value_heads": 1,
            }, text_config={"model_type": "mistral", **GROUPED, **sizes, "sliding_window": None}, image_token_id=image,
        ),
        lambda: tf.Idefics2ImageProcessorPil(size={"shortest_edge": 21, "longest_edge": 28}, do_image_splitting=True),
        turns("<image>"),
        more=(*TURNS, "<fake_token_around_image>", "<end_of_utterance>"),
        processor={"image_seq_len": 4},
        lacks=("maps",),
    ),
    "qwen3_5_moe": Recipe(
        _qwen3_5("Qwen3_5MoeConfig", num_experts=4, shared_expert_intermediate_size=32, **EXPERTS),
        lambda: tf.Qwen2VLImageProcessorPil(**QWEN_PIXELS), chatml(QWEN_IMAGE), image="<|image_pad|>",
        more=QWEN_MARKS, bos=False,
    ),
    "lfm2_vl": Recipe(
        lambda image, sizes: tf.Lfm2VlConfig(
            vision_config=VISION | {"model_type": "siglip2_vision_model", "num_patches": 64}, image_token_id=image,
            text_config=QWEN | sizes | {
                "model_type": "lfm2", "num_hidden_layers": 4,
                "layer_types": ["conv", "full_attention", "conv", "full_attention"],
            },
            projector_hidden_size=64,
        ),
        lambda: tf.Lfm2VlImageProcessor(
            encoder_patch_size=7, tile_size=56, max_image_tokens=16, min_image_tokens=4, max_num_patches=64
        ),
        "{{ bos_token }}" + chatml("<image>"),
        special={"image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"},
        more=("<|img_thumbnail|>", *(f"<|img_row_{row}_col_{column}|>" for row in (1, 2) for column in (1, 2))),
        torchvision=True,
    ),
    "chameleon": Recipe(
        lambda image, sizes: tf.ChameleonConfig(
            **QWEN | sizes, image_token_id=image, swin_norm=True, vq_config={
                "embed_dim": 8, "num_embeddings": 16, "latent_channels": 8, "base_channels": 32,
                "channel_multiplier": [1, 1, 1], "num_res_blocks": 1, "resolution": 28, "attn_resolutions": [],
            }, vocabulary_map={"<image>": image, **CHAMELEON_CODES},
        ),
        lambda: tf.ChameleonImageProcessorPil(**SQUARE),
        None,
        special={
            "image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>",
            "sep_token": "<reserved08706>",
        },
        processor={"image_seq_length": 49},
        norms=("input_layernorm", "post_attention_layernorm"),
        lacks=("maps",),
    ),
    "lighton_ocr": Recipe(
        lambda image, sizes: tf.LightOnOcrConfig(
            vision_config=VISION | {"model_type": "pixtral", "head_dim": 16, "image_size": 112},
            text_config={"model_type": "qwen3", **GROUPED, **sizes}, image_token_id=image, tie_word_embeddings=False,
        ),
        _rows_of_patches,
        chatml("<|image_pad|>", "You answer."),
        system=SYSTEM,
        image="<|image_pad|>",
        special={
            "image_token": "<|image_pad|>", "image_break_token": "<|vision_pad|>", "image_end_token": "<|vision_end|>",
        },
        bos=False,
        processor={"patch_size": 7, "spatial_merge_size": 2},
    ),
    "qianfan_ocr": Recipe(
        lambda image, sizes: tf.QianfanOCRConfig(
            vision_config={**VISION, "model_type": "qianfan_ocr_vision"},
            text_config={"model_type": "qwen3", **GROUPED, **sizes}, image_token_id=image, image_seq_length=4,
        ),
        lambda: tf.GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, min_patches=1, max_patches=3),
        chatml("<image>\n", "You answer."),
        system=SYSTEM,
        image="<IMG_CONTEXT>",
        special=INTERN_MARKS,
        more=("<image>",),
        bos=False,
        processor={"image_seq_length": 4},
    ),
    "gemma4": _gemma4_recipe(
        ["sliding_attention", "sliding_attention", "full_attention"], hidden_size_per_layer_input=0,
        use_bidirectional_attention="vision", attention_k_eq_v=True, num_global_key_value_heads=1,
        lacks=("head removed", "image cut") if OLDER else (),
    ),
    "gemma4_small": _gemma4_recipe(
        ["sliding_attention", "full_attention"] * 2, hidden_size_per_layer_input=8, num_kv_shared_layers=2,
        lacks=("contributions", "head removed", "image cut"),
    ),
    "cohere2_vision": Recipe(
        lambda image, sizes: tf.Cohere2VisionConfig(
            vision_config=SIGLIP | {"patch_size": 2}, text_config={
                "model_type": "cohere2", **GROUPED, **sizes, "sliding_window": 12, "layer_types": WINDOWS,
            }, image_token_id=image, alignment_intermediate_size=64,
        ),
        lambda: tf.Cohere2VisionImageProcessor(
            size={"height": 28, "width": 28}, patch_size=7, downsample_factor=2, max_patches=3
        ),
        turns("<|IMG_PATCH|>"),
        image="<|IMG_PATCH|>",
        special={
            "image_token": "<|IMG_PATCH|>", "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>",
            "img_line_break_token": "<|IMG_LINE_BREAK|>",
        },
        more=TURNS,

    ),
    "llama4": Recipe(
        lambda image, sizes: tf.Llama4Config(
            vision_config={
                "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
                "image_size": 28, "patch_size": 7, "vision_output_dim": 64, "projector_input_dim": 64,
                "projector_output_dim": 64,
            }, text_config=GROUPED | sizes | {
                "intermediate_size_mlp": 96, "num_local_experts": 2, "num_hidden_layers": 4,
                "attention_chunk_size": 24, "interleave_moe_layer_step": 2,
            }, image_token_index=image,
        ),
        lambda: tf.Llama4ImageProcessor(size={"height": 28, "width": 28}, max_patches=4),
        turns("<|image|>"),
        image="<|patch|>",
        more=(*TURNS, *LLAMA4_MARKS),
        processor={"patch_size": 7},
    ),
    "mllama": Recipe(
        lambda image, sizes: tf.MllamaConfig(
            vision_config={
                "hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2,
                "intermediate_size": 48, "vision_output_dim": 64, "image_size": 28, "patch_size": 7,
                "max_num_tiles": 4, "intermediate_layers_indices": [0],
                "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
            }, text_config=QWEN | {
                # As in the model: the image's token has an embedding, and no logit
                "vocab_size": image, "num_hidden_layers": 4, "cross_attention_layers": [1, 3], "pad_token_id": 4,
                "bos_token_id": 0, "eos_token_id": 1,
            }, image_token_index=image,
        ),
        lambda: tf.MllamaImageProcessorPil(size={"height": 28, "width": 28}, max_image_tiles=4),
        turns("<|image|>"),
        image="<|image|>",
        more=(*TURNS, "<|python_tag|>"),
    ),
    "aria": Recipe(
        lambda image, sizes: tf.AriaConfig(
            vision_config=tf.Idefics3VisionConfig(**VISION | {"image_size": 490, "patch_size": 98}),
            text_config=tf.AriaTextConfig(
                **GROUPED | sizes, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1,
            ),
            projector_patch_to_query_dict={25: 4, 100: 16}, image_token_index=image,
        ),
        lambda: tf.AriaImageProcessorPil(max_image_size=490, min_image_size=98),
        turns("<|img|>"),
        image="<|img|>",
        special={"image_token": "<|img|>"},
        more=TURNS,
        processor={"size_conversion": {490: 4, 980: 16}},
        lacks=("maps",),
    ),
}  # fmt: skip

OF_TABLE = RECIPES | MORE  # families of the table; tests of what few do differently take `RECIPES` only


def make_or_skip(out: Path, name: str) -> Path:
    """`make_family`, with `out` returned; skips the test where transformers cannot make it."""
    try:
        make_family(out, name)
    except (ImportError, AttributeError) as error:  # transformers 5.17 has no Idefics3 without torchvision
        pytest.skip(str(error).strip())
    return out


def make_family(out: Path, name: str, *, seed: int = 0, logit_std: float = 3.0) -> None:
    """Write the checkpoint of a family to the directory `out`: a copy of the same that was made before."""
    asked = name, seed, logit_std
    if asked not in _made:
        folder = Path(_folder.name) / str(len(_made))
        _make(folder, *asked)
        _made[asked] = folder
    shutil.copytree(_made[asked], out, copy_function=shutil.copy, dirs_exist_ok=True)


_folder = tempfile.TemporaryDirectory()
_made: dict[tuple[str, int, float], Path] = {}


def _make(out: Path, name: str, seed: int, logit_std: float) -> None:
    recipe = OF_TABLE[name]
    if recipe.torchvision and not is_torchvision_available():
        raise ImportError(f"the processor of {name} needs torchvision")
    words = tokenizer(recipe.special, more=[*recipe.more, recipe.image], bos=recipe.bos, template=recipe.template)
    image = words.convert_tokens_to_ids(recipe.image)
    # PaliGemma's processor adds tokens of its own
    config = recipe.config(image, {"vocab_size": len(words) + 1152 * name.startswith("paligemma")})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = tf.AutoModelForImageTextToText.from_config(config)
        if name == "gemma3":  # whose projection of images begins with zeros
            torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
        for module in model.get_decoder().modules():
            if type(module).__name__.endswith("RMSNorm") and getattr(module, "weight", None) is not None:
                module.weight.data += 0.1 * torch.randn_like(module.weight)
        for gate, weight in model.named_parameters():
            if name == "mllama" and "gate" in gate.rpartition(".")[2]:  # which begin with zeros
                weight.data.uniform_(0.5, 1.5)
        for layer in getattr(model.get_decoder(), "layers", ()):
            if hasattr(layer, "layer_scalar"):
                layer.layer_scalar.uniform_(0.7, 1.3)
                layer.self_attn.q_norm.weight.data *= 0.4  # its scores are not scaled, and large ones round coarsely
        for module in model.modules():
            if getattr(module, "config", None) is model.config.get_text_config() and hasattr(module, "q_proj"):
                for projection in (module.q_proj, getattr(module, "k_proj", module.q_proj)):  # or another layer's keys
                    torch.nn.init.normal_(projection.weight, std=math.sqrt(logit_std / 64))
    for piece in (model, words, recipe.image_processor()):
        piece.save_pretrained(out)
    kind = tf.models.auto.processing_auto.PROCESSOR_MAPPING_NAMES[config.model_type]
    (out / "processor_config.json").write_text(json.dumps({"processor_class": kind, **recipe.processor}))
