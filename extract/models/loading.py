"""Loads a model: a path or hub id, in transformers' format or LLaVA's released one."""

import json
import operator
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError

from extract.images.preprocessing import ImageSettings, Preprocessor
from extract.models import transformers_format
from extract.models.families import check_new_tokens, find_family
from extract.models.fingerprint import SETTINGS
from extract.models.llava import released
from extract.models.transformers_model import TransformersModel
from extract.models.unknown.refusals import check_format
from extract.models.unknown.values import check_values, read_config
from extract.models.weights.adapter import ADAPTER_CONFIG
from extract.models.weights.files import Files, find_base, find_files
from extract.models.weights.quantised import Quantisation
from extract.prompts.prompt_format import PromptFormat
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import cut, listed, one_line, printable, storable

_VALIDATION = re.compile(r"^(Class v|V)alidation error for \w+ '\w+': (\w+Error: )?")


def load_model(
    model_path: str,
    model_base: str | None = None,
    *,
    device: torch.device,
    dtype: str = "auto",
    images: ImageSettings | None = None,
    quantize: str | None = None,
    others: Sequence[torch.device] = (),
) -> TransformersModel:
    """Load a checkpoint, local or from the hub.

    Args:
        model_base: what a LoRA or projector-only checkpoint stands on; None: what an adapter of peft names.
        dtype: `float16`, `bfloat16`, `float32`, or `auto` (see `extract.models.checkpoint.choose_dtype`).
        images: how images are preprocessed.
        quantize: what the weights are quantised to as they are loaded, of `extract.models.weights.quantised.BITS`.
        others: further devices, among which its layers are divided.

    Raises:
        HeadflowError: no such model, no vision-language model, a form that is not read, or weights that do not fit.
    """
    images = images or ImageSettings()
    with _errors_named(model_path):
        files, config, adapter = _find(model_path, model_base)
        quantised = _find_quantised(files, config, adapter, quantize)
        if released.is_released(config):
            base = find_files(model_base) if model_base else None
            return released.load_released(files, base, config, images, device=device, dtype=dtype, others=others)
        check_format(files.name, config)
        if adapter is not None:
            _warn_of_settings(adapter, files)
        if quantised is not None and others:
            raise HeadflowError("quantised weights are read on one device", setting="device")
        return transformers_format.load_transformers(
            files, config, images, adapter, quantised, device=device, dtype=dtype, others=others
        )


def load_prompt_format(
    model_path: str, model_base: str | None = None, images: ImageSettings | None = None
) -> tuple[PromptFormat, Preprocessor]:
    """How prompts for a checkpoint are written, and what preprocesses its images; see `describe_model`."""
    found = describe_model(model_path, model_base, images)
    return found.prompt_format, found.preprocessor


def describe_model(
    model_path: str, model_base: str | None = None, images: ImageSettings | None = None
) -> transformers_format.Described:
    """What a checkpoint is, by all of its files but its weights, which are neither read nor fetched.

    Raises:
        HeadflowError: as `load_model`, but for weights.
    """
    images = images or ImageSettings()
    with _errors_named(model_path):
        files, config, adapter = _find(model_path, model_base)
        _find_quantised(files, config, adapter, None)
        if released.is_released(config):
            base = find_files(model_base) if model_base else None
            return released.describe_released(files, base, config, images)
        check_format(files.name, config)
        return transformers_format.describe(files, config, images)


def check_decoding(model_path: str, model_base: str | None = None) -> None:
    """Check by a checkpoint's config.json that what it writes can be observed.

    Raises:
        HeadflowError: it cannot.
    """
    with _errors_named(model_path):
        files, config, _ = _find(model_path, model_base)
        if not released.is_released(config):
            check_format(files.name, config)
            found = read_config(files.name, files.folder)
            check_new_tokens(f"{files.name}, a {found.model_type},", find_family(found), found.get_text_config())


@contextmanager
def _errors_named(model_path: str) -> Iterator[None]:
    """Turn errors of third-party loaders into one line that names the model."""
    try:
        yield
    except HeadflowError:
        raise
    except Exception as error:  # third-party loaders raise anything
        why = one_line(error)
        if "install" in why:
            why = (
                f"{_without_advice(why)}; what needs more packages than headflow's own is not supported, "
                "see extract/guide/models.md"
            )
        elif isinstance(error, StrictDataclassError):
            why = _VALIDATION.sub("", why).partition(". Errors: ")[0]  # which say the same of each type
        raise HeadflowError(f"{model_path} cannot be loaded: {cut(why, 500)}") from error


