"""Pictures of maps on the images that they are of.

sample_{id}        one sample, a panel for each head
head_L{l}H{h}      one head, a panel for each sample
mean_L{l}H{h}      the mean map of a head, and what each sample's map adds to it: ln(p / p_head)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyze.maps.grids import GridBox, read_boxes, read_grid
from analyze.maps.measures import check_size
from analyze.maps.reading import Maps, sample_maps, which_image
from analyze.maps.results import Localisation
from analyze.pictures.file_names import file_names
from analyze.pictures.images import Grey, PictureImages
from analyze.pictures.of_run import subject
from analyze.statistics.clusters import Array
from schemas.columns import OF_LAST
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import HeadSet, head_name, read_head
from schemas.text import counted, listed, short

_Place = tuple[int, int]  # layer and head
UNIT: GridBox = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Overlay:
    """A map on its image.

    Attributes:
        lines: of its title.
        values: [rows, columns], attention relative to an even map, or `ln(p / p_head)`; NaN where there is no patch.
        box: what the grid covers, `x0, y0, x1, y1` in pixels of the image.
        size: width and height of the image.
        image: None: it is not there.
        boxes: where the answer lies.
        read: what the model reads of the image; None: `box`.
    """

    lines: tuple[str, ...]
    values: Array
    box: GridBox
    size: tuple[float, float]
    image: Grey | None = None
    boxes: Sequence[GridBox] = ()
    read: GridBox | None = None

    @property
    def inside(self) -> GridBox | None:
        """The part of the image that the model reads; None: all of it, but for a pixel."""
        (width, height), (x0, y0, x1, y1) = self.size, self.read or self.box
        if x0 < 1 and y0 < 1 and x1 > width - 1 and y1 > height - 1:
            return None
        return max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)


@dataclass(frozen=True)
class OverlayPicture:
    """A picture of several maps.

    Attributes:
        name: of its file.
        of: what it is of.
        overlays: maps relative to an even one, on one scale; `debiased`: those as `ln(p / p_head)`, on another.
    """

    name: str
    title: str
    of: tuple[str, ...]
    overlays: tuple[Overlay, ...]
    debiased: tuple[Overlay, ...] = ()


def chosen_heads(asked: Sequence[str] | None, found: Localisation, number: int) -> list[_Place]:
    """The heads that are drawn, by names such as `L3H5`; None: `Localisation.drawn_heads`.

    Raises:
        HeadflowError: a name is none, or of a head that has no map.
    """
    if asked is None:
        return found.drawn_heads(number)
    kept, places = found.measures.kept, []
    for each in asked:
        place = read_head(each)
        if place is None:
            raise HeadflowError(f"{short(each)} is no head, such as L3H5", setting="heads")
        if outside := HeadSet(frozenset({place})).outside(found.heads.run.manifest):
            raise HeadflowError(f"{each} {outside}", setting="heads")
        if not kept[found.measures.place(place)]:
            raise HeadflowError(
                f"{each} has no map; {int(kept.sum())} of {counted(kept.size, 'head')} "
                f"{'has' if kept.sum() == 1 else 'have'} one",
                setting="heads",
            )
        places.append(place)
    return list(dict.fromkeys(places))


def chosen_samples(asked: Sequence[str] | None, found: Localisation, number: int) -> list[int]:
    """The places in `found.samples` of those that are drawn; None: the first of each category, up to a number.

    Raises:
        HeadflowError: an id is not among them.
    """
    ids = found.samples["sample_id"].astype(str)
    if asked is None:
        return found.samples.groupby("category", sort=False, observed=True).head(1).index[:number].tolist()
    place = dict(zip(ids, range(len(ids)), strict=True))
    if missing := [each for each in asked if each not in place]:
        names, there = listed([short(each) for each in missing]), listed(list(ids), 3)
        raise HeadflowError(f"no sample {names} was observed here; there are {there}", setting="samples")
    return list(dict.fromkeys(place[each] for each in asked))


@dataclass(frozen=True)
class Overlays:
    """The pictures of some samples and heads.

    Attributes:
        maps: of the samples by place in `found.samples`, [heads that have one, patches]; `grey`: their images.
    """

    found: Localisation
    heads: Sequence[_Place]
    maps: Mapping[int, Maps]
    grey: Mapping[int, Grey | None]

    @classmethod
    def of(
        cls, found: Localisation, heads: Sequence[_Place], samples: Sequence[int], images: PictureImages
    ) -> "Overlays":
        """Read the maps of some samples, in this order, and their images."""
        place = {int(found.measures.rows[each]): each for each in samples}
        maps = {place[row]: each for row, each in sample_maps(found.heads, place.keys())}
        for each in samples:
            check_size(found.heads, int(found.measures.rows[each]), maps[each], read_grid(found.samples.iloc[each]))
        grey = {each: images.read(found.samples.iloc[each]) for each in samples}
        return cls(found, heads, {each: maps[each] for each in samples}, grey)

    def all(self) -> Iterator[OverlayPicture]:
        """All pictures, in the order in which they are drawn."""
        yield from self.of_samples()
        for head in self.heads:
            yield self._head(head)
        for head in self.heads:
            yield self._mean(head)

    def of_samples(self) -> Iterator[OverlayPicture]:
        """A picture of each sample, with all heads."""
        files = file_names(self.found.samples["sample_id"].astype(str).iloc[list(self.maps)])
        for sample in self.maps:
            yield self._sample(sample, f"sample_{files[str(self._row(sample)['sample_id'])]}")

    def _sample(self, sample: int, file: str) -> OverlayPicture:
        row = self._row(sample)
        overlays = tuple(
            self._overlay(sample, head, (f"{head_name(*head)}, mass {self._mass(sample, head):.2f}",))
            for head in self.heads
        )
        of = (
            f"attention of {self.whose}",
            f"answer {_text(row['answer'])}",
            f"prediction {_text(row['prediction'])}",
            f"sample {row['sample_id']}",
            *filter(None, [self._image_of(row)]),
        )
        return OverlayPicture(file, _text(row["question"]), (*of, *self._subject), overlays)

    def _head(self, head: _Place) -> OverlayPicture:
        overlays = tuple(self._overlay(sample, head, self._lines(sample, head)) for sample in self.maps)
        title = f"{head_name(*head)}: attention of {self.whose} on the image"
        return OverlayPicture(f"head_{head_name(*head)}", title, self._subject, overlays)

    def _mean(self, head: _Place) -> OverlayPicture:
        means, number = self.found.measures.means, self._number(head)
        mean = Overlay(("mean of all",), means.relative(number), UNIT, (1.0, 1.0))
        debiased = tuple(
            Overlay(
                self._lines(sample, head),
                means.debiased(number, maps[number], read_grid(self._row(sample))),
                (0.0, 0.0, *self._size(sample)),
                self._size(sample),
                self.grey[sample],
                read_boxes(self._row(sample)),
                read_grid(self._row(sample)).box,
            )
            for sample, maps in self.maps.items()
        )
        title = f"{head_name(*head)}: its mean map, and what single images add to it"
        of = (f"mean of {counted(round(means.samples[number]), 'sample')}", *self._subject)
        return OverlayPicture(f"mean_{head_name(*head)}", title, of, (mean,), debiased)

    def _overlay(self, sample: int, head: _Place, lines: tuple[str, ...]) -> Overlay:
        row, weights = self._row(sample), self.maps[sample][self._number(head)].astype(np.float64)
        grid = read_grid(row)
        values = (weights / (weights.mean() or 1.0)).reshape(grid.rows, grid.columns)
        return Overlay(lines, values, grid.box, self._size(sample), self.grey[sample], read_boxes(row))

    def _lines(self, sample: int, head: _Place) -> tuple[str, ...]:
        row = self._row(sample)
        said = f"{_text(row['prediction'])}, mass {self._mass(sample, head):.2f}"
        return tuple(filter(None, (_text(row["question"]), self._image_of(row), said)))

    def _row(self, sample: int) -> pd.Series:
        return self.found.samples.iloc[sample]

    def _image_of(self, row: pd.Series) -> str | None:
        """Which of several images the maps are of; see `which_image`."""
        return which_image(row, self.found.heads.picture)

    def _size(self, sample: int) -> tuple[float, float]:
        row = self._row(sample)
        return float(row["image_width"]), float(row["image_height"])

    def _mass(self, sample: int, head: _Place) -> float:
        return float(self.found.values["mass"][sample][self.found.measures.place(head)])

    def _number(self, head: _Place) -> int:
        """The place of a head among those that have a map."""
        kept = self.found.measures.kept
        return int(kept.ravel()[: np.ravel_multi_index(self.found.measures.place(head), kept.shape)].sum())

    @property
    def _subject(self) -> tuple[str, ...]:
        return subject(self.found.heads)

    @property
    def whose(self) -> str:
        """Whose attention it is."""
        return "the last token" if self.found.heads.run.manifest.maps_of == OF_LAST else "question tokens"


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else "unknown"
