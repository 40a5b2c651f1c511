"""Oracle: the table of what a dtype or device is to be, written by hand."""

import pytest
import torch

from extract.models.checkpoint import choose_dtype, use_device
from schemas.errors import HeadflowError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "device", "declared", "dtype"),
    [
        ("auto", CUDA, torch.bfloat16, torch.bfloat16),  # Qwen, InternVL, Gemma 3, PaliGemma 2, SmolVLM
        ("auto", CUDA, "bfloat16", torch.bfloat16),
        ("auto", CUDA, torch.float16, torch.float16),
        ("auto", CUDA, "float16", torch.float16),
        ("auto", CUDA, torch.float32, torch.float16),
        ("auto", CUDA, None, torch.float16),
        ("auto", CPU, torch.bfloat16, torch.float32),
        ("auto", CPU, None, torch.float32),
        ("float16", CUDA, torch.bfloat16, torch.float16),
        ("bfloat16", CPU, None, torch.bfloat16),
    ],
)
def test_the_dtype(name, device, declared, dtype):
    assert choose_dtype(name, device, declared) is dtype


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "mps", "xpu:0", "meta"])
def test_a_device_that_cannot_be_used(name):
    with pytest.raises(HeadflowError, match=f"the device {name} cannot be used: ") as error:
        use_device(name)
    assert error.value.setting == "device"


@pytest.fixture
def tf32(monkeypatch):
    """TF32 as a user may have switched it on, and as it was again after the test."""
    kept = [(switches, switches.fp32_precision) for switches in (torch.backends.cudnn.conv, torch.backends.cuda.matmul)]
    kept.append((torch.backends, torch.backends.fp32_precision))
    for switches, _ in kept:
        switches.fp32_precision = "tf32"
    yield
    for switches, precision in kept:
        switches.fp32_precision = precision


@pytest.mark.usefixtures("tf32")
def test_a_gpu_becomes_the_current_one_and_computes_float32_in_full(monkeypatch):
    current = []
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert use_device("cuda:1") == torch.device("cuda:1")
    assert current == [torch.device("cuda:1")]
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
