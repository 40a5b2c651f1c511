"""Oracles, for families that differ from those of `test_families` in little but their images: as there and in
`test_maps`; in a prompt of several images, the ids of the family's own processor."""

import pytest
from PIL import Image

from extract.models.self_check import check_observation
from extract.tables.maps import MapMaker
from schemas.columns import OF_LAST
from schemas.errors import HeadflowError
from tests.extract.models.test_families import assert_like_the_witness
from tests.extract.tables.test_maps import check_places
from tests.support.tiny_families import MORE, make_or_skip
from tests.support.witness import FamilyWitness, hf

RESAMPLED = {"aria"}


@pytest.mark.parametrize("name", MORE)
def test_a_family_equals_its_witness(tmp_path, name):
    path = make_or_skip(tmp_path, name)
    model, prompts = hf(path)
    model = check_observation(model, prompts, images=3)
    assert_like_the_witness(name, FamilyWitness(path, name), model, prompts)
    if name not in RESAMPLED:
        check_places(model, prompts, Image.new("RGB", (360, 180), (90, 90, 90)))
        return
    with pytest.raises(HeadflowError, match="a resampler makes each of its tokens of all patches"):
        MapMaker(model, OF_LAST, [])
