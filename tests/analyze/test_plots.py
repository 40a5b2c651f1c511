"""The artists' geometry, compared with numpy and pandas; and the files."""

import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from analyze.__main__ import main
from analyze.commands import plots
from analyze.commands.shared_settings import LONGEST_PREFIX
from analyze.drawing.figures import style
from analyze.drawing.fonts import undrawable
from analyze.drawing.heads import draw_head_map, draw_layer_row, panel_width
from analyze.drawing.panels import draw, draw_stacked_histogram
from analyze.pictures.file_names import file_names
from analyze.pictures.kinds import Picture, SignedMap
from analyze.pictures.labels import NOT_SIGNIFICANT
from analyze.pictures.of_run import Pictures, few_images
from analyze.published.reference import LLAVA_MME, read_reference
from analyze.statistics.heads.means import ABOVE, BELOW, UNCLEAR, UNTOLD
from analyze.tables.bins import bin_edges
from analyze.tables.frames import open_heads
from analyze.tables.tallies import tally
from tests.support.runs import rewrite, start, write_run

EDGES = bin_edges([0.25], None)


def axes():
    return Figure().subplots()


@pytest.fixture
def listed(made_up):
    heads, _ = open_heads(made_up)
    found = tally(heads, ("t2v", "v2t"), heads.scope(None), EDGES)
    return Pictures(found, ("a model",), "mme", [0, 1], heads.categories).all()


@pytest.fixture
def pictures(listed):
    with style():
        return {picture.name: draw(picture, (8.0, 5.0)) for picture in listed}


def bars(drawn) -> list[Bbox]:
    """The bars of a stacked histogram, column by column."""
    return [path.get_extents() for column in drawn.collections for path in column.get_paths()]


def test_stacked_bars():
    shares = {"t2v": np.array([0.5, 0.2, 0.2, 0.1]), "v2t": np.array([0.1, 0.1, 0.3, 0.5])}
    drawn = axes()
    draw_stacked_histogram(drawn, shares, EDGES, top=0.7)
    assert [to_hex(each.get_facecolor()[0]) for each in drawn.collections] == ["#0072b2", "#e69f00"]
    found = bars(drawn)
    assert [bar.x0 for bar in found] == [0, 0.25, 0.5, 0.75] * 2
    assert [bar.width for bar in found] == [0.25] * 8
    assert [bar.y0 for bar in found] == [0] * 4 + [0.5, 0.2, 0.2, 0.1]
    assert [bar.height for bar in found] == pytest.approx([0.5, 0.2, 0.2, 0.1, 0.1, 0.1, 0.3, 0.5])
    assert drawn.get_xlim() == (0, 1)
    assert drawn.get_ylim() == (0, 0.7)


def steps(drawn) -> tuple[np.ndarray, np.ndarray]:
    """Heights and middles of bars, which are one patch."""
    values, edges, _ = drawn.patches[-1].get_data()
    return values[::2], (edges[::2] + edges[1::2]) / 2


def test_a_row_of_layers():
    means = np.arange(6.0).reshape(2, 3)
    drawn = draw_layer_row(axes(), means, "t2v", of=[8, 11], panels=4, top=6)
    heights, middles = steps(drawn)
    assert heights.tolist() == [0, 1, 2, 3, 4, 5]
    assert middles == pytest.approx([0, 1, 2, *(panel_width(3) + np.arange(3))])
    assert [text.get_text() for text in drawn.texts] == ["Layer 8", "Layer 11"]
    assert drawn.get_xlim() == (-1, 3 * panel_width(3) + 3)  # as much before the first head as after the last


def test_the_head_map():
    means = np.random.default_rng(0).random((3, 4))
    drawn = draw_head_map(axes(), means, "t2v")
    mesh = drawn.collections[0]
    assert np.array_equal(mesh.get_array().reshape(3, 4), means)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (means.min(), means.max())
    assert drawn.get_ylim() == (3, 0)  # layer 0 on top


def like_llava(flow: str) -> np.ndarray:
    """The published layer means of LLaVA-1.5-7B, with the spread among heads that its records have."""
    layers = np.array(getattr(read_reference(LLAVA_MME).by_layer, f"{flow}_mean"))
    spread = np.random.default_rng(0).lognormal(0, {"t2v": 0.5, "v2t": 0.15}[flow], (32, 32))
    return np.minimum(layers[:, None] * spread, 1)


