"""`text`: generated texts, each token shaded by image mass, and the maps of the words that look most."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Annotated

from analyze.commands.shared_settings import PictureSettings, PromptSettings, RunSettings
from analyze.opening import opened, output_folder
from analyze.results import Result
from schemas.commands.settings import Flag
from schemas.files.locations import Location
from schemas.text import counted

_DRAWN = 6  # texts, unless samples are asked for
_FOLDER = "text"


@dataclass(frozen=True)
class TextSettings(PictureSettings, PromptSettings, RunSettings):
    """Settings of `text`."""

    _: KW_ONLY
    samples: Annotated[
        tuple[str, ...] | None,
        "samples whose texts are drawn (default: the first of six categories)",
        Flag(metavar="ID"),
    ] = None
    head: Annotated[
        str | None,
        "whose image mass is shown: a head such as L3H5, or most, the head that looks most in these texts (default: "
        "the mean over all heads)",
    ] = None
    image_folder: Annotated[
        Location | None, "where the images are (default: where the run had them, else its thumbnails)"
    ] = None


def draw_texts(settings: TextSettings) -> Result:
    """`text`: a picture of each text, and a table of the tokens."""
    from analyze.drawing.tokens import text_figure
    from analyze.generated.reading import Texts
    from analyze.maps.reading import of_several
    from analyze.pictures.images import PictureImages
    from analyze.pictures.texts import TextPictures, chosen_texts

    heads = opened(settings.run, settings.prompt)
    folder = output_folder(settings.output_dir, heads, _FOLDER)
    samples = chosen_texts(settings.samples, Texts.of(heads), _DRAWN)
    images, found = PictureImages(heads, settings.image_folder), TextPictures(heads, samples, settings.head)
    pictures = list(found.all(images))
    return Result(
        heads.run.path,
        folder,
        warnings=[*images.warnings(counted(len(pictures), "text")), *filter(None, [of_several(heads)])],
        statements=list(found.statements()),
        tables={"tokens.csv": found.table()},
        figures=[(each.name, partial(text_figure, each)) for each in pictures],
    )
