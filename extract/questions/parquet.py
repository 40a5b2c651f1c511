"""Parquet shards, as the hub has MME: rows of questions with the bytes of their images.

A row has one image, in `image`, or several, in `image_1` ... `image_7` as MMMU, or in a list, `images`.

Rows are numbered through all shards, from 0. Texts are read together, each image when it is needed. Meanwhile a process
holds one page of a few images. If a row group stores its images in a dictionary, as it does if images repeat, a process
holds twice the distinct images of that row group.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from extract.questions.content.chats import MESSAGES
from extract.questions.fields import FIELD_NAMES, NEEDED, image_columns, is_missing, option_columns
from extract.questions.samples import Sample
from extract.questions.stored_images import StoredImages
from extract.questions.unread import deciding
from schemas.errors import HeadflowError
from schemas.files.parquet import open_parquet, reading
from schemas.tasks import GROUPED
from schemas.text import one_line

_FILE_NAME = "filename"
_FIELDS = (name for field, names in FIELD_NAMES.items() if field != "image_file" for name in names)
_TEXTS = tuple(dict.fromkeys((*_FIELDS, *GROUPED)))
_BATCH = 4  # images that are decoded together
NUMBERED = re.compile(r"(.*)-\d{5}-of-(\d{5})")  # the hub's names of shards


def find_shards(path: Path) -> list[Path]:
    """The Parquet files of a path, by name; empty if it has none.

    Args:
        path: a Parquet file, a pattern such as `data/test-*`, or a folder that holds Parquet files itself or in its
            folder `data`, as on the hub.

    Raises:
        HeadflowError: a file is missing, by the total in the hub's names (`test-00000-of-00002-...`).
    """
    if "*" in path.name:
        found = _parquet(path.parent, path.name)
    elif path.is_dir():
        found = _parquet(path, "*") or _parquet(path, "data/*")
    else:
        return [path] if path.suffix.lower() == ".parquet" else []
    numbered = Counter(match.groups() for file in found if (match := NUMBERED.match(file.name)))
    for (name, total), count in numbered.items():
        if count != int(total):
            raise HeadflowError(f"question file {path} has {count} of the {int(total)} files {name}-*: fetch the rest")
    return found


def _parquet(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.suffix.lower() == ".parquet" and file.name[0] != ".")


def read_texts(shards: Sequence[Path], mapped: Mapping[str, str] = MappingProxyType({})) -> Iterator[dict[str, Any]]:
    """The rows of shards, without their images: the fields of MME_test.json, and what decides questions beside them.

    `image_file` is a name and never a path: that in the column `filename`, the question's id, the image's own name, or
    the row number.

    Raises:
        HeadflowError: a shard does not exist or cannot be read, or its columns are not those of MME.
    """
    number = 0
    for shard in shards:
        file = _open(shard, mapped)
        names = [name for name in _TEXTS if name in file.schema_arrow.names]
        names += [_FILE_NAME] * (_FILE_NAME in file.schema_arrow.names)
        more = [*deciding(file.schema_arrow.names), *option_columns(file.schema_arrow.names)]
        names += [name for name in more if not _holds_bytes(file.schema_arrow.field(name).type)]
        columns = _image_columns(file.schema_arrow, mapped)
        names += [leaf for name in columns for leaf in _leaves(file, name, "path")]
        names += [name for name in mapped.values() if name not in (*names, *columns)]
        with _reading(shard):
            rows = file.read(columns=names).to_pylist()
            further = {name: _has_image(file, name) for name in columns[1:]}
        for place, row in enumerate(rows):
            first, *others = (row.pop(name, None) for name in columns)
            images = first or [None] if isinstance(first, list) else [first]
            images += [
                found or {} if there[place] else None for found, there in zip(others, further.values(), strict=True)
            ]
            given = row.pop(_FILE_NAME, None), row.get(mapped.get("question_id", "question_id"))
            yield row | {"image_file": _image_names(given, number, images)}
            number += 1


def _image_names(given: Sequence[Any], number: int, images: list[Any]) -> Any:
    """The name of a row's image, or the names of several: as the row has it, or the image's own, or the row number.

    Args:
        given: what a row may call it: a file's name, the question's id.
        images: with the `path` of each, if it has one; a further one that is not there is None.
    """
    while len(images) > 1 and images[-1] is None:
        images = images[:-1]
    known = [name for name in given if not is_missing(name) and name != ""]
    paths = [(each or {}).get("path") or "" for each in images]
    if len(images) == 1:
        return next(iter([*known, *filter(None, paths)]), number)
    return [path or f"{next(iter(known), number)}#{place}" for place, path in enumerate(paths, start=1)]


def read_table(shards: Sequence[Path], mapped: Mapping[str, str] = MappingProxyType({})) -> list[Any] | None:
    """The rows of shards whose images are files, which a column of text names; None if images are in the shards.

    Raises:
        HeadflowError: a shard does not exist or cannot be read, or its columns are not those of the first one.
    """
    schema = _schema(shards[0])
    named = [name for name in FIELD_NAMES["image_file"] if name in schema.names] + image_columns(schema.names)
    named = [mapped["image_file"]] if "image_file" in mapped else named
    chats = [name for name in (MESSAGES, "id") if MESSAGES in schema.names and name in schema.names]
    if not (named or chats) or any(not _names_images(schema.field(schema.names.index(name)).type) for name in named):
        return None
    known = dict.fromkeys((*(name for names in FIELD_NAMES.values() for name in names), *GROUPED))
    columns = [name for name in known if schema.names.count(name) == 1] + image_columns(schema.names)
    more = [*deciding(schema.names), *option_columns(schema.names)]
    columns += [name for name in more if not _holds_bytes(schema.field(name).type)]
    columns += [name for name in (*mapped.values(), *chats) if name not in columns]
    rows: list[Any] = []
    for shard in shards:
        with _reading(shard):
            rows += open_parquet(shard).read(columns=columns).to_pylist()
    return rows


def columns_of_shards(shards: Sequence[Path]) -> list[str]:
    """The columns of the first shard; raises `HeadflowError` if it cannot be read."""
    names: list[str] = _schema(shards[0]).names
    return names


def _holds_bytes(kind: pa.DataType) -> bool:
    """Whether a type is of bytes, or has them inside, as images have."""
    if _is_binary(kind):
        return True
    return any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _image_columns(schema: pa.Schema, mapped: Mapping[str, str]) -> list[str]:
    """The columns that hold a row's images: one for each, in order, or one of lists; `image` if there are none.

    A column that is mapped to `image_file` holds all of them.
    """
    if "image_file" in mapped:
        return [mapped["image_file"]]
    held = [name for name in schema.names if schema.names.count(name) == 1 and _holds_bytes(schema.field(name).type)]
    several = {name: name.strip().lower() for name in image_columns(held)}
    lists = [name for name in several if _is_list(schema.field(name).type)]
    if lists:
        return lists[:1]
    return ["image"] * ("image" in held or not several) + sorted(several, key=lambda name: several[name])


def _leaves(file: pq.ParquetFile, column: str, field: str) -> list[str]:
    """The paths of a field of a column of structs, or of lists of these; of a column of bytes, its own path."""
    paths = [file.metadata.schema.column(index).path for index in range(file.metadata.num_columns)]
    own = [path for path in paths if path.split(".")[0] == column]
    kind = file.schema_arrow.field(column).type
    if field == "bytes" and _is_binary(kind.value_type if _is_list(kind) else kind):
        return own
    return [path for path in own if path.split(".")[-1] == field]


def _has_image(file: pq.ParquetFile, name: str) -> list[bool]:
    """Which rows have an image in a column. Its bytes are read where the shard does not say that it has none."""
    found: list[bool] = []
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if not _has_images(file.metadata, group, name):
            found += [False] * rows
            continue
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=_leaves(file, name, "bytes")):
            cells = batch.column(name)
            found += (cells if _is_binary(cells.type) else cells.flatten()[0]).is_valid().to_pylist()
    return found


def _has_images(metadata: pq.FileMetaData, group: int, name: str) -> bool:
    """Whether a column of images has any in a row group, as far as the shard says how many it lacks."""
    for index in range(metadata.num_columns):
        column = metadata.row_group(group).column(index)
        if column.path_in_schema.split(".")[0] == name:
            found = column.statistics
            if found is None or not found.has_null_count or found.null_count < column.num_values:
                return True
    return False


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _names_images(kind: pa.DataType) -> bool:
    """Whether a type is of text, or of lists of it; or of nothing."""
    return pa.types.is_null(kind) or _is_text(kind.value_type if _is_list(kind) else kind)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


class ImageBytes(StoredImages):
    """The images of shards by row and number in the row, None where there is none.

    Each process opens the shards by itself.
    If rows are read in order, each row group is read once. Going back reads a row group again.
    """

    def __init__(self, shards: Sequence[Path], mapped: Mapping[str, str] = MappingProxyType({})) -> None:
        self._shards = shards
        self._mapped = dict(mapped)  # processes that read images get a copy
        self._group = -1  # the row group that `_cells` are of
        self._next = 0  # the row that it gives next
        self._cells: Iterator[list[pa.Scalar]] = iter(())
        self._row = -1  # the one that `_images` are of
        self._images: list[pa.Scalar] = []

    def places(self, sample: Sample) -> tuple[tuple[int, int], ...]:
        """The row of a sample, with the number of each image in it."""
        return tuple((sample.row, number) for number in sample.numbers or range(len(sample.images)))

    def where(self, place: tuple[int, int]) -> str:
        """See `StoredImages.where`."""
        row, number = place
        return f"row {row}, image {number + 1}," if number else f"row {row}"

    def __getitem__(self, place: tuple[int, int]) -> bytes | None:
        """An image of a row; raises `HeadflowError` if it cannot be read."""
        row, number = place
        if row != self._row:
            self._row = -1
            self._images = self._read(row)
            self._row = row
        content: bytes | None = self._images[number].as_py() if number < len(self._images) else None
        return content

    def _read(self, row: int) -> list[pa.Scalar]:
        group = bisect_right(self._groups, row, key=lambda each: each[0]) - 1
        first, shard, number = self._groups[group]
        if group != self._group or row < self._next:
            self._cells, self._next = _cells(shard, number, self._mapped), first
        self._group = -1  # if reading fails here, the row group is opened again next time
        cells = next(islice(self._cells, row - self._next, None), None)
        if cells is None:
            raise HeadflowError(f"question file {shard} has fewer rows than it says; fetch it again")
        self._group, self._next = group, row + 1
        return cells

    @cached_property
    def _groups(self) -> list[tuple[int, Path, int]]:
        """First row, shard and number in the shard of each row group."""
        groups, first = [], 0
        for shard in self._shards:
            metadata = _open(shard, self._mapped).metadata
            for number in range(metadata.num_row_groups):
                groups.append((first, shard, number))
                first += metadata.row_group(number).num_rows
        return groups


def _cells(shard: Path, group: int, mapped: Mapping[str, str]) -> Iterator[list[pa.Scalar]]:
    """The bytes of the images of each row of a row group, in order."""
    # Memory-mapped, in one thread: a process holds a few decoded pages and not the file
    with _reading(shard):
        file = open_parquet(shard, memory_map=True)
        names = _image_columns(file.schema_arrow, mapped)
        leaves = [leaf for name in names for leaf in _leaves(file, name, "bytes")]
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=leaves, use_threads=False):
            columns = [batch.column(name) for name in names]
            for row in range(batch.num_rows):
                cells = [column[row] for column in columns]
                if _is_list(columns[0].type):
                    cells = list(cells[0].values or [])
                yield [_content(cell) for cell in cells]


def _content(cell: pa.Scalar) -> pa.Scalar:
    """The bytes of an image, as they are or in a struct."""
    return cell["bytes"] if cell.is_valid and pa.types.is_struct(cell.type) else cell


def _schema(shard: Path) -> pa.Schema:
    with _reading(shard):
        return open_parquet(shard).schema_arrow


def _open(shard: Path, mapped: Mapping[str, str]) -> pq.ParquetFile:
    """A shard with the columns of MME; raises `HeadflowError` if it has others or cannot be read."""
    with _reading(shard):
        file = open_parquet(shard)
        schema = file.schema_arrow
    images = _image_columns(schema, mapped)
    for name in (*images, mapped.get("question", "question")):
        if schema.names.count(name) != 1:
            raise HeadflowError(
                f"question file {shard} needs one column `{name}`; it has {', '.join(schema.names)}; a table without "
                f"images needs {NEEDED}, of text"
            )
    for name in images:
        kind = schema.field(name).type
        image = kind.value_type if _is_list(kind) else kind
        index = image.get_field_index("bytes") if pa.types.is_struct(image) else -1
        if not _is_binary(image if index < 0 else image[index].type):
            raise HeadflowError(
                f"question file {shard}: the column `{name}` is {one_line(kind)}, neither binary nor a struct with "
                "binary `bytes`"
            )
    return file


@contextmanager
def _reading(shard: Path) -> Iterator[None]:
    """Raise `HeadflowError` for a shard that does not exist or cannot be read."""
    try:
        with reading(f"question file {shard}", "; fetch it again"):
            yield
    except FileNotFoundError:
        raise HeadflowError(f"question file {shard} does not exist") from None
