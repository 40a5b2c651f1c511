"""Another LLaVA that transformers reads: a SigLIP tower without a class token, and Qwen2 with grouped queries."""

import pandas as pd
import torch
from transformers import (
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2Config,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from schemas.validation.run import validate


def test_siglip_and_qwen2(tmp_path, checkpoint_path, extract):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path)
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
        ),
        text_config=Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
    )
    model = tmp_path / "model"
    for piece in (
        LlavaForConditionalGeneration(config),
        tokenizer,
        SiglipImageProcessorPil(size={"height": 56, "width": 56}),
    ):
        piece.save_pretrained(model)
    assert extract(tmp_path / "run", model_path=model, num_samples=4, conv_mode="vicuna_v1") == 0
    assert list(validate(tmp_path / "run")) == []
    assert pd.read_parquet(tmp_path / "run" / "samples")["n_image"].tolist() == [16] * 4
    assert len(pd.read_parquet(tmp_path / "run" / "heads")) == 4 * 3 * 4
