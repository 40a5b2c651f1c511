"""The manifest and the ledgers read back what was written, and say in one line what cannot be read."""

import json
from dataclasses import fields, replace

import pytest

from schemas.errors import HeadflowError
from schemas.files.writing import write_text
from schemas.manifest import DESCRIPTIVE, Manifest, Session, meanings, to_json
from schemas.store.ledger import Ledger, Part
from schemas.store.run import open_run
from tests.support.runs import LEDGER, edit_ledger, edit_manifest, manifest

PART_0 = {"name": "part-00000-00000.parquet", "rows": {"heads": 6, "samples": 1}}


def test_round_trip():
    before = manifest(image_preprocessing={"aspect": "crop", "crop": [336, 336]}, causal=True)
    assert Manifest.from_object(json.loads(to_json(before)), "x") == before


def test_round_trip_of_a_ledger():
    sessions = [Session(device="cpu", arguments={"dtype": "auto", "n": -1, "list": [1]}, versions={"torch": "2"})]
    before = Ledger(parts=[Part(**PART_0)], sessions=sessions, images={"a.png": "1:0f"})
    assert Ledger.from_object(json.loads(to_json(before)), "x") == before


@pytest.mark.parametrize("record", [Manifest, Ledger, Session, Part])
def test_every_field_has_a_meaning(record):
    assert list(meanings(record)) == [field.name for field in fields(record)]
    assert all(meanings(record).values())


def test_a_field_of_a_later_version_is_left_out_and_a_missing_one_has_its_default(made_up):
    before = open_run(made_up)
    edit_manifest(made_up, colour="red", conv_mode="plain")
    edit_ledger(made_up, colour={"red": 1})
    after = open_run(made_up)
    assert after.manifest == replace(before.manifest, conv_mode="plain")
    assert after.ledgers == before.ledgers
    for field in set(json.loads((made_up / "run.json").read_text())) - {"schema_version", "layers", "heads", "colour"}:
        content = json.loads((made_up / "run.json").read_text())
        del content[field]
        assert getattr(Manifest.from_object(content, "x"), field) == getattr(
            Manifest(layers=content["layers"], heads=1), field
        )


def test_every_field_but_these_decides_numbers():
    assert set(DESCRIPTIVE) == {"schema_version", "question_file", "sizes", "started"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": None}, "schema version None"),
        ({"layers": "32"}, "`layers` is '32', not of type int"),
        ({"layers": True}, "`layers` is True"),
        ({"causal": 1}, "`causal` is 1, not of type bool"),
        ({"flows": ["t2v", 3]}, "`flows`[1] is 3"),
        ({"text_scope": "some"}, "text_scope is 'some'"),
        ({"image_preprocessing": "crop"}, "`image_preprocessing` is 'crop'"),
        ({"layers": 0}, "layers is 0, not from 1 to 32768"),
        ({"heads": 2**63}, "heads is 9223372036854775808, not from 1"),
        ({"num_chunks": 0}, "num_chunks is 0"),
        ({"flows": ["t2v", "t2v"]}, "flows names one of its members twice"),
        ({"flows": ["t2v", "colour"]}, "it names flows that are not in the contract: colour"),
        ({"tables": ["colour"]}, "it names tables that are not in the contract: colour"),
        ({"removed": {"heads": [3]}}, "removed has heads [3], not a list of [layer, head]"),
        ({"source": ["a" * 1000]}, "`source` is ['aaa"),
    ],
)
def test_a_wrong_field_is_named(change, says):
    content = json.loads(to_json(manifest())) | change
    with pytest.raises(HeadflowError) as error:
        Manifest.from_object(content, "runs/x/run.json")
    assert says in str(error.value)
    assert str(error.value).startswith("runs/x/run.json")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "done"}, "state is 'done'"),
        ({"samples": -1}, "samples is -1"),
        ({"chunk": 1}, "chunk 1 is not one of 1, from 0"),
        ({"chunk": -1}, "chunk is -1"),
        ({"parts": [{"rows": {}}]}, "the field `name` is missing"),
        ({"parts": ["a"]}, "`parts`[0] is 'a'"),
        ({"parts": [PART_0, PART_0]}, "parts names one of its members twice"),
        ({"parts": [PART_0 | {"name": "../../part-00000.parquet"}]}, "is not the name of a part"),
        ({"parts": [PART_0 | {"rows": PART_0["rows"] | {"../x": 1}}]}, "is not the name of a table"),
        ({"parts": [PART_0 | {"rows": PART_0["rows"] | {"heads": -1}}]}, "has -1 rows of heads"),
        ({"parts": [PART_0 | {"rows": {"heads": 6}}]}, "does not say how many rows it has of samples"),
        ({"sessions": [{"versions": {"torch": 2}}]}, "`versions`['torch'] is 2"),
        ({"images": {"a.png": 3}}, "`images`['a.png'] is 3"),
    ],
)
def test_a_wrong_field_of_a_ledger_is_named(made_up, change, says):
    edit_ledger(made_up, **change)
    with pytest.raises(HeadflowError) as error:
        open_run(made_up)
    assert says in str(error.value)
    assert str(error.value).startswith(str(made_up / "chunks"))


def test_a_ledger_under_another_name(made_up):
    edit_manifest(made_up, num_chunks=2)
    (made_up / LEDGER).rename(made_up / "chunks" / "00001.json")
    with pytest.raises(HeadflowError, match="it is the ledger of chunk 0, under another name"):
        open_run(made_up)


@pytest.mark.parametrize("name", ["run.json", LEDGER])
@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "[" * 100_000, '{"a": ' * 100_000, "9" * 5000])
def test_what_is_no_record(made_up, name, text):
    (made_up / name).write_text(text)
    with pytest.raises(HeadflowError) as error:
        open_run(made_up)
    assert str(error.value).startswith(str(made_up / name))


def test_half_a_pair_comes_back(made_up):
    odd = replace(open_run(made_up).manifest, question_file="\udcff\ud83d")
    write_text(made_up / "run.json", to_json(odd))
    assert open_run(made_up).manifest == odd
