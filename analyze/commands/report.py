"""`report`: a run, and its comparison with another one, as one page for a browser."""

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated

from analyze.commands.shared_settings import (
    FolderSettings,
    PromptSettings,
    Related,
    RunSettings,
    ScopeName,
    SeedSettings,
)
from schemas.commands.settings import Between, Flag, Needs, OneOf
from schemas.files.locations import Location

if TYPE_CHECKING:
    from analyze.tables.frames import Heads

from analyze.opening import check_named_once, check_no_folder, name_with, opened, output_folder
from analyze.results import Result
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.files.writing import write_text
from schemas.store.directory import record_outputs

_PACKAGES = ("altair", "jinja2", "vl_convert")
MOST_IMAGES = 10_000  # in a page; MME has 1,187
MOST_MAPS = 1000  # MB


@dataclass(frozen=True)
class ReportSettings(SeedSettings, FolderSettings, PromptSettings, RunSettings):
    """Settings of `report`."""

    other: Annotated[Location | None, "a run to compare it with", Flag(metavar="RUN_B")] = None
    _: KW_ONLY
    text_scope: ScopeName = None
    related: Annotated[Related, Needs("other")] = False
    lang: Annotated[str, "of the page's texts", OneOf(("en", "zh"))] = "en"
    images: Annotated[int, "thumbnails that the page holds, at most", Between(0, MOST_IMAGES)] = 24
    maps_mb: Annotated[
        float,
        "MB of maps of these images that the page holds, at most, before they are compressed; a byte a patch",
        Between(0, MOST_MAPS),
    ] = 1.0


def report_run(settings: ReportSettings) -> Result:
    """`report`: the page, and how large it is."""
    try:
        from analyze.report.page import Choices, make_page
        from analyze.report.samples.pieces import Held
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise HeadflowError(f"the page needs {error.name}: pip install -e '.[report]'") from None
    from analyze.maps.reading import of_several

    heads = opened(settings.run, settings.prompt)
    other = _other(settings)
    check_named_once([heads, other] if other else [heads])
    folder = output_folder(settings.output_dir, heads)
    choices = Choices(
        Held(settings.images, settings.maps_mb), settings.lang, settings.text_scope, settings.related, settings.seed
    )
    name = "report" if other is None else name_with("report_with", heads, other)
    file = folder / f"{name}{'' if settings.lang == 'en' else f'.{settings.lang}'}.html"
    check_no_folder(file)
    text = make_page(heads, other, choices)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    record_outputs(heads.run.path, [file])
    several = of_several(heads) if MAPS in heads.run.manifest.tables else None
    size = f"{len(text.encode()) / 1e6:.1f} MB"
    return Result(
        about=[f"{file}, {size}; open it in a browser, or send it: it needs nothing else"],
        warnings=list(filter(None, [several])),
    )


def _other(settings: ReportSettings) -> "Heads | None":
    """The run to compare with, in the same wording where it has several."""
    from analyze.tables.frames import in_wording, wordings

    if settings.other is None:
        return None
    heads = opened(settings.other, mixed=True)
    return in_wording(heads, settings.prompt if wordings(heads) else None)
