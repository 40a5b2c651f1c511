"""Oracle: the run that was never interrupted, row for row."""

import errno
import os
import shutil
import signal
import time
from contextlib import closing
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from schemas.errors import HeadflowError
from schemas.files import locks as locks_module
from schemas.manifest import DESCRIPTIVE, Manifest, Session
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.store.writer import RunWriter
from schemas.text import short
from schemas.validation.run import validate
from tests.support.runs import PART, flows, manifest, sample, start

TABLES = ("heads", "samples")

NUMBER = 10


def write(path, *, stop: int | None = None, skipped=(), **options) -> RunWriter:
    """Write the samples that are not there yet, up to one of them; None: to the end."""
    random = np.random.default_rng(0)
    values = [flows(random, 2, 3) for _ in range(NUMBER)]
    chunk, chunks = options.get("chunk", 0), options.pop("num_chunks", 1)
    mine = len(range(chunk, NUMBER, chunks))
    writer = start(path, mine, fields={"num_chunks": chunks}, samples_in_run=NUMBER, **options)
    for number in range(NUMBER)[:stop]:
        row = sample(number, "OCR")
        if row["sample_id"] in writer.done or number % chunks != chunk:
            continue
        if number in skipped:
            writer.skip(
                {"sample_id": row["sample_id"], "category": "OCR", "image": row["image"]}, "image_missing", "gone"
            )
        else:
            writer.add(row, {"heads": values[number]})
    if stop is None:
        writer.finish()
    return writer


def tables(path) -> list[pd.DataFrame]:
    return [pd.read_parquet(path / table) for table in TABLES]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    run = tmp_path_factory.mktemp("written") / "run"
    write(run)
    return run


@pytest.fixture
def whole(written, tmp_path):
    return shutil.copytree(written, tmp_path / "whole")


def leave(path, **options) -> None:
    """Write some of a run in another process, which is killed before the rest is on the disk."""
    child = os.fork()
    if not child:
        write(path, **options)._wait()
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("stop", [0, 1, 4, NUMBER - 1])
def test_a_run_goes_on_where_it_was_left(tmp_path, whole, monkeypatch, stop):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)  # two samples
    run = tmp_path / "run"
    leave(run, stop=stop)
    assert not open_run(run).complete
    writer = write(run)
    assert len(writer.done) == stop - stop % 2
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        assert found.equals(expected)


def test_a_run_that_is_complete_stays_as_it_is(whole):
    def state():
        files = [file for file in whole.rglob("*") if file.suffix in (".json", ".parquet")]
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}

    before = state()
    assert len(before) == 4
    assert len(write(whole).done) == NUMBER
    assert state() == before
    assert open_run(whole).complete


def test_a_sample_that_is_there_is_not_written_twice(whole):
    with closing(start(whole, NUMBER)) as writer, pytest.raises(ValueError, match="already"):
        writer.add(sample(0, "OCR"), {"heads": flows(np.random.default_rng(0), 2, 3)})
    assert list(validate(whole)) == []


def test_what_a_killed_writer_left_is_removed(tmp_path, whole):
    run = tmp_path / "run"
    leave(run, stop=4)
    for table in TABLES:
        (run / table / PART).write_bytes(b"not listed yet")
        (run / table / f".{PART}.tmp").write_bytes(b"half")
    (run / ".run.json.00000.tmp").write_bytes(b"half")
    write(run)
    assert list(validate(run)) == []
    assert sorted(file.name for file in (run / "heads").iterdir()) == [PART]
    assert not list(run.rglob("*.tmp"))
    for found, expected in zip(tables(run), tables(whole), strict=True):
        assert found.equals(expected)


CHANGED = {  # another value for each field of run.json
    "source": "legacy-pt", "layers": 7, "heads": 7, "flows": ["t2v"], "text_scope": "no-system", "num_chunks": 2,
    "causal": False, "image_preprocessing": {"aspect": "pad"}, "prompts": {"aspect": "pad"}, "schema_version": 2,
    "answer_tokens": ["a", "b"], "answer_token_ids": [1, 2],
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in fields(Manifest)])
def test_another_run_is_refused_by_the_fields_that_decide_numbers_alone(whole, field):
    other = CHANGED.get(field, "another")
    if field in DESCRIPTIVE:
        start(whole, NUMBER, fields={field: other}).finish()
        return
    with pytest.raises(HeadflowError) as error:
        start(whole, NUMBER, fields={field: other})
    assert error.value.setting == "overwrite"
    its, own = f"{field} is {short(getattr(manifest(), field))}", short(other)
    if isinstance(other, dict):
        its, own = f"{field}, aspect, is None", "'pad'"
    assert str(error.value) == (
        f"{whole} holds another run: its {its}, this command's is {own}; choose another directory, or overwrite it"
    )
    assert list(validate(whole)) == []


