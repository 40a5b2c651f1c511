"""Every picture of every command on a paper's page. Oracle: sizes and boxes of texts, as matplotlib measures them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analyze.__main__ import main
from analyze.drawing.figures import FigureFiles, style
from analyze.drawing.heads import DIVERGING
from analyze.drawing.page import COLUMN, TWO_COLUMNS, PageSize
from analyze.drawing.results.comparison import scores_figure
from analyze.drawing.results.diagnosis import contrasts_figure, draw_calibration
from analyze.statistics.calibration import calibrate
from analyze.statistics.heads.means import ABOVE, HeadMeans
from tests.support.boxes import badly_placed, on_each_other, smallest_letters
from tests.support.looking import write_looking
from tests.support.prunable import World, measure, measure_sets, singles, write_world
from tests.support.runs import edit_manifest, write_run
from tests.support.writing import write_writing

NAMED = ("looks", "answers", "heads_writing")  # whose panels have names of points
FEW = ["--resamples", "100"]
CATEGORIES = {"existence": 22, "commonsense_reasoning": 21}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The command line of each command, by what it draws."""
    folder = tmp_path_factory.mktemp("pages")
    world = World.of(3, 4, strength=1.0)
    one, two, blank = (folder / name for name in ("one", "two", "blank"))
    for seed, path in enumerate((one, two, blank)):
        write_world(path, world, categories=CATEGORIES, seed=seed, tables=("contributions", "layers"))
    edit_manifest(blank, images="blank")
    measure(one, world, "single", singles(world))
    flags = ["--random", "20", "--criteria", "a2v,effect", "--shares", "0.25,0.5", "--dpi", "10"]
    assert main(["prune", str(one), *flags, *FEW]) == 0
    measure_sets(one, world)
    large = write_run(folder / "large", layers=32, heads=32, categories={"OCR": 2})
    images = write_looking(folder / "images", images=22, folder=folder)
    words = write_looking(folder / "words", images=22, wordings=True)
    vocabulary = folder / "words.json"
    vocabulary.write_text('{"content words": ["dog", "red"], "function words": ["a", "the"], "others": ["and"]}')
    every = ["--metrics", "t2v,v2t,q2bos,q2user,d2sys", "--effects", "single"]
    return {
        "plots": ["plots", one, "--layers", "0", "--categories", "existence", *every],
        "plots of a large model": ["plots", large, "--layers", "0", "--metrics", "t2v", "--categories", "OCR"],
        "compare": ["compare", one, two, "--related", *FEW],
        "diagnose": ["diagnose", one, *FEW],
        "image": ["image", one, "--without", blank, *FEW],
        "prompts": ["prompts", words, *FEW],
        "maps": ["maps", images, "--image-folder", folder, "--top", "2", *FEW],
        "words": ["words", write_writing(folder / "writing", images=22, longest=40), "--words", vocabulary],
        "words of few": ["words", write_writing(folder / "few", images=2, texts=[[" a"]], step_heads=[(1, 2)])],
        "prune": ["prune", one, *FEW],
        "verify": ["verify", one],
    }


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Call a command; returns its figures by name, drawn for a page."""

    def call(words, *flags) -> dict[str, Figure]:
        figures = {}

        def keep(self, figure, path):
            inside = {("frame 0", "texts 0"), ("frame 1", "texts 1")} if path.name in NAMED else set()
            faults = [each for each in badly_placed(figure) if each not in inside]
            figures[path.name] = (figure, smallest_letters(figure), faults)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            return path

        monkeypatch.setattr(FigureFiles, "save", keep)
        folder = [] if words[0] == "prune" else ["--output-dir", str(tmp_path)]  # beside the sets that it wrote
        assert main([*map(str, words), *folder, *flags]) in (0, 2)
        return figures

    return call


COMMANDS = (
    "plots", "plots of a large model", "compare", "diagnose", "image", "prompts", "maps", "words", "words of few",
    "prune", "verify",
)  # fmt: skip


WIDE = ("plots", "diagnose", "maps", "words", "prune")  # whose panels stand otherwise where there is room


@pytest.mark.parametrize(
    ("command", "flag", "width"),
    [
        *((command, "--column", COLUMN) for command in COMMANDS),
        *((command, "--two-columns", TWO_COLUMNS) for command in WIDE),
    ],
)
def test_every_picture_can_be_read_on_a_page(runs, drawn, command, flag, width):
    figures = drawn(runs[command], flag)
    assert figures
    for name, (figure, smallest, faults) in figures.items():
        assert figure.get_size_inches()[0] == pytest.approx(width), name
        assert smallest >= 6, name
        assert faults == [], name


def test_pictures_without_titles(runs, drawn):
    plots = ["plots", runs["plots"][1], "--layers", "0", "--categories", "existence", "--metrics", "t2v"]
    for words in (runs["diagnose"], plots):
        for name, (figure, _, faults) in drawn(words, "--column", "--no-title").items():
            assert figure.get_suptitle() == "", name
            assert faults == [], name


def test_the_checks_can_fail():
    with style(PageSize(COLUMN)):
        figure = Figure(figsize=(1, 1))
        axes = figure.subplots()
        axes.set_xticks([0, 0.1, 0.2], ["one tick", "another one", "a third"], size=5)
        assert on_each_other(figure)
        assert smallest_letters(figure) == 5


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_text_stays_text(runs, tmp_path, kind):
    flags = ["--output-dir", str(tmp_path), "--format", kind, "--column"]
    assert main(["image", *map(str, runs["image"][1:]), *flags]) == 0
    content = (tmp_path / f"image.{kind}").read_bytes()
    assert b"/Type3" not in content
    assert (b"/CIDFontType2" if kind == "pdf" else b"Accuracy, %</text>") in content


def test_maps_of_contributions_and_effects_are_those_of_pandas(runs, drawn, monkeypatch):
    """As if there were images enough to tell all heads from 0."""
    monkeypatch.setattr(HeadMeans, "told", property(lambda means: np.full_like(means.mean, ABOVE)))
    run = runs["plots"][1]
    figures = drawn(["plots", run, "--metrics", "d2v", "--effects", "single"])
    assert set(figures) == {"mme_head_map_d2v", "mme_head_map_effect_single"}
    sign = pd.read_parquet(run / "samples").set_index("sample_id")["answer"].map({"Yes": 1, "No": -1})
    sign.index = sign.index.astype(str)
    added, rows = (pd.read_parquet(run / name) for name in ("contributions", "jobs/single/knockouts"))
    for table, value, name in (
        (added, added["d2v"], "d2v"),
        (rows, rows["margin_untouched"] - rows["margin"], "effect_single"),
    ):
        signed = value * table["sample_id"].astype(str).map(sign)
        expected = signed.groupby([table["layer"], table["head"]]).mean().to_numpy().reshape(3, 4)
        image = figures[f"mme_head_map_{name}"][0].axes[0].images[0]
        assert np.asarray(image.get_array()) == pytest.approx(expected, abs=1e-5)
        low, high = image.get_clim()
        assert low == -high
        assert image.get_cmap().name == DIVERGING


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--metrics", "d2v"], "has no d2v: it has no table contributions; see --metrics"),
        (["--effects", "none"], "has no job 'none'; its jobs: none; see --effects"),
    ],
)
def test_maps_that_a_run_has_nothing_for(runs, capsys, flags, says):
    assert main(["plots", str(runs["plots of a large model"][1]), *flags]) == 2
    assert says in capsys.readouterr().err


def test_where_no_head_is_significant_a_sentence_says_so():
    with style(PageSize(COLUMN)):
        figure = contrasts_figure(np.zeros((2, 3)), np.zeros((2, 3), bool), "a2v", ["a run"])
        assert badly_placed(figure) == []
    assert figure.axes == []
    assert "No head's A2V tells which question is answered wrong" in figure.texts[-1].get_text().replace("\n", " ")


def test_differences_are_marked_as_the_verdict_calls_them():
    names = ["one", "two", "three"]
    scores = pd.DataFrame({"category": names, "difference": [5.0, 4.0, 1.0], "low": [1.0, 0.5, np.nan]})
    scores = scores.assign(high=[9.0, 8.0, np.nan], significant=[True, False, False])
    for run in "ab":
        scores = scores.assign(**{run: 50.0, f"{run}_low": 40.0, f"{run}_high": 60.0})
    with style():
        figure = scores_figure(scores, "title", ["a run"], ["A", "B"])
    _, found, other = figure.axes[1].lines
    assert (found.get_xdata().tolist(), found.get_markerfacecolor()) == ([5.0], found.get_color())
    assert (other.get_xdata().tolist(), other.get_markerfacecolor()) == ([4.0, 1.0], "white")


def test_bins_of_calibration_are_not_joined():
    probability = np.array([0.05] * 40 + [0.5] * 3 + [0.95] * 40)
    with style():
        axes = draw_calibration(Figure().subplots(), calibrate(probability, probability > 0.4), "Yes")
    assert len(axes.lines) == 1  # the diagonal
    assert [text.get_text() for text in axes.texts] == ["40", "3", "40"]