def colours_of_middle_half(means) -> float:
    """Which share of the colours the middle half of the heads covers, as drawn."""
    mesh = draw_head_map(axes(), means, "t2v").collections[0]
    return float(np.diff(np.quantile(np.asarray(mesh.norm(mesh.get_array())), [0.25, 0.75]))[0])


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        (np.random.default_rng(0).normal(0.23, 0.035, (6, 8)), "linear"),  # as T2V of the demo
        (like_llava("t2v"), "logarithmic"),
        (like_llava("v2t"), "linear"),
    ],
    ids=["demo", "llava-t2v", "llava-v2t"],
)
def test_heads_can_be_told_apart_on_the_head_map(means, kind):
    assert colours_of_middle_half(means) > 0.15
    assert draw_head_map(axes(), means, "t2v").collections[0].colorbar.ax.get_ylabel().endswith(f", {kind} scale")


def test_heads_of_the_real_model_can_be_told_apart(real_run):
    heads, _ = open_heads(real_run)
    means = tally(heads, ("t2v", "v2t"), heads.scope(None), spread=False).means()
    for flow in ("t2v", "v2t"):
        assert colours_of_middle_half(means[flow].to_numpy().reshape(32, 32)) > 0.15


@pytest.mark.parametrize(
    "means",
    [np.zeros((2, 2)), np.full((2, 2), 0.3), np.array([[0, 1e-9], [1e-3, 1]]), np.array([[0.0, 0.0, 0.0, 1.0]])],
)
def test_any_means_have_a_colour(means, recwarn):
    drawn = draw_head_map(axes(), means, "t2v")
    drawn.figure.draw_without_rendering()
    colours = np.asarray(drawn.collections[0].norm(means))
    assert np.isfinite(colours).all()
    assert (colours >= 0).all()
    assert (colours <= 1).all()
    assert not recwarn.list


def test_pictures_show_the_table(pictures, made_up):
    table = pd.read_parquet(made_up / "heads")
    for name, some in {
        "mme_overall_stacked_hist": table,
        "mme_layer1_stacked_hist": table[table["layer"] == 1],
        "category_OCR/mme_OCR_stacked_hist": table[table["category"] == "OCR"],
    }.items():
        heights = [bar.height for bar in bars(pictures[name].axes[0])]
        expected = [np.histogram(some[flow].astype(float), EDGES)[0] / len(some) for flow in ("t2v", "v2t")]
        assert heights == pytest.approx(np.concatenate(expected), abs=1e-12)
    for flow, means in table.groupby(["layer", "head"])[["t2v", "v2t"]].mean().items():
        heights, _ = steps(pictures[f"mme_layers_head_bars_{flow}"].axes[0])
        assert heights == pytest.approx(means.to_numpy(), abs=1e-6)


def test_pictures_hold_their_numbers_and_titles(listed, made_up):
    table = pd.read_parquet(made_up / "heads")
    found = {picture.name: picture for picture in listed}
    assert len(found) == len(listed)
    assert found["mme_overall_stacked_hist"].title == "All layers"
    assert found["mme_overall_stacked_hist"].of == ("10 samples", "a model")
    one = found["category_OCR/mme_OCR_stacked_hist"]
    assert (one.title, one.of) == ("Category OCR", ("4 samples", "a model"))
    some = table[table["category"] == "OCR"]
    assert one.means["v2t"] == pytest.approx(some["v2t"].mean(), abs=1e-6)
    assert (
        one.panels[0].bars["v2t"].tolist() == (np.histogram(some["v2t"].astype(float), EDGES)[0] / len(some)).tolist()
    )
    means = table.groupby(["layer", "head"])["t2v"].mean().to_numpy().reshape(2, 3)
    assert found["mme_head_map_t2v"].means == pytest.approx(means, abs=1e-6)
    assert found["mme_head_map_t2v"].title == "T2V (text → image) by layer and head"


def test_a_picture_of_no_kind_is_refused():
    with pytest.raises(TypeError, match="Picture is no kind"):
        draw(Picture("name", "title", ()), (8.0, 5.0))


def test_one_scale_for_layers_and_one_for_categories(pictures):
    def limits(part, kind):
        return {
            panel.get_ylim()
            for name, figure in pictures.items()
            if part in name and kind in name and "layers" not in name
            for panel in figure.axes
        }

    for part in ("layer", "category"):
        ((_, top),) = limits(part, "stacked")
        highest = max(
            sum(bar.height for bar in bars(panel) if bar.x0 == x)
            for name, figure in pictures.items()
            if part in name and "stacked" in name and "layers" not in name
            for panel in figure.axes
            for x in EDGES[:-1]
        )
        assert top > highest


def test_the_command_writes_every_picture(made_up, tmp_path):
    out = tmp_path / "pictures"
    assert main(["plots", str(made_up), "--output-dir", str(out), "--dpi", "30"]) == 0
    assert {str(path.relative_to(out)) for path in out.rglob("*.png")} == {
        "mme_overall_stacked_hist.png",
        "mme_layer0_stacked_hist.png",
        "mme_layer1_stacked_hist.png",
        "category_OCR/mme_OCR_stacked_hist.png",
        "category_color/mme_color_stacked_hist.png",
        "mme_layers_stacked_hist.png",
        "mme_layers_head_bars_t2v.png",
        "mme_layers_head_bars_v2t.png",
        "mme_head_map_t2v.png",
        "mme_head_map_v2t.png",
    }
    with Image.open(out / "mme_overall_stacked_hist.png") as image:
        assert image.size == (240, 150)
        assert round(image.info["dpi"][0]) == 30


def test_options(made_up, tmp_path):
    out = tmp_path / "pictures"
    flags = "--format svg --prefix x --metrics q2v,a2bos --layers 1 --categories OCR --figsize 4 3 --bins 0,0.5,1"
    assert main(["plots", str(made_up), "--output-dir", str(out), *flags.split()]) == 0
    assert {str(path.relative_to(out)) for path in out.rglob("*.*")} == {
        "x_overall_stacked_hist.svg",
        "x_layer1_stacked_hist.svg",
        "category_OCR/x_OCR_stacked_hist.svg",
        "x_layers_stacked_hist_q.svg",
        "x_layers_stacked_hist_a.svg",
        "x_layers_head_bars_q2v.svg",
        "x_layers_head_bars_a2bos.svg",
        "x_head_map_q2v.svg",
        "x_head_map_a2bos.svg",
    }


@pytest.mark.usefixtures("unsaved")
def test_an_overwritten_run_keeps_neither_pictures_nor_tables(made_up, tmp_path, monkeypatch):
    monkeypatch.chdir(made_up.parent)
    (made_up / "mine.png").write_bytes(b"mine")
    before = set(made_up.iterdir())
    for command in (
        ["plots", made_up.name, "--layers", "0", "--metrics", "t2v"],
        ["summary", str(made_up)],
    ):
        assert main(command) == 0
    assert main(["verify", str(made_up), "--dpi", "20"]) == 2  # made up, so not to be compared
    made = {file.name for file in set(made_up.iterdir()) - before}
    assert made > {"mme_overall_stacked_hist.png", "summary.csv", "scores.csv", "verify.csv", "mme_verify.png"}
    start(made_up, 0, fields={"dtype": "float16"}, overwrite=True).finish()
    assert set(made_up.iterdir()) == before


def test_two_runs_draw_the_same_bytes(made_up, tmp_path):
    some = ["--dpi", "30", "--layers", "0", "--categories", "OCR", "--metrics", "t2v"]  # a picture of each kind
    for kind in ("png", "svg"):
        for out in ("a", "b"):
            flags = [*some, "--format", kind, "--output-dir", str(tmp_path / out)]
            assert main(["plots", str(made_up), *flags]) == 0
        assert len(list((tmp_path / "a").rglob(f"*.{kind}"))) == 6
        for path in (tmp_path / "a").rglob(f"*.{kind}"):
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.usefixtures("unsaved")
def test_what_lies_outside_the_bins_is_said(made_up, tmp_path, capsys):
    assert main(["plots", str(made_up), "--output-dir", str(tmp_path), "--dpi", "20", "--range", "0", "0.1"]) == 0
    assert "of v2t lies outside the bins" in capsys.readouterr().err


def test_a_mass_that_rounding_made_more_than_1_is_in_the_last_bin(made_up):
    def put(table):
        values = table["v2t"].to_numpy().copy()
        values[:2] = [1.0000004, -1e-7]
        return table.set_column(table.schema.get_field_index("v2t"), table.schema.field("v2t"), pa.array(values))

    rewrite(made_up, "heads", put)
    heads, _ = open_heads(made_up)
    found = tally(heads, ("v2t",), heads.scope(None), EDGES)
    assert found.outside()["v2t"] == 0
    stored = pd.read_parquet(made_up / "heads")["v2t"].clip(0, 1)
    assert found.bins["v2t"].groupby("bin").sum().tolist() == [*np.histogram(stored, EDGES)[0], 0]


STRANGE = [
    *("a/b", "a_b", "A_B", "a_b-2", "..", "", "two words", "数值计算", "$x^2$", "tab\tnew\nline", "con.png", "-"),
    *(
        "x" * 300,
        "x" * 80,
        "数" * 80,
        "数" * 81,
        "🙂" * 80,
        "_" * 80,
        "caf\u00e9",
        "cafe\u0301",
        "\x1b[31m",
        "\u202eabc",
    ),
]


def test_names_of_images_lose_their_suffix():
    names = file_names(["OCR/01.png", "OCR/01.png#2", "OCR/01.jpg", "a.png/b", ".png", "v1.5"])
    assert list(names.values()) == ["OCR_01", "OCR_01_2", "OCR_01-2", "a.png_b", "png", "v1.5"]


def test_strange_categories_get_their_own_safe_file_names(tmp_path):
    names = file_names(STRANGE)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names.values()}) == len(STRANGE)
    for name in names.values():
        assert name not in ("", ".", "..")
        assert not set(name) & set('/\\:*?"<>|\n\t ')
        (tmp_path / name).mkdir()
        (tmp_path / f"{'p' * LONGEST_PREFIX}_{name}_stacked_hist.png").touch()
    assert names["数值计算"] == "数值计算"
    assert names["a/b"] == "a_b"


@pytest.mark.usefixtures("unsaved")
def test_of_many_categories_the_largest_are_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "MOST_CATEGORIES", 2)
    run = write_run(tmp_path / "run", categories={"a": 2, "b": 6, "c": 4})
    command = ["plots", str(run), "--dpi", "20", "--metrics", "t2v", "--layers", "0"]
    assert main(command) == 0
    assert "pictures of 2 of 3 categories, those with the most samples; --categories" in capsys.readouterr().err
    assert {path.name for path in run.glob("category_*")} == {"category_b", "category_c"}
    assert main([*command, "--categories", "a,b,c"]) == 0
    assert (run / "category_a").is_dir()


def test_strange_categories_are_drawn(tmp_path, recwarn, capsys):
    strange = ("a/b", "数值计算", "$x", "two words", "..", "数" * 80, "数" * 81, "\x1b[31mred")
    run = write_run(tmp_path / "run", categories=dict.fromkeys(strange, 2))
    flags = ["--dpi", "20", "--prefix", "数" * 26]
    assert main(["plots", str(run), "--output-dir", str(tmp_path / "out"), *flags]) == 0
    folders = {path.name.removeprefix("category_") for path in (tmp_path / "out").iterdir() if path.is_dir()}
    names = {"a_b", "数值计算", "_x", "two_words", "_", "数" * 40, f"{'数' * 40}-2", "_31mred"}
    assert folders == names
    assert len(list((tmp_path / "out").rglob("*.png"))) == 8 + 8
    assert not recwarn.list
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.usefixtures("unsaved")
def test_letters_that_no_font_has_are_named_once(only_latin, tmp_path, capsys):
    run = write_run(tmp_path / "run", categories={"数值": 2, "值": 2, "OCR": 2})
    assert main(["plots", str(run), "--output-dir", str(tmp_path / "out"), "--dpi", "20", "--layers", "0"]) == 0
    assert capsys.readouterr().err.startswith(
        "warning: no font here has 值数; pictures have codes in their place, such as "
    )


@pytest.mark.usefixtures("unsaved")
def test_what_scales_cut_is_said(made_up, tmp_path, capsys):
    flags = ["--output-dir", str(tmp_path), "--dpi", "20", "--layers", "0"]
    assert main(["plots", str(made_up), *flags, "--ymax", "0.2"]) == 0
    said = "warning: 5 of 9 pictures cut what lies above --ymax or --vmax, mme_overall_stacked_hist first"
    assert capsys.readouterr().err.startswith(said)
    assert main(["plots", str(made_up), *flags, "--ymax", "2", "--vmax", "1"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_letters_that_no_font_has(only_latin):
    assert undrawable(["T2V (text → image),\n90\t%"]) == []
    assert undrawable(["b数a", "值"]) == ["值", "数"]


def signed_map(told, values=((0.5, -0.4), (0.1, np.nan))):
    return SignedMap("map", "A title", ("a run",), np.array(values), np.array(told), [0, 1], "Mean effect")


def test_heads_that_are_not_told_from_0_are_grey():
    figure = draw(signed_map([[ABOVE, BELOW], [UNCLEAR, UNTOLD]]), (6, 4))
    (image,) = figure.axes[0].images
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, False], [True, True]]
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert " ".join(texts).replace("\n", " ") == f"{NOT_SIGNIFICANT}; or not known"
    none = draw(signed_map([[UNCLEAR, UNCLEAR], [UNCLEAR, UNTOLD]]), (6, 4))
    assert not none.axes
    assert "No head differs from 0" in none.texts[-1].get_text()


def test_where_images_are_too_few_heads_have_their_colour():
    found = signed_map(np.full((2, 2), UNTOLD))
    assert found.shown.tolist() == [[True, True], [True, False]]
    assert found.grey == "not known"
    assert few_images(1) == "which heads differ from 0 cannot be told from 1 image: it takes 20"
