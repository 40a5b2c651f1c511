"""Tensors that say they are on CUDA, and operators on them: numbers of the CPU, rules of CUDA."""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[2]
PLACES = ((f"{ROOT}/extract/", "extract/"), ("/transformers/", "transformers/"))  # whose lines wait, innermost first
READ_BACK = {"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive", "equal"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


@dataclass
class Machine:
    """Two GPUs, and what happened on them.

    Attributes:
        current: torch's current device.
        streams: the current stream of each device, 0 by default.
        made: how many streams were made.
        copies: by device and stream, the copies to the CPU after which no event was recorded yet.
        waits: how often the host waited, by what for and the line that made it.
    """

    current: int = 0
    streams: dict[int, int] = field(default_factory=dict)
    made: int = 0
    copies: dict[tuple[int, int], list[Callable[[], Any]]] = field(default_factory=lambda: defaultdict(list))
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)

    def waited(self, why: str) -> None:
        """Log that the host waits."""
        frame = sys._getframe(1)
        while frame is not None:
            name = frame.f_code.co_filename
            for part, short in PLACES:
                if part in name:
                    self.waits[why, f"{short}{name.split(part)[-1]}:{frame.f_lineno}"] += 1
                    return
            frame = frame.f_back
        self.waits[why, ""] += 1

    def index(self, device: Any) -> int:
        """The number of a CUDA device."""
        named = torch.device(device).index
        return self.current if named is None else named


machine = Machine()


class CudaTensor(Tensor):
    """A tensor of the CPU that says it is on `cuda:index`."""

    own: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, own: Tensor, index: int) -> "CudaTensor":
        layout = {"strides": own.stride(), "storage_offset": own.storage_offset(), "layout": own.layout}
        device = torch.device("cuda", index)
        made = Tensor._make_wrapper_subclass(cls, own.size(), dtype=own.dtype, device=device, **layout)
        made.own = own
        return made

    def __repr__(self) -> str:
        return f"CudaTensor({self.own}, {self.device})"

    def tolist(self) -> Any:
        machine.waited("tolist")
        return self.own.tolist()

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(operator, args, kwargs or {})


class Dispatch(TorchDispatchMode):
    """Passes each operator to `run`, those that make tensors included."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(operator, args, kwargs or {})


def plain(value: Any) -> Any:
    """The CPU's tensors in the place of those of CUDA, in a list too; anything else as it is."""
    if isinstance(value, CudaTensor):
        return value.own
    return [*map(plain, value)] if isinstance(value, list | tuple) else value


