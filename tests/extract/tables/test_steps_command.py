"""`extract` with new tokens. Oracles: `heads` and `maps` of the same run for step 0; the run of all heads and steps for
runs of some; a run whose texts end nowhere for one whose texts end. (Tokens and masses against transformers' own
`generate`: tests/extract/generation/test_steps.py.)"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from extract.generation.greedy_decoding import Step
from extract.models.transformers_model import TransformersModel
from extract.passes.forward import Passes
from schemas.columns import STEP_NAMES
from schemas.errors import HeadflowError
from schemas.store import writer as writer_module
from schemas.store.run import open_run
from schemas.validation.run import validate

STEPS = 12
ASKED = {"num_samples": 6, "generate": STEPS}
KEYS = ["sample_id", "step", "layer", "head"]
ALL = ["L0H2", "L0H5", "L3H1", "L3H7"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, extract):
    """A run of all heads and steps, with the maps of some; not to be changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert extract(run, maps=True, step_maps=ALL, batch_size=4, **ASKED) == 0
    return run


def read(run, table):
    frame = pd.read_parquet(run / table)
    return frame.astype({name: object for name in ("sample_id", "category") if name in frame})


def by_key(run, table, columns):
    """Values by key, in order, so that runs in other orders are alike."""
    frame = read(run, table)
    return frame.set_index([name for name in KEYS if name in frame])[list(columns)].sort_index()


def assert_same(run, other, *, within=0.0):
    """That two runs have the same texts, and tables that are the same, or nearly."""
    texts = ["sample_id", "text", "n_generated", "ended", "answer_step"]
    assert read(run, "samples")[texts].equals(read(other, "samples")[texts])
    for table, columns in (("tokens", ["token_id", "text"]), ("tokens", ["logprob", "gap"]), ("steps", STEP_NAMES)):
        ours, theirs = by_key(run, table, columns), by_key(other, table, columns)
        if within and columns != ["token_id", "text"]:
            assert ours.index.equals(theirs.index)
            assert (np.abs(ours - theirs) / (1 + np.abs(theirs))).to_numpy().max() <= within
        else:
            assert ours.equals(theirs)


def test_a_run_with_what_is_written(whole):
    assert list(validate(whole)) == []
    manifest, samples, tokens = open_run(whole).manifest, read(whole, "samples"), read(whole, "tokens")
    assert (manifest.generate, manifest.every, manifest.answer_after) == (STEPS, 1, None)
    assert set(manifest.tables) == {"maps", "tokens", "steps", "step_maps"}
    assert tokens.groupby("sample_id", sort=False)["text"].agg("".join).tolist() == samples["text"].tolist()
    assert len(tokens) == samples["n_generated"].sum()
    assert (samples["answer_step"] == 0).all()
    first = tokens[tokens["step"] == 0]
    assert (first["gap"] > 0).all()
    assert (first["entropy"] > 0).all()
    assert len(read(whole, "steps")) == len(tokens) * 32


def test_step_0_is_the_last_token_of_the_prompt(whole):
    steps, heads = read(whole, "steps"), read(whole, "heads")
    first = steps[steps["step"] == 0]
    for name in STEP_NAMES[:-1]:
        assert first[name].tolist() == heads[name.replace("g2", "a2")].tolist()
    assert (first["g2g"] == 0).all()
    assert (steps.loc[steps["step"] > 0, "g2g"] > 0).any()
    maps, step_maps = (read(whole, table).set_index(["sample_id", "layer", "head"]) for table in ("maps", "step_maps"))
    own = step_maps[step_maps["step"] == 0]
    numbers = ["mass", "entropy", "sink", "centre_x", "centre_y", "rest"]
    assert own[numbers].equals(maps.loc[own.index, numbers])
    assert [each.tolist() for each in own["map"]] == [each.tolist() for each in maps.loc[own.index, "map"]]


