"""Tensors -> a model of transformers, with nothing missing, left over, or of another shape."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.errors import HeadflowError
from schemas.text import one_line


def load_part(
    kind: type[PreTrainedModel], config: Any, state: Mapping[str, Tensor], where: object, dtype: torch.dtype
) -> Any:
    """A model of transformers from its tensors."""
    try:
        model, report = kind.from_pretrained(
            None, config=config, state_dict=state, dtype=dtype, attn_implementation="sdpa",
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:
        raise HeadflowError(f"{where} cannot be loaded: {one_line(error)[:300]}") from error
    check_report(report, where)
    return model


def check_report(report: dict[str, Any], where: object) -> None:
    """Hold what transformers says of a loaded checkpoint.

    Raises:
        HeadflowError: a weight is missing, unexpected or of another shape.
    """
    for what in ("missing", "unexpected", "mismatched"):
        keys = report[f"{what}_keys"]
        if keys:
            names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)
            raise HeadflowError(
                f"{where}: {len(names)} {what} weights, such as {names[0]}; the checkpoint does not fit its config.json"
            )


def check_names(wanted: dict[str, torch.Size], found: Mapping[str, Tensor], where: object) -> None:
    """Hold tensors against the names and shapes that are wanted; raises as `check_report`."""
    check_report(
        {
            "missing_keys": wanted.keys() - found.keys(),
            "unexpected_keys": found.keys() - wanted.keys(),
            "mismatched_keys": {name for name in wanted.keys() & found.keys() if wanted[name] != found[name].shape},
        },
        where,
    )
