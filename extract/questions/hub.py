"""Question files on the hub: `hf://datasets/OWNER/NAME[@REVISION][/PATH]` -> the hub's cache on this machine."""

from pathlib import Path

from schemas.errors import HeadflowError
from schemas.text import one_line

PROTOCOL = "hf://"


def local_path(name: str) -> Path:
    """The path of a question file; one on the hub is downloaded first, unless it is in the cache.

    Args:
        name: a path, or a dataset on the hub. PATH is a file, a folder, or a pattern in its last part; without PATH,
            all Parquet files of the dataset are meant.

    Raises:
        HeadflowError: there is no such dataset or file, or the hub cannot be reached.
    """
    if not name.startswith(PROTOCOL):
        return Path(name)
    import huggingface_hub

    from extract.questions.parquet import find_shards

    try:
        uri = huggingface_hub.parse_hf_uri(name)
        if uri.type != "dataset":
            raise ValueError(f"it names a {uri.type}; write {PROTOCOL}datasets/OWNER/NAME")
        inside = uri.path_in_repo.rstrip("/")
        wanted = [inside, f"{inside}/*"] if inside else ["*.parquet"]
        folder = huggingface_hub.snapshot_download(
            uri.id, repo_type="dataset", revision=uri.revision, allow_patterns=wanted
        )
    except Exception as error:  # the hub's client also raises what its HTTP library does
        raise HeadflowError(f"question file {name} cannot be fetched: {one_line(error)[:300]}") from None
    found = Path(folder, inside)
    if not find_shards(found) and not (inside and found.exists()):
        raise HeadflowError(
            f"question file {name} is not there: the dataset, or its copy in the cache, has no {inside or 'Parquet'}"
        )
    return found
