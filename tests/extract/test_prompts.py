"""Oracle: a run of its own for each wording, whose suffix says the same."""

import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from extract.images import loading as images
from extract.models import loading
from schemas.columns import FLOW_NAMES
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.runs import apart, read_tables
from tests.support.shards import hub_rows, write_shards

SHORT, YES = "\nAnswer the question using a single word or phrase.", "\nYes or no?"
WORDINGS = {
    "short": {"template": "{question}" + SHORT},
    "yes": {"template": "{question}" + YES},
    "terse": {"template": "{question}" + SHORT, "system": "Be short.", "conv_mode": "llava_v1"},
}
NUMBER = 12


@pytest.fixture(scope="module")
def wordings(tmp_path_factory):
    file = tmp_path_factory.mktemp("wordings") / "wordings.json"
    file.write_text(json.dumps(WORDINGS))
    return file


@pytest.fixture(scope="module")
def asked(tmp_path_factory, extract, wordings):
    """A run in three wordings; not to be changed."""
    run = tmp_path_factory.mktemp("asked") / "run"
    assert extract(run, prompts=wordings, num_samples=NUMBER) == 0
    return run


def of_wording(run, name):
    """The tables of one wording, with the ids of a run that has no other."""
    heads, samples = (table[table["sample_id"].str.endswith(f"@{name}")] for table in read_tables(run))
    return [
        each.assign(sample_id=each["sample_id"].str.removesuffix(f"@{name}")).reset_index(drop=True)
        for each in (heads, samples)
    ]


@pytest.fixture(scope="module")
def own(tmp_path_factory, extract):
    """A run of its own for two of the wordings."""
    runs = {name: tmp_path_factory.mktemp(name) / "run" for name in ("short", "yes")}
    for (name, run), suffix in zip(runs.items(), (SHORT, YES), strict=True):
        assert extract(run, prompt_suffix=suffix, num_samples=NUMBER) == 0, name
    return runs


@pytest.mark.parametrize("flags", [{}, {"batch_size": 3}, {"sequences": "separate"}], ids=str)
def test_a_wording_equals_a_run_of_its_own(tmp_path, extract, wordings, asked, own, flags):
    run = tmp_path / "all" if flags else asked
    if flags:
        assert extract(run, prompts=wordings, num_samples=NUMBER, **flags) == 0
    assert list(validate(run)) == []
    for name in own:
        assert_equal(of_wording(run, name), read_tables(own[name]), name)


def assert_equal(found, own, name):
    heads, samples = found
    expected, expected_samples = own
    keys = ["sample_id", "layer", "head"]
    assert heads[keys].astype({"sample_id": str}).equals(expected[keys].astype({"sample_id": str}))
    worst = np.abs(heads[list(FLOW_NAMES)] - expected[list(FLOW_NAMES)]).max(axis=None)
    print(f"{name}: {worst:.1e}")
    assert worst <= 2e-6
    assert set(samples.pop("prompt")) == {name}
    assert expected_samples.pop("prompt").isna().all()
    (others, numbers), (expected_others, expected_numbers) = map(apart, (samples, expected_samples))
    assert others.astype({"sample_id": str}).equals(expected_others.astype({"sample_id": str}))
    assert np.abs(numbers - expected_numbers).max() <= 1e-5


def test_another_system_message_and_template(asked):
    _, short = of_wording(asked, "short")
    _, terse = of_wording(asked, "terse")
    assert (terse["n_system"] < short["n_system"]).all()
    assert terse["n_question"].equals(short["n_question"])
    assert not np.allclose(terse["margin"], short["margin"])


def test_a_row_for_each_wording_and_what_the_manifest_says(asked):
    samples = pd.read_parquet(asked / "samples")
    assert samples["prompt"].tolist() == list(WORDINGS) * NUMBER
    assert samples["row"].tolist() == [row for row in range(NUMBER) for _ in WORDINGS]
    assert (
        samples["sample_id"].astype(str) == samples["sample_id"].str.split("@").str[0] + "@" + samples["prompt"]
    ).all()
    manifest = open_run(asked).manifest
    assert manifest.prompts == {
        name: {"template": None, "conv_mode": None, "system": None} | fields for name, fields in WORDINGS.items()
    }
    assert manifest.prompt_suffix is None
    assert manifest.conv_mode == "vicuna_v1"


def test_one_wording_is_an_ordinary_run(tmp_path, extract, wordings, extracted):
    (tmp_path / "one.toml").write_text(f"[short]\ntemplate = {json.dumps(WORDINGS['short']['template'])}\n")
    assert extract(tmp_path / "run", prompts=tmp_path / "one.toml") == 0
    for found, expected in zip(read_tables(tmp_path / "run"), read_tables(extracted), strict=True):
        assert found.equals(expected)
    assert list(open_run(tmp_path / "run").manifest.prompts) == ["short"]


def test_presets_beside_a_file(tmp_path, extract, wordings):
    assert extract(tmp_path / "run", prompts=["mme", wordings, "lmms-eval"], num_samples=1) == 0
    assert list(open_run(tmp_path / "run").manifest.prompts) == ["mme", *WORDINGS, "lmms-eval"]