def _without_advice(text: str) -> str:
    """A message of transformers without what it says about packages to install, which need not help here."""
    sentences = re.split(r"(?<=[.!]) ", text)
    kept = [sentence for sentence in sentences if "install" not in sentence and "http" not in sentence]
    return " ".join(kept or [re.split(r"\W*(?:pip )?install", sentences[0])[0]]).rstrip(" .")


def _find(model_path: str, model_base: str | None) -> tuple[Files, dict[str, Any], Files | None]:
    """The files of a checkpoint, or of the base of an adapter of peft; their config.json; and the adapter's files."""
    if model_path != storable(model_path):
        raise HeadflowError(
            f"the path {model_path} is not UTF-8 to Python, whose encoding of names is {sys.getfilesystemencoding()}; "
            "weights and tokenizers are read by paths in UTF-8: set PYTHONUTF8=1, or rename the folder",
            setting="model_path",
        )
    files = find_files(model_path)
    own = files.folder / "config.json"
    config = _read_config(files) if own.is_file() or ADAPTER_CONFIG not in files.stored else {}
    if released.is_released(config):
        return files, config, None
    if ADAPTER_CONFIG not in files.stored:
        if model_base is not None:
            raise HeadflowError(
                f"a base is given, but {files.name} has no {ADAPTER_CONFIG}: it is no adapter", setting="model_base"
            )
        return files, config, None
    if model_base is None and files.whole():
        raise HeadflowError(
            f"{files.name} has {ADAPTER_CONFIG} and weights of a whole model: name the base of the adapter, or remove "
            f"{ADAPTER_CONFIG}",
            setting="model_base",
        )
    base = find_base(files, model_base)
    config = _read_config(base)
    if released.is_released(config):
        raise HeadflowError(
            f"{files.name} is an adapter without a config.json, and its base {base.name} a LLaVA in its released "
            "format: only the llava package's own LoRA checkpoints are read there",
            setting="model_base",
        )
    return base, config, files


def _find_quantised(
    files: Files, config: dict[str, Any], adapter: Files | None, quantize: str | None
) -> Quantisation | None:
    """How the weights of a checkpoint are quantised, or are to be; raises if they cannot be read so."""
    found = Quantisation.of(config)
    if found is not None and adapter is not None:
        raise HeadflowError(
            f"the weights of {files.name} are quantised, and {adapter.name} cannot be merged into them: name the plain "
            "model as its base",
            setting="model_base",
        )
    if quantize is not None:
        if found is not None:
            raise HeadflowError(f"the weights of {files.name} are quantised already", setting="quantize")
        if adapter is not None:
            raise HeadflowError(f"{adapter.name} is merged into weights that are not quantised", setting="quantize")
        found = Quantisation.asked(quantize)
    if found is None:
        return None
    if released.is_released(config):
        raise HeadflowError(
            f"{files.name} is a LLaVA in its released format, of which no quantised weights are read: take the same "
            "model in transformers' format",
            setting="quantize" if quantize else None,
        )
    found.check(files.name)
    return found


def _read_config(files: Files) -> dict[str, Any]:
    try:
        config = read_object(files.folder / "config.json", "its config.json")
    except HeadflowError as error:
        raise HeadflowError(f"no model at {files.name}: {error}") from None
    check_values(files.name, config)
    return config


def _warn_of_settings(adapter: Files, base: Files) -> None:
    """Say which files of tokenizers and processors an adapter has that are not those of its base, which are read."""
    names = [name for name in SETTINGS if name != "config.json" and _differ(adapter.folder / name, base.folder / name)]
    if names:
        warning = f"warning: {listed(names)} of the adapter {adapter.name} are not read; those of {base.name} are"
        print(printable(warning), file=sys.stderr)


def _differ(one: Path, other: Path) -> bool:
    """Whether a file is there and says something else than another one."""
    if not one.is_file():
        return False
    texts = [path.read_bytes() if path.is_file() else b"" for path in (one, other)]
    try:
        return bool(operator.ne(*map(json.loads, texts)))
    except ValueError:  # no JSON
        return texts[0] != texts[1]
