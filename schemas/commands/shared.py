"""Settings that commands of both stages have."""

from dataclasses import dataclass
from typing import Annotated

from schemas.commands.settings import Settings
from schemas.errors import HeadflowError


@dataclass(frozen=True, kw_only=True)
class Page(Settings):
    """The page that pictures are made for."""

    column: Annotated[bool, "pictures as wide as a column of a paper, 3.3 inches, with letters of 6 points or more"] = (
        False
    )
    two_columns: Annotated[
        bool, "pictures as wide as the text of a paper, 6.9 inches, with letters of 6 points or more"
    ] = False
    no_title: Annotated[bool, "pictures without their titles"] = False

    def check(self) -> None:
        """Raise `HeadflowError` if two widths are asked for."""
        super().check()
        if self.column and self.two_columns:
            raise HeadflowError("pictures have one width", setting="two_columns")