def test_the_wordings_of_an_image_are_packed(tmp_path, extract, wordings, monkeypatch):
    from extract.models.transformers_model import TransformersModel

    passes, forward = Counter(), TransformersModel.forward

    def counted(model, batch, inputs, **options):
        passes[len(batch.slot)] += 1
        return forward(model, batch, inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", counted)
    assert extract(tmp_path / "run", prompts=wordings, num_samples=NUMBER) == 0
    # Of two questions on an image, those after one prefix: two wordings share theirs, the third has its own
    assert passes == {4: NUMBER // 2, 2: NUMBER // 2}


def test_it_resumes_and_chunks_make_one_run(tmp_path, extract, wordings, asked):
    flags = {"prompts": wordings, "num_samples": NUMBER, "num_chunks": 2}
    for chunk in (1, 0):
        assert extract(tmp_path / "run", **flags, chunk_idx=chunk) == 0
    assert list(validate(tmp_path / "run")) == []
    for found, expected in zip(read_tables(tmp_path / "run"), read_tables(asked), strict=True):
        assert found.equals(expected)
    assert extract(tmp_path / "grown", prompts=wordings, num_samples=4) == 0
    assert extract(tmp_path / "grown", prompts=wordings, num_samples=NUMBER) == 0
    assert pd.read_parquet(tmp_path / "grown/samples")["sample_id"].tolist() == (
        pd.read_parquet(asked / "samples")["sample_id"].tolist()
    )


def test_other_wordings_are_another_run(tmp_path, extract, wordings, asked, monkeypatch, capsys):
    run, file = shutil.copytree(asked, tmp_path / "run"), tmp_path / "wordings.json"
    shutil.copy(wordings, file)
    monkeypatch.setattr(loading, "load_model", None)  # it is not needed for any of these
    assert extract(run, prompts=wordings, num_samples=NUMBER) == 0
    assert "the run stays as it is" in capsys.readouterr().out
    file.write_text(json.dumps(WORDINGS | {"yes": {"template": "{question} Yes?"}}))
    assert extract(run, prompts=file, num_samples=NUMBER) == 2
    assert "holds another run: its prompts, yes, is {'template'" in capsys.readouterr().err
    assert extract(run, num_samples=NUMBER) == 2
    assert "holds another run: its prompts, short, is {'template'" in capsys.readouterr().err
    assert extract(run, prompts=[wordings, "mme"], num_samples=NUMBER) == 2
    assert "holds another run: its prompts, mme, is None" in capsys.readouterr().err


def test_a_question_that_cannot_be_asked_is_skipped_in_each_wording(tmp_path, extract, wordings, questions):
    rows = json.loads((questions / "MME_test.json").read_text())[:4]
    rows[1]["question"] = " "
    (tmp_path / "odd.json").write_text(json.dumps(rows))
    assert extract(tmp_path / "run", prompts=wordings, question_file=tmp_path / "odd.json") == 0
    samples = pd.read_parquet(tmp_path / "run/samples").set_index("sample_id")
    skipped = samples[samples["status"] == "skipped"]
    assert Counter(skipped["reason"]) == {"question_empty": 3}
    assert skipped["prompt"].tolist() == list(WORDINGS)


def test_a_picture_in_parquet_is_read_once(tmp_path, extract, wordings, questions, asked, monkeypatch):
    rows = json.loads((questions / "MME_test.json").read_text())[:NUMBER]
    write_shards(tmp_path / "shards", hub_rows(rows, questions / "images"))
    read, load = [], images.ImagesOfFile._load
    monkeypatch.setattr(images.ImagesOfFile, "_load", lambda self, row: read.append(row) or load(self, row))
    flags = {"question_file": tmp_path / "shards", "num_workers": 0, "num_samples": NUMBER}
    assert extract(tmp_path / "run", prompts=wordings, **flags) == 0
    assert read == [(row, 0) for row in range(NUMBER)]  # the first image of each
    heads, expected = pd.read_parquet(tmp_path / "run/heads"), pd.read_parquet(asked / "heads")
    assert heads["sample_id"].tolist() == expected["sample_id"].tolist()
    assert np.abs(heads[list(FLOW_NAMES)] - expected[list(FLOW_NAMES)]).max(axis=None) <= 2e-6


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"conv_mode": "nope"}, "the wording odd: nope is not one of hf, auto, vicuna_v1"),
        ({"conv_mode": "hf"}, "the wording odd: "),
        ({"template": "{question}<image>"}, "the wording odd must not contain <image>: the image is put first"),
        ({"system": "<image>"}, "the wording odd must not contain <image>"),
        ({"conv_mode": "mpt"}, "and a run has one token of each answer: ask odd in a run of its own"),
    ],
)
def test_a_wording_that_is_not_for_the_model(tmp_path, extract, capsys, fields, says):
    content = {"plain": {"template": "{question}"}, "odd": {"template": "{question}"} | fields}
    (tmp_path / "wordings.json").write_text(json.dumps(content))
    assert extract(tmp_path / "run", prompts=tmp_path / "wordings.json") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.strip().endswith("see --prompts")
    assert error.count("\n") == 1


def test_a_suffix_beside_wordings(tmp_path, extract, wordings, capsys):
    assert extract(tmp_path / "run", prompts=wordings, prompt_suffix=SHORT) == 2
    assert "wordings have their own suffixes; see --prompt-suffix" in capsys.readouterr().err


def test_prompts_are_shown_in_each_wording(extract, tmp_path, wordings, capsys):
    assert extract(tmp_path / "run", prompts=wordings, show_prompt=3) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if ", template " in line]
    assert [title.split(" (")[0].split("@")[1] for title in titles] == list(WORDINGS)
    assert [title.rsplit(" ", 1)[1] for title in titles] == ["vicuna_v1", "vicuna_v1", "llava_v1"]
