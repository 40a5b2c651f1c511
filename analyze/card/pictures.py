"""Which pictures of a run go with its card: those of `plots` that are of the whole run, and show no image."""

import re
from pathlib import Path

from analyze.tables.frames import Heads, wordings
from schemas.columns import FLOW_NAMES

FIGURES = "figures"
SHOWN = ("png", "svg")  # formats that a page shows
FLOWS = "|".join(map(re.escape, FLOW_NAMES))
NAME = re.compile(
    rf"[\w.+-]*_(overall_stacked_hist|layers_stacked_hist(_[vqa])?|layers_head_bars_({FLOWS})|head_map_({FLOWS}))\.({'|'.join(SHOWN)})"
)
WORDING = re.compile(r"[\w+-]+")  # names of wordings that can name a folder


def find_pictures(heads: Heads) -> dict[str, Path]:
    """The pictures that there are, by the names that they get beside the card, such as `figures/mme_head_map_t2v.png`.

    They lie in the folder where `plots` writes by default; those of wordings in folders of their own.
    """
    folders = {FIGURES: heads.folder}
    for name in wordings(heads):
        if WORDING.fullmatch(name):
            folders[f"{FIGURES}/prompt_{name}"] = heads.folder / f"prompt_{name}"
    return {
        f"{target}/{file.name}": file
        for target, folder in folders.items()
        for file in sorted(folder.glob("*"))
        if NAME.fullmatch(file.name) and file.is_file()
    }
