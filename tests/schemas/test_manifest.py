"""The manifest reads back what it wrote, and says in one line what it cannot read."""

import json
from dataclasses import replace

import pytest

from schemas.errors import HeadflowError
from schemas.manifest import Manifest, Part, meanings
from schemas.store.parts import write_text
from schemas.store.run import open_run
from tests.support.runs import manifest

PART_0 = {"name": "part-00000.parquet", "chunk": 0, "heads_rows": 6, "samples_rows": 1}


def test_round_trip():
    before = manifest(parts=[Part("part-00000.parquet", 0, 12, 2)], arguments={"dtype": "auto", "n": -1, "list": [1]})
    assert Manifest.from_object(json.loads(before.to_json()), "x") == before


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
        ({"layers": 0}, "layers is 0, not from 1 to 32768"),
        ({"heads": 2**63}, "heads is 9223372036854775808, not from 1"),
        ({"samples": -1}, "samples is -1"),
        ({"num_chunks": 0}, "num_chunks is 0"),
        ({"flows": ["t2v", "t2v"]}, "flows names one of its members twice"),
        ({"flows": ["t2v", "colour"]}, "it names flows that are not in the contract: colour"),
        ({"chunks_complete": [1]}, "chunk 1 is not one of 1"),
        ({"parts": [PART_0 | {"chunk": -1}]}, "chunk -1 is not one of 1"),
        ({"parts": [PART_0, PART_0]}, "parts names one of its members twice"),
        ({"parts": [PART_0 | {"name": "../../part-00000.parquet"}]}, "is not the name of a part"),
        ({"source": ["a" * 1000]}, "`source` is ['aaa"),
    ],
)
def test_a_wrong_field_is_named(change, says):
    content = json.loads(manifest().to_json()) | change
    with pytest.raises(HeadflowError) as error:
        Manifest.from_object(content, "runs/x/run.json")
    assert says in str(error.value)
    assert str(error.value).startswith("runs/x/run.json")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "{}", "[" * 100_000, '{"a": ' * 100_000, "9" * 5000])
def test_what_is_no_manifest(made_up, text):
    (made_up / "run.json").write_text(text)
    with pytest.raises(HeadflowError) as error:
        open_run(made_up)
    assert str(error.value).startswith(str(made_up / "run.json"))


def test_half_a_pair_comes_back(made_up):
    odd = replace(open_run(made_up).manifest, question_file="\udcff\ud83d")
    write_text(made_up / "run.json", odd.to_json())
    assert open_run(made_up).manifest == odd
