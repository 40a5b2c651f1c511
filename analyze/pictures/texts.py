"""Generated texts as pictures: each token with the image mass of the step that chose it, and words with their maps.

A row of a step says where the model looked when it chose the token of that step; its query is the token before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analyze.generated.reading import IMAGE_ROLE, Texts
from analyze.maps.grids import read_grid
from analyze.maps.measures import check_size
from analyze.maps.reading import Maps, which_image
from analyze.pictures.file_names import file_names
from analyze.pictures.images import PictureImages
from analyze.pictures.of_run import subject
from analyze.pictures.overlays import Overlay
from analyze.statistics.clusters import Array
from analyze.tables.frames import Heads
from analyze.tables.rows import part_apart, part_lists, part_values
from schemas.columns import STEP_MAPS, STEPS, TOKEN_TEXT, TOKENS
from schemas.errors import HeadflowError
from schemas.jobs.head_sets import head_name, read_head
from schemas.store.grids import Grid
from schemas.text import counted, find_words, listed, short

_MOST = "most"  # the head that looks most in the texts
WORDS = 6  # whose maps are drawn
_CHOSEN = "when the token was chosen"
_Place = tuple[int, int]  # layer and head


@dataclass(frozen=True)
class _Written:
    """The text of a sample.

    Attributes:
        row: of the sample in `samples`.
        pieces: the text of each token.
        masses: image mass of each step, [tokens]; NaN where the step has no row.
        maps: attention on each patch, float32 [steps with maps, heads with maps, patches]; None: there are none.
    """

    row: pd.Series
    pieces: Sequence[str]
    masses: Array
    maps: Maps | None


@dataclass(frozen=True)
class TextPicture:
    """A text, its tokens shaded by image mass, and the maps of the words that look most.

    Attributes:
        name: of its file.
        of: what it is of.
        pieces, masses: see `_Written`.
        caption: whose mass and whose maps these are, in words.
        overlays: the maps, in the order of the text; each has three lines, of several images four.
    """

    name: str
    title: str
    of: tuple[str, ...]
    pieces: Sequence[str]
    masses: Array
    caption: tuple[str, ...]
    overlays: tuple[Overlay, ...]


class TextPictures:
    """The texts of some samples of a run.

    Attributes:
        whose: whose image mass is shown, in words; `whose_maps`: whose maps, empty if there are none.
        texts: in the order asked for.
    """

    def __init__(self, heads: Heads, samples: Sequence[int], head: str | None) -> None:
        """Read them, and choose a head.

        Args:
            samples: their places in `Heads.samples`.
            head: whose mass is shown, such as `L3H5`, or `_MOST`; None: the mean over all heads that have rows.

        Raises:
            HeadflowError: the head is none, or has no rows; or a part of a table is missing, or lacks rows.
        """
        self._heads, self._kept = heads, Grid.of(heads.run, STEPS).kept
        self._every = heads.run.manifest.every
        self._mapped = Grid.of(heads.run, STEP_MAPS).listed if STEP_MAPS in heads.run.manifest.tables else None
        read = {each: (pieces, masses, maps) for each, pieces, masses, maps in self._read(set(samples))}
        place = self._chosen(head, [read[each][1] for each in samples])
        column = slice(None) if place is None else [int(self._kept.ravel()[: self._flat(place)].sum())]
        own = column if self._mapped is None else self._own_maps(place)
        self.whose = self._in_words(place, head == _MOST)
        self.whose_maps = self._maps_in_words(place)
        self.texts = []
        for each in samples:
            pieces, masses, maps = read[each]
            by_step = np.full(len(pieces), np.nan)
            by_step[:: self._every] = masses[:, column].mean(axis=1)
            row = heads.samples.iloc[each]
            if maps is not None:
                check_size(heads, each, maps[0], read_grid(row))
                maps = maps[:, own]
            self.texts.append(_Written(row, pieces, by_step, maps))

    def _read(self, wanted: set[int]) -> Iterator[tuple[int, list[str], Array, Maps | None]]:
        """Of each sample: its pieces, image masses float64 [steps, heads that have rows], and maps."""
        heads, run = self._heads, self._heads.run
        for part, own, names in heads.each_part():
            if wanted.isdisjoint(own.tolist()):
                continue
            pieces, values = part_apart(run, TOKENS, part, names, TOKEN_TEXT), part_values(run, STEPS, part, names)
            maps = [None] * len(names) if self._mapped is None else part_lists(run, STEP_MAPS, part, names)
            for number, each in enumerate(own.tolist()):
                if each in wanted:
                    masses = values[number][..., IMAGE_ROLE].reshape(len(values[number]), -1).astype(np.float64)
                    lists = maps[number]
                    yield each, pieces[number], masses, None if lists is None else _by_step(lists[0], len(masses))

    def _chosen(self, head: str | None, masses: Sequence[Array]) -> _Place | None:
        """The head whose mass is shown; None: the mean."""
        if head is None:
            return None
        kept = self._named(self._kept)
        if head == _MOST:
            return kept[np.concatenate(masses).mean(axis=0).argmax()]
        place = read_head(head)
        if place is None:
            raise HeadflowError(f"{short(head)} is neither a head such as L3H5 nor {_MOST}", setting="head")
        if place not in kept:
            there = listed([head_name(*each) for each in kept])
            raise HeadflowError(
                f"{head} has no rows in `{STEPS}` of {self._heads.run.path}; there are {there}", setting="head"
            )
        return place

    def _named(self, chosen: npt.NDArray[np.bool_]) -> list[_Place]:
        """The layers and numbers of some heads, bool [layers, heads]."""
        return [(int(self._heads.attending[layer]), int(head)) for layer, head in np.argwhere(chosen)]

    def _flat(self, place: _Place) -> int:
        return int(np.searchsorted(self._heads.attending, place[0])) * self._heads.heads + place[1]

    def _own_maps(self, place: _Place | None) -> slice | list[int]:
        """Which of the heads that have maps are shown: that of the masses if it has one, else all."""
        assert self._mapped is not None
        if place is None or not self._mapped.ravel()[self._flat(place)]:
            return slice(None)
        return [int(self._mapped.ravel()[: self._flat(place)].sum())]

    def _in_words(self, place: _Place | None, most: bool) -> str:
        if place is None:
            return f"mean over {counted(int(self._kept.sum()), 'head')}"
        return f"head {head_name(*place)}" + (", which looks most in these texts" if most else "")

    def _maps_in_words(self, place: _Place | None) -> str:
        if self._mapped is None:
            return ""
        if place is not None and self._mapped.ravel()[self._flat(place)]:
            return f"maps of head {head_name(*place)}"
        first, *others = self._named(self._mapped)
        return f"mean map of {1 + len(others)} heads" if others else f"maps of head {head_name(*first)}"

    def all(self, images: PictureImages) -> Iterator[TextPicture]:
        """A picture of each text, with the maps of up to `WORDS` words."""
        files = file_names(str(text.row["sample_id"]) for text in self.texts)
        for text in self.texts:
            sample, ended = str(text.row["sample_id"]), text.row["ended"]
            of = (
                f"{counted(len(text.pieces), 'token')}, ended: {ended}",
                f"sample {sample}",
                *subject(self._heads),
            )
            title = str(text.row["question"] or "").strip() or "unknown"
            overlays = tuple(self._overlays(text, images))
            rows = f"; steps: every {self._every}" if self._every > 1 else ""
            image = which_image(text.row, self._heads.picture)
            mass = "image mass" if image is None else "mass on all images"
            caption = [f"{mass} {_CHOSEN}: {self.whose}{rows}"]
            maps = self.whose_maps if image is None else f"{self.whose_maps} on {image}"
            caption += [f"below, words of most mass: {maps}"] if overlays else []
            yield TextPicture(f"text_{files[sample]}", title, of, text.pieces, text.masses, tuple(caption), overlays)

    def _overlays(self, text: _Written, images: PictureImages) -> Iterator[Overlay]:
        if text.maps is None:
            return
        grid, grey = read_grid(text.row), images.read(text.row)
        size = (float(grid.width), float(grid.height))
        several = which_image(text.row, self._heads.picture) is not None
        for step, word in most_massive(text.pieces, text.masses, WORDS):
            weights = text.maps[step // self._every].mean(axis=0, dtype=np.float64)
            values = (weights / (weights.mean() or 1.0)).reshape(grid.rows, grid.columns)
            lines = (word, f"step {step}", f"mass {text.masses[step]:.2f}", *(["on all images"] if several else []))
            yield Overlay(lines, values, grid.box, size, grey)

    def statements(self) -> Iterator[str]:
        """Of each text, the words that were chosen with the most image mass."""
        for text in self.texts:
            words = [
                f'"{word}" ({text.masses[step]:.2f})' for step, word in most_massive(text.pieces, text.masses, WORDS)
            ]
            about = f"{text.row['sample_id']}: image mass {_CHOSEN}, {self.whose}"
            yield f"{about}, is largest at {', '.join(words)}" if words else f"{about}: the text has no word"

    def table(self) -> pd.DataFrame:
        """`sample_id`, `step`, `text` and `image_mass` of each token, null where its step has no row."""
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "sample_id": str(text.row["sample_id"]),
                        "step": np.arange(len(text.pieces)),
                        "text": text.pieces,
                        "image_mass": text.masses,
                    }
                )
                for text in self.texts
            ],
            ignore_index=True,
        )


def _by_step(lists: Maps, steps: int) -> Maps:
    """Maps [rows, patches] as [steps, heads, patches]."""
    return lists.reshape(steps, -1, lists.shape[1])


def chosen_texts(asked: Sequence[str] | None, texts: Texts, number: int) -> list[int]:
    """The places in `Heads.samples` of the texts that are drawn; None: the first of each category, up to a number.

    Raises:
        HeadflowError: an id has no text.
    """
    samples = texts.samples
    if asked is None:
        firsts: list[int] = samples.groupby("category", sort=False, observed=True).head(1).index[:number].tolist()
        return firsts
    place = dict(zip(samples["sample_id"].astype(str), samples.index.tolist(), strict=True))
    if missing := [each for each in asked if each not in place]:
        names, there = listed([short(each) for each in missing]), listed(list(place), 3)
        raise HeadflowError(f"no sample {names} has a text here; there are {there}", setting="samples")
    return [place[each] for each in dict.fromkeys(asked)]


def most_massive(pieces: Sequence[str], masses: Array, number: int) -> list[tuple[int, str]]:
    """The words whose first piece was chosen with the largest image mass, in the order of the text."""
    known = [each for each in find_words(pieces) if np.isfinite(masses[each[0]])]
    return sorted(sorted(known, key=lambda each: -masses[each[0]])[:number])
