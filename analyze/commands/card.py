"""`card`: a copy of a run with a dataset card, as a folder for the Hugging Face hub."""

import argparse

from analyze.opening import opened
from analyze.tables.frames import ANSWERS, IMAGES
from schemas.cli import say
from schemas.text import counted

CARD = "README.md"


def write_card(arguments: argparse.Namespace) -> int:
    """`card`: the copy, and what is left to do before it is uploaded."""
    from analyze.card.page import card
    from analyze.card.pictures import find_pictures
    from analyze.card.publishing import publish

    heads = opened(arguments.run, mixed=True, columns=[*IMAGES, *ANSWERS, "reason"])
    pictures, with_texts = find_pictures(heads), arguments.with_texts
    text = card(heads, list(pictures), with_texts=with_texts)
    files = {name: file.read_bytes() for name, file in pictures.items()} | {CARD: text.encode()}
    publish(heads.run, arguments.output, files, with_texts=with_texts, overwrite=arguments.overwrite)
    beside = f"{CARD} and {counted(len(pictures), 'picture')}"
    say(f"{counted(len(heads.samples), 'sample')}, {beside} in {arguments.output}")
    if with_texts:
        say("warning: it has texts and pictures of the benchmark, which have licences of their own", error=True)
    else:
        say("left out: questions, answers, boxes, thumbnails; --with-texts keeps them")
    say(f"next: choose a licence in {CARD}, then: hf upload USER/NAME {arguments.output} . --repo-type dataset")
    return 0
