"""Runs on an S3 server, with the faults of a network."""

import numpy as np
import pandas as pd
import pytest

from schemas.errors import HeadflowError
from schemas.files.locations import ObjectPath, location, telling_name
from schemas.files.writing import write_text
from schemas.manifest import to_json
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.object_store import Fault
from tests.support.runs import flows, manifest, sample, start, write_run

SAMPLES = 4  # in parts of two


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)


@pytest.fixture
def place(store) -> ObjectPath:
    return location("s3://bucket/some/run")


def values(number: int) -> dict:
    return {"heads": flows(np.random.default_rng(number), 2, 3)}


def write(place, *, upto: int = SAMPLES, **options) -> None:
    """Write the samples that the run lacks, up to one."""
    writer = start(place, SAMPLES, **options)
    try:
        for number in range(upto):
            if (row := sample(number, "OCR"))["sample_id"] not in writer.done:
                writer.add(row, values(number))
        if upto == SAMPLES:
            writer.finish()
        else:
            writer.flush()
    finally:
        writer.close()


def check_whole(place) -> None:
    """That each row is there once, with its value."""
    assert list(validate(place)) == []
    heads = pd.read_parquet(f"{place}/heads")
    assert len(heads) == SAMPLES * 6
    for number in range(SAMPLES):
        rows = heads[heads["sample_id"] == sample(number, "OCR")["sample_id"]]
        assert (rows.iloc[:, 4:].to_numpy() == values(number)["heads"].reshape(6, -1)).all()


def test_a_run_equals_the_one_on_a_disk(place, tmp_path):
    some = {"tables": ["contributions", "layers", "maps"], "categories": {"OCR": 2, "color": 3}}
    on_store = write_run(place, **some)
    on_disk = write_run(tmp_path / "run", **some)
    assert list(validate(on_store)) == []
    for table in ("heads", "samples", "contributions", "layers", "maps"):
        assert pd.read_parquet(f"{on_store}/{table}").equals(pd.read_parquet(on_disk / table))
    names = [part.name for part in open_run(str(place)).parts]
    assert len(names) == 3
    assert all(name.startswith(f"part-00000-{number:05d}-w") for number, name in enumerate(names))


def test_a_run_is_resumed_and_overwritten(place):
    write(place, upto=3)
    assert len(open_run(place).parts) == 2
    write(place)
    check_whole(place)
    with pytest.raises(HeadflowError, match="holds another run: its layers is 2"):
        start(place, 1, fields={"layers": 4})
    write(place, overwrite=True)
    check_whole(place)


def test_a_put_that_fails_leaves_what_was_there(place, store):
    """At each table, before or after the content was sent; what each attempt left is there in the next."""
    write(place, upto=2)
    forbidden = "403 Forbidden"  # after which the client does not wait and try again, which it would for seconds
    for fault in [
        *(Fault("PUT", f"/{table}/", status=forbidden) for table in ("heads", "samples", "chunks")),
        # The content was sent; the request that makes an object of it fails, or its answer is lost
        *(
            Fault("POST", f"{end}?uploadId", status=forbidden, after=after)
            for end in ("/.probe", ".parquet")
            for after in (False, True)
        ),
    ]:
        refused = "" if "probe" in fault.address else ".*the same command resumes it"
        with store.with_fault(fault), pytest.raises(HeadflowError, match=f"cannot write to {place}: {refused}"):
            write(place)
        assert fault.times < 10**6
        assert [part.rows["samples"] for part in open_run(place).parts] == [2]
        assert len(pd.read_parquet(f"{place}/samples")) >= 2
    write(place)
    check_whole(place)


def test_a_put_that_fails_once_is_tried_again(place, store):
    with store.with_fault(Fault("PUT", "/heads/", times=1)):
        write(place, upto=2)
    assert len(puts(store)) == 2
    write(place)
    check_whole(place)


def puts(store) -> list[str]:
    """The addresses of the requests that sent parts of `heads`."""
    return [address for method, address in store.requests if method == "PUT" and "/heads/part-" in address]


