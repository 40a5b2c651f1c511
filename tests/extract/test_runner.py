"""`python -m extract` end to end, and what it does with every kind of bad input."""

import hashlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

from analyze.__main__ import main as analyze_main
from extract.__main__ import main
from extract.checks import count_contradictions
from extract.images.loading import ImageFiles
from extract.images.towers import SquarePreprocessor
from extract.models.transformers_model import TransformersModel
from extract.passes.forward import Passes
from extract.prompts.prompt_builder import PromptBuilder
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.pictures import JPEG, READABLE, png
from tests.support.runs import apart, read_tables
from tests.support.tiny_llava import make_checkpoint

ROW = {"question_id": "q", "image_file": "good.png", "question": "Is it red?", "answer": "Yes", "category": "OCR"}


@pytest.fixture
def folder(tmp_path):
    """An image folder with one good image; `ask` writes a question file about it."""
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.png").write_bytes(READABLE["rgb"])
    return images


@pytest.fixture
def ask(tmp_path, folder, extract):
    def call(*rows, **flags):
        path = tmp_path / "questions.json"
        path.write_text(json.dumps([ROW | row for row in rows]), encoding="utf-8")
        run = tmp_path / "run"
        code = extract(run, image_folder=folder, question_file=path, **flags)
        return code, run

    return call


def test_the_demo_is_a_valid_run(extracted, questions, checkpoint_path):
    assert list(validate(extracted)) == []
    samples = pd.read_parquet(extracted / "samples")
    rows = json.loads((questions / "MME_test.json").read_text())
    assert samples["question"].tolist() == [row["question"] for row in rows]
    assert samples["image"].tolist() == [row["image_file"] for row in rows]
    assert (
        samples["image_sha256"][0]
        == hashlib.sha256((questions / "images" / samples["image"][0]).read_bytes()).hexdigest()
    )
    assert samples["sample_id"].tolist()[:2] == [rows[0]["question_id"], rows[0]["question_id"] + "#2"]
    assert samples["p_yes"].between(0, 1).all()
    run = open_run(extracted)
    manifest, (session,) = run.manifest, run.ledgers[0].sessions
    assert (manifest.layers, manifest.heads, run.samples_asked) == (4, 8, len(rows))
    assert manifest.model == str(checkpoint_path)
    assert manifest.dtype == "float32"
    assert manifest.question_file_sha256 == hashlib.sha256((questions / "MME_test.json").read_bytes()).hexdigest()
    steps = {"processor": "CLIPImageProcessorPil", "aspect": "crop", "shortest_edge": 112, "crop": [112, 112]}
    assert manifest.image_preprocessing.items() > {**steps, "resample": 3}.items()
    assert session.arguments["system_span"] == "template"
    assert session.versions["torch"] == torch.__version__


def test_the_two_answers_are_swapped(tmp_path, extract, extracted, capsys):
    """The oracle of each margin is minus that of the other order, which contradicts `p_yes` and `p_no`."""
    assert extract(tmp_path / "run", answer_tokens=["No", "Yes"]) == 0
    said = capsys.readouterr().err
    found, expected = (pd.read_parquet(run / "samples") for run in (tmp_path / "run", extracted))
    assert np.abs(found["margin"] + expected["margin"]).max() <= 1e-6
    assert expected["margin"].std() > 1e-3
    assert np.abs(found["lead"] - expected["lead"]).max() <= 1e-6  # the right answer is the same
    assert found["options"].map(list).tolist() == [["No", "Yes"]] * len(found)
    contradictions, answered = count_contradictions(open_run(tmp_path / "run"))
    difference = found["p_yes"] - found["p_no"]
    assert (contradictions, answered) == (((difference * found["margin"]) < 0).sum(), len(found))
    assert contradictions * 100 > answered
    assert said.count(f"contradicts `p_yes` and `p_no`, which count every spelling, in {contradictions} of") == 1
    manifest = open_run(tmp_path / "run").manifest
    assert manifest.answer_tokens == ["▁No", "▁Yes"]
    before = open_run(extracted).manifest
    assert manifest.answer_token_ids == before.answer_token_ids[::-1]