def test_who_computed_what_is_recorded_and_never_refused(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    run = tmp_path / "run"
    leave(run, stop=5)
    other = Session(device="another", kernel="other", batch_size=8, git_commit="abc", versions={"torch": "9"})
    writer = RunWriter(run, manifest(), other, samples=NUMBER)
    assert len(writer.done) == 4
    writer.close()
    write(run)
    first, second, third = open_run(run).ledgers[0].sessions
    assert (first.device, first.finished) == ("cpu", None)
    assert (second.device, second.kernel, second.batch_size, second.git_commit) == ("another", "other", 8, "abc")
    assert third.started
    assert third.finished
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        assert found.equals(expected)


@pytest.mark.parametrize(
    "changed", [{}, {"weights": "v"}, {"settings": "t"}, {"settings": None}, {"weights": None}], ids=str
)
@pytest.mark.parametrize("stop", [0, 3])
def test_a_model_s_directory_may_be_spelt_in_another_way(tmp_path, whole, changed, stop):
    """Then its fingerprints decide, whether a sample was observed or not."""
    run, known = tmp_path / "run", {"weights": "w", "settings": "s"}
    leave(run, stop=stop, **known)
    asked = known | changed
    if "v" not in asked.values() and asked["settings"] == "s":
        writer = start(run, NUMBER, fields={"model": "./made/up"}, **asked)
        writer.close()
        write(run, **known)
        assert open_run(run).manifest.model == "made/up"
        for found, expected in zip(tables(run), tables(whole), strict=True):
            assert found.equals(expected)
        return
    with pytest.raises(HeadflowError, match=r"its model is 'made/up', this command's is '\./made/up'"):
        start(run, NUMBER, fields={"model": "./made/up"}, **asked)


@pytest.mark.parametrize(("before", "now"), [("abc", "abc"), ("abc", None)])
def test_models_of_the_hub_are_compared_by_name(tmp_path, before, now):
    """Whose names are written out: they may differ at the end only."""
    known, names = {"weights": "w", "settings": "s"}, [f"a/{'b' * 100}{end}" for end in "cd"]
    start(tmp_path, 1, fields={"model": names[0], "revision": before}, **known).close()
    with pytest.raises(HeadflowError, match=f"its model is '{names[0]}', this command's is '{names[1]}'"):
        start(tmp_path, 1, fields={"model": names[1], "revision": now}, **known)


def test_other_settings_of_a_model_are_refused(tmp_path):
    leave(tmp_path / "run", stop=3, settings="s")
    write(tmp_path / "run", stop=3, settings="t").close()  # no sample was written yet
    write(tmp_path / "run", settings="t")
    with pytest.raises(HeadflowError, match="the model's settings or tokenizer are not those that chunk 0 of"):
        write(tmp_path / "run", settings="s")


def observe(path, images, *, weights="w", chunk=0, missing=(), retry_skipped=False) -> None:
    """One chunk of two, of two samples each; images by name, those of `missing` are skipped."""
    options = {"samples_in_run": 4, "weights": weights, "images": images, "retry_skipped": retry_skipped}
    writer = start(path, 2, fields={"num_chunks": 2}, chunk=chunk, **options)
    with closing(writer):
        for number in range(2 * chunk, 2 * chunk + 2):
            row = sample(2 * number, "OCR")
            if row["sample_id"] in writer.done:
                continue
            if row["image"] in missing:
                writer.skip(row, "image_missing", "gone")
            else:
                writer.add(row, {"heads": flows(np.random.default_rng(number), 2, 3)})
        writer.finish()


IMAGES = {f"OCR/{number}.png": f"{number}:a" for number in range(4)}


@pytest.mark.parametrize("same_chunk", [True, False])
def test_other_weights_and_other_images_are_refused(tmp_path, same_chunk):
    run, chunk = tmp_path / "run", 0 if same_chunk else 1
    observe(run, IMAGES)
    with pytest.raises(HeadflowError, match=r"the weights are not those that chunk 0 of .* was computed with"):
        observe(run, IMAGES, weights="v", chunk=chunk)
    black = dict.fromkeys(IMAGES, "5:black")
    with pytest.raises(HeadflowError, match=r"'OCR/0.png' and 1 more is not the image that chunk 0 of"):
        observe(run, black, chunk=chunk)
    observe(run, IMAGES | {"OCR/3.png": "7:c", "new.png": "1:n"}, chunk=1)  # none of these was observed
    assert list(validate(run)) == []


def test_chunks_that_began_together_on_other_images_are_refused(tmp_path):
    options = {"samples_in_run": 4, "weights": "w", "fields": {"num_chunks": 2}}
    first = start(tmp_path / "run", 2, images=IMAGES, chunk=0, **options)
    second = start(tmp_path / "run", 2, images=dict.fromkeys(IMAGES, "5:black"), chunk=1, **options)
    for writer, chunk in ((first, 0), (second, 1)):
        for number in range(2 * chunk, 2 * chunk + 2):
            writer.add(sample(2 * number, "OCR"), {"heads": flows(np.random.default_rng(number), 2, 3)})
    first.finish()
    with pytest.raises(HeadflowError, match="is not the image that chunk 0 of"):
        second.finish()
    second.close()


def test_weights_and_images_may_change_before_a_sample_is_observed(tmp_path):
    run = tmp_path / "run"
    observe(run, {}, weights="v", missing=IMAGES)
    observe(run, IMAGES, retry_skipped=True)
    observe(run, IMAGES, chunk=1)
    assert list(validate(run)) == []


def test_an_image_that_was_mended_is_tried_again(tmp_path):
    run = tmp_path / "run"
    observe(run, IMAGES, missing=["OCR/1.png"])
    mended = IMAGES | {"OCR/1.png": "9:mended"}
    observe(run, mended, retry_skipped=True)
    observe(run, mended, chunk=1)
    assert list(validate(run)) == []


def test_more_samples_extend_a_run_of_one_chunk(tmp_path, whole):
    run = tmp_path / "run"
    for number in (3, 7, 5, NUMBER):
        writer = start(run, number)
        for each in range(len(writer.done), number):
            writer.add(sample(each, "OCR"), {"heads": flows(np.random.default_rng(each), 2, 3)})
        writer.finish()
        assert open_run(run).samples_asked == (7 if number == 5 else number)  # fewer take nothing away
        assert list(validate(run)) == []


def test_chunks_of_another_number_of_samples_are_refused(tmp_path):
    write(tmp_path / "run", num_chunks=2)
    with pytest.raises(
        HeadflowError, match="divides 10 samples into 2 chunks, and 12 samples would make other"
    ) as error:
        start(tmp_path / "run", 6, fields={"num_chunks": 2}, samples_in_run=12, chunk=1)
    assert error.value.setting == "num_samples"


def test_a_second_writer_is_refused(tmp_path):
    first = write(tmp_path / "run", stop=3)
    with pytest.raises(HeadflowError, match="another process writes"):
        write(tmp_path / "run")
    first.flush()
    first.close()
    write(tmp_path / "run")
    assert list(validate(tmp_path / "run")) == []


def test_a_lock_ends_with_its_owner_and_not_with_its_owner_s_children(tmp_path):
    read, write_end = os.pipe()
    owner = os.fork()
    if not owner:
        writer = write(tmp_path / "run", stop=3)
        if not os.fork():
            os.write(write_end, f"{os.getpid()}\n".encode())  # what is done at a fork is done by now
            time.sleep(60)
            os._exit(0)
        writer._wait()
        time.sleep(60)
        os._exit(0)
    child = int(os.read(read, 20))
    try:
        with pytest.raises(HeadflowError, match="another process writes"):
            write(tmp_path / "run")
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        os.kill(child, 0)  # is there still
        write(tmp_path / "run")
    finally:
        os.kill(child, signal.SIGKILL)
    assert list(validate(tmp_path / "run")) == []


def test_where_files_cannot_be_locked_that_is_said_once(tmp_path, whole, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 6)
    monkeypatch.setattr(locks_module.fcntl, "flock", refuse)
    write(tmp_path / "run")
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'run'} lies on a file system without locks: write it from one process\n"
    )
    assert list(validate(tmp_path / "run")) == []


