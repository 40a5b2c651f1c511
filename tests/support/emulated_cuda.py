"""Two GPUs that are emulated on a build of torch for the CPU, with real numbers.

Tensors say that they are on CUDA. Operators on them run on the CPU, and refuse what CUDA refuses: tensors of two
devices, and dtypes and shapes that its fused kernels do not take. Each wait of the host is logged with the line that
made it. A copy to the CPU that does not block holds wrong numbers until an event is waited for that was recorded after
it, on the same stream of the same device.

What it cannot show: the rounding of real kernels, real races, memory, and time.
"""

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.cpp_extension import include_paths

import extract.attention.kernels
from tests.support.emulated_tensors import CudaTensor, Dispatch, Machine, attention, machine, plain

NAME = "emulated_cuda_guard"
SOURCE = Path(__file__).with_name("emulated_cuda.cpp")


def why_not() -> str | None:
    """Why nothing can be emulated here; None if it can."""
    if torch.backends.cuda.is_built():
        return "torch has CUDA itself"
    return None if shutil.which("g++") else "there is no compiler"


@cache
def _load_guard() -> None:
    """Register the device guard, compiled once for each torch and Python into the folder of temporary files."""
    tag = f"{torch.__version__}-{sys.version_info[0]}.{sys.version_info[1]}-{SOURCE.stat().st_mtime_ns}"
    library = Path(tempfile.gettempdir()) / f"{NAME}-{tag}.so"
    if not library.exists():
        folders = [f"-I{each}" for each in (*include_paths(), sysconfig.get_paths()["include"])]
        places = [f"-L{Path(torch.__file__).parent / 'lib'}", "-lc10"]
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / library.name
            flags = ["-shared", "-fPIC", "-O0", "-std=c++20"]
            subprocess.run(["g++", *flags, *folders, SOURCE, *places, "-o", made], check=True)
            made.replace(library)  # another process may have made it meanwhile
    spec = importlib.util.spec_from_file_location(NAME, library)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


class Stream:
    """A stream of its own on a device."""

    def __init__(self, device: Any = "cuda") -> None:
        machine.made += 1
        self.device, self.number = torch.device("cuda", machine.index(device)), machine.made

    def wait_stream(self, other: "Stream") -> None:
        """Nothing: what was computed before is there."""


def _current_stream(device: Any = "cuda") -> Stream:
    stream = object.__new__(Stream)
    index = machine.index("cuda" if device is None else device)
    stream.device, stream.number = torch.device("cuda", index), machine.streams.get(index, 0)
    return stream


@contextmanager
def _on_stream(stream: Stream) -> Iterator[None]:
    index = stream.device.index
    before = machine.current, machine.streams.get(index, 0)
    machine.current, machine.streams[index] = index, stream.number
    try:
        yield
    finally:
        machine.current, machine.streams[index] = before


class Event:
    """An event; when it is waited for, the copies before it on its stream arrive."""

    def record(self, stream: Stream | None = None) -> None:
        """Record it on a stream; None: the current one of the current device, as torch does."""
        stream = stream or _current_stream()
        self._copies: list[Callable[[], Any]] = machine.copies.pop((stream.device.index, stream.number), [])

    def synchronize(self) -> None:
        machine.waited("event")
        for arrive in self._copies:
            arrive()
        self._copies = []


def _sdpa(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **options: Any) -> Tensor:
    """Attention of torch, whose choice of a kernel asks for a real device."""
    if not isinstance(query, CudaTensor):
        return scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, **options)
    own = [each.own for each in (query, key, value)]
    if attn_mask is None:
        scale = options.get("scale") or query.shape[-1] ** -0.5
        output, _ = attention(*own, scale, options.get("is_causal", False))
    else:
        single = [each.float() for each in own]
        output = scaled_dot_product_attention(*single, attn_mask=plain(attn_mask), **options).to(query.dtype)
    return CudaTensor(output, query.device.index)


class ReadsLists:
    """The module `torch` for another module that calls `torch.tensor` with a list of tensors of a device.

    It reads them by a way that no operator of a subclass sees.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def tensor(data: Any, **options: Any) -> Tensor:
        """`torch.tensor`."""
        read = [each.tolist() if isinstance(each, CudaTensor) else each for each in data]
        return torch.tensor(read, **options)


@contextmanager
def emulated() -> Iterator[Machine]:
    """Let torch have two GPUs in this context; gives what happens on them."""
    _load_guard()
    machine.__init__()  # type: ignore[misc]
    of_cuda = {
        "is_available": lambda: True,
        "_lazy_init": lambda: None,
        "set_device": lambda device: setattr(machine, "current", machine.index(device)),
        "current_device": lambda: machine.current,
        "get_device_name": lambda _=None: "Emulated",
        "empty_cache": lambda: None,
        "Stream": Stream,
        "Event": Event,
        "stream": _on_stream,
        "current_stream": _current_stream,
    }
    replaced = [
        *((torch.cuda, name, value) for name, value in of_cuda.items()),
        (torch.nn.functional, "scaled_dot_product_attention", _sdpa),
        (extract.attention.kernels, "scaled_dot_product_attention", _sdpa),
        (
            torch._C,
            "_InferenceMode",
            lambda _: torch.no_grad(),
        ),  # wrappers made in the real one take no change in place
    ]
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    lifts = torch._C._only_lift_cpu_tensors()
    with ExitStack() as changed:
        for module, name, value in replaced:
            changed.enter_context(mock.patch.object(module, name, value))
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # parameters become wrappers, by `to`
        changed.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(..., device="cuda")` copies from the CPU
        changed.callback(torch._C._set_only_lift_cpu_tensors, lifts)
        changed.enter_context(Dispatch())
        yield machine
