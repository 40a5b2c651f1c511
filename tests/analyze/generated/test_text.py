"""Pictures of texts. Oracles: the masses and maps that the run was made from; boxes as matplotlib measures them."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from analyze.__main__ import main
from analyze.drawing.figures import FigureFiles, style
from analyze.drawing.page import COLUMN, PageSize
from analyze.drawing.tokens import MOST_LINES, UNKNOWN, lay_out, mass_colours, text_figure
from analyze.generated.reading import Texts
from analyze.pictures.images import PictureImages
from analyze.pictures.texts import TextPictures, chosen_texts, most_massive
from analyze.tables.frames import open_heads
from schemas.columns import STEP_MAPS, STEP_NAMES, STEPS, TOKENS
from schemas.text import find_words
from tests.support.boxes import badly_placed, smallest_letters
from tests.support.looking import picture
from tests.support.pictures import write_empty
from tests.support.runs import flows, sample, start
from tests.support.texts import made_up_text

LAYERS, HEADS, MAPPED = 2, 3, [[0, 1], [1, 2]]
ENGLISH = ["There", " is", " a", " bl", "ack", " box", ",", " $", "5", "^", "2$", " it", "'s", " <b>", ".", ""]
CHINESE = ["图", "", "片", "中有", " 一个", "\n\n", "red", " box", "。"]
LONG = [f" word{number}" for number in range(200)]
ENDLESS = [" of", "x" * 300, "\n", *["\n"] * 40, *[f" 第{number}" for number in range(400)]]
TEXTS = {"english": ENGLISH, "chinese": CHINESE, "long": LONG, "endless": ENDLESS, "nothing": [" ."]}


def write_texts(path, texts=TEXTS, *, every=1, maps=True, folder=None):
    """A run of one text on each image."""
    random = np.random.default_rng(0)
    fields = {"layers": LAYERS, "heads": HEADS, "generate": 512, "every": every}
    fields |= {"tables": [TOKENS, STEPS, STEP_MAPS], "step_map_heads": MAPPED} if maps else {"tables": [TOKENS, STEPS]}
    writer = start(path, len(texts), fields=fields)
    for number, (name, pieces) in enumerate(texts.items()):
        grids, more = made_up_text(random, len(pieces), LAYERS * HEADS, len(MAPPED), every=every, pieces=pieces)
        grids[STEPS] = grids[STEPS].reshape(-1, LAYERS, HEADS, len(STEP_NAMES))
        content = picture(number)
        row = sample(number, name) | more | {"sample_id": name, "image_sha256": hashlib.sha256(content).hexdigest()}
        row["question"] = "What costs $5 and $6?"
        if folder is not None:
            (folder / row["image"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / row["image"]).write_bytes(content)
        wanted = (TOKENS, "tokens.", STEPS, *((STEP_MAPS,) if maps else ()))
        own = {key: value for key, value in grids.items() if key.startswith(wanted) and (maps or STEP_MAPS not in key)}
        writer.add(row, {"heads": flows(random, LAYERS, HEADS), **own})
    writer.finish()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, folder):
    return write_texts(tmp_path_factory.mktemp("texts") / "run", folder=folder)


def pictures(run, folder=None, head=None, samples=None):
    heads, _ = open_heads(run)
    found = TextPictures(heads, chosen_texts(samples, Texts.of(heads), 10), head)
    return {each.name: each for each in found.all(PictureImages(heads, folder))}


@pytest.mark.parametrize("head", [None, "L1H2", "L0H0", "most"])
def test_masses_and_maps_are_those_of_the_run(run, folder, head):
    steps, maps = pd.read_parquet(run / STEPS), pd.read_parquet(run / STEP_MAPS)
    means = steps.groupby(["layer", "head"])["g2v"].mean()
    layer, own = means.idxmax() if head == "most" else (-1, -1) if head is None else (int(head[1]), int(head[3]))
    found = pictures(run, folder, head)["text_long"]
    rows = steps[steps["sample_id"] == "long"]
    rows = rows if head is None else rows[(rows["layer"] == layer) & (rows["head"] == own)]
    expected = rows.groupby("step")["g2v"].mean().to_numpy()
    np.testing.assert_allclose(found.masses, expected, atol=1e-6)
    largest = sorted(np.argsort(-expected)[:6])
    assert [overlay.lines[:2] for overlay in found.overlays] == [(f"word{step}", f"step {step}") for step in largest]
    rows = maps[(maps["sample_id"] == "long") & (maps["step"] == largest[0])]
    if [layer, own] in MAPPED:
        rows = rows[(rows["layer"] == layer) & (rows["head"] == own)]
    weights = np.stack(rows["map"]).astype(float).mean(axis=0)
    np.testing.assert_allclose(found.overlays[0].values.ravel(), weights / weights.mean(), rtol=1e-5)
    whose = {None: "mean over 6 heads", "most": f"head L{layer}H{own}, which looks most in these texts"}
    whose_maps = f"maps of head {head}" if head == "L1H2" else "mean map of 2 heads"
    assert found.caption[0].endswith(whose.get(head, f"head {head}"))
    assert head == "most" or found.caption[1].endswith(whose_maps)


def test_words():
    assert find_words(ENGLISH) == [
        (0, "There"), (1, "is"), (2, "a"), (3, "black"), (5, "box"), (8, "5"), (10, "2"), (11, "it's"), (13, "b"),
    ]  # fmt: skip
    assert find_words(CHINESE) == [(0, "图"), (1, "片"), (3, "中有"), (4, "一个"), (6, "red"), (7, "box")]
    masses = np.array([0.1, 0.5, np.nan, 0.2, 0.9, 0.4, *[0.0] * 10])
    assert most_massive(ENGLISH, masses, 3) == [(1, "is"), (3, "black"), (5, "box")]  # not `ack`, no first piece


@pytest.mark.parametrize(
    ("page", "samples"),
    [(PageSize(titles=False), ["english"]), (PageSize(COLUMN), [name for name in TEXTS if name != "long"])],
    ids=["wide", "column"],
)
def test_pictures_hold_their_texts(run, folder, page, samples):
    """All texts in a column, where they have least room, but one that is as another that is longer."""
    for name, each in pictures(run, folder, samples=samples).items():
        with style(page):
            figure = text_figure(each)
            assert [each for each in badly_placed(figure) if each != ("frame 0", "texts 0")] == [], name
            assert smallest_letters(figure) >= 6, name
            bars = [axes.get_ylim() for axes in figure.axes if axes.get_ylabel().startswith("Attention")]
            assert all(low < high for low, high in bars)
            assert page.width is None or figure.get_size_inches()[0] == pytest.approx(page.width)
            text = figure.axes[0]
            left, right, tall = *text.get_xlim(), text.get_ylim()[0]
            for box in (patch for patch in text.patches if isinstance(patch, Rectangle)):
                assert left - 1e-9 <= box.get_x() <= box.get_x() + box.get_width() <= right + 1e-9
                assert -1e-9 <= box.get_y() <= box.get_y() + box.get_height() <= tall + 1e-9


def test_a_token_has_the_colour_of_its_mass(run):
    each = pictures(run)["text_english"]
    with style():
        axes = text_figure(each).axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert shown == [piece.strip() for piece in ENGLISH if piece]
    assert not any(text.get_parse_math() for text in axes.texts)
    for box, mass in zip(axes.patches, each.masses, strict=False):
        assert box.get_facecolor()[:3] == pytest.approx(mass_colours()(mass / each.masses.max())[:3])


def test_lines_are_divided_between_words():
    boxes = lay_out(LONG, 5.0)
    lines = [[box for box in boxes if box.line == line] for line in range(boxes[-1].line + 1)]
    assert [box.token for box in boxes] == list(range(200))
    assert all(line[-1].left + line[-1].wide <= 5.0 for line in lines)
    assert all(line[-1].left + line[-1].wide > 4.0 for line in lines[:-1])
    pieces = [" a", *[" bl", "ack"] * 30]
    assert all(
        one.line == other.line
        for one, other in zip(lay_out(pieces, 3.0)[1::2], lay_out(pieces, 3.0)[2::2], strict=True)
    )
    assert [box.line for box in lay_out(["a", "\n\n", "\n", "b.\n", "c"], 3.0)] == [0, 0, 0, 1, 2]


def test_what_is_left_out_is_said(run):
    with style():
        figure = text_figure(pictures(run)["text_endless"])
    drawn = len(figure.axes[0].texts)
    total = sum(map(bool, ENDLESS))
    (label,) = (text.get_text() for text in figure.axes[1].texts)
    assert f"{total - drawn} tokens of {total} not drawn" in " ".join(label.split())
    assert figure.axes[0].get_ylim()[0] <= MOST_LINES * 0.3


def test_steps_without_rows_are_not_shaded(tmp_path):
    each = pictures(write_texts(tmp_path / "run", {"english": ENGLISH}, every=3))["text_english"]
    assert np.isfinite(each.masses).tolist() == [step % 3 == 0 for step in range(len(ENGLISH))]
    assert {overlay.lines[1] for overlay in each.overlays} <= {f"step {step}" for step in range(0, 16, 3)}
    assert "every 3" in " ".join(each.caption)
    with style():
        axes = text_figure(each).axes[0]
    outlined = [box.get_linestyle() == ":" for box in axes.patches]
    assert outlined == [step % 3 != 0 for step in range(15)]
    assert UNKNOWN == "white"


def test_the_command(run, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FigureFiles, "save", write_empty)
    flags = ["--samples", "english,nothing", "--output-dir", str(tmp_path), "--image-folder", str(folder)]
    assert main(["text", str(run), *flags]) == 0
    said = capsys.readouterr().out
    assert 'english: image mass when the token was chosen, mean over 6 heads, is largest at "' in said
    assert "nothing: image mass when the token was chosen, mean over 6 heads: the text has no word" in said
    assert {path.name for path in tmp_path.glob("*.png")} == {"text_english.png", "text_nothing.png"}
    table = pd.read_csv(tmp_path / "tokens.csv", keep_default_na=False)
    assert table.loc[table["sample_id"] == "english", "text"].tolist() == ENGLISH
    assert main(["text", str(write_texts(tmp_path / "run", {"english": ENGLISH}, maps=False))]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("flags", "says"), [
    (["--samples", "gone"], "no sample 'gone' has a text here; there are english, chinese, long and 2 more"),
    (["--head", "all"], "'all' is neither a head such as L3H5 nor most"),
    (["--head", "L2H0"], "; there are L0H0, L0H1, L0H2, L1H0, L1H1 and 1 more"),
])  # fmt: skip
def test_what_cannot_be_drawn(run, tmp_path, capsys, flags, says):
    assert main(["text", str(run), "--output-dir", str(tmp_path), *flags]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert f"see {flags[0]}" in line