def test_the_maps_of_steps(whole):
    maps = read(whole, "step_maps").set_index(KEYS)
    masses = read(whole, "steps").set_index(KEYS).loc[maps.index, "g2v"]
    assert set(maps.reset_index()[["layer", "head"]].apply(tuple, axis=1)) == {(0, 2), (0, 5), (3, 1), (3, 7)}
    assert np.abs(maps["mass"] - masses).max() <= 1e-6
    together = maps["map"].map(np.sum) + maps["rest"]
    assert np.abs(together - masses).max() <= 1e-6
    assert masses.std() > 0.05


@pytest.mark.parametrize(
    ("flags", "within"),
    [
        ({"sequences": "separate", "batch_size": 2}, 5e-6),
        ({"batch_size": 1}, 5e-6),
    ],
)
def test_texts_are_the_same_in_any_batch(whole, extract, tmp_path, flags, within):
    assert extract(tmp_path / "run", **flags, **ASKED) == 0
    assert list(validate(tmp_path / "run")) == []
    assert_same(tmp_path / "run", whole, within=within)


def test_some_heads_and_some_steps(whole, extract, tmp_path):
    run = tmp_path / "run"
    asked = {"every": 5, "step_heads": ["L3H1", "L0H2"], "step_maps": ["L3H7"], "batch_size": 4}
    assert extract(run, **asked, **ASKED) == 0
    assert list(validate(run)) == []
    steps, maps = by_key(run, "steps", STEP_NAMES), by_key(run, "step_maps", ["mass", "rest"])
    assert set(steps.reset_index()["step"]) == {0, 5, 10}
    assert steps.equals(by_key(whole, "steps", STEP_NAMES).loc[steps.index])
    assert maps.equals(by_key(whole, "step_maps", ["mass", "rest"]).loc[maps.index])
    assert len(steps) == 2 * len(maps) == 2 * sum(-(-number // 5) for number in read(run, "samples")["n_generated"])
    assert len(read(run, "tokens")) == len(read(whole, "tokens"))


@pytest.fixture(scope="module")
def ending(whole, checkpoint_path, tmp_path_factory, extract):
    """A checkpoint whose texts end by one of two tokens that it writes, and a run of it."""
    folder = tmp_path_factory.mktemp("ending")
    path = shutil.copytree(checkpoint_path, folder / "model")
    tokens = read(whole, "tokens").pivot(index="sample_id", columns="step", values="token_id")
    ends = [int(tokens.loc["existence/01.png", 4]), int(tokens.loc["count/01.png", 6])]
    config = json.loads((path / "generation_config.json").read_text())
    (path / "generation_config.json").write_text(json.dumps(config | {"eos_token_id": ends, "do_sample": True}))
    assert extract(folder / "run", model_path=path, batch_size=4, **ASKED) == 0
    return path, folder / "run", ends


def test_texts_that_end(whole, ending):
    """Rows are those of the run whose texts end nowhere, up to the token that ends them, which is among them."""
    _, run, ends = ending
    assert list(validate(run)) == []
    samples, tokens = read(run, "samples").set_index("sample_id"), by_key(run, "tokens", ["token_id", "logprob"])
    longer = by_key(whole, "tokens", ["token_id", "logprob"])
    assert tokens.equals(longer.loc[tokens.index])
    assert by_key(run, "steps", STEP_NAMES).equals(
        by_key(whole, "steps", STEP_NAMES).loc[by_key(run, "steps", STEP_NAMES).index]
    )
    assert 2 <= (samples["ended"] == "stop").sum() < 6 or samples["n_generated"].nunique() > 2
    for name, sample in samples.iterrows():
        own = longer.loc[name, "token_id"].tolist()
        stop = next((step for step, token in enumerate(own) if token in ends), None)
        assert sample["n_generated"] == (STEPS if stop is None else stop + 1)
        assert sample["ended"] == ("length" if stop is None else "stop")


def test_where_the_answer_begins(whole, extract, tmp_path, capsys):
    """After a piece that the first text has in its middle, and others have not."""
    tokens = read(whole, "tokens")
    texts = read(whole, "samples")["text"]
    own = tokens.loc[tokens["sample_id"] == "existence/01.png", "text"].tolist()
    mark = next(piece for piece in own[1:9] if piece.strip().isalpha() and texts.str.contains(piece).sum() < 6)
    assert extract(tmp_path / "run", answer_after=mark, batch_size=4, **ASKED) == 0
    assert list(validate(tmp_path / "run")) == []
    assert open_run(tmp_path / "run").manifest.answer_after == mark
    samples = read(tmp_path / "run", "samples")
    never = int(samples["answer_step"].isna().sum())
    assert re.search(rf"warning: {never} texts? ha(s|ve) no answer after '{mark}', of 6", capsys.readouterr().err)
    assert samples["text"].equals(texts)
    assert samples["answer_step"].isna().tolist() == (~texts.str.contains(mark)).tolist()
    assert samples["answer_step"][0] > own.index(mark) >= 1


def test_a_run_in_chunks(ending, extract, tmp_path):
    path, run, _ = ending
    other = tmp_path / "run"
    for chunk in (1, 0):
        flags = {"model_path": path, "batch_size": 4, "num_chunks": 2, "chunk_idx": chunk, **ASKED}
        assert extract(other, **flags) == 0
    assert list(validate(other)) == []
    assert_same(other, run, within=5e-6)


def test_a_run_that_is_resumed(ending, extract, tmp_path, monkeypatch):
    path, *_ = ending
    flags = {"model_path": path, "batch_size": 1, "step_maps": ["L1H0"], "every": 3, **ASKED}
    assert extract(tmp_path / "plain", **flags) == 0
    collect = Passes.collect

    def fails_later(self, launched):
        if launched.images[0].questions[0].sample.sample_id == "existence/02.png":
            raise HeadflowError("the power is out")
        return collect(self, launched)

    with monkeypatch.context() as patch:
        patch.setattr(Passes, "collect", fails_later)
        patch.setattr(writer_module, "ROWS_PER_PART", 1)
        assert extract(tmp_path / "run", **flags) == 2
    assert len(read(tmp_path / "run", "tokens")["sample_id"].unique()) == 2
    assert extract(tmp_path / "run", **flags) == 0
    assert list(validate(tmp_path / "run")) == []
    assert_same(tmp_path / "run", tmp_path / "plain")
    ours, theirs = (read(tmp_path / name, "step_maps") for name in ("run", "plain"))
    assert ours.equals(theirs)


def test_a_batch_for_which_memory_does_not_suffice_is_halved(whole, extract, tmp_path, monkeypatch):
    forward = TransformersModel.forward_new

    def tight(self, observation, input_ids, position_ids):
        if input_ids.shape[1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, observation, input_ids, position_ids)

    monkeypatch.setattr(TransformersModel, "forward_new", tight)
    assert extract(tmp_path / "run", batch_size=2, **ASKED) == 0
    assert_same(tmp_path / "run", whole, within=5e-6)


def test_values_that_are_not_finite_cost_their_sample(ending, extract, tmp_path, monkeypatch):
    """Of a step of the sample's own: what stands after the end of its text is nothing."""
    path, run, _ = ending
    of, made = Step.of, []

    def wrong(logits, token=None, **seen):
        step = of(logits, token, **seen)
        made.extend([step] * (len(logits) == ASKED["num_samples"]))
        return replace(step, gap=step.gap * np.nan) if len(made) == 9 else step

    monkeypatch.setattr(Step, "of", wrong)
    assert extract(tmp_path / "run", model_path=path, batch_size=4, **ASKED) == 0
    samples, taken = read(tmp_path / "run", "samples"), read(run, "samples")["n_generated"]
    assert (samples["detail"] == "a logit of step 8 is not finite").tolist() == (taken > 8).tolist()
    assert 0 < (taken > 8).sum() < 6
    assert samples["detail"].isna().sum() == (taken <= 8).sum()


@pytest.mark.parametrize("maps", [["all"], [f"L{layer}H{head}" for layer in range(4) for head in range(8)]])
def test_all_heads_can_have_maps(whole, extract, tmp_path, capsys, maps):
    """Whether they are asked for as all, or named one by one."""
    named = {} if maps == ["all"] else {"step_heads": maps}
    assert extract(tmp_path / "run", num_samples=1, generate=2, step_maps=maps, **named) == 0
    assert "64 rows of `steps` (0.0 MB) and 64 rows of `step_maps`" in capsys.readouterr().out
    assert list(validate(tmp_path / "run")) == []
    for table, columns in (("steps", STEP_NAMES), ("step_maps", ["mass", "rest"])):
        found, expected = by_key(tmp_path / "run", table, columns), by_key(whole, table, columns)
        common = found.index.intersection(expected.index)
        assert (len(found), len(common)) == (64, 64 if table == "steps" else 8)
        assert np.abs(found.loc[common] - expected.loc[common]).to_numpy().max() <= 1e-5


def test_how_much_can_be_written_is_said_before(whole, extract, tmp_path, capsys):
    """Of a text that takes all steps, nothing less is written."""
    flags = {"step_maps": ["L0H2"], "every": 5, "num_samples": 1, "generate": STEPS}
    assert extract(tmp_path / "run", **flags) == 0
    said = capsys.readouterr()
    assert "only step 0 is kept" not in said.err
    lines = said.out.splitlines()
    said = "1 sample with 12 new tokens can have 96 rows of `steps` (0.0 MB) and 3 rows of `step_maps` (0.0 MB)"
    assert lines[1].startswith(said)
    assert (len(read(tmp_path / "run", "steps")), len(read(tmp_path / "run", "step_maps"))) == (96, 3)
    assert extract(tmp_path / "first", **flags | {"generate": 5}) == 0
    assert "`every` is 5, of 5 new tokens at most: only step 0 is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"generate": 0}, "see --generate"),
        ({"generate": 2048}, "2048 new tokens leave no room for a prompt: the model has positions for 2048 tokens"),
        ({"generate": 3, "backend": "llava"}, "see --generate"),
        ({"every": 2}, "without `generate` it does nothing"),
        ({"step_heads": ["L0H1"]}, "without `generate` it does nothing"),
        ({"step_maps": ["L0H1"]}, "without `generate` it does nothing"),
        ({"answer_after": ":"}, "without `generate` it does nothing"),
        ({"text": "texts.json"}, "without `generate` it does nothing"),
        ({"generate": 3, "answer_after": " "}, "what the answer follows is empty"),
        ({"generate": 3, "step_heads": ["L0H9"]}, "the list names head 9 of layer 0"),
        ({"generate": 3, "step_maps": ["head"]}, "'head' is neither a head such as L3H5 nor RUN:K; see --step-maps"),
        ({"generate": 3, "every": 0}, "see --every"),
    ],
)
def test_what_is_wrong_is_one_line(extract, tmp_path, capsys, flags, says):
    assert extract(tmp_path / "run", num_samples=2, **flags) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_prompt_that_leaves_no_room(whole, checkpoint_path, questions, extract, tmp_path):
    first, second, *_ = json.loads((questions / "MME_test.json").read_text())
    second["question"] += " Is there a red car in this picture?" * 9
    (tmp_path / "questions.json").write_text(json.dumps([first, second]))
    length = read(whole, "samples")[["n_bos", "n_system", "n_user", "n_image", "n_question"]].sum(axis=1)[0]
    path = shutil.copytree(checkpoint_path, tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = positions = int(length) + 2 * STEPS
    (path / "config.json").write_text(json.dumps(config))
    flags = {"model_path": path, "question_file": tmp_path / "questions.json"}
    assert extract(tmp_path / "run", **flags, **ASKED) == 0
    found = read(tmp_path / "run", "samples")
    assert found["reason"].fillna("").tolist() == ["", "prompt_too_long"]
    assert found["detail"][1].endswith(f"tokens and {STEPS} new ones, the model has positions for {positions}")


DEMO = Path(__file__).parents[3] / "data" / "demo" / "tiny-llava"


@pytest.fixture(scope="module")
def given(tmp_path_factory, extract):
    """A run of the demo's model, whose texts are read into the tokens that it wrote, and a file of them."""
    folder = tmp_path_factory.mktemp("given")
    assert extract(folder / "run", model_path=DEMO, num_samples=4, generate=6) == 0
    samples = read(folder / "run", "samples")
    (folder / "texts.json").write_text(json.dumps(dict(zip(samples["sample_id"], samples["text"], strict=True))))
    return folder


def test_its_own_texts_given_to_a_model(given, extract, tmp_path):
    texts = given / "texts.json"
    assert extract(tmp_path / "run", model_path=DEMO, num_samples=4, generate=6, text=texts, step_maps=["L0H0"]) == 0
    assert list(validate(tmp_path / "run")) == []
    assert_same(tmp_path / "run", given / "run", within=5e-6)
    assert len(open_run(tmp_path / "run").manifest.texts_sha256) == 64


def test_other_texts_given_to_a_model(given, extract, tmp_path, capsys):
    """Of other lengths, one longer than what is asked for; in any batch; a run of another file is another run."""
    ids = read(given / "run", "samples")["sample_id"].tolist()
    texts = dict(zip(ids, ["No", "Yes, there is a red one in this picture", "Yes and No", "red"], strict=True))
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    asked = {"model_path": DEMO, "num_samples": 4, "generate": 6, "text": tmp_path / "texts.json"}
    for name, flags in (("run", {"batch_size": 2}), ("alone", {"sequences": "separate"})):
        assert extract(tmp_path / name, **flags, **asked) == 0
        assert list(validate(tmp_path / name)) == []
        printed = capsys.readouterr()
        said = "1 given text has 6 tokens or more (`generate`): what comes after them is left out"
        assert said in printed.err
        samples, rows = read(tmp_path / name, "samples"), len(read(tmp_path / name, "steps"))
        tokens = samples["n_generated"].sum()
        assert f"\n4 samples with {tokens} given tokens in all: at most {rows:,} rows of `steps` (" in printed.out
    assert_same(tmp_path / "run", tmp_path / "alone", within=5e-6)
    samples = read(tmp_path / "run", "samples").set_index("sample_id")
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    for name, text in texts.items():
        own = tokenizer(text, add_special_tokens=False).input_ids
        assert samples.loc[name, "n_generated"] == min(6, len(own) + 1)
        assert samples.loc[name, "ended"] == ("stop" if len(own) < 6 else "length")
        assert samples.loc[name, "text"] == tokenizer.decode(own[:6])
    assert (read(tmp_path / "run", "tokens")["gap"] < 0).any()
    (tmp_path / "texts.json").write_text(json.dumps(texts | {ids[0]: "Yes"}))
    assert extract(tmp_path / "run", **asked) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"existence/01.png": "Yes"}', "has no text for 1 sample of 2, such as 'existence/01.png#2'"),
        ('{"existence/01.png": "Yes", "x": "No"}', "has 1 text of no sample of the question file: x"),
        ('{"existence/01.png": " "}', "the text of 'existence/01.png' is empty"),
        ('{"existence/01.png": ["Yes"]}', "the text of 'existence/01.png' is "),
        ('{"existence/01.png": "\\ud83d"}', "the text of 'existence/01.png': it is not text in UTF-8"),
        ('["Yes"]', 'holds no JSON object; the file has the form {"SAMPLE_ID": "text", ...}; see --text'),
        ('{"a": "Yes", "a": "No"}', "it has 'a' twice"),
        (None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_texts_is_one_line(extract, tmp_path, capsys, content, says):
    if content is not None:
        (tmp_path / "texts.json").write_text(content)
    assert extract(tmp_path / "run", num_samples=2, generate=4, text=tmp_path / "texts.json") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert not (tmp_path / "run" / "run.json").exists()
