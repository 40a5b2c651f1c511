"""Extraction to and from an S3 server: the rows of a run on a disk."""

import pickle
from multiprocessing.reduction import ForkingPickler

import pandas as pd

from extract.__main__ import main
from extract.images.loading import open_images
from extract.questions.question_set import read_questions
from schemas.files.locations import location
from schemas.validation.run import validate


def test_a_run_and_its_images_on_a_store(extract, extracted, questions, store):
    images = store.put_folder(questions / "images", "bucket/images")
    assert extract("s3://bucket/run", image_folder=images, num_workers=0) == 0
    assert list(validate("s3://bucket/run")) == []
    for table in ("heads", "samples"):
        assert pd.read_parquet(f"s3://bucket/run/{table}").equals(pd.read_parquet(extracted / table))


def test_processes_that_read_images_from_a_store_are_not_forked(questions, store):
    """What they get is sent by pickle; tests/extract/images/test_loading.py starts some."""
    images = store.put_folder(questions / "images", "bucket/images")
    found = read_questions(questions / "MME_test.json", location(images))
    files = open_images(found, found.samples[:2], str)
    assert files.start_method == "spawn"
    sent = pickle.loads(ForkingPickler.dumps(files))
    assert sent.start_method == "spawn"
    assert sent._load(found.samples[1].image)[1] == files._load(found.samples[1].image)[1]


def test_it_is_resumed_and_knocked_out(extract, questions, store, capsys):
    images = store.put_folder(questions / "images", "bucket/images")
    flags = {"image_folder": images, "num_samples": 4, "num_workers": 0}
    assert extract("s3://bucket/run", **flags) == 0
    assert extract("s3://bucket/run", **flags) == 0
    assert "4 of 4 samples are there already" in capsys.readouterr().out
    knock_out = ["knock-out", "s3://bucket/run", "--heads", "L0H0", "--num-workers", "0", "--device", "cpu"]
    rows = location("s3://bucket/run/jobs/heads_edge/knockouts")
    for _ in range(2):  # the second time a part of it is lost
        assert main(knock_out) == 0
        assert list(validate("s3://bucket/run")) == []
        assert len(pd.read_parquet(str(rows))) == 4
        (part,) = rows.glob("*.parquet")
        part.unlink()
    assert extract("s3://bucket/other", maps=True, maps_heads="s3://bucket/run:1", **flags) == 0


def test_images_that_are_not_there_or_outside(extract, questions, store, capsys):
    images = store.put_folder(questions / "images", "bucket/images")
    first = read_questions(questions / "MME_test.json").samples[0].image
    (location(images) / first).unlink()
    assert extract("s3://bucket/run", image_folder=images, num_workers=0, num_samples=4) == 0
    assert "skipped: image_missing" in capsys.readouterr().out
    assert extract("s3://bucket/run2", image_folder="s3://bucket/nowhere") == 2
    assert "s3://bucket/nowhere is not a directory" in capsys.readouterr().err
