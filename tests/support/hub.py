"""The hub without a network: a cache laid out like the real one, and a stand-in that fetches into it, and counts."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cache_files(cache: Path, name: str, source: Path, files: Sequence[str], commit: str = COMMIT) -> Path:
    """Put files of a folder into the hub's cache as those of a model; returns their directory."""
    storage = cache / f"models--{name.replace('/', '--')}"
    snapshot = storage / "snapshots" / commit
    for folder in (storage / "blobs", storage / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (storage / "refs" / "main").write_text(commit)
    for file in files:
        blob = storage / "blobs" / f"{hash(file) & 0xFFFFFFFF:08x}"
        blob.write_bytes((source / file).read_bytes())
        if not (snapshot / file).exists():
            (snapshot / file).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    return snapshot


class Hub:
    """Stands in for `huggingface_hub` in `extract.models.weights.files`.

    Attributes:
        models: the folders that are the repositories, by name.
        fetched: the files that were fetched, by the repository's name.
    """

    def __init__(self, cache: Path, models: dict[str, Path]) -> None:
        self.cache, self.models = cache, models
        self.fetched: dict[str, list[str]] = {name: [] for name in models}

    def install(self, monkeypatch) -> None:
        """Take the place of the real hub, in a cache of its own."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(self.cache))
        monkeypatch.setattr("extract.models.weights.files.snapshot_download", self.snapshot_download)
        monkeypatch.setattr("extract.models.weights.files.HfApi", lambda: self)

    def list_repo_files(self, name: str, *, revision: str) -> list[str]:
        """The files of a repository."""
        assert revision == COMMIT
        return [path.name for path in self.models[name].iterdir()]

    def snapshot_download(self, name: str, *, revision: str | None, allow_patterns: Sequence[str]) -> str:
        """Fetch some files of a repository into the cache."""
        assert revision in (None, COMMIT)
        if name not in self.models:
            raise OSError(f"404: {name}")
        files = [path.name for path in self.models[name].iterdir()]
        wanted = [file for file in files if any(fnmatch(file, pattern) for pattern in allow_patterns)]
        self.fetched[name] += [file for file in wanted if file not in self.fetched[name]]
        return str(cache_files(self.cache, name, self.models[name], wanted))
