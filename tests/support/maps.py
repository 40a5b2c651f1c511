"""Maps in float64, after the definitions: the oracle of what extraction writes; and made-up ones."""

import numpy as np

from schemas.columns import MAP_COLUMNS, MAPS, TABLES

VALUES = [column.name for column in MAP_COLUMNS if column.name not in ("of", "map")]


def describe(weights, rest, sink, box, size):
    """The columns of maps.

    Args:
        weights: [..., rows, columns], attention on the patches.
        rest: [...], that on image tokens which lie nowhere; `sink` too: that on visual sinks.
        box: what the grid covers, in pixels; `size`: width and height of the image.

    Returns:
        float64 [..., columns] in the order of `VALUES`, and [..., rows * columns].
    """
    weights = np.asarray(weights, np.float64)
    rows, columns = weights.shape[-2:]
    total = weights.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = weights / total[..., None, None]
        entropy = -np.where(shares > 0, shares * np.log(shares), 0).sum(axis=(-2, -1)) / np.log(rows * columns)
        x0, y0, x1, y1 = box
        x = x0 + (np.arange(columns) + 0.5) / columns * (x1 - x0)
        y = y0 + (np.arange(rows) + 0.5) / rows * (y1 - y0)
        centre_x = (shares.sum(axis=-2) * x).sum(axis=-1) / size[0]
        centre_y = (shares.sum(axis=-1) * y).sum(axis=-1) / size[1]
    entropy = np.where(total > 0, entropy, np.nan)
    found = {
        "mass": total + rest, "entropy": entropy, "sink": sink, "centre_x": centre_x, "centre_y": centre_y,
        "rest": rest,
    }  # fmt: skip
    return np.stack([np.broadcast_to(found[name], total.shape) for name in VALUES], axis=-1), weights.reshape(
        *total.shape, -1
    )


def lay(weights, places):
    """Attention on image tokens [..., tokens] -> on the grid [..., rows, columns], and what lies nowhere."""
    grid = np.zeros((*weights.shape[:-1], places.rows * places.columns))
    for patch, (tokens, shares) in enumerate(zip(places.tokens, places.shares, strict=True)):
        for token, share in zip(tokens, shares, strict=True):
            grid[..., patch] += weights[..., token] * share
    return grid.reshape(*weights.shape[:-1], places.rows, places.columns), weights.sum(axis=-1) - grid.sum(axis=-1)


def made_up(random, layers, heads, *, rows=4, columns=6, box=(0, 0, 60, 40), size=(60, 40), kept=None):
    """Made-up maps of a sample: its grids, and its values for `samples`.

    Args:
        kept: pairs (layer, head) of the heads that have a map; None: all.
    """
    mass = random.uniform(0.05, 0.6, (layers, heads))
    weights = random.dirichlet(np.full(rows * columns, 0.3), (layers, heads)) * mass[..., None] * 0.9
    weights = weights.reshape(layers, heads, rows, columns)
    values, maps = describe(weights, mass * 0.1, mass * random.uniform(0, 0.5, mass.shape), box, size)
    maps = maps.reshape(-1, rows * columns) if kept is None else np.stack([maps[each] for each in sorted(kept)])
    more = {
        "image_width": size[0], "image_height": size[1], "grid_rows": rows, "grid_columns": columns,
        "grid_box": list(map(float, box)),
    }  # fmt: skip
    return {MAPS: values.astype(np.float32)[None], TABLES[MAPS].list_name: [maps.astype(np.float32)]}, more