@pytest.mark.parametrize(
    ("early", "options", "begins"),
    [
        (2, {}, "\nwarning: so far, `p_yes` and `p_no` together are below 101% in 2 of 2 samples"),
        (5, {}, "\nwarning: `p_yes` and `p_no` together are below 101% in 4 of 4 samples"),
        (2, {"generate": 2}, None),  # the text is the answer
    ],
)
def test_a_first_token_that_is_no_answer_is_said_once(tmp_path, extract, monkeypatch, capsys, early, options, begins):
    monkeypatch.setattr("schemas.validation.answers.LITTLE", 1.01)  # so that all probabilities are little
    monkeypatch.setattr("extract.runner.FIRST_SAMPLES", early)
    assert extract(tmp_path / "run", num_samples=4, **options) == 0
    said = "\n" + capsys.readouterr().err
    assert said.count("the first token is no answer") == (begins is not None)
    assert begins is None or begins in said


def test_a_run_of_before_there_were_margins_is_read(tmp_path, extracted):
    run = shutil.copytree(extracted, tmp_path / "run")
    for part in (run / "samples").iterdir():
        pq.write_table(pq.read_table(part).drop_columns(["margin", "options", "option_logits", "lead"]), part)
    content = json.loads((run / "run.json").read_text())
    kept = {name: value for name, value in content.items() if not name.startswith("answer_token")}
    (run / "run.json").write_text(json.dumps(kept))
    assert list(validate(run)) == []
    assert open_run(run).samples()["margin"].null_count == open_run(run).samples().num_rows
    assert count_contradictions(open_run(run)) == (0, 0)


def test_what_a_causal_model_must_show(extracted):
    heads = pd.read_parquet(extracted / "heads")
    samples = pd.read_parquet(extracted / "samples").set_index("sample_id")
    assert (heads["v2q"] == 0).all()  # no image token sees the question
    pairs = heads.join(samples[["image", "question"]], on="sample_id").groupby(["image", "layer", "head"])
    assert pairs["question"].nunique().eq(2).all()
    assert pairs["v2t"].agg(lambda values: values.max() - values.min()).max() < 1e-6  # nor depends on it
    assert pairs["q2v"].agg(lambda values: values.max() - values.min()).max() > 1e-3


def test_num_samples_and_the_span_of_the_earlier_tool(tmp_path, extract, extracted):
    assert extract(tmp_path / "run", num_samples=3, system_span="original") == 0
    few, whole = (pd.read_parquet(run / "samples").head(3) for run in (tmp_path / "run", extracted))
    assert len(pd.read_parquet(tmp_path / "run" / "samples")) == 3
    assert few["sample_id"].tolist() == whole["sample_id"].tolist()
    assert few["n_system"].tolist() == [count + 1 for count in whole["n_system"]]
    assert few["n_user"].tolist() == [count - 1 for count in whole["n_user"]]
    rows = [pd.read_parquet(run / "heads").head(3 * 32) for run in (tmp_path / "run", extracted)]
    assert np.abs(rows[0]["t2v"] - rows[1]["t2v"]).max() < 1e-6
    assert np.abs(rows[0]["v2t"] - rows[1]["v2t"]).max() < 1e-6
    assert not rows[0]["v2sys"].equals(rows[1]["v2sys"])


def test_workers_change_nothing(tmp_path, extract, extracted):
    """Two instead of one; none instead of some, `test_resume` compares."""
    assert extract(tmp_path / "run", num_workers=2) == 0
    for found, expected in zip(read_tables(tmp_path / "run"), read_tables(extracted), strict=True):
        assert found.equals(expected)


@pytest.mark.parametrize(
    "flags",
    [
        {"batch_size": 5},
        {"batch_size": 64, "num_workers": 2},
        {"sequences": "separate", "batch_size": 8},
    ],
    ids=str,
)
def test_batches_and_sequences_change_no_number(tmp_path, extract, extracted, flags):
    assert extract(tmp_path / "run", **flags) == 0
    heads, samples = read_tables(tmp_path / "run")
    expected, expected_samples = read_tables(extracted)
    keys = ["sample_id", "category", "layer", "head"]
    assert heads[keys].equals(expected[keys])
    assert np.abs(heads.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 5e-6
    (others, numbers), (expected_others, expected_numbers) = map(apart, (samples, expected_samples))
    assert others.equals(expected_others)
    assert np.abs(numbers - expected_numbers).max() <= 1e-5
    run = open_run(tmp_path / "run")
    manifest, (session,) = run.manifest, run.ledgers[0].sessions
    assert session.batch_size == flags.get("batch_size", 1)
    assert manifest.sequences == flags.get("sequences", "packed")
    assert list(validate(tmp_path / "run")) == []


def count_passes(monkeypatch) -> list[tuple[int, int]]:
    """Images and questions of each forward pass from now on."""
    forward, passes = TransformersModel.forward, []

    def counted(self, batch, inputs, **options):
        passes.append((len(batch.input_ids), len(batch.owner)))
        return forward(self, batch, inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", counted)
    return passes


def test_questions_on_one_image_share_a_pass(ask, folder, monkeypatch):
    passes = count_passes(monkeypatch)
    (folder / "copy.png").write_bytes((folder / "good.png").read_bytes())
    (folder / "other.png").write_bytes(READABLE["palette"])
    rows = [{"question": f"Is it {color}?"} for color in ("red", "green", "blue")]
    others = [{"image_file": name, "question": "Is it red?"} for name in ("copy.png", "other.png", "good.png")]
    code, run = ask(*rows, *others)
    assert code == 0
    assert sorted(passes) == [(1, 1), (1, 5)]
    heads, samples = read_tables(run)
    assert samples["image"].tolist() == ["good.png"] * 4 + ["copy.png", "other.png"]  # image by image
    assert samples["image_sha256"].nunique() == 2
    ids = heads["sample_id"].drop_duplicates().tolist()
    assert ids == samples["sample_id"].tolist() == ["q", "q#2", "q#3", "q#6", "q#4", "q#5"]
    flows = heads.set_index("sample_id").drop(columns=["category", "layer", "head"])
    assert np.abs(flows.loc["q"].to_numpy() - flows.loc["q#4"].to_numpy()).max() <= 2e-6
    assert list(validate(run)) == []


def test_a_batch_that_does_not_fit(extract, tmp_path, monkeypatch):
    forward = TransformersModel.forward

    def small(self, batch, inputs, **options):
        if len(batch.input_ids) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch, inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", small)
    monkeypatch.setattr(Passes, "on_cuda", True)
    passes = count_passes(monkeypatch)
    assert extract(tmp_path / "run") == 0
    assert open_run(tmp_path / "run").ledgers[0].sessions[0].batch_size == 8
    assert [images for images, _ in passes][:4] == [3, 5, 9, 18]
    assert all(images <= 8 for images, _ in passes[4:])
    assert list(validate(tmp_path / "run")) == []


def test_a_reader_that_dies_is_named(ask, monkeypatch, capsys):
    monkeypatch.setattr(ImageFiles, "__getitem__", lambda *_: os._exit(9))
    code, run = ask({}, num_workers=1)
    assert code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: a process that reads images ended: DataLoader worker")
    assert not open_run(run).complete


def test_a_sample_that_is_lost_leaves_the_run_incomplete(ask, folder, monkeypatch):
    (folder / "other.png").write_bytes(READABLE["palette"])
    rows = [{}, {"image_file": "gone.png"}, {"image_file": "other.png"}]
    collect = Passes.collect
    monkeypatch.setattr(Passes, "collect", lambda self, launched: [*collect(self, launched)][1:])
    with pytest.raises(RuntimeError, match=r"q was neither observed nor skipped, 3 of 3 samples are not written"):
        ask(*rows, batch_size=4)
    monkeypatch.setattr(Passes, "collect", collect)
    code, run = ask(*rows, num_samples=1, batch_size=4, overwrite=True)
    assert (code, open_run(run).complete) == (0, True)


@pytest.mark.parametrize("kept", [0, 3])
def test_samples_before_a_lost_one_are_written(ask, monkeypatch, kept):
    collect, passes = Passes.collect, iter(range(10))
    monkeypatch.setattr(
        Passes, "collect", lambda self, launched: [*collect(self, launched)] if next(passes) < kept else []
    )
    with pytest.raises(RuntimeError, match=rf"q#?{kept + 1 if kept else ''} was neither observed nor skipped"):
        ask(*[{}] * 5, sequences="separate", batch_size=1)
    monkeypatch.setattr(Passes, "collect", collect)
    code, run = ask(*[{}] * 5, sequences="separate", batch_size=1)
    assert (code, open_run(run).complete) == (0, True)
    assert list(validate(run)) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_near_and_its_noise_of_rounding_is_measured(tmp_path, extract, extracted, dtype):
    """Oracles: a run in float32; for the noise, a run whose questions have sequences of their own."""
    assert extract(tmp_path / "run", dtype=dtype, num_samples=2) == 0
    assert list(validate(tmp_path / "run")) == []
    assert extract(tmp_path / "alone", dtype=dtype, num_samples=2, sequences="separate") == 0
    (heads, samples), (others, other_samples) = (read_tables(tmp_path / name) for name in ("run", "alone"))
    whole = pd.read_parquet(extracted / "heads").head(len(heads))
    assert np.abs(heads["q2v"] - whole["q2v"]).mean() < 0.02
    noise = open_run(tmp_path / "run").ledgers[0].sessions[0].noise
    names = heads.columns[4:]
    assert noise["mass"] == pytest.approx(np.abs(heads[names] - others[names]).max(axis=None))
    assert noise["margin"] == pytest.approx(np.abs(samples["margin"] - other_samples["margin"]).max())
    assert noise["mass"] > 1e-5
    assert open_run(extracted).ledgers[0].sessions[0].noise == {}


IMAGES = {
    "missing": (None, "image_missing"),
    "corrupt": (b"no image at all", "image_unreadable"),
    "truncated": (JPEG[: len(JPEG) // 2], "image_unreadable"),
    "zero bytes": (b"", "image_unreadable"),
    "20000x20000": (png(20_000, 20_000), "image_too_large"),
    "1x4000": (png(1, 4_000), None),
    "1x300000": (png(1, 300_000), "image_too_large"),  # once its short edge is resized
    "1x1": (png(1, 1), None),
    "cmyk": (READABLE["cmyk"], None),
    "palette": (READABLE["palette with transparency"], None),
    "animated": (READABLE["animated"], None),
    "alpha": (READABLE["alpha"], None),
}


def test_every_image_is_read_or_skipped_with_a_reason(ask, folder, capsys):
    for name, (content, _) in IMAGES.items():
        if content is not None:
            (folder / name).write_bytes(content)
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(folder / "sixteen.png")
    (folder / "directory").mkdir()
    expected = {name: reason for name, (_, reason) in IMAGES.items()}
    expected |= {"sixteen.png": None, "directory": "image_unreadable", "": "image_missing"}
    code, run = ask(*({"question_id": name, "image_file": name} for name in expected))
    assert code == 0
    assert list(validate(run)) == []
    samples = pd.read_parquet(run / "samples")
    found = {name or "": reason for name, reason in zip(samples["image"].fillna(""), samples["reason"], strict=True)}
    assert {name: None if pd.isna(reason) else reason for name, reason in found.items()} == expected
    assert (samples["detail"].notna() == samples["reason"].notna()).all()
    read = sum(reason is None for reason in expected.values())
    assert len(pd.read_parquet(run / "heads")) == read * 32
    out = capsys.readouterr().out
    assert f"{read} samples observed" in out
    assert "2 skipped: image_missing" in out


def test_questions_that_are_odd(ask):
    code, run = ask(
        {"question_id": "a"},
        {"question_id": "a"},
        {"question_id": "a", "question": "<image>\nIs it red?"},
        {"question_id": "b", "question": ""},
        {"question_id": None, "question": "x " * 5000},
        {"category": "a/b", "question": "Is it 红色?"},
        {"category": "数值 计算"},
        {"category": ""},
        {"category": None, "answer": None},
    )
    assert code == 0
    assert list(validate(run)) == []
    samples = pd.read_parquet(run / "samples")
    assert samples["sample_id"].tolist() == ["a", "a#2", "a#3", "b", "4", "q", "q#2", "q#3", "q#4"]
    assert samples["reason"].tolist()[3:5] == ["question_empty", "prompt_too_long"]
    assert samples["image_sha256"].notna().all()
    assert samples["category"].tolist()[5:] == ["a/b", "数值 计算", "unknown", "unknown"]
    heads = pd.read_parquet(run / "heads").set_index("sample_id")
    assert np.allclose(heads.loc["a", "q2v"], heads.loc["a#3", "q2v"], rtol=0, atol=2e-6)


def test_a_row_without_what_it_needs(tmp_path, folder, extract, capsys):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([ROW, {"picture": "x", "asked": "y"}]))
    assert extract(tmp_path / "run", image_folder=folder, question_file=path) == 0
    assert "row 1 has no `image_file`: skipped" in capsys.readouterr().err
    samples = pd.read_parquet(tmp_path / "run" / "samples").sort_values("row")
    assert samples["status"].tolist() == ["ok", "skipped"]
    assert samples["reason"].dropna().tolist() == ["image_missing"]


def test_what_is_not_finite_is_skipped_and_named(ask, monkeypatch):
    forward = TransformersModel.forward

    def poisoned(self, *inputs, **options):
        logits, flows, hidden = (tensor.clone() for tensor in forward(self, *inputs, **options))
        flows[0, 2, 1, 0] = float("nan")
        logits[1, 5] = float("inf")
        return logits, flows, hidden

    monkeypatch.setattr(TransformersModel, "forward", poisoned)
    code, run = ask({}, {}, {})
    assert code == 0
    samples = pd.read_parquet(run / "samples")
    assert samples["reason"].tolist()[:2] == ["not_finite"] * 2
    assert "layer 2" in samples["detail"][0]
    assert "logits" in samples["detail"][1]
    assert len(pd.read_parquet(run / "heads")) == 32
    assert list(validate(run)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_observed(ask, monkeypatch, capfd, number):
    forward, calls = TransformersModel.forward, iter(range(10))

    def interrupted(self, *inputs, **options):
        if next(calls) == 2:
            os.kill(os.getpid(), number)
        return forward(self, *inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", interrupted)
    rows = [{}] * 5
    code, run = ask(*rows, sequences="separate")
    assert code == 128 + number
    error = capfd.readouterr().err.splitlines()
    assert "stopping after the current batch; interrupt again to exit at once" in error
    assert (
        error[-1] == f"stopped: 3 of 5 samples are written to {run}; the same command resumes it, unless it overwrites"
    )
    assert not open_run(run).complete
    assert len(pd.read_parquet(run / "heads")) == 3 * 32
    assert [line for line in validate(run) if "not complete" not in line] == []
    monkeypatch.setattr(TransformersModel, "forward", forward)
    assert ask(*rows, sequences="separate")[0] == 0
    whole = pd.read_parquet(run / "heads")
    assert ask(*rows, sequences="separate", overwrite=True)[0] == 0
    assert pd.read_parquet(run / "heads").equals(whole)


def test_a_second_interrupt_leaves_at_once(ask, monkeypatch, capsys):
    forward, calls = TransformersModel.forward, iter(range(10))

    def interrupted(self, *inputs, **options):
        if next(calls) in (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, *inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", interrupted)
    monkeypatch.setattr("extract.loop.until_stopped", lambda made, *_: made)  # the current batch never ends
    code, run = ask({}, {}, {}, {}, sequences="separate")
    assert code == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
    assert open_run(run).parts == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"question_file": "nowhere.json"}, "question file nowhere.json does not exist"),
        ({"image_folder": "nowhere"}, "nowhere is not a directory; see --image-folder"),
        ({"batch_size": 2, "backend": "llava"}, "unless `backend` is transformers it does nothing; see --batch"),
        ({"conv_mode": "v9"}, "v9 is not one of hf, auto, vicuna_v1"),
        (
            {"prompt_suffix": "<image>"},
            "the prompt's suffix must not contain <image>: the image is put first; see --prompt-suffix",
        ),
        ({"model_path": "nowhere/at/all"}, "no model at nowhere/at/all"),
        ({"model_path": os.fsdecode(b"\xe9")}, "weights and tokenizers are read by paths in UTF-8: set PYTHONUTF8=1"),
        ({"model_base": "some/base"}, "has no adapter_config.json: it is no adapter; see --model-base"),
        ({"device": "cuda:9"}, "the device cuda:9 cannot be used"),
        ({"device": "toaster"}, "the device toaster cannot be used"),
    ],
)
def test_bad_flags(tmp_path, extract, capsys, flags, says):
    assert extract(tmp_path / "run", **flags) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_batch_larger_than_any_run(tmp_path, extract):
    assert extract(tmp_path / "run", batch_size=2**31, num_workers=1, num_samples=3) == 0
    assert list(validate(tmp_path / "run")) == []


def test_a_flag_that_is_not_a_choice(capsys):
    assert main(["--model-path", "model", "--question-file", "questions.json", "--dtype", "float8"]) == 2
    assert capsys.readouterr().err == ("error: float8 is not one of auto, float16, bfloat16, float32; see --dtype\n")


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--batch-size", "0", "0 is neither auto nor a whole number from 1"),
        ("--batch-size", "many", "many is neither auto nor a whole number from 1"),
        ("--num-workers", "-1", "-1 is neither auto nor a whole number from 0"),
        ("--num-workers", "1.5", "1.5 is neither auto nor a whole number from 0"),
        ("--num-chunks", "0", "0 is not a whole number from 1 to 2147483648"),
        ("--num-chunks", str(10**12), "1000000000000 is not a whole number from 1 to 2147483648"),
        ("--chunk-idx", "-1", "-1 is not a whole number from 0"),
        ("--prompt-suffix", "a\udcff", "it is not text in UTF-8; see --prompt-suffix"),
        ("--answer-tokens", ["", "No"], "an answer is empty; see --answer-tokens"),
        ("--answer-tokens", ["Yes", " "], "an answer is empty; see --answer-tokens"),
        ("--output-dir", "", "the path is empty"),
        ("--image-folder", "", "the path is empty"),
        ("--question-file", "", "the path is empty"),
        ("--model-path", "", "the path is empty"),
    ],
)
def test_a_flag_that_cannot_be_read(capsys, flag, value, says):
    words = [flag, *value] if isinstance(value, list) else [f"{flag}={value}"]
    assert main(["--model-path", "model", "--question-file", "questions.json", *words]) == 2
    assert says in capsys.readouterr().err


