"""The recipe of the demo's model: a tiny LLaVA in transformers' format, made from a config and a seed.

    python -m data.demo_model --out data/demo/tiny-llava --questions data/demo/MME_test.json

Real classes throughout (CLIP tower, two-layer projector, LLaMA, a LLaMA tokenizer trained on the demo's own text), but
random weights: its answers mean nothing. Query and key weights are drawn wide, so that attention is far from uniform.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Metaspace, Split
from tokenizers.pre_tokenizers import Sequence as InSequence
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

IMAGE_TOKEN = "<image>"
SPECIAL = ("<unk>", "<s>", "</s>")
ANSWERS = ("Yes", "No")
PROMPT_TEXT = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: \n"
    "Answer the question using a single word or phrase. ASSISTANT: Yes No yes no"
)


def train_tokenizer(texts: Sequence[str], vocabulary: int = 1000) -> LlamaTokenizer:
    """A LLaMA tokenizer (BPE over `▁`-marked words, bytes for the rest) trained on texts, with `<image>` added."""
    trainer = Tokenizer(BPE())
    punctuation = Split(Regex(r"[^\w▁]"), behavior="isolated")
    trainer.pre_tokenizer = InSequence([Metaspace(prepend_scheme="first"), punctuation])
    trainer.train_from_iterator([PROMPT_TEXT, *texts], BpeTrainer(vocab_size=vocabulary - 259, show_progress=False))
    learnt = json.loads(trainer.to_str())["model"]
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(learnt["vocab"], key=learnt["vocab"].get)]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, "▁"]))}
    tokenizer = LlamaTokenizer(vocab=vocab, merges=[tuple(merge) for merge in learnt["merges"]], add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    return tokenizer


def build_model(
    tokenizer: LlamaTokenizer,
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
    model = build_model(tokenizer, **options)  # type: ignore[arg-type]
    size = model.config.vision_config.image_size
    processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    for piece in (model, tokenizer, processor):
        piece.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("data/demo/tiny-llava"))
    parser.add_argument("--questions", type=Path, default=Path("data/demo/MME_test.json"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = json.loads(arguments.questions.read_text(encoding="utf-8"))
    make_checkpoint(arguments.out, [row["question"] for row in rows], seed=arguments.seed)
    print(f"made a tiny LLaVA with random weights in {arguments.out}")


if __name__ == "__main__":
    main()