def test_what_a_killed_writer_left_is_removed(place):
    write(place, upto=2)
    (place / "heads" / "part-00000-00001-w00000000.parquet").write_bytes(b"of a part whose ledger was not put")
    assert "no ledger names: part-00000-00001-w00000000.parquet" in "\n".join(validate(place))
    write(place)
    check_whole(place)


def test_the_first_of_two_writers_of_a_chunk_stops(place):
    first = start(place, SAMPLES)
    first.add(sample(0, "OCR"), values(0))
    first.flush()
    second = start(place, SAMPLES)
    assert second.done == {sample(0, "OCR")["sample_id"]}
    first.add(sample(1, "OCR"), values(1))
    with pytest.raises(HeadflowError, match="another process writes chunk 0 since this one began"):
        first.flush()
    for number in range(1, SAMPLES):
        second.add(sample(number, "OCR"), values(number))
    second.finish()
    write(place)  # which removes the part that the first one put and no ledger names
    check_whole(place)


def test_two_writers_whose_ledgers_cross(place, store):
    """The second begins between the first one's look at the ledger and its put: the rows of one of them count."""
    first = start(place, SAMPLES)
    begun = []
    first.add(sample(0, "OCR"), values(0))
    second_begins = Fault("POST", "chunks", times=1, status=None, before=lambda: begun.append(start(place, SAMPLES)))
    with store.with_fault(second_begins):
        first.flush()
    (second,) = begun
    for number in range(SAMPLES):
        second.add(sample(number, "OCR"), values(number))
        if number == 0:
            with pytest.raises(HeadflowError, match="another process writes chunk 0"):
                second.flush()
            break
    second.close()
    first.close()
    write(place)
    check_whole(place)


def test_a_manifest_that_another_writer_put_meanwhile(place):
    first = start(place, SAMPLES)
    write_text(place / "run.json", to_json(manifest(dtype="float16")))  # both saw that there was none
    first.add(sample(0, "OCR"), values(0))
    with pytest.raises(HeadflowError, match="holds another run: its dtype is 'float16'"):
        first.flush()
    first.close()


def test_a_store_that_is_not_there(place, store, monkeypatch):
    with pytest.raises(HeadflowError, match="s3://nobucket/run does not exist"):
        open_run("s3://nobucket/run")
    with pytest.raises(HeadflowError, match=r"cannot write to s3://nobucket/run: .*bucket does not exist"):
        start(location("s3://nobucket/run"), 1)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ftp://host/run", "ftp:// is not a store"),
        ("s3:///run", "it names no bucket"),
        ("s3://bucket/run?region=x", "settings of a store come from its environment variables"),
    ],
)
def test_odd_places(text, wrong):
    with pytest.raises(HeadflowError, match=wrong.replace("?", r"\?")):
        location(text)


def test_paths():
    path = location("s3://bucket/a/run/")
    assert str(path) == "s3://bucket/a/run"
    assert (path.name, path.stem, str(path / "x.json")) == ("run", "run", "s3://bucket/a/run/x.json")
    assert [str(each) for each in path.parents] == ["s3://bucket/a", "s3://bucket"]
    assert str((path / "b/c").relative_to(path)) == "b/c"
    assert location("s3://bucket").name == "bucket"
    assert str(location("file:///tmp/a%20b")) == "/tmp/a b"


@pytest.mark.parametrize("root", ["s3://bucket", "s3://bucket/runs", "/runs", "runs"])
def test_names_tell_paths_with_the_same_last_part_apart(root):
    a, b, c = (location(f"{root}/{name}") for name in ("a/run", "b/run", "a/other"))
    names = [telling_name(a), telling_name(b), telling_name(location(f"{root}/run"), beside=a)]
    assert len({*names, "run"}) == 4
    assert all(name.startswith("run-") for name in names)
    assert telling_name(a, beside=c) == telling_name(b, beside=location(f"{root}/b/x")) == "run"
    assert telling_name(location(f"{root}/a/run/")) == names[0]
