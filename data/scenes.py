"""The demo's pictures: coloured shapes, or one letter or digit, drawn from a seed."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

SIZE = 96  # pixels
GRID = 4  # shapes stand in a grid of so many columns and rows, a little off the middle of their cells
CELL = SIZE / GRID
BAR = 1 / 3  # half the width of a bar of the cross, in radii


def _spokes(far: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Corners so far from the centre, evenly spaced, the first on top; in radii."""
    angles = [2 * math.pi * corner / len(far) for corner in range(len(far))]
    return tuple((r * math.sin(angle), -r * math.cos(angle)) for r, angle in zip(far, angles, strict=True))


# Of each shape but the circle: its corners from the centre, in radii
CORNERS = {
    "cross": (
        *((-BAR, -1), (BAR, -1), (BAR, -BAR), (1, -BAR), (1, BAR), (BAR, BAR)),
        *((BAR, 1), (-BAR, 1), (-BAR, BAR), (-1, BAR), (-1, -BAR), (-BAR, -BAR)),
    ),
    "triangle": _spokes([1.15] * 3),
    "diamond": _spokes([1.1] * 4),
    "star": _spokes([1.2, 0.45] * 5),
}
SHAPES = ("circle", *CORNERS)
COLORS = {
    "red": (215, 30, 35),
    "green": (30, 150, 60),
    "blue": (35, 85, 215),
    "yellow": (245, 205, 0),
    "purple": (150, 45, 170),
    "black": (25, 25, 25),
}
LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
LARGEST_COUNT = 4
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """A shape, letter or digit.

    Attributes:
        x, y: its centre, in pixels like `radius`.
        turn: clockwise, in radians; letters and digits are never turned.
        contrast: 1: in its full colour; 0: in that of the paper.
    """

    name: str
    color: str
    x: float
    y: float
    radius: float
    turn: float = 0.0
    contrast: float = 1.0

    @property
    def corners(self) -> list[tuple[float, float]]:
        """The corners of a shape that has some, in pixels."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return [
            (self.x + self.radius * (dx * cos - dy * sin), self.y + self.radius * (dx * sin + dy * cos))
            for dx, dy in CORNERS[self.name]
        ]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle around it, `(x0, y0, x1, y1)` in pixels, within the image."""
        if self.name in CORNERS:
            xs, ys = zip(*self.corners, strict=True)
            box = min(xs), min(ys), max(xs), max(ys)
        elif self.name in SHAPES:
            box = self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius
        else:
            alone = Image.new("L", (SIZE, SIZE))
            self._write(ImageDraw.Draw(alone), 255)
            box = alone.getbbox() or (self.x, self.y, self.x, self.y)
        x0, y0, x1, y1 = (round(min(max(at, 0.0), SIZE), 1) for at in box)
        return x0, y0, x1, y1

    def draw(self, pen: ImageDraw.ImageDraw, paper: Color) -> None:
        """Draw it on paper of a colour."""
        red, green, blue = (
            round(self.contrast * ink + (1 - self.contrast) * ground)
            for ink, ground in zip(COLORS[self.color], paper, strict=True)
        )
        if self.name in CORNERS:
            pen.polygon(self.corners, fill=(red, green, blue))
        elif self.name in SHAPES:
            pen.circle((self.x, self.y), self.radius, fill=(red, green, blue))
        else:
            self._write(pen, (red, green, blue))

    def _write(self, pen: ImageDraw.ImageDraw, ink: int | Color) -> None:
        pen.text((self.x, self.y), self.name, fill=ink, font=_font(round(2.4 * self.radius)), anchor="mm")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


@dataclass(frozen=True)
class Scene:
    """What is in an image, and the colour of its paper."""

    things: tuple[Thing, ...]
    paper: Color

    def draw(self) -> Image.Image:
        """The image, RGB, `SIZE` x `SIZE`."""
        image = Image.new("RGB", (SIZE, SIZE), self.paper)
        for thing in self.things:
            thing.draw(ImageDraw.Draw(image), self.paper)
        return image

    def unique(self) -> list[Thing]:
        """Things whose name no other thing has."""
        names = [thing.name for thing in self.things]
        return [thing for thing in self.things if names.count(thing.name) == 1]


def shapes(rng: random.Random) -> Scene:
    """Two or three kinds of shapes, the first 1 to `LARGEST_COUNT` times, the others once."""
    first, *others = rng.sample(SHAPES, rng.randint(2, 3))
    return lay_out([first] * rng.randint(1, LARGEST_COUNT) + others, rng)


def lay_out(names: Sequence[str], rng: random.Random) -> Scene:
    """Shapes in any colours, each in a cell of its own."""
    cells = rng.sample(range(GRID * GRID), len(names))
    things = [
        Thing(
            name,
            rng.choice([*COLORS]),
            (cell % GRID + 0.5) * CELL + rng.uniform(-2, 2),
            (cell // GRID + 0.5) * CELL + rng.uniform(-2, 2),
            rng.uniform(8, 9.5),
        )
        for name, cell in zip(names, cells, strict=True)
    ]
    return Scene(tuple(things), _paper(rng))


def character(rng: random.Random) -> Scene:
    """One large letter or digit, near the middle."""
    radius = rng.uniform(20, 26)
    x, y = (SIZE / 2 + rng.uniform(-8, 8) for _ in range(2))
    return Scene((Thing(rng.choice(LETTERS + DIGITS), rng.choice([*COLORS]), x, y, radius),), _paper(rng))


def _paper(rng: random.Random) -> Color:
    return rng.randint(228, 255), rng.randint(228, 255), rng.randint(228, 255)
