"""A tiny LLaVA with random weights, in transformers' format, made from a config and a seed.

Real classes throughout. Query and key weights are drawn wide, so that attention is far from uniform.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from data.demo_model import IMAGE_TOKEN, image_processor, train_tokenizer
from extract.images.towers import SquarePreprocessor
from extract.models.families import LLAVA
from extract.models.transformers_format import count_image_tokens
from extract.models.transformers_model import TransformersModel, observe
from extract.prompts.prompt_builder import Prompt
from extract.prompts.prompt_format import PromptFormat


def build_model(
    tokenizer,
    *,
    seed: int = 0,
    layers: int = 4,
    heads: int = 8,
    kv_heads: int = 8,
    image_size: int = 112,
    logit_std: float = 3.0,
) -> LlavaForConditionalGeneration:
    """A LLaVA with random weights, float32, on the CPU.

    Args:
        kv_heads: fewer than `heads` gives grouped-query attention.
        image_size: in pixels; with patches of 14 it gives (image_size / 14)^2 image tokens.
        logit_std: about the standard deviation of the attention logits; 0 would be uniform attention.
    """
    hidden = heads * 16
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=image_size,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            max_position_embeddings=2048,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(image_size // 14) ** 2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
        for layer in model.model.language_model.layers:
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                torch.nn.init.normal_(projection.weight, std=math.sqrt(logit_std / hidden))
    return model.eval()


def make_checkpoint(out: Path, texts: Sequence[str], **options: int | float) -> None:
    """Write a checkpoint to the directory `out`: `build_model` with `options`, tokenizer and image processor."""
    tokenizer = train_tokenizer(texts)
    model = build_model(tokenizer, **options)
    for piece in (model, tokenizer, image_processor(model.config.vision_config.image_size)):
        piece.save_pretrained(out)


def observe_llava(model, tokenizer, processor, device: torch.device) -> TransformersModel:
    """A LLaVA in memory as `extract` observes it."""
    image_ids = count_image_tokens(model.config, processor) * [model.config.image_token_id]
    prompt_format = PromptFormat(tokenizer, image_ids, model.config.text_config.max_position_embeddings)
    return observe(model, LLAVA, prompt_format, SquarePreprocessor(processor, image_ids), device, format="in memory")


def random_prompt(checkpoint: TransformersModel, question: int, seed: int = 0) -> Prompt:
    """A prompt of random words: a question of so many tokens."""
    words = np.random.default_rng(seed).integers(260, 400, question).tolist()
    image = checkpoint.prompt_format.image_ids
    ids = [1, 5, 9, *image, *words]
    return Prompt(ids, [0, 1, 2, *[3] * len(image), *[4] * question])


def random_pixels(number: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The inputs of so many images of 112 x 112 pixels."""
    random = torch.Generator().manual_seed(number)
    return {"pixel_values": torch.randn(number, 3, 112, 112, generator=random).to(dtype)}
