"""Oracle: the table of what a dtype or device is to be, written by hand."""

import pytest
import torch

from extract.models.checkpoint import use_device, choose_dtype
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
