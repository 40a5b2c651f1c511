"""Weights that are missing, left over, or of another shape: what transformers says of a loaded model, and our own."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.errors import HeadflowError
from schemas.text import one_line, printable


def load_part(
    kind: type[PreTrainedModel], config: Any, state: Mapping[str, Tensor], name: object, dtype: torch.dtype
) -> Any:
    """A model of transformers from its tensors."""
    try:
        model, report = kind.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, attn_implementation="sdpa",
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        raise HeadflowError(f"{name} cannot be loaded: {one_line(error)[:300]}") from error
    check_report(report, name)
    return model


def check_size(model: PreTrainedModel, paths: Sequence[Path], name: object, *, quantised: bool) -> None:
    """Check that the files of a model can hold as many weights as its config.json asks for, before memory is taken.

    transformers allocates what it does not find: of an empty `text_config`, a language model of billions of weights.

    Args:
        model: without weights.

    Raises:
        HeadflowError: they cannot.
    """
    stored = sum(path.stat().st_size for path in paths)
    asked = sum(each.numel() for each in model.parameters())
    if asked > stored * (8 if quantised else 1):  # a weight has a bit; a byte if it is not quantised
        raise HeadflowError(
            f"{name}: its config.json asks for {asked} weights, and its files have {stored} bytes; the checkpoint does "
            "not fit its config.json"
        )


def check_report(report: dict[str, Any], name: object, *, allow_unexpected: bool = False) -> None:
    """Raise if transformers reports weights that do not fit a model.

    Args:
        allow_unexpected: warn of unexpected weights, in a line on stderr, and continue.

    Raises:
        HeadflowError: a weight is missing, unexpected or of another shape.
    """
    for what in ("missing", "mismatched", "unexpected"):
        keys = report[f"{what}_keys"]
        if not keys:
            continue
        found = f"{name}: {len(keys)} {what} weights, such as {_first(keys)}"
        if what != "unexpected" or not allow_unexpected:
            raise HeadflowError(f"{found}; the checkpoint does not fit its config.json")
        print(printable(f"warning: {found}; the model has no place for them, and runs without"), file=sys.stderr)


def _first(keys: Iterable[Any]) -> str:
    return min(str(key[0] if isinstance(key, tuple) else key) for key in keys)


def check_names(wanted: Mapping[str, torch.Size], found: Mapping[str, Tensor], name: object) -> None:
    """Compare tensors with the names and shapes that are wanted; raises as `check_report`."""
    check_report(
        {
            "missing_keys": wanted.keys() - found.keys(),
            "unexpected_keys": found.keys() - wanted.keys(),
            "mismatched_keys": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name].shape},
        },
        name,
    )
