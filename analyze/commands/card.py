"""`card`: a copy of a run with a dataset card, as a folder for the Hugging Face hub."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from analyze.commands.shared_settings import DerivedSettings, RunSettings
from analyze.opening import opened
from analyze.results import Result
from schemas.text import counted

CARD = "README.md"


@dataclass(frozen=True)
class CardSettings(DerivedSettings, RunSettings):
    """Settings of `card`."""

    _: KW_ONLY
    with_texts: Annotated[
        bool,
        "keep questions, answers, boxes, objects, thumbnails, and texts that the model was given, which have licences "
        "of their own; else they are left out",
    ] = False


def write_card(settings: CardSettings) -> Result:
    """`card`: the copy, and what is left to do before it is uploaded."""
    from analyze.card.page import card
    from analyze.card.publishing import find_pictures, publish
    from analyze.tables.frames import ANSWERS, IMAGE_KEYS

    heads = opened(settings.run, mixed=True, columns=[*IMAGE_KEYS, *ANSWERS, "reason"])
    pictures, with_texts = find_pictures(heads), settings.with_texts
    text = card(heads, list(pictures), with_texts=with_texts)
    files = {name: file.read_bytes() for name, file in pictures.items()} | {CARD: text.encode()}
    publish(heads.run, settings.output_dir, files, with_texts=with_texts, overwrite=settings.overwrite)
    beside = f"{CARD} and {counted(len(pictures), 'picture')}"
    given = ", texts that the model was given" if heads.run.manifest.texts_sha256 else ""
    left_out = f"left out: questions, answers, boxes, objects, thumbnails{given}; --with-texts keeps them"
    upload = f"hf upload USER/NAME {settings.output_dir} . --repo-type dataset"
    return Result(
        about=[f"{counted(len(heads.samples), 'sample')}, {beside} in {settings.output_dir}"],
        warnings=["it has texts and pictures of the benchmark, which have licences of their own"] * with_texts,
        next=[*[left_out] * (not with_texts), f"next: choose a licence in {CARD}, then: {upload}"],
    )
