"""The observer on a GPU, where there is one. Oracles: as in test_flows.py; the CPU, for whole runs."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlavaForConditionalGeneration

from extract.attention.causal import HELD_ON_CUDA
from extract.attention.kernels import EFFICIENT_CUDA, FLASH_CUDA, PORTABLE, choose_kernel
from extract.attention.packing import pack
from extract.models.loading import load_model
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.attention import BATCHES, WIDTH, largest_errors, layers, written_out
from tests.support.tiny_llava import random_pixels, random_prompt

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
CUDA = torch.device("cuda")
KERNELS = {torch.float32: EFFICIENT_CUDA, torch.float16: FLASH_CUDA, torch.bfloat16: FLASH_CUDA}


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_a_fused_kernel_is_chosen(dtype, kv_heads):
    assert choose_kernel(CUDA, dtype, heads=4, kv_heads=kv_heads, head_dim=WIDTH) is KERNELS[dtype]


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_flows(kv_heads, dtype):
    for name, images in BATCHES.items():
        made = layers(images, 3, kv_heads=kv_heads, dtype=dtype)
        right = written_out(images, made)
        for kernel, hold in ((KERNELS[dtype], 0), (KERNELS[dtype], HELD_ON_CUDA), (PORTABLE, 0)):
            worst, _ = largest_errors(images, made, kernel, right, device=CUDA, hold=hold)
            assert worst <= (2e-6 if dtype == torch.float32 else 1e-4), (name, kernel.description, hold)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_output_is_that_of_flash_attention(dtype):
    ((query, key, value),) = layers(BATCHES["long"], 1, dtype=dtype)
    query, key, value = (tensor.to(CUDA) for tensor in (query, key, value))
    output, _ = FLASH_CUDA.attend(query, key, value, 0.25)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert torch.equal(output, scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.25))


def test_logits_are_those_of_the_unobserved_model(checkpoint_path):
    observed = load_model(str(checkpoint_path), device=CUDA, dtype="float16")
    plain = LlavaForConditionalGeneration.from_pretrained(
        checkpoint_path, attn_implementation="sdpa", dtype=torch.float16
    )
    batch = pack([[random_prompt(observed, 7, seed)] for seed in range(3)]).to(CUDA)
    images = {name: each.to(CUDA) for name, each in random_pixels(3, torch.float16).items()}
    logits, *_ = observed.forward(batch, images)
    with torch.inference_mode(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        expected = plain.eval().to(CUDA)(input_ids=batch.input_ids, **images, logits_to_keep=1)
    assert torch.equal(logits, expected.logits[:, -1])


@pytest.mark.parametrize("flags", [{}, {"batch_size": 1}, {"sequences": "separate", "num_workers": 0}], ids=str)
def test_a_run_equals_that_of_the_cpu(tmp_path, extract, extracted, flags):
    assert extract(tmp_path / "run", device="cuda", dtype="float32", **flags) == 0
    assert list(validate(tmp_path / "run")) == []
    found, expected = (pd.read_parquet(run / "heads") for run in (tmp_path / "run", extracted))
    keys = ["sample_id", "category", "layer", "head"]
    assert found[keys].equals(expected[keys])
    assert np.abs(found.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 2e-5
    (session,) = open_run(tmp_path / "run").ledgers[0].sessions
    assert session.kernel == EFFICIENT_CUDA.description
    assert session.batch_size == flags.get("batch_size", 32)
