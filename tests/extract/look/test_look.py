"""Oracle: a run of the same model over a question file that asks the same."""

from dataclasses import replace
from subprocess import CompletedProcess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analyze.__main__ import main as analyze_main
from analyze.drawing.figures import FigureFiles
from extract import load_model
from extract.__main__ import main
from extract.look import command
from extract.look.found import RED
from schemas.columns import FLOW_NAMES, MAP_NUMBERS, MAPS, STEP_MAPS, STEPS
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.support.pictures import write_empty


@pytest.fixture
def undrawn(monkeypatch):
    """Let `python -m analyze` run in this process and write no pictures."""

    def run(argv, check):
        return CompletedProcess(argv, analyze_main(argv[3:]))

    monkeypatch.setattr(command, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(FigureFiles, "save", write_empty)


@pytest.fixture(scope="module")
def run(extract, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert extract(folder, maps=True, num_samples=4, num_workers=0) == 0
    return folder


@pytest.fixture(scope="module")
def model(checkpoint_path):
    return load_model(str(checkpoint_path), device="cpu")


def test_it_finds_what_a_run_has(run, model, questions):
    samples, heads, maps = (pd.read_parquet(run / table) for table in ("samples", "heads", MAPS))
    for row in samples.to_dict("records"):
        found = model.look(questions / "images" / row["image"], row["question"])
        assert found.prediction == row["prediction"]
        for name in ("p_yes", "p_no", "margin"):
            assert abs(getattr(found, name) - row[name]) <= 1e-4
        own = [table[table["sample_id"] == row["sample_id"]] for table in (heads, maps)]
        for name in FLOW_NAMES:
            assert np.abs(found.masses[name].ravel() - own[0][name]).max() <= 1e-5
        for name in [column.name for column in MAP_NUMBERS]:
            np.testing.assert_allclose(found.numbers[name].ravel(), own[1][name], rtol=0, atol=1e-4)  # `sink` is NaN
        expected = own[1][(own[1]["layer"] == 2) & (own[1]["head"] == 5)].iloc[0]
        assert np.abs(found.map(2, 5) - expected["map"].reshape(8, 8)).max() <= 1e-5
        assert found.box == tuple(row["grid_box"])


def test_a_picture_in_memory_is_taken(run, model, questions):
    name = pd.read_parquet(run / "samples")["image"][0]
    file = questions / "images" / name
    one, other = model.look(file, "Is it red?"), model.look(Image.open(file), "Is it red?")
    assert one.margin == other.margin
    assert (one.maps == other.maps).all()


@pytest.mark.parametrize(
    ("name", "question", "says"),
    [
        ("gone.png", "Is it red?", "does not exist"),
        ("gone/OCR.png", "Is it red?", "does not exist"),
        (None, " ", "text"),
    ],
)
def test_what_cannot_be_looked_at(run, model, questions, name, question, says):
    name = name or pd.read_parquet(run / "samples")["image"][0]
    with pytest.raises(HeadflowError, match=says):
        model.look(questions / "images" / name, question)


def test_it_shows_itself(model, questions):
    """The overlay reddens the patches in the order of the map, and leaves the image where the map is 0."""
    found = model.look(next((questions / "images").glob("*/*.png")), "Is it red?")
    head = found.top(1)[0]
    assert found.masses["a2v"][head] == found.masses["a2v"].max()
    image, overlay = (np.asarray(each, dtype=float) for each in (found.image, found.overlay(*head)))
    x0, y0, x1, y1 = (round(edge) for edge in found.box)
    rows, columns = found.map(*head).shape
    places = [
        (min(max(round(y0 + (row + 0.5) * (y1 - y0) / rows), 0), image.shape[0] - 1),
         min(max(round(x0 + (column + 0.5) * (x1 - x0) / columns), 0), image.shape[1] - 1))
        for row in range(rows) for column in range(columns)
    ]  # fmt: skip
    shares = found.map(*head).ravel() / found.map(*head).max()
    expected = [image[place] + int(share * 200) / 255 * (np.array(RED) - image[place])
                for place, share in zip(places, shares, strict=True)]  # fmt: skip
    assert np.abs(np.array([overlay[place] for place in places]) - expected).max() <= 1
    with pytest.raises(HeadflowError, match="L9H0: the model has 4 layers x 8 heads, from 0"):
        found.map(9, 0)
    with pytest.raises(HeadflowError, match="3 is not a question"):
        model.look(found.image, 3)
    text = found._repr_html_()
    assert f"(p_yes {found.p_yes:.3f}" in text
    assert text.count("<tr>") == 7
    assert 'src="data:image/png;base64,' in text


@pytest.fixture(scope="module")
def writing(extract, tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing") / "run"
    flags = {"step_maps": ["all"], "generate": 5, "num_samples": 4, "num_workers": 0, "prompt_suffix": ""}
    assert extract(folder, **flags) == 0
    return folder


def test_what_it_writes_is_what_a_run_has(writing, checkpoint_path, questions):
    model = load_model(str(checkpoint_path), device="cpu")
    tables = {table: pd.read_parquet(writing / table) for table in ("tokens", STEPS, STEP_MAPS)}
    samples = pd.read_parquet(writing / "samples").sort_values("n_generated").to_dict("records")
    assert samples[-1]["n_generated"] > 1
    for row in (samples[0], samples[-1]):
        found = model.look(questions / "images" / row["image"], row["question"], generate=5)
        tokens, steps, maps = (each[each["sample_id"] == row["sample_id"]] for each in tables.values())
        assert (found.text, found.ended) == (row["text"], row["ended"])
        assert [text for text, _ in found.tokens] == tokens["text"].tolist()
        masses = steps["g2v"].to_numpy().reshape(-1, 4, 8)
        assert np.abs(found.step_masses - masses).max() <= 1e-5
        assert np.abs(np.array([mass for _, mass in found.tokens]) - masses.mean(axis=(1, 2))).max() <= 1e-5
        expected = np.stack(maps["map"]).reshape(len(masses), 32, 8, 8).mean(axis=1)
        assert np.abs(found.step_maps - expected).max() <= 1e-5
        assert found.prediction == row["prediction"]  # of the same prompt, without MME's suffix
        text = found._repr_html_()
        assert text.count("<span ") == len(found.tokens)
        assert f"image mass {found.tokens[0][1]:.3f}" in text
    with pytest.raises(HeadflowError, match="step 9: the text has"):
        found.step_overlay(9)
    for wrong in (0, 2048, "4", True):
        with pytest.raises(HeadflowError, match="is not a number of new tokens from 1 to 2047"):
            model.look(found.image, "Is it red?", generate=wrong)


def test_a_text_shows_itself(model, questions):
    """Its tokens by mass, and the word of most mass, which a piece inside of it is not; markup of a text is text."""
    found = model.look(next((questions / "images").glob("*/*.png")), "Is it red?", generate=1)
    masses = (0.1, 0.2, 0.4, 0.3)
    tokens = tuple(zip((" <b>", " do", "g", "."), masses, strict=True))
    found = replace(found, tokens=tokens, step_maps=np.repeat(found.step_maps[:1], 4, axis=0))
    text = found._repr_html_()
    assert len(repr(found)) < 200
    assert "&lt;b&gt;</span>" in text
    assert 'title="step 2, image mass 0.400">g</span>' in text
    assert "<figcaption>dog: step 1, image mass 0.200" in text
    assert "<figure>" not in replace(found, tokens=((" .", 0.1),))._repr_html_()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"colour": "red"}, "there is no setting colour"),
        ({"maps_of": "nonsense"}, "there is no setting maps_of"),
        ({"image_aspect_ratio": "nonsense"}, "nonsense is not one of crop, pad, checkpoint"),
        ({"prompts": ["mme", "llava"]}, "one question is asked in one wording"),
        ({"images": "blank"}, "images are read as they are"),
        ({"dtype": "float8"}, "float8 is not one of auto"),
        ({"conv_mode": "v9"}, "conv_mode: v9 is not one of hf, auto, vicuna_v1"),
        ({"device": "toaster"}, "the device toaster cannot be used"),
    ],
)
def test_a_setting_that_cannot_be(checkpoint_path, settings, says):
    with pytest.raises(HeadflowError, match=says):
        load_model(str(checkpoint_path), **settings)


