"""The manifest reads back what it wrote, and says in one line what it cannot read."""

import json

import pytest

from schemas.errors import HeadflowError
from schemas.manifest import Manifest, Part, meanings
from tests.made_up import manifest


def test_round_trip():
    before = manifest(parts=[Part("part-00000.parquet", 0, 12, 2)], arguments={"dtype": "auto", "n": -1, "list": [1]})
    assert Manifest.from_json(before.to_json(), "x") == before


def test_every_field_has_a_meaning():
    assert list(meanings()) == list(json.loads(manifest().to_json()))
    assert all(meanings().values())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": None}, "schema version None"),
        ({"layers": "32"}, "`layers` is '32', not of type int"),
        ({"layers": True}, "`layers` is True"),
        ({"flows": ["t2v", 3]}, "`flows`[1] is 3"),
        ({"parts": [{"name": "a", "chunk": 0}]}, "the field `heads_rows` is missing"),
        ({"parts": ["a"]}, "`parts`[0] is 'a'"),
        ({"state": "done"}, "state is 'done'"),
        ({"text_scope": "some"}, "text_scope is 'some'"),
        ({"versions": {"torch": 2}}, "`versions`['torch'] is 2"),
    ],
)
def test_a_wrong_field_is_named(change, says):
    content = json.loads(manifest().to_json()) | change
    with pytest.raises(HeadflowError) as error:
        Manifest.from_json(json.dumps(content), "runs/x/run.json")
    assert says in str(error.value)
    assert str(error.value).startswith("runs/x/run.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}"])
def test_what_is_no_manifest(text):
    with pytest.raises(HeadflowError):
        Manifest.from_json(text, "x")
