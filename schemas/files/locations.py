"""Where a run lies: a directory, or a prefix of an object store such as `s3://bucket/run`.

An object store has no locks, no rename, and no folders: an object is there when it was put whole. pyarrow talks to it;
credentials and the endpoint come from the usual environment variables, such as `AWS_ACCESS_KEY_ID`, `AWS_REGION` and
`AWS_ENDPOINT_URL`.
"""

import hashlib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from schemas.errors import HeadflowError

if TYPE_CHECKING:  # a command reads its flags before it imports pyarrow
    import pyarrow as pa
    from pyarrow import fs

STORES = ("s3", "gs", "gcs", "abfs", "abfss")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class ObjectPath:
    """A path on an object store, with what runs need of `pathlib.Path`. Its methods raise `OSError`, as `Path`'s do.

    Attributes:
        root: the store and its bucket or container, such as `s3://bucket`.
        key: the path in it, without a slash at its ends; empty: the bucket itself.
    """

    root: str
    key: str

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __truediv__(self, other: str) -> "ObjectPath":
        return ObjectPath(self.root, f"{self.key}/{other}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the path; of a bucket its name."""
        return str(self).rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> "ObjectPath":
        """The path without its last part."""
        return ObjectPath(self.root, self.key.rpartition("/")[0])

    @property
    def parents(self) -> Iterator["ObjectPath"]:
        """The paths that it lies in, the bucket last."""
        path = self
        while path.key:
            path = path.parent
            yield path

    def resolve(self) -> "ObjectPath":
        """The path itself: there are no links."""
        return self

    def relative_to(self, other: "ObjectPath") -> PurePosixPath:
        """The path from another one; raises `ValueError` if it does not lie in that."""
        return PurePosixPath(str(self)).relative_to(PurePosixPath(str(other)))

    def exists(self) -> bool:
        """Whether there is an object of this name, or one below it."""
        return self._type() != "NotFound"

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return self._type() == "File"

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return self._type() == "Directory"

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """What lies directly below it and has a name that fits the pattern, in order."""
        from pyarrow import fs

        folder = fs.FileSelector(self._full, allow_not_found=True)
        names = sorted(found.base_name for found in self._store.get_file_info(folder))
        return (self / name for name in names if name and fnmatchcase(name, pattern))

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: there are no folders."""

    def open(self, mode: Literal["rb"] = "rb") -> "pa.NativeFile":
        """Open the object to read from any place in it; there is no other mode."""
        return self._store.open_input_file(self._full)

    def read_bytes(self) -> bytes:
        """The content of the object."""
        with self.open() as file:
            return file.read()

    def read_text(self, encoding: str) -> str:
        """The content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: "bytes | pa.Buffer") -> None:
        """Put the object; readers see all of it or what was there before, also where this process is killed."""
        with self._store.open_output_stream(self._full) as stream:
            stream.write(content)  # all at once: a stream that is closed after a part of it would put that part

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            self._store.delete_file(self._full)
        except FileNotFoundError:
            if not missing_ok:
                raise

    @property
    def _full(self) -> str:
        return f"{_store(self.root)[1].rstrip('/')}/{self.key}".rstrip("/")

    @property
    def _store(self) -> "fs.FileSystem":
        return _store(self.root)[0]

    def _type(self) -> str:
        return str(self._store.get_file_info(self._full).type.name)


Location: TypeAlias = Path | ObjectPath


def location(text: str) -> Location:
    """The directory or the place on an object store that a text names.

    Raises:
        HeadflowError: it names a store of a kind that is not known, or settings of a store.
    """
    if not URI.match(text):
        return Path(text)
    scheme, _, rest = text.partition("://")
    if scheme == "file":
        return Path(unquote(urlsplit(text).path))
    if scheme not in STORES:
        raise HeadflowError(f"{text}: {scheme}:// is not a store that can be read; these can: {', '.join(STORES)}")
    bucket, _, key = rest.partition("/")
    if "?" in rest or not bucket:
        wrong = "settings of a store come from its environment variables" if bucket else "it names no bucket"
        raise HeadflowError(f"{text}: {wrong}")
    return ObjectPath(f"{scheme}://{bucket}", key.strip("/"))


def telling_name(path: Location, beside: Location | None = None) -> str:
    """A file name for what is about `path`, such as `run-1f2e3d4c`, that paths with the same last part do not share.

    It ends with a hash of the whole path, unless `path` lies in the same folder as `beside`.
    """
    whole = path.resolve()
    if beside is not None and whole.parent == beside.resolve().parent:
        return whole.name
    return f"{whole.name}-{hashlib.sha256(str(whole).encode(errors='surrogateescape')).hexdigest()[:8]}"


def check_no_device(path: Location) -> None:
    """Raise `OSError` for a pipe or a device, which a reader may wait for without end, or if nothing is there."""
    if isinstance(path, ObjectPath):  # has none
        return
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError("it is a pipe or a device, not a file")


@lru_cache
def _store(root: str) -> "tuple[fs.FileSystem, str]":
    """The store of a bucket, and the bucket's own path in it.

    Raises:
        OSError: there is no such store, or its settings are missing.
    """
    import pyarrow as pa
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(root)
    except (pa.ArrowException, ValueError) as error:
        raise OSError(f"{root}: {error}") from None
