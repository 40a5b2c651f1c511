"""Quantised weights: what a config.json says of them, what reads them, and the matrices that they stand for."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from schemas.errors import HeadflowError
from schemas.text import short

BITS = {"4bit": 4, "8bit": 8}  # what weights can be quantised to while they are loaded
_BITSANDBYTES, _FP8 = "bitsandbytes", "fp8"
# By the `quant_method` of a config.json: the modules that read it, and what installs them
_PACKAGES = {
    _BITSANDBYTES: {"bitsandbytes": "bitsandbytes"},
    "gptq": {"gptqmodel": "gptqmodel", "optimum": "optimum"},
    "awq": {"gptqmodel": "gptqmodel"},
    _FP8: {},
    "compressed-tensors": {"compressed_tensors": "compressed-tensors"},
}
_DESCRIBED = ("bits", "group_size", "format", "weight_block_size", "activation_scheme")  # plain values of a config.json
_UNITS = 256  # unit vectors at once
_LINEAR = 0.05  # how far what a module gives may be from what its matrix does, as a share: it may round to 8 bits


@dataclass(frozen=True)
class Quantisation:
    """How weights are quantised.

    Attributes:
        method: as a config.json names it; empty if it names none.
        described: `method` and what else decides numbers, as plain values.
        stored: whether the files have them so; else they are quantised while they are loaded.
    """

    method: str
    described: Mapping[str, Any]
    stored: bool = True

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Quantisation | None":
        """What the content of a config.json says; None if its weights are plain."""
        text = config.get("text_config")
        said = config.get("quantization_config")
        if said is None and isinstance(text, Mapping):
            said = text.get("quantization_config")
        if not isinstance(said, Mapping):
            return None
        eight, four = (bool(said.get(f"load_in_{name}")) for name in ("8bit", "4bit"))
        method = str(said.get("quant_method") or (_BITSANDBYTES if eight or four else ""))
        described = {name: said[name] for name in _DESCRIBED if said.get(name) is not None}
        if method == _BITSANDBYTES:
            described = {"bits": 8} if eight else {"bits": 4, "type": said.get("bnb_4bit_quant_type", "fp4")}
        return cls(method, {"method": method} | described)

    @classmethod
    def asked(cls, name: str) -> "Quantisation":
        """What is asked for by a name of `BITS`."""
        four = {"type": "nf4"} if name == "4bit" else {}
        return cls(_BITSANDBYTES, {"method": _BITSANDBYTES, "bits": BITS[name]} | four, stored=False)

    def fields(self, model: nn.Module) -> dict[str, Any]:
        """What a run's manifest says of the weights of a loaded model: `described`, and whether FP8 was undone."""
        undone = self.method == _FP8 and all(each.element_size() > 1 for each in model.parameters())
        return dict(self.described) | ({"dequantised": True} if undone else {})

    def check(self, name: str) -> None:
        """Check that the weights of a checkpoint can be read here; no file is read.

        Raises:
            HeadflowError: the method is not said or not known, or packages are not installed.
        """
        what = f"the weights of {name} are" if self.stored else "weights that are to be"
        if not self.method:
            raise HeadflowError(
                f"config.json of {name} has a quantization_config without a quant_method, which says how the weights "
                f"are read; known are {', '.join(_PACKAGES)}"
            )
        if self.method not in _PACKAGES:
            raise HeadflowError(
                f"{what} quantised by {short(self.method)}, which is not read here; known are {', '.join(_PACKAGES)}"
            )
        wanted = _PACKAGES[self.method] | {"accelerate": "accelerate"}
        missing = [package for module, package in wanted.items() if find_spec(module) is None]
        if missing:
            raise HeadflowError(
                f"{what} quantised by {self.method}, which takes packages that are not installed: pip install "
                f"{' '.join(missing)}"
            )

    def options(self, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
        """What `from_pretrained` is called with so that the weights are read onto a device."""
        from transformers import BitsAndBytesConfig, FineGrainedFP8Config  # the llava package has an older one

        options: dict[str, Any] = {"device_map": {"": str(device)}}
        logging.getLogger(_BITSANDBYTES).setLevel(logging.ERROR)  # it says with each product that it rounds to 8 bits
        if self.method == _FP8 and device.type == "cpu":
            options["quantization_config"] = FineGrainedFP8Config(dequantize=True)
        if self.stored:
            return options
        if self.described["bits"] == 8:
            return options | {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
        kind = self.described["type"]
        four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_type=kind)
        return options | {"quantization_config": four}


def is_plain(module: Any) -> bool:
    """Whether a module is a matrix of numbers that is applied as it is, with or without a bias."""
    return type(module) is nn.Linear and module.weight.is_floating_point() and module.weight.element_size() > 1


def matrix_of(module: Any, dtype: torch.dtype, rows: Sequence[int] | None = None) -> Tensor:
    """The matrix that a linear module applies, float32 [rows, columns].

    That of a quantised module is what it makes of unit vectors, so that nothing needs to be known of how it is stored.
    Where it also rounds what it is applied to, that rounding is not in the matrix.

    Args:
        dtype: of what the module is applied to.
        rows: which rows; None: all.

    Raises:
        HeadflowError: it is no linear module.
    """
    taken = slice(None) if rows is None else list(rows)
    if is_plain(module):
        return module.weight[taken].detach().float()
    width = getattr(module, "in_features", None)
    if not isinstance(width, int):
        raise HeadflowError(f"a {type(module).__name__} is no matrix")
    place = next(each for each in (*module.parameters(), *module.buffers())).device
    bias = getattr(module, "bias", None)

    def apply(given: Tensor) -> Tensor:
        given = given.to(place, dtype)
        return (module(given).float() - (0 if bias is None else bias.float()))[:, taken]

    with torch.no_grad():
        matrix = torch.cat([apply(each) for each in torch.eye(width).split(_UNITS)]).T
        some = torch.randn(4, width, generator=torch.Generator().manual_seed(0))
        expected = some.to(place) @ matrix.T
        if not float((apply(some) - expected).norm()) <= _LINEAR * float(expected.norm()):
            raise HeadflowError(f"a {type(module).__name__} is no matrix")
    return matrix
