"""The demo's model: a small LLaVA in transformers' format, and its tokenizer. `data.train_demo` trains it.

Real classes throughout: a CLIP tower of 8 x 8 patches, LLaVA's two-layer projector, a LLaMA of some layers and heads.
"""

import json
from collections.abc import Sequence

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

from data.scenes import SIZE

IMAGE_TOKEN = "<image>"
PATCH = 12  # pixels
SIDE = SIZE // PATCH  # patches
MAX_TOKENS = 2048
SPECIAL = ("<unk>", "<s>", "</s>")
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


def build_model(tokenizer: LlamaTokenizer, *, layers: int, heads: int, seed: int) -> LlavaForConditionalGeneration:
    """The model before training, float32, on the CPU: 2.3 million weights with 6 layers of 8 heads."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=96,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            head_dim=32,
            # So slow that most of a head can match words wherever they stand
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            max_position_embeddings=MAX_TOKENS,
            initializer_range=0.06,  # at a width of 128; 0.02 is for thousands
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=SIDE**2,
        vision_feature_layer=-1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlavaForConditionalGeneration(config)


def image_processor(size: int = SIZE) -> CLIPImageProcessorPil:
    """CLIP's own, for images of `size` x `size` pixels."""
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