def test_a_writer_that_could_not_start_holds_nothing(whole):
    for _ in range(2):
        with pytest.raises(HeadflowError, match="holds another run"):
            start(whole, 3, fields={"dtype": "float16"})
    write(whole)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_chunks_make_the_whole(tmp_path, whole, order):
    run = tmp_path / "run"
    for place, chunk in enumerate(order):
        write(run, chunk=chunk, num_chunks=3)
        assert open_run(run).chunks_complete == sorted(order[: place + 1])
        assert open_run(run).complete == (place == 2)
    assert list(validate(run)) == []
    for found, expected in zip(tables(run), tables(whole), strict=True):
        keys = [name for name in ("sample_id", "layer", "head") if name in found]
        by_name = (table.astype({"sample_id": str}).sort_values(keys, ignore_index=True) for table in (found, expected))
        assert next(by_name).equals(next(by_name))


def test_chunks_at_once(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 6)
    run = tmp_path / "run"
    children = []
    for chunk in range(4):
        children.append(os.fork())
        if not children[-1]:
            try:
                write(run, chunk=chunk, num_chunks=4)
                os._exit(0)
            except BaseException:
                os._exit(1)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert open_run(run).complete
    assert list(validate(run)) == []
    assert len(pd.read_parquet(run / "heads")) == NUMBER * 6


def test_skipped_samples_are_tried_again(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    run = tmp_path / "run"
    write(run, skipped=(0, 1, 2, 5))
    assert len(write(run).done) == NUMBER  # not unasked
    writer = write(run, retry_skipped=True)
    assert len(writer.done) == NUMBER - 4
    assert list(validate(run)) == []
    found, expected = (pd.read_parquet(each / "samples").set_index("sample_id") for each in (run, whole))
    assert found.loc[expected.index].equals(expected)
    listed = {part.name for part in open_run(run).parts}
    assert {file.name for file in (run / "heads").iterdir()} == listed


def test_a_manifest_that_is_gone_is_no_reason_to_remove_parts(whole):
    (whole / "run.json").unlink()
    with pytest.raises(HeadflowError, match="it has parts, but its manifest is gone"):
        write(whole)
    assert len(pd.read_parquet(whole / "heads")) == NUMBER * 6
    write(whole, overwrite=True)
    assert list(validate(whole)) == []