def look(checkpoint_path, image, out, *flags):
    flags = ["--model-path", checkpoint_path, "--image", image, "--question", "Is it red?", "--output-dir", out, *flags]
    return main(["look", "--device", "cpu", *map(str, flags)])


def test_the_command(checkpoint_path, run, questions, tmp_path, capsys, request):
    image = questions / "images" / pd.read_parquet(run / "samples")["image"][0]
    assert look(checkpoint_path, image, tmp_path / "look", "--top", "3", "--column", "--no-title") == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Is it red? "))
    heads = pd.read_parquet(tmp_path / "look" / "heads").sort_values("a2v", ascending=False)[:3]
    expected = [f"L{row.layer}H{row.head}" for row in heads.itertuples()]
    assert [line.split()[0] for line in lines[start + 2 : start + 5]] == expected
    assert [float(line.split()[1]) for line in lines[start + 2 : start + 5]] == [
        round(float(value), 3) for value in heads["a2v"]
    ]
    assert list(validate(tmp_path / "look")) == []
    (picture,) = (tmp_path / "look").rglob("*.png")
    assert picture.name == f"sample_{image.stem}.png"
    with Image.open(picture) as drawn:
        assert drawn.width == 990  # 3.3 inches with 300 dots each
    before = sorted(path.name for path in (tmp_path / "look").rglob("*"))
    request.getfixturevalue("undrawn")
    assert look(checkpoint_path, image, tmp_path / "look", "--top", "3") == 0
    assert "1 of 1 sample is there already" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "look").rglob("*")) == before


