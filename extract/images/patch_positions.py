"""Where in an image its tokens lie: the pictures that a model reads of it, and one grid on which they are laid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the original image
_LEAST = 1e-6  # of a token: a smaller share of it in a patch is rounding


@dataclass(frozen=True)
class PlacedPicture:
    """A picture that a model reads, the whole image or a tile of it, cut into patches; a token for each.

    Attributes:
        first: the number of its first token among those that stand for the image.
        rows: of patches; `columns` too.
        box: what it shows of the original image; beyond the image where it is padded.
        step: tokens from a row of patches to the next: more than `columns` if a row ends with tokens that show nothing.
    """

    first: int
    rows: int
    columns: int
    box: Box
    step: int

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """The number of each patch's token, [rows, columns]."""
        return self.first + np.arange(self.rows)[:, None] * self.step + np.arange(self.columns)


@dataclass(frozen=True)
class Places:
    """How the tokens of an image are laid on a grid of patches.

    What a token gets is divided among the patches that it covers, by their areas: so the coarse picture of a whole
    image adds to the finer ones of its tiles.

    Attributes:
        rows: of the grid; `columns` too.
        box: what the grid covers of the original image; beyond the image where it is padded.
        tokens: int64 [patches, k], tokens that a patch takes from, row by row on the grid.
        shares: float32 [patches, k], which share of the token it takes; 0 where a patch has fewer than k.
        outside: float32 [tokens], the share of each token that lies nowhere on the grid.
    """

    rows: int
    columns: int
    box: Box
    tokens: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]
    outside: npt.NDArray[np.float32]


def lay_patches(grid: PlacedPicture, pictures: Sequence[PlacedPicture], tokens: int) -> Places:
    """Lay pictures of one image on a grid.

    Args:
        grid: gives rows, columns and box; may be one of the pictures.
        tokens: how many stand for the image; those of no picture lie nowhere.

    Raises:
        ValueError: a picture has more tokens than there are.
    """
    if any(picture.tokens.max() >= tokens for picture in pictures):
        raise ValueError(f"pictures of {max(picture.tokens.max() for picture in pictures) + 1} tokens, not {tokens}")
    found = [_overlap(grid, picture) for picture in pictures]
    patch, token, share = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(patch, kind="stable")
    patch, token, share = patch[order], token[order], share[order]
    number = np.bincount(patch, minlength=grid.rows * grid.columns)
    place = np.arange(len(patch)) - np.repeat(np.cumsum(number) - number, number)
    shape = len(number), int(number.max())
    all_tokens, all_shares = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    all_tokens[patch, place], all_shares[patch, place] = token, share
    outside = 1 - np.bincount(token, share, tokens)
    outside[np.abs(outside) < _LEAST] = 0
    return Places(grid.rows, grid.columns, grid.box, all_tokens, all_shares, outside.astype(np.float32))


def _overlap(
    grid: PlacedPicture, picture: PlacedPicture
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Patches of the grid, tokens of the picture, and the share of the token in the patch, where there is one."""
    across = _shares((grid.box[0], grid.box[2], grid.columns), (picture.box[0], picture.box[2], picture.columns))
    down = _shares((grid.box[1], grid.box[3], grid.rows), (picture.box[1], picture.box[3], picture.rows))
    grid_row, row = np.nonzero(down)
    grid_column, column = np.nonzero(across)
    patch = (grid_row[:, None] * grid.columns + grid_column).ravel()
    token = picture.tokens[row[:, None], column].ravel()
    return patch, token, (down[grid_row, row][:, None] * across[grid_column, column]).ravel()


def _shares(grid: tuple[float, float, int], picture: tuple[float, float, int]) -> npt.NDArray[np.float64]:
    """Along one axis, the share of each step of a picture in each step of a grid, [grid's steps, picture's steps]."""
    to, of = np.linspace(*grid[:2], grid[2] + 1), np.linspace(*picture[:2], picture[2] + 1)
    overlap = np.minimum(to[1:, None], of[1:]) - np.maximum(to[:-1, None], of[:-1])
    shares = overlap.clip(min=0) / (of[1:] - of[:-1])
    shares[shares < _LEAST] = 0
    shares[shares > 1 - _LEAST] = 1
    return shares
