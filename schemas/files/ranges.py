"""Whether values can be what their column says: finite, within its range, rectangles of four numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import BOX, OBJECTS, RECTANGLES, Column
from schemas.text import counted

_PIXEL = 1  # that a rectangle may reach beyond its image, as annotations round
SLACK = 5e-4  # of a sum of masses beyond its range: in half precision they carry the error of the kernel's logsumexp


def out_of_range(values: pa.Array | pa.ChunkedArray, column: Column, slack: float = SLACK) -> list[str]:
    """What is wrong with the values of a column, for lines that begin with the file; nulls are left out.

    Args:
        values: of the column's type.
        slack: how far a float may lie beyond the range.
    """
    kind = column.type
    wrong = _rectangles(values, column) if column.unit == BOX else []
    while pa.types.is_list(kind):
        values, kind = pc.list_flatten(values), kind.value_type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return wrong
    numbers = values.drop_null() if values.null_count else values
    return wrong + _beyond(numbers.to_numpy(), column, slack if pa.types.is_floating(kind) else 0)


def _rectangles(values: pa.Array | pa.ChunkedArray, column: Column) -> list[str]:
    """Rectangles that are not `x0, y0, x1, y1` with x0 <= x1 and y0 <= y1."""
    if column.type == OBJECTS:
        values = pc.struct_field(pc.list_flatten(values), "boxes")
    rectangles = (pc.list_flatten(values) if column.type in (OBJECTS, RECTANGLES) else values).drop_null()
    lengths = pc.list_value_length(rectangles).to_numpy()
    corners = pc.list_flatten(rectangles)
    if (lengths == 4).all() and not corners.null_count:
        x0, y0, x1, y1 = corners.to_numpy().reshape(-1, 4).T
        bad = (x0 > x1) | (y0 > y1)
    else:
        bad = lengths != 4
    many = counted(max(1, bad.sum()), "rectangle that is", "rectangles that are")
    what = f"`{column.name}` has {many} not [x0, y0, x1, y1], x0 <= x1, y0 <= y1"
    return [what] if bad.any() or corners.null_count else []


def _beyond(numbers: npt.NDArray[np.number], column: Column, slack: float) -> list[str]:
    low, high = column.low - slack, column.high + slack
    if not len(numbers):
        return []
    least, most = numbers.min(), numbers.max()
    if low <= least and most <= high and np.isfinite(most) and np.isfinite(least):  # False for NaN
        return []
    finite = np.isfinite(numbers)
    wrong = [f"`{column.name}` is not finite in {counted((~finite).sum(), 'row')}"] if not finite.all() else []
    beyond = numbers[finite & ~((numbers >= low) & (numbers <= high))]
    if len(beyond):
        wrong.append(
            f"`{column.name}` is outside {column.range} in {counted(len(beyond), 'row')} ({least:.6g} to {most:.6g})"
        )
    return wrong


def beyond_image(samples: Iterable[Mapping[Any, Any]]) -> str | None:
    """A warning of samples with `boxes`, or boxes of `objects`, outside their image; None if there are none.

    Args:
        samples: rows with `boxes`, `objects`, `image_width` and `image_height`, none of the last two being null.
    """
    wrong = 0
    for row in samples:
        boxes = [
            *members(row["boxes"]),
            *(box for each in members(row["objects"]) for box in members(each["boxes"])),
        ]
        size = (row["image_width"], row["image_height"])
        ends = [(corner, size[place % 2]) for box in boxes for place, corner in enumerate(box)]
        wrong += any(corner < -_PIXEL or corner > end + _PIXEL for corner, end in ends)
    if not wrong:
        return None
    return (
        f"{counted(wrong, 'sample has', 'samples have')} boxes outside the image; give them in pixels of the original"
    )


def members(value: Any) -> list[Any]:
    """The members of a list, as pyarrow or pandas has it; none for null."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []
