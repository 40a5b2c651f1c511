"""Oracle: a small run that the last headflow with version 1 wrote, with two chunks and one skipped sample."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.store.version1 import preprocessing
from schemas.validation.run import validate

RUN = Path(__file__).parents[2] / "fixtures" / "run_version_1"
ROWS = {"heads_rows": 1, "samples_rows": 1}


@pytest.fixture
def old(tmp_path) -> Path:
    return shutil.copytree(RUN, tmp_path / "run")


def edit(run: Path, **change) -> None:
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | change))


def test_it_is_valid_and_complete():
    assert list(validate(RUN)) == []
    assert open_run(RUN).complete


def test_its_fields_are_those_of_today():
    run = open_run(RUN)
    manifest, (first, second) = run.manifest, run.ledgers.values()
    assert (manifest.schema_version, manifest.causal, manifest.format) == (1, True, "transformers")
    assert (manifest.architecture, manifest.conv_mode) == ("LlavaForConditionalGeneration", "vicuna_v1")
    assert manifest.image_preprocessing == {
        "aspect": "crop", "processor": "CLIPImageProcessorPil", "shortest_edge": 96, "crop": [96, 96],
    }  # fmt: skip
    assert (first.samples, second.samples, run.samples_asked) == (8, 5, 13)
    assert first.sessions[0].kernel == "flash kernel of the CPU, observed by its own logsumexp"
    assert first.sessions[0].versions["python"] == "3.11.7"
    assert first.sessions[0].finished == "2026-11-24T20:34:24+00:00"


def test_its_rows_are_those_of_the_files():
    run = open_run(RUN)
    samples = run.samples().to_pandas()
    expected = pd.concat(pd.read_parquet(path) for path in sorted((RUN / "samples").iterdir()))
    assert samples["sample_id"].tolist() == expected["sample_id"].tolist()
    assert samples["row"].isna().all()
    assert samples["reason"].value_counts().to_dict() == {"image_missing": 1}
    assert sum(run.read_part(path).num_rows for path in run.part_paths("heads")) == 12 * 6 * 8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"parts": [{"name": "../x.parquet", "chunk": 0, "heads_rows": 1, "samples_rows": 1}]},
            "not the name of a part",
        ),
        ({"parts": [{"name": "part-00000.parquet", "chunk": 7, "heads_rows": 1, "samples_rows": 1}]}, "chunk 7 is not"),
        ({"chunks_complete": [0, 2]}, "chunk 2 is not one of 2"),
        ({"state": "done"}, "state is 'done'"),
        ({"layers": "6"}, "`layers` is '6', not of type int"),
        ({"flows": ["colour"]}, "not in the contract: colour"),
    ],
)
def test_a_wrong_field_is_named(old, change, says):
    edit(old, **change)
    with pytest.raises(HeadflowError) as error:
        open_run(old)
    assert says in str(error.value)
    assert str(error.value).startswith(str(old / "run.json"))


def test_an_interrupted_one(old):
    edit(old, state="running", chunks_complete=[1])
    assert open_run(old).chunks_complete == [1]
    assert list(validate(old)) == [f"{old}: the run is not complete, but interrupted or still running: chunks 0 of 2"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (None, {}),
        (
            "padded to a square, shortest edge to 336, centre crop 336 x 336 (CLIPImageProcessorPil)",
            {"aspect": "pad", "processor": "CLIPImageProcessorPil", "shortest_edge": 336, "crop": [336, 336]},
        ),
        (
            "resize to 384 x 384 (SiglipImageProcessorPil)",
            {"aspect": "crop", "processor": "SiglipImageProcessorPil", "size": [384, 384]},
        ),
        (
            "the checkpoint's own (Qwen2VLImageProcessorPil)",
            {"aspect": "checkpoint", "processor": "Qwen2VLImageProcessorPil"},
        ),
        (
            "any resolution, in tiles (LlavaNextImageProcessorPil)",
            {"aspect": "checkpoint", "processor": "LlavaNextImageProcessorPil"},
        ),
    ],
)
def test_preprocessing_told_in_words(text, values):
    assert preprocessing(text) == values
