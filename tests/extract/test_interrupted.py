"""A run that is interrupted again and again: it ends. Oracle: the run that was never interrupted, to the bit."""

import json
import os
import random
import signal
from itertools import count

import pytest

from extract import loop
from extract.models.transformers_model import TransformersModel
from extract.questions.question_set import read_questions
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.forks import start, wait
from tests.support.runs import read_tables

NUMBER = 99


@pytest.fixture(scope="module")
def one_image(questions, texts, tmp_path_factory):
    """A file with many questions on one image, of many lengths, and one on another image."""
    row, *_, other = json.loads((questions / "MME_test.json").read_text())
    lengths = random.Random(0)
    rows = [
        row | {"question_id": str(number), "question": " ".join(lengths.choices(texts, k=lengths.randint(1, 3)))}
        for number in range(NUMBER)
    ]
    path = tmp_path_factory.mktemp("one") / "MME_test.json"
    path.write_text(json.dumps([*rows, other]))
    return path


def interrupt(monkeypatch, passes: int, number: int) -> None:
    """Let a signal come in a run's pass of this number, from 0, and as often again."""
    forward, calls = TransformersModel.forward, count(1)

    def interrupted(self, *inputs, **options):
        if next(calls) % (passes + 1) == 0:
            os.kill(os.getpid(), number)
        return forward(self, *inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", interrupted)


@pytest.mark.parametrize(
    ("flags", "passes"),
    [({"batch_size": 1, "num_samples": 70}, 0), ({"batch_size": 4, "sequences": "separate", "num_samples": 32}, 4)],
    ids=str,
)
def test_every_start_brings_a_run_on_and_it_ends(one_image, extract, tmp_path, monkeypatch, flags, passes):
    whole, run = tmp_path / "whole", tmp_path / "run"
    asked = {"question_file": one_image, "num_workers": 0, **flags}
    assert extract(whole, **asked) == 0
    interrupt(monkeypatch, passes, signal.SIGTERM)
    written, sessions = 0, 0
    while extract(run, **asked) == 128 + signal.SIGTERM:
        sessions += 1
        before, written = written, sum(part.rows["samples"] for part in open_run(run).parts)
        assert written > before
    assert sessions > 1
    assert list(validate(run)) == []
    for found, expected in zip(read_tables(run), read_tables(whole), strict=True):
        assert found.equals(expected)


def test_a_run_that_is_killed_after_each_part_ends(one_image, extract, tmp_path, monkeypatch):
    whole, run = tmp_path / "whole", tmp_path / "run"
    asked = {"question_file": one_image, "num_workers": 0, "sequences": "separate", "batch_size": 4, "num_samples": 28}
    assert extract(whole, **asked) == 0
    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 3 * 32)  # three samples
    interrupt(monkeypatch, 6, signal.SIGKILL)
    sessions = 0
    while True:
        code = wait(start(lambda: extract(run, **asked)))
        sessions += 1
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert sessions < NUMBER
    assert sessions > 2
    assert list(validate(run)) == []
    for found, expected in zip(read_tables(run), read_tables(whole), strict=True):
        assert found.equals(expected)


@pytest.mark.parametrize("when", ["open_images", "load_images"])
def test_a_start_that_is_stopped_before_its_first_pass_makes_one(one_image, extract, tmp_path, monkeypatch, when):
    """A signal before images are read, from workers or not."""
    original = getattr(loop, when)

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(loop, when, interrupted)
    written = 0
    for workers in (0, 1):
        code = extract(tmp_path, question_file=one_image, num_workers=workers, num_samples=40)
        before, written = written, sum(part.rows["samples"] for part in open_run(tmp_path).parts)
        assert code in (0, 128 + signal.SIGINT)
        assert written > before


@pytest.mark.parametrize("images", [1, 3, 100])
@pytest.mark.parametrize("together", [1, 2, 32, 1000])
def test_windows_have_few_questions_whatever_the_file(one_image, images, together):
    found = read_questions(one_image, one_image.parent)
    windows = found.windows(images, together)
    assert [sample for window in windows for group in window for sample in group] == found.samples
    assert all(len(window) <= images for window in windows)
    assert max(len(group) for window in windows for group in window) == min(together, NUMBER)


def test_a_slow_model_s_samples_do_not_wait_for_a_full_part(extract, tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SECONDS_PER_PART", 0)
    assert extract(tmp_path / "run", num_samples=5) == 0
    assert [part.rows["samples"] for part in open_run(tmp_path / "run").parts] == [1] * 5
    assert list(validate(tmp_path / "run")) == []