def test_what_it_writes(checkpoint_path, undrawn, run, questions, tmp_path, capsys):
    """The text is that of a run, and drawn with the maps of all heads, or of those that are named."""
    image = questions / "images" / pd.read_parquet(run / "samples")["image"][0]
    assert look(checkpoint_path, image, tmp_path / "look", "--generate", "4", "--column") == 0
    (sample,) = pd.read_parquet(tmp_path / "look" / "samples").to_dict("records")
    out = capsys.readouterr().out
    assert sample["n_generated"] > 1
    assert f"text ({sample['n_generated']} tokens, ended: {sample['ended']}): " in out
    assert f"{image.stem}: image mass when the token was chosen, mean over 32 heads" in out
    assert (tmp_path / "look" / "text" / f"text_{image.stem}.png").is_file()
    assert len(pd.read_parquet(tmp_path / "look" / "step_maps")) == 32 * sample["n_generated"]
    named = ["--generate", "2", "--step-maps", "L0H1", "--prompt-suffix", " Yes?"]
    assert look(checkpoint_path, image, tmp_path / "some", *named) == 0
    assert set(pd.read_parquet(tmp_path / "some" / "step_maps")["head"]) == {1}
    assert [open_run(tmp_path / name).manifest.prompt_suffix for name in ("look", "some")] == ["", " Yes?"]


@pytest.mark.parametrize(("size", "aspect", "says"), [
    ((160, 64), "crop", "the model reads 40% of the image, from 48, 0 to 112, 64 of 160 x 64 pixels"),
    ((160, 64), "pad", None), ((64, 64), "crop", None),
])  # fmt: skip
def test_what_is_cropped_is_said(checkpoint_path, undrawn, tmp_path, capsys, size, aspect, says):
    Image.new("RGB", size, "red").save(tmp_path / "image.png")
    flags = ["--image-aspect-ratio", aspect, "--top", "1"]
    assert look(checkpoint_path, tmp_path / "image.png", tmp_path / "look", *flags) == 0
    out = capsys.readouterr().out
    assert says in out if says else "the model reads" not in out


