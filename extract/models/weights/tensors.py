"""The tensors of a checkpoint's files."""

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from schemas.errors import HeadflowError
from schemas.text import one_line


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, safetensors or torch's; of the latter, nothing but tensors is unpickled.

    Raises:
        HeadflowError: no such file, or no checkpoint.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise HeadflowError(f"{path} is missing") from None
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        why = one_line(error).split(". ")[0][:200] or type(error).__name__
        raise HeadflowError(f"{path} is not a checkpoint: {why}") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise HeadflowError(f"{path} is not a checkpoint: it has no tensors by name")
    return state
