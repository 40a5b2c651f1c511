"""The images of a question, as rows of `samples` have them: one in the row's own columns, several in `pictures`."""

from collections.abc import Mapping
from typing import Any

from schemas.columns import OF_PICTURE, PICTURES


def pictures_of(sample: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """The columns `OF_PICTURE` of each image of a row of `samples`, as pyarrow or pandas has it, in order.

    Columns that the row lacks are left out.
    """
    found = sample.get(PICTURES)
    several = [] if found is None or isinstance(found, float) else [dict(each) for each in found]  # NaN of pandas
    return several or [{name: sample[name] for name in OF_PICTURE if name in sample}]


def hashes_of(sample: Mapping[Any, Any]) -> list[str]:
    """The hashes of the image files of a row of `samples`; those that were not read are left out."""
    found = (picture.get("image_sha256") for picture in pictures_of(sample))
    return [each for each in found if isinstance(each, str)]


def names_of(sample: Mapping[Any, Any]) -> list[str]:
    """The names of the images of a row of `samples`, without those that are null."""
    found = (picture.get("image") for picture in pictures_of(sample))
    return [each for each in found if isinstance(each, str)]
