"""Values of a config.json that are of another kind than they must be: a line names the field, and what is needed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig

from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import one_line, short

AS_PUBLISHED = "take the file as the model was published"
_PARTS = ("text_config", "vision_config", "quantization_config")  # objects in a config.json
_TEXTS = ("model_type", "dtype", "torch_dtype")
_COUNTS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
# What transformers says of a field: which it is, and the types that it may have
_FIELD = re.compile(r"alidation error for field '(\w+)'")
_TYPES = re.compile(r"doesn't match any type in \((.*?)\)|expected (.*?), got ")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "dict": "an object",
    "RopeParameters": "an object",
    "list": "a list",
    "tuple": "a list",
}


def check_values(name: str, config: dict[str, Any], place: str = "") -> None:
    """Check that a config.json has values of such a kind as loaders take for granted.

    Args:
        name: the checkpoint's.
        config: its config.json, or a part of it.
        place: what comes before the names in that part, such as `text_config.`.

    Raises:
        HeadflowError: it has not.
    """
    for text in _TEXTS:
        if not isinstance(config.get(text), str | None):
            raise HeadflowError(_wrong(name, f"{place}{text}", config[text], "text"))
    for count in _COUNTS:
        value = config.get(count)
        if isinstance(value, int) and value < 1:
            raise HeadflowError(f"config.json of {name} has {place}{count} {value}, less than 1; {AS_PUBLISHED}")
    for part in _PARTS:
        value = config.get(part)
        if isinstance(value, dict):
            check_values(name, value, f"{place}{part}.")
        elif value is not None:
            raise HeadflowError(_wrong(name, f"{place}{part}", value, "an object"))


def read_config(name: str, folder: Path) -> PreTrainedConfig:
    """The config of a checkpoint, as transformers reads it; `name` is the checkpoint's.

    Raises:
        HeadflowError: a value of it is of a wrong kind.
    """
    try:
        # By default, its user is asked about code of its own
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except StrictDataclassError as error:
        if line := _line_of(name, folder, one_line(error)):
            raise HeadflowError(line) from error
        raise
    except (AttributeError, IndexError, KeyError, TypeError) as error:  # of what is in an object or a list
        raise HeadflowError(
            f"config.json of {name} has a value of another kind than is needed ({one_line(error)[:200]}); "
            + AS_PUBLISHED
        ) from error
    return config


def _line_of(name: str, folder: Path, said: str) -> str | None:
    """What transformers says of a field of config.json, in a line of ours; None if it says something else."""
    field, types = _FIELD.search(said), _TYPES.search(said)
    if field is None or types is None:
        return None
    named = types[1] or types[2]
    words = re.findall(r"\w+", re.sub(r"\[.*?\]", "", named))
    needed = [_KINDS[word] for word in words if word in _KINDS and not (word == "int" and "float" in words)]
    needed = [named] if named.startswith("one of ") else needed
    fields = _fields(read_object(folder / "config.json", "config.json"))
    places = [(place, value) for place, value in fields if place.rpartition(".")[2] == field[1]]
    places.sort(key=lambda found: repr(found[1]) not in said)
    return _wrong(name, *places[0], " or ".join(dict.fromkeys(needed))) if places and needed else None


def _fields(config: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """All fields of a config.json, by their places, such as `text_config.hidden_size`."""
    for name, value in config.items():
        yield f"{place}{name}", value
        if isinstance(value, dict):
            yield from _fields(value, f"{place}{name}.")


def _wrong(name: str, place: str, value: Any, needed: str) -> str:
    return f"config.json of {name} has {place} {short(value)}, where {needed} is needed; {AS_PUBLISHED}"
