"""Every reader refuses what cannot be, with a line that names the column, and `validate` says the same."""

import numpy as np
import pytest

from analyze.maps.reading import sample_maps
from analyze.tables.frames import open_heads
from analyze.tables.text_scope import TextScope
from analyze.tables.values import sample_values, table_values
from schemas.columns import CONTRIBUTIONS, LAYERS, MAP, MAPS
from schemas.errors import HeadflowError
from schemas.files.ranges import beyond_image
from schemas.validation.run import validate
from tests.support.runs import put, rewrite, write_run

INFINITE = float("inf")


def read(run, table, name):
    """Read a column as commands do."""
    heads, _ = open_heads(run)
    if table == "heads":
        sample_values(heads, [name], TextScope.of(heads.run.manifest, heads.samples, None))
    elif name == MAP:
        list(sample_maps(heads, {0}))
    elif table != "samples":
        table_values(heads, table, [name])


@pytest.mark.parametrize(
    ("table", "name", "value", "says"),
    [
        ("heads", "t2v", 7.0, "`t2v` is outside 0..1 in 1 row"),
        ("heads", "t2v", -0.5, "`t2v` is outside 0..1 in 1 row"),
        ("heads", "v2bos", INFINITE, "`v2bos` is not finite in 1 row"),
        ("samples", "p_yes", 5.0, "`p_yes` is outside 0..1 in 1 row"),
        ("samples", "n_user", -2, "`n_user` is outside 0 or more in 1 row"),
        ("samples", "margin", -INFINITE, "`margin` is not finite in 1 row"),
        ("samples", "grid_rows", 0, "`grid_rows` is outside 1 or more in 1 row"),
        ("samples", "boxes", [[1.0, 2.0]], "`boxes` has 1 rectangle that is not [x0, y0, x1, y1]"),
        (MAPS, "mass", 3.0, "`mass` is outside 0..1 in 1 row"),
        (MAPS, "entropy", 2.0, "`entropy` is outside 0..1 in 1 row"),
        (MAPS, MAP, [-0.1, *[0.0] * 23], "`map` is outside 0..1 in 1 row"),
        (CONTRIBUTIONS, "d2v", -INFINITE, "`d2v` is not finite in 1 row"),
        (LAYERS, "bi_last", 2.5, "`bi_last` is outside 0..2 in 1 row"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, table, name, value, says):
    run = write_run(tmp_path / "run", tables=[CONTRIBUTIONS, LAYERS, MAPS])
    rewrite(run, table, lambda content: put(content, name, 2, value))
    with pytest.raises(HeadflowError) as refused:
        read(run, table, name)
    assert says in str(refused.value)
    assert str(refused.value).endswith("; run validate")
    assert says in "\n".join(validate(run))


@pytest.mark.parametrize(
    ("boxes", "objects", "outside"),
    [
        (None, None, 0),
        ([[0, 0, 40, 30]], [{"boxes": []}, {"boxes": [[0, -1, 41, 31]]}], 0),
        ([[0, 0, 42, 30]], None, 1),
        ([[0, 0, 40, 30]], [{"boxes": [[0, 0, 30, 40]]}], 1),
        (np.array([[-3, 0, 40, 30]]), np.array([{"boxes": [np.array([0, 0, 9, 9])]}]), 1),
    ],
)
def test_boxes_beyond_the_image(boxes, objects, outside):
    row = {"boxes": boxes, "objects": objects, "image_width": 40, "image_height": 30}
    assert (beyond_image([row]) is not None) == outside
    if outside:
        assert "2 samples have boxes outside the image" in beyond_image([row, row])
