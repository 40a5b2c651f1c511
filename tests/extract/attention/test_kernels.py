"""Oracle: attention written out in float64; torch's own attention, for outputs to the bit."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from extract.attention import kernels
from extract.attention.kernels import FLASH_CPU, PORTABLE, Kernel, choose_kernel, logsumexp

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SHAPE = {"heads": 4, "kv_heads": 2, "head_dim": 16}


def some(dtype=torch.float32, kv_heads=4, length=300):
    """Queries, keys and values whose logits have a standard deviation of 3."""
    random = torch.Generator().manual_seed(length)
    shapes = [(2, length, number, 16) for number in (4, kv_heads, kv_heads)]
    return [torch.randn(shape, generator=random).mul(3**0.5).to(dtype).transpose(1, 2) for shape in shapes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("kernel", [FLASH_CPU, PORTABLE], ids=["flash", "portable"])
def test_output_and_logsumexp(kernel, kv_heads, dtype):
    query, key, value = some(dtype, kv_heads)
    output, lse = kernel.attend(query, key, value, 0.25)
    own = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.25, enable_gqa=kv_heads < 4)
    assert torch.equal(output, own)
    key = key.double().repeat_interleave(4 // kv_heads, dim=1)
    scores = query.double() @ key.transpose(-1, -2) * 0.25
    expected = scores.masked_fill(torch.ones(300, 300).triu(1).bool(), -torch.inf).logsumexp(dim=-1)
    assert lse.dtype == torch.float32
    assert (lse - expected).abs().max() <= (5e-6 if dtype == torch.float32 else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("kernel", [FLASH_CPU, PORTABLE], ids=["flash", "portable"])
def test_queries_on_all_keys(kernel, kv_heads, dtype):
    query, key, value = some(dtype, kv_heads)
    query = query[:, :, :70]
    output, lse = kernel.attend(query, key, value, 0.25, causal=False)
    assert torch.equal(output, scaled_dot_product_attention(query, key, value, scale=0.25, enable_gqa=kv_heads < 4))
    key = key.double().repeat_interleave(4 // kv_heads, dim=1)
    expected = (query.double() @ key.transpose(-1, -2) * 0.25).logsumexp(dim=-1)
    assert (lse - expected).abs().max() <= (5e-6 if dtype == torch.float32 else 1e-4)


@pytest.mark.parametrize("length", [1, 127, 128, 129])
def test_chunks_do_not_show(length, monkeypatch):
    query, key, _ = some(length=length)
    chunked = logsumexp(query, key, 0.25, causal=True)
    monkeypatch.setattr(kernels, "CHUNK", 10**6)
    assert torch.allclose(chunked, logsumexp(query, key, 0.25, causal=True), rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cpu_has_a_fused_kernel(dtype):
    assert choose_kernel(CPU, dtype, **SHAPE) is FLASH_CPU


def wrong(name: str):
    def attend(query, key, value, scale, *, causal=True):
        output, lse = FLASH_CPU.attend(query, key, value, scale, causal=causal)
        match name:
            case "gone":
                return torch.ops.aten._no_such_operator(query)
            case "refuses":
                raise RuntimeError("not for these inputs")
            case "base 2":
                return output, lse * 1.4427
            case "unscaled":
                return output, FLASH_CPU.attend(query, key, value, 1.0, causal=causal)[1]
            case "padded":
                return output, torch.nn.functional.pad(lse, (0, 2))
            case "not causal":
                return scaled_dot_product_attention(query, key, value, scale=scale, enable_gqa=True), lse
            case "always causal":
                return FLASH_CPU.attend(query, key, value, scale)
            case "half":
                return output, lse.half()
        raise ValueError(name)

    return Kernel(name, attend)


@pytest.mark.parametrize(
    "name", ["gone", "refuses", "base 2", "unscaled", "padded", "not causal", "always causal", "half"]
)
def test_a_kernel_that_does_not_work_is_not_taken(name, monkeypatch):
    monkeypatch.setattr(kernels, "FUSED", {"cpu": (wrong(name),)})
    assert choose_kernel(CPU, torch.float32, **SHAPE) is PORTABLE
    monkeypatch.setattr(kernels, "FUSED", {"cpu": (wrong(name), replace(FLASH_CPU, description="the next"))})
    assert choose_kernel(CPU, torch.float32, **SHAPE).description == "the next"


def test_other_devices_have_the_portable_one(monkeypatch):
    monkeypatch.setattr(kernels, "FUSED", {})
    assert choose_kernel(CPU, torch.float32, **SHAPE) is PORTABLE
