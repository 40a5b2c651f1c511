"""Checkpoints of the families, each made once."""

import pytest

from tests.support.tiny_families import make_or_skip


@pytest.fixture(scope="package")
def checkpoint(tmp_path_factory):
    """The directory of a family's checkpoint, by name; made once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = make_or_skip(tmp_path_factory.mktemp(name), name)
        return made[name]

    return get
