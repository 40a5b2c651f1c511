"""Made-up runs with maps of known places: grids that differ, boxes, a head that points, sinks; and their images."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.columns import MAPS, OF_LAST, TABLES
from tests.support.maps import VALUES, describe
from tests.support.runs import flows, sample, start

SIZE = (60, 40)
# Rows, columns and box of grids: the whole image, a crop of it, and the image padded to a square
GRIDS = ((4, 6, (0, 0, 60, 40)), (5, 5, (10, 0, 50, 40)), (6, 6, (0, -10, 60, 50)))
POINTER = (1, 2)
WORDINGS = {name: {"template": f"{name} {{question}}", "conv_mode": None, "system": None} for name in ("one", "two")}


def write_looking(
    path: Path, *, images=24, layers=2, heads=3, points=0.9, boxes=True, kept=None, sink=0.2, seed=0, folder=None,
    grids=GRIDS, wordings=False, **fields,
):  # fmt: skip
    """A run of two questions on each image, of two categories.

    Args:
        points: how often the largest patch of the head `POINTER` is the one at the box.
        sink: of the mass of layer 0, on sinks; None: null.
        folder: where images are written; None: nowhere.
        grids: of the images in turn.
        fields: of the manifest.
    """
    random = np.random.default_rng(seed)
    names = list(WORDINGS) if wordings else [None]
    settings = {
        "layers": layers, "heads": heads, "tables": [MAPS], "maps_of": OF_LAST,
        "maps_heads": [list(each) for each in sorted(kept or [])], **({"prompts": WORDINGS} if wordings else {}),
    }  # fmt: skip
    writer = start(path, 2 * images * len(names), fields=settings | fields)
    for number in range(2 * images):
        rows, columns, box = grids[number // 2 % len(grids)]
        answer = answer_box(number // 2)
        content = picture(number // 2)
        row = sample(number, "OCR" if number < images else "color") | {
            "row": number, "image_sha256": hashlib.sha256(content).hexdigest(), "image_width": SIZE[0],
            "image_height": SIZE[1], "grid_rows": rows, "grid_columns": columns, "grid_box": list(map(float, box)),
            "margin": 1.0 if number % 2 == 0 else -1.0,
        }  # fmt: skip
        row |= {"boxes": [answer]} if boxes else {}
        if folder is not None:
            (folder / row["image"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / row["image"]).write_bytes(content)
        for name in names:
            maps = made_up_maps(random, layers, heads, (rows, columns, box), answer, points)
            grid, drawn = maps_of(maps, box, sink)
            drawn = np.stack([drawn[each] for each in sorted(kept)]) if kept else drawn.reshape(layers * heads, -1)
            mine = row | ({"sample_id": f"{row['sample_id']}@{name}", "prompt": name} if name else {})
            writer.add(
                mine,
                {
                    "heads": flows(random, layers, heads),
                    MAPS: grid.astype(np.float32)[None],
                    TABLES[MAPS].list_name: [drawn.astype(np.float32)],
                },
            )
    writer.finish()
    return path


def answer_box(image: int) -> list[float]:
    """The box of an image."""
    x, y = np.random.default_rng([image, 3]).uniform([10, 2], [38, 26])
    return [float(x), float(y), float(x + 12), float(y + 12)]


def made_up_maps(random, layers, heads, grid, answer, points):
    """Attention on patches, [layers, heads, rows, columns]; one of the patches of `POINTER` is far above the others."""
    rows, columns, (x0, y0, x1, y1) = grid
    maps = random.dirichlet(np.full(rows * columns, 0.5), (layers, heads)) * random.uniform(
        0.1, 0.7, (layers, heads, 1)
    )
    maps = maps.reshape(layers, heads, rows, columns)
    column = int(((answer[0] + answer[2]) / 2 - x0) / (x1 - x0) * columns)
    row = int(((answer[1] + answer[3]) / 2 - y0) / (y1 - y0) * rows)
    if random.random() >= points:
        row, column = rows - 1, 0
    own = maps[POINTER]
    own[row, column] = own.max() * 1.5
    return maps / 2


def maps_of(maps, box, sink):
    """The values of the table `maps`, and the maps, [layers, heads, patches]."""
    share = np.zeros(maps.shape[:2])
    share[0] = 0.0 if sink is None else sink
    values, drawn = describe(maps, 0.0, maps.sum(axis=(2, 3)) * share, box, SIZE)
    values[..., VALUES.index("sink")] = np.nan if sink is None else values[..., VALUES.index("sink")]
    return values, drawn


def picture(image: int, kind: str = "PNG") -> bytes:
    """The file of an image: grey noise with its box in black."""
    pixels = np.random.default_rng([image, 4]).integers(120, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    x0, y0, x1, y1 = map(int, answer_box(image))
    pixels[y0:y1, x0:x1] = 0
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()
