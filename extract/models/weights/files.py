"""The files of a checkpoint: a directory, or a repository of the hub; only what is read is fetched."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_OFFLINE
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from extract.models.weights.adapter import ADAPTER_CONFIG, named_base
from schemas.errors import HeadflowError
from schemas.files.json_objects import read_object
from schemas.text import cut, one_line

_DESCRIPTION = ["*.json", "*.jinja", "*.txt", "tokenizer.model"]  # all files of a checkpoint but its weights
INDEX = ".index.json"
WHOLE = ("model.safetensors", "pytorch_model.bin")  # one file; or shards, which an index names
ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
PROJECTOR, _OTHERS = "mm_projector.bin", "non_lora_trainables.bin"


@dataclass(frozen=True)
class Files:
    """The files of a checkpoint.

    Attributes:
        name: the checkpoint's path or its id on the hub, as the user gives it.
        folder: the directory that has them.
        stored: the names of all of its files, whether they are fetched or not.
        commit: the repository's commit; None for a directory of the user's own.
    """

    name: str
    folder: Path
    stored: frozenset[str]
    commit: str | None = None

    def whole(self) -> list[str]:
        """The files that hold a whole model, in one of the formats; empty if there are none.

        Raises:
            HeadflowError: an index of shards is damaged.
        """
        for name in WHOLE:
            if f"{name}{INDEX}" in self.stored:
                return read_index(self.folder / f"{name}{INDEX}")
            if name in self.stored:
                return [name]
        return []

    def partial(self) -> list[str]:
        """The files of what stands on another model: an adapter and what was trained beside it, or a projector."""
        return [self.adapter(), _OTHERS] if ADAPTER_CONFIG in self.stored else [PROJECTOR]

    def adapter(self) -> str:
        """The file that holds an adapter, in one of the formats."""
        return next((name for name in ADAPTER if name in self.stored), ADAPTER[0])

    def fetch(self, names: Iterable[str]) -> None:
        """Fetch files of a repository that are not in the hub's cache.

        Raises:
            HeadflowError: they cannot be fetched.
        """
        missing = [name for name in names if name in self.stored and not (self.folder / name).is_file()]
        if missing:
            _download(self.name, missing, self.commit)


def find_files(name: str) -> Files:
    """The files of a checkpoint, by its path or its id on the hub; of a repository, all but its weights are fetched.

    Raises:
        HeadflowError: there is no such checkpoint.
    """
    folder = Path(name)
    if folder.is_dir():
        return Files(name, folder, list_files(folder))
    try:
        folder = _download(name, _DESCRIPTION)
    except HeadflowError:
        cached = find_cached(name)  # what other programs have fetched, if the hub cannot be asked
        if cached is None:
            raise
        folder = cached
    try:
        stored = frozenset(HfApi().list_repo_files(name, revision=folder.name))
    except Exception:  # the hub cannot be asked
        stored = list_files(folder)
    return Files(name, folder, stored, folder.name)


def find_base(adapter: Files, base: str | None = None) -> Files:
    """The files of what an adapter stands on: a base by its path or id on the hub, else the one that it names.

    Raises:
        HeadflowError: it names none, there is no such checkpoint, or it is an adapter itself.
    """
    named = base or named_base(adapter.folder)
    if not named:
        raise HeadflowError(f"{ADAPTER_CONFIG} of {adapter.name} names no base: name it", setting="model_base")
    try:
        found = find_files(named)
    except HeadflowError as error:
        if base is not None:
            raise
        raise HeadflowError(
            f"{error}; {adapter.name} names it as its base: name where the base is", setting="model_base"
        ) from None
    if ADAPTER_CONFIG in found.stored:
        raise HeadflowError(
            f"the base {found.name} has {ADAPTER_CONFIG}: an adapter over an adapter is not read", setting="model_base"
        )
    return found


def find_cached(name: str) -> Path | None:
    """The directory of a checkpoint in the hub's cache; None if it is not there."""
    try:
        found = [try_to_load_from_cache(name, file) for file in ("config.json", "tokenizer_config.json")]
    except ValueError:  # no name that a repository can have
        return None
    return next((Path(path).parent for path in found if isinstance(path, str)), None)


def read_index(index: Path) -> list[str]:
    """The shards that an index names.

    Raises:
        HeadflowError: it is no index.
    """
    shards = read_object(index, str(index)).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise HeadflowError(f"{index} has no weight_map that names files")
    return sorted({Path(shard).name for shard in shards.values()})


def list_files(folder: Path) -> frozenset[str]:
    """The names of the files in a directory."""
    return frozenset(path.name for path in folder.iterdir())


def _download(name: str, patterns: list[str], commit: str | None = None) -> Path:
    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=patterns))
    except Exception as error:  # third-party loaders raise anything
        raise HeadflowError(f"no model at {name}: {_why_not(name, error)}") from None


def _why_not(name: str, error: Exception) -> str:
    """Why a name is neither a directory nor a model of the hub."""
    if Path(name).exists():
        return "it is a file; give the directory that has the checkpoint"
    if isinstance(error, HFValidationError):
        return "there is no such directory, and it is no id of a model on the hub, which has the form OWNER/NAME"
    if isinstance(error, LocalEntryNotFoundError):
        why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else _first_line(error)
        return (
            f"there is no such directory, it is not in the hub's cache, and the hub cannot be asked: {why}; give a "
            "directory, or see to the network"
        )
    return f"there is no such directory, and the hub does not give it: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    """What an error of the hub's client says in its first line; advice for other programs comes after it."""
    first, *_ = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return cut(one_line(first), 200).removeprefix("Got: ")