def test_some_heads_of_the_question(checkpoint_path, undrawn, run, questions, tmp_path, capsys):
    image = questions / "images" / pd.read_parquet(run / "samples")["image"][0]
    flags = ["--maps-of", "question", "--maps-heads", "L0H1,L2H2"]
    assert look(checkpoint_path, image, tmp_path / "look", *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("head"))
    assert lines[start].split()[1] == "q2v"
    assert {line.split()[0] for line in lines[start + 1 : start + 3]} == {"L0H1", "L2H2"}
    assert look(checkpoint_path, image, tmp_path / "other", "--prompts", "mme") == 2
    assert "there is no option --prompts" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_run_that_it_did_not_write_stays(checkpoint_path, run, questions, capsys, flags):
    image = questions / "images" / pd.read_parquet(run / "samples")["image"][0]
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert look(checkpoint_path, image, run, *flags) == 2
    error = capsys.readouterr().err
    assert f"{run} holds a run that is not of look, and stays as it is; choose another directory" in error
    assert "overwrite" not in error
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_another_question_is_refused_and_may_overwrite(checkpoint_path, undrawn, run, questions, tmp_path, capsys):
    image = questions / "images" / pd.read_parquet(run / "samples")["image"][0]
    assert look(checkpoint_path, image, tmp_path / "look") == 0
    capsys.readouterr()
    assert look(checkpoint_path, image, tmp_path / "look", "--question", "Is it blue?") == 2
    said = capsys.readouterr().err
    assert f"holds the answer to 'Is it red?' about {image.name}; choose another directory, or overwrite it" in said
    assert look(checkpoint_path, image, tmp_path / "look", "--options", "red,blue") == 2
    assert "holds the answer to 'Is it red?'" in capsys.readouterr().err
    flags = ["--question", "Which?", "--options", "red,dark blue", "--overwrite"]
    assert look(checkpoint_path, image, tmp_path / "look", *flags) == 0
    (sample,) = pd.read_parquet(tmp_path / "look" / "samples").to_dict("records")
    assert (sample["question"], sample["options"].tolist()) == ("Which?", ["red", "dark blue"])
    logits = ", ".join(
        f"{name}: logit {value:+.2f}"
        for name, value in zip(("A red", "B dark blue"), sample["option_logits"], strict=True)
    )
    assert f"(p_options {sample['p_options']:.3f}, {logits})" in capsys.readouterr().out


def test_flags_are_its_own(tmp_path, capsys):
    (tmp_path / "image.png").touch()
    for flags, says in (
        ([], "--model-path is required"),
        (["--model-path", "x", "--dtype", "y"], "y is not one of"),
        (["--model-path", "x", "--maps"], "there is no option --maps; did you mean"),
        (["--model-path", "x", "--batch-size", "2"], "there is no option --batch-size"),
    ):
        assert main(["look", "--image", str(tmp_path / "image.png"), "--question", "?", *flags]) == 2
        assert says in capsys.readouterr().err
    assert main(["look", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: python -m extract look ")
    assert "--question-file" not in text


@pytest.mark.parametrize(("name", "says"), [
    ("gone.png", "does not exist"), (".", "is not a file"),
    ("a.png,b.png", "a look takes one image, not several by commas"),
])  # fmt: skip
def test_an_image_that_is_none(checkpoint_path, tmp_path, capsys, name, says):
    assert look(checkpoint_path, tmp_path / name, tmp_path / "look") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(f"{says}; see --image")
    assert not (tmp_path / "look").exists()


def test_a_directory_of_other_files_stays_as_it_is(checkpoint_path, questions, tmp_path, capsys):
    (tmp_path / "thumbnails").mkdir()
    mine = tmp_path / "thumbnails" / f"{'0' * 64}.jpg"
    mine.touch()
    image = next((questions / "images").rglob("*.png"))
    assert look(checkpoint_path, image, tmp_path) == 2
    assert "holds 'thumbnails', and no run; choose a new or empty directory" in capsys.readouterr().err
    assert mine.exists()


def test_an_image_that_cannot_be_read(checkpoint_path, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"broken")
    assert look(checkpoint_path, tmp_path / "broken.png", tmp_path / "look") == 2
    assert "broken.png" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "look").exists()
