"""What can be asked about model families."""

from dataclasses import KW_ONLY, dataclass
from typing import Annotated

from extract.settings import local_or_hub
from schemas.commands.settings import Checked, Needs, Settings


@dataclass(frozen=True)
class Families(Settings):
    """The table, or one model."""

    model: Annotated[
        str | None,
        "checkpoint, a directory or a hub id; its weights are neither read nor fetched",
        Checked(local_or_hub),
    ] = None
    _: KW_ONLY
    model_base: Annotated[str | None, "base model of a LoRA or projector-only checkpoint", Needs("model")] = None