def test_output_directories(tmp_path, extract, capsys, made_up):
    (tmp_path / "file").write_text("")
    for path, says in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "run", "cannot write to"),
        (Path("/proc/run"), "cannot write to"),
        (made_up, "holds another run: its system_span is None, this command's is "),
    ):
        assert extract(path) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
    assert list(validate(made_up)) == []
    assert extract(made_up, overwrite=True, num_samples=2) == 0
    assert open_run(made_up).samples_asked == 2


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"num_chunks": 2}])
def test_a_directory_of_other_files_is_refused(folder, extract, capsys, monkeypatch, flags):
    """Before a model is loaded, and nothing is written beside them."""
    monkeypatch.setattr("extract.chunks.chunk.load_for_chunk", None)
    (folder / "good.png").touch()
    before = sorted(folder.rglob("*"))
    for path in (folder, Path("/")):
        assert extract(path, **flags) == 2
        error = capsys.readouterr().err
        assert re.fullmatch(
            r"error: /.* holds '\S+'.*, and no run; choose a new or empty directory; see --output-dir\n", error
        )
    assert sorted(folder.rglob("*")) == before


def test_a_directory_of_hidden_files_is_taken(tmp_path, extract):
    for name in (".gitkeep", ".chunk-00000.lock"):
        (tmp_path / name).touch()
    assert extract(tmp_path, num_samples=2, num_workers=0) == 0
    (tmp_path / "notes.txt").touch()
    assert extract(tmp_path, num_samples=4, num_workers=0) == 0
    assert extract(tmp_path, num_samples=2, num_workers=0, overwrite=True) == 0