def tensors_of(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among values, and in lists among them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_of(value)
    return found


def run(operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """An operator of torch."""
    tensors = tensors_of(args) + tensors_of(kwargs.values())
    given = [each for each in tensors if isinstance(each, CudaTensor)]
    device = kwargs.get("device")
    if not given and (device is None or torch.device(device).type != "cuda"):
        return operator(*args, **kwargs)
    name = operator._schema.name.removeprefix("aten::")
    if name == "_to_copy":
        return _copy_to(args[0], **kwargs)
    if name == "copy_":
        return _copy_into(*args, **kwargs)
    _check(name, operator, tensors, args)
    index = given[0].device.index if given else machine.index(device)
    if device is not None:
        kwargs = {**kwargs, "device": "cpu"}
        kwargs.pop("pin_memory", None)
    kernel = KERNELS.get((name, operator._overloadname), operator)
    made = kernel(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})
    return made if device is not None and torch.device(device).type == "cpu" else on_cuda(made, index, given)


def on_cuda(made: Any, index: int, given: Iterable[CudaTensor] = ()) -> Any:
    """What an operator made, on a device; what it changed in place is what it was given."""
    before = {id(each.own): each for each in given}

    def one(value: Any) -> Any:
        if isinstance(value, Tensor):
            return before[id(value)] if id(value) in before else CudaTensor(value, index)
        return tuple(map(one, value)) if isinstance(value, list | tuple) else value

    return one(made)


def _check(name: str, operator: Any, tensors: Sequence[Tensor], args: Sequence[Any]) -> None:
    """Refuse what CUDA refuses, and log what the host waits for."""
    devices = {each.device for each in tensors if each.is_cuda}
    indices = args[1] if name in INDEXING else ()
    host = [each for each in tensors if not each.is_cuda and each.dim() > 0 and not any(each is i for i in indices)]
    if len(devices) > 1 or (devices and host):
        found = ", ".join(sorted(map(str, devices | {each.device for each in host})))
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {found} in {operator}")
    if name in READ_BACK or (name, operator._overloadname) == ("repeat_interleave", "Tensor"):
        machine.waited(name)
    for each in indices:
        if each is not None and not each.is_cuda:
            machine.waited("an index is copied to the device")
        if each is not None and each.dtype in (torch.bool, torch.uint8):
            machine.waited("nonzero of a mask")


def _copy_to(
    source: Tensor, *, device: Any = None, dtype: Any = None, non_blocking: bool = False, **how: Any
) -> Tensor:
    """A copy on another device, or in another dtype."""
    target = source.device if device is None else torch.device(device)
    how = {"memory_format": how.get("memory_format") or torch.preserve_format}
    made = plain(source).to(dtype or source.dtype, copy=True, **how)
    if target.type == "cuda":
        if not source.is_cuda and not non_blocking:
            machine.waited("copied to the device")
        return CudaTensor(made, machine.index(target))
    if not non_blocking:
        machine.waited("copied from the device")
        return made
    late = torch.full_like(made, 7)
    index = source.device.index
    machine.copies[index, machine.streams.get(index, 0)].append(lambda: late.copy_(made))
    return late


def _copy_into(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    if target.device != source.device and not non_blocking:
        machine.waited("copied between devices")
    plain(target).copy_(plain(source))
    return target


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float, causal: bool) -> tuple[Tensor, Tensor]:
    """Attention in float32, and its logsumexp."""
    key, value = (each.float().repeat_interleave(query.shape[1] // key.shape[1], dim=1) for each in (key, value))
    scores = query.float() @ key.transpose(-1, -2) * scale
    if causal:
        rows, columns = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(rows, columns).triu(columns - rows + 1).bool(), -torch.inf)
    output = (scores.softmax(-1) @ value).to(query.dtype)
    return output.transpose(1, 2).contiguous().transpose(1, 2), scores.logsumexp(-1)


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float = 0,
    causal: bool = False,
    debug: bool = False,
    *,
    scale: float,
) -> tuple[Any, ...]:
    """FlashAttention: half precision, heads of a multiple of 8 and up to 256 numbers, grouped heads."""
    _refuse("flash", query.dtype not in (torch.half, torch.bfloat16), query.shape[-1] > 256, query.shape[-1] % 8)
    _refuse("flash", any(each.stride(-1) != 1 for each in (query, key, value)), query.shape[1] % key.shape[1])
    empty = [torch.empty(0) for _ in range(3)]
    return *attention(query, key, value, scale, causal), None, None, query.shape[2], key.shape[2], *empty


def _efficient(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: None,
    lse: bool,
    dropout: float = 0,
    causal: bool = False,
    *,
    scale: float,
) -> tuple[Any, ...]:
    """The memory-efficient kernel: any dtype, no grouped heads, the logsumexp padded to 32 rows with NaN."""
    aligned = 8 if query.element_size() == 2 else 4
    _refuse("efficient", query.shape[1] != key.shape[1], query.shape[-1] % aligned)
    _refuse("efficient", any(each.stride(-1) != 1 for each in (query, key, value)))
    output, sums = attention(query, key, value, scale, causal)
    padded = torch.nn.functional.pad(sums, (0, -sums.shape[-1] % 32), value=torch.nan)
    return output, padded, torch.empty(0), torch.empty(0)


def _refuse(kernel: str, *faults: object) -> None:
    if any(faults):
        raise RuntimeError(f"the {kernel} kernel does not take these inputs")


def _products(one: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """Products of half precision in float32."""
    assert one.dtype == other.dtype
    assert dtype in (torch.float32, one.dtype)
    return torch.bmm(one.to(dtype), other.to(dtype))


KERNELS: dict[tuple[str, str], Callable[..., Any]] = {
    ("bmm", "dtype"): _products,
    ("_scaled_dot_product_flash_attention", "default"): _flash,
    ("_scaled_dot_product_efficient_attention", "default"): _efficient,
}