def test_the_default_directory(tmp_path, checkpoint_path, questions, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = {"model-path": checkpoint_path, "question-file": questions / "MME_test.json", "num-samples": 2}
    argv = ["--device=cpu", *(f"--{name}={value}" for name, value in flags.items())]
    assert main([*argv, f"--image-folder={questions / 'images'}"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mme_attention_observation"]
    assert list(validate(tmp_path / "mme_attention_observation")) == []


def test_a_failed_start_leaves_the_old_run_alone(made_up, extract):
    assert extract(made_up, overwrite=True, model_path="nowhere") == 2
    assert list(validate(made_up)) == []


@pytest.fixture
def broken_model(tmp_path, checkpoint_path):
    """A copy of the checkpoint, free to be broken."""
    return shutil.copytree(checkpoint_path, tmp_path / "model")


def edit_config(model: Path, **change):
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_models_that_are_no_llava(tmp_path, extract, capsys, broken_model):
    def says(model: Path) -> str:
        assert extract(tmp_path / "run", model_path=model) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert not (tmp_path / "run" / "run.json").exists()
        return error

    LlamaForCausalLM(
        LlamaConfig(vocab_size=9, hidden_size=32, intermediate_size=8, num_hidden_layers=1)
    ).save_pretrained(tmp_path / "llama")
    assert "is a llama, not a vision-language model" in says(tmp_path / "llama")
    (tmp_path / "empty").mkdir()
    assert "no model at" in says(tmp_path / "empty")
    edit_config(broken_model, mm_vision_tower="openai/clip-vit-large-patch14-336")
    assert "its vision tower openai/clip-vit-large-patch14-336 cannot be loaded" in says(broken_model)
    (broken_model / "config.json").write_text("{")
    assert "no model at" in says(broken_model)


def test_a_vision_tower_that_is_not_known(tmp_path, extract, capsys, broken_model):
    config = json.loads((broken_model / "config.json").read_text())
    edit_config(broken_model, vision_config=config["vision_config"] | {"model_type": "dinov2"})
    assert extract(tmp_path / "run", model_path=broken_model) == 2
    assert "vision tower 'dinov2'" in capsys.readouterr().err


def test_weights_that_do_not_fit(tmp_path, texts, extract, capsys, broken_model):
    (broken_model / "model.safetensors").write_bytes(b"nothing" * 2**18)  # as large as its config.json asks for
    assert extract(tmp_path / "run", model_path=broken_model) == 2
    assert "cannot be loaded" in capsys.readouterr().err
    make_checkpoint(tmp_path / "small", texts, layers=2)
    shutil.copy(tmp_path / "small" / "model.safetensors", broken_model)
    assert extract(tmp_path / "run", model_path=broken_model) == 2
    error = capsys.readouterr().err
    assert "missing weights, such as model.language_model.layers.2." in error
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["text_config"]["num_hidden_layers"] == 2
    shutil.copy(broken_model / "config.json", tmp_path / "small")
    make_checkpoint(tmp_path / "large", texts, layers=5)
    shutil.copy(tmp_path / "large" / "model.safetensors", broken_model)
    assert extract(tmp_path / "run", model_path=broken_model, num_samples=1) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "9 unexpected weights, such as model.language_model.layers.4." in warnings[0]
    assert "the model has no place for them, and runs without" in warnings[0]


@pytest.mark.parametrize("fits", [1, 3, 7])
def test_a_batch_that_is_out_of_memory_is_halved(extract, extracted, tmp_path, monkeypatch, fits):
    forward, failures = TransformersModel.forward, []

    def small(self, batch, inputs, **options):
        if len(batch.owner) > fits:
            failures.append(len(batch.owner))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch, inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", small)
    assert extract(tmp_path / "run", batch_size=4, num_samples=14) == 0
    assert failures
    assert list(validate(tmp_path / "run")) == []
    heads = pd.read_parquet(tmp_path / "run" / "heads")
    expected = pd.read_parquet(extracted / "heads").head(14 * 32)
    keys = ["sample_id", "category", "layer", "head"]
    assert (heads[keys].astype(str) == expected[keys].astype(str)).all(axis=None)
    assert np.abs(heads.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 5e-6


def test_a_question_that_never_fits_is_skipped(ask, monkeypatch):
    forward = TransformersModel.forward

    def never(self, batch, inputs, **options):
        if batch.input_ids.shape[1] > 200:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return forward(self, batch, inputs, **options)

    monkeypatch.setattr(TransformersModel, "forward", never)
    long = {"question": "Is it red? " * 30}
    code, run = ask(long, long, {"question": "Is it?"})
    assert code == 0
    samples = pd.read_parquet(run / "samples")
    assert samples["reason"].tolist()[:2] == ["out_of_memory"] * 2
    assert samples["status"].tolist() == ["skipped"] * 2 + ["ok"]
    assert samples["detail"][:2].str.contains("Tried to allocate 9 GiB").all()
    assert list(validate(run)) == []


@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_a_model_raises_costs_the_sample(ask, folder, monkeypatch, batch_size):
    """The others have the numbers that they have without it."""
    forward = TransformersModel.forward

    def odd(self, batch, inputs, **options):
        if inputs["pixel_values"].amax(dim=(1, 2, 3)).min() < 0:  # of the dark image
            raise IndexError("index 2880 is out of bounds")
        return forward(self, batch, inputs, **options)

    Image.new("RGB", (9, 9), (1, 1, 1)).save(folder / "dark.png")
    rows = [{"question_id": "first"}, {"question_id": "bad", "image_file": "dark.png"}, {"question_id": "last"}]
    assert ask(rows[0], rows[2], num_workers=0)[0] == 0
    expected = pd.read_parquet(folder.parent / "run" / "heads")
    monkeypatch.setattr(TransformersModel, "forward", odd)
    code, run = ask(*rows, batch_size=batch_size, num_workers=0, overwrite=True)
    assert code == 0
    assert list(validate(run)) == []
    samples = pd.read_parquet(run / "samples").set_index("sample_id")
    assert samples["reason"].fillna("").to_dict() == {"first": "", "bad": "model_failed", "last": ""}
    assert samples.loc["bad", "detail"] == "IndexError: index 2880 is out of bounds"
    found = pd.read_parquet(run / "heads")
    assert np.abs(found[["t2v", "a2v"]] - expected[["t2v", "a2v"]]).max(axis=None) <= 5e-6


def test_what_a_chat_template_or_a_processor_raises_costs_the_sample(ask, folder, monkeypatch):
    build, preprocess = PromptBuilder.build, SquarePreprocessor.__call__

    def odd(self, question, image_ids, **others):
        if "odd" in question:
            raise HeadflowError("the checkpoint's chat template fails: no odd questions")
        return build(self, question, image_ids, **others)

    def small(self, image):
        if image.size == (9, 9):
            raise ZeroDivisionError("an edge of no pixels")
        return preprocess(self, image)

    monkeypatch.setattr(PromptBuilder, "build", odd)
    monkeypatch.setattr(SquarePreprocessor, "__call__", small)
    Image.new("RGB", (9, 9)).save(folder / "small.png")
    code, run = ask({}, {"question": "Is it odd?"}, {"image_file": "small.png"}, num_workers=1)
    assert code == 0
    samples = pd.read_parquet(run / "samples")[["reason", "detail"]].fillna("")
    assert samples.to_numpy().tolist() == [
        ["", ""],
        ["model_failed", "the checkpoint's chat template fails: no odd questions"],
        ["image_refused", "ZeroDivisionError: an edge of no pixels"],
    ]


def test_a_broken_device_ends_the_run(ask, monkeypatch):
    """After an assertion of the device failed, no kernel runs."""

    def broken(*_, **__):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(TransformersModel, "forward", broken)
    with pytest.raises(torch.AcceleratorError):
        ask({"question": "Is it?"})


def test_names_that_lead_out_of_the_image_folder(ask, folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(READABLE["rgb"])
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "within.png").symlink_to(folder / "good.png")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    names = {
        "../secret.png": "image_outside",
        str(tmp_path / "secret.png"): "image_outside",
        "link.png": None,
        "folder/secret.png": None,
        "folder/../secret.png": "image_missing",
        "a/../../secret.png": "image_outside",
        "within.png": None,
        "../images/good.png": None,
        str(folder / "good.png"): None,
        "loop.png": "image_unreadable",
        "nul\0.png": "image_unreadable",
        "x" * 5000: "image_unreadable",
    }
    code, run = ask(*({"image_file": name} for name in names))
    assert code == 0
    samples = pd.read_parquet(run / "samples")
    assert [None if pd.isna(reason) else reason for reason in samples["reason"]] == list(names.values())
    assert samples.loc[samples["reason"] == "image_outside", "image_sha256"].isna().all()


def test_a_folder_of_links(tmp_path, extract, questions, extracted):
    """As in the hub's cache: each file is a link to a blob beside the folder; here the folder is one too."""
    snapshot, blobs = tmp_path / "snapshots" / "main", tmp_path / "blobs"
    blobs.mkdir()
    for number, file in enumerate((questions / "images").rglob("*.png")):
        link = snapshot / file.relative_to(questions / "images")
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blobs / str(number))
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    (tmp_path / "images").symlink_to(snapshot)
    assert extract(tmp_path / "run", image_folder=tmp_path / "images") == 0
    for found, expected in zip(read_tables(tmp_path / "run"), read_tables(extracted), strict=True):
        assert found.equals(expected)


def test_each_question_may_be_scored_by_itself(extract, tmp_path, capsys):
    assert extract(tmp_path / "run", task="yes-no", num_samples=4) == 0
    assert open_run(tmp_path / "run").manifest.task == "yes-no"
    assert analyze_main(["summary", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "accuracy by category, on 4 of 4 questions" in shown
    assert "MME score" not in shown
