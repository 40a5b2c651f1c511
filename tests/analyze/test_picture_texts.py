"""Texts in pictures. Oracle: the boxes that matplotlib's renderer measures, and a simulation of colour blindness."""

import itertools

import matplotlib.font_manager
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.colors import to_hex, to_rgb

from analyze.drawing.figures import style
from analyze.drawing.fonts import drawable, undrawable
from analyze.drawing.panels import draw
from analyze.drawing.texts import fill_rows, fit, width_of
from analyze.pictures.labels import COLOURS, by_queries, colour, target
from analyze.pictures.of_run import Pictures, subject
from analyze.tables.bins import bin_edges
from analyze.tables.frames import open_heads
from analyze.tables.tallies import tally
from analyze.tables.values import sample_values
from schemas.columns import FLOW_NAMES, STEP_NAMES
from schemas.roles import ROLES, STEP_ROLES
from tests.analyze.conftest import FONT
from tests.support.boxes import badly_placed
from tests.support.runs import edit_manifest, write_run

DEFAULT = ("t2v", "v2t")
LONG_NAMED = ("t2v", "v2t", "v2user", "q2bos", "a2user", "a2v")  # of each group of queries
SIZES = [(8.0, 5.0), (2.0, 2.5), (16.0, 3.0)]  # (4, 3) is that of other tests
LONG = "llava-onevision-qwen2-72b-instruct-finetuned-on-scienceqa-and-textvqa-lora-r128-epoch3-checkpoint-12000-merged"
STRANGE = [
    "$x^2$ \\frac{1}{2}",
    "$",
    "_a_^b^",
    "\\alpha",
    "数" * 80,
    "עברית مرحبا",
    "🙂 smile",
    "red\x1b[31m",
    "W" * 300,
    " ",
]


def pictures(run, flows=DEFAULT, edges=(0.05,), **options) -> dict[str, object]:
    heads, _ = open_heads(run)
    scope = heads.scope("no-system")
    found = tally(heads, flows, scope, bin_edges(list(edges), None), spread=False)
    made = Pictures(found, subject(heads, scope), "mme", [0], heads.categories, **options).all()
    return {picture.name: picture for picture in made}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("large") / "run", layers=32, heads=32, categories={"OCR": 4})
    edit_manifest(run, model=LONG)
    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("small") / ("a-long-name-of-a-run" * 6), categories={"OCR": 4})


@pytest.mark.parametrize("flows", [DEFAULT, FLOW_NAMES, ("q2v", "a2v")], ids=["default", "all", "two"])
def test_histograms_of_any_size_hold_their_texts(large, small, flows):
    """Of a long model at each size; of a long run at the smallest, where its title is widest."""
    name = "category_OCR/mme_OCR_stacked_hist"
    drawn = [(pictures(large, flows)[name], size) for size in SIZES]
    drawn.append((pictures(small, flows)[name], min(SIZES)))
    for picture, size in drawn:
        with style():
            figure = draw(picture, size)
            assert badly_placed(figure) == [], size
        assert figure.get_size_inches()[0] == size[0]
        assert (figure.get_size_inches()[1] == size[1]) == (len(picture.panels) == 1)
        for axes in figure.axes:
            assert axes.get_window_extent().height > 0.15 * size[1] * figure.dpi


@pytest.mark.parametrize(
    ("flows", "slow"), [(DEFAULT, "t2v"), (FLOW_NAMES, "q2user"), (("a2v",), "a2v")], ids=["default", "all", "one"]
)
def test_bars_and_maps_hold_their_texts(large, small, flows, slow):
    """`slow` is the column of the bars, and of the maps where they are slow to draw; else those with long names."""
    for run in (large, small):
        for name, picture in pictures(run, flows).items():
            drawn = name.endswith(slow) or (run is small and "layers" not in name and name.endswith(LONG_NAMED))
            if "stacked_hist" not in name and drawn:
                with style():
                    assert badly_placed(draw(picture, (8.0, 5.0))) == [], name


@pytest.mark.parametrize(("shape", "end"), [((1, 1), 1e-6), ((40, 16), 0.3), ((7, 5), 1)], ids=str)
def test_any_scale_and_shape_holds_its_texts(tmp_path, shape, end):
    run = write_run(tmp_path / "run", layers=shape[0], heads=shape[1], categories={"OCR": 2})
    drawn = DEFAULT[:1] if shape == (40, 16) else DEFAULT  # each has a panel for each layer, slow to draw
    made = pictures(run, drawn, tuple(np.linspace(0, end, 6)), ymax=1 / end, vmax=end)
    for name, picture in made.items():
        if not name.startswith("category"):  # of one category: as the overall picture
            with style():
                assert badly_placed(draw(picture, (4.0, 3.0))) == [], name


def test_the_check_of_places_can_fail(small):
    with style():
        figure = draw(pictures(small)["mme_overall_stacked_hist"], (4.0, 3.0))
        figure.axes[0].legend(loc="upper right")
        figure.suptitle("a title that is far too wide for a figure of four inches, and is not shortened", y=0.99)
        found = badly_placed(figure)
    assert {"_suptitle", ("frame 0", "legend 0")} <= set(found)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_drawn_as_they_are(tmp_path, name, recwarn):
    run = write_run(tmp_path / "run", categories={name: 2})
    edit_manifest(run, model=f"org/{name.replace('/', '')}")
    made = {key: each for key, each in pictures(run).items() if key == "mme_head_map_t2v" or key.startswith("category")}
    assert len(made) == 2
    with style():
        drawn = {key: draw(picture, (4.0, 3.0)) for key, picture in made.items()}
        for key, figure in drawn.items():
            assert badly_placed(figure) == [], key
            assert not figure._suptitle.get_parse_math()
    titles = {figure.get_suptitle().split("\n")[0] for key, figure in drawn.items() if key.startswith("category")}
    assert all(title.isprintable() for title in titles)
    if len(name) < 20 and name.isascii() and name.isprintable():
        assert titles == {f"Category {name}".strip()}
    assert not recwarn.list


def test_a_font_that_has_the_letters_is_used(only_latin, tmp_path, recwarn):
    assert drawable("数") == r"\u6570"
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "number"])
    builder.setupCharacterMap({ord("数"): "number"})
    pen = TTGlyphPen(None)
    for step, point in enumerate([(100, 0), (100, 800), (900, 800), (900, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    builder.setupGlyf(dict.fromkeys([".notdef", "number"], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", "number"], (1000, 100)))
    builder.setupHorizontalHeader(ascent=900, descent=-200)
    builder.setupNameTable({"familyName": FONT, "styleName": "Regular", "psName": "MadeUp"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "made-up.ttf")
    manager = matplotlib.font_manager.fontManager
    before = list(manager.ttflist)
    manager.addfont(tmp_path / "made-up.ttf")
    try:
        assert undrawable(["数a值"]) == ["值"]
        assert drawable("数a值") == r"数a\u503c"
        run = write_run(tmp_path / "run", categories={"数数": 2})
        with style():
            figure = draw(pictures(run)["category_数数/mme_数数_stacked_hist"], (4.0, 3.0))
            assert badly_placed(figure) == []
        assert figure.get_suptitle().startswith("Category 数数\n")
        assert not recwarn.list
    finally:
        manager.ttflist[:] = before
        manager._findfont_cached.cache_clear()


def test_text_that_no_font_has_is_legible(only_latin):
    assert drawable("数值, Ωж → 🙂\x1b[31m\u202e\n x") == r"\u6570\u503c, Ωж → 🙂\x1b[31m\u202e x".replace(
        "🙂", drawable("🙂")
    )
    assert drawable("数") != drawable("值")


def test_a_text_that_is_too_wide_loses_its_middle():
    assert fit("short", 10, 4) == "short"
    text = fit(LONG, 10, 2)
    assert text.startswith("llava-one")
    assert text.endswith("-merged")
    assert "…" in text
    assert 1.8 < width_of(text, 10) <= 2
    assert width_of(fit("数" * 80, 10, 2), 10) <= 2
    assert fit("any", 10, 0) == "…"


def test_parts_of_a_title_stand_on_as_few_lines_as_they_need():
    parts = ("312 samples", "tiny-llava", "run demo")
    assert fill_rows(parts, 10, 8) == ["312 samples, tiny-llava, run demo"]
    assert fill_rows(parts, 10, 1.9) == ["312 samples, tiny-llava", "run demo"]
    assert [len(line) for line in fill_rows((LONG, LONG), 10, 3)] == [len(fit(LONG, 10, 3))] * 2


def test_the_title_names_model_and_run(small):
    names = pictures(small)["mme_overall_stacked_hist"].of
    assert names == ("4 samples", "up", f"run {small.name}", "text without the system prompt")
    edit_manifest(small, model=None)
    assert pictures(small)["mme_overall_stacked_hist"].of[:2] == ("4 samples", f"run {small.name}")
    edit_manifest(small, model="made/up")


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB


def seen(name: str, blindness: str) -> np.ndarray:
    """A colour as it is seen, in CIELAB."""
    rgb = np.array(to_rgb(name))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(BLINDNESS[blindness]) @ linear, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(colours, blindness: str) -> float:
    """The smallest distance of two colours; 2.3 is just visible."""
    pairs = itertools.combinations([seen(name, blindness) for name in colours], 2)
    return min(float(np.linalg.norm(one - other)) for one, other in pairs)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_differ_for_every_reader(blindness):
    assert nearest(COLOURS.values(), blindness) > 27
    assert nearest([*COLOURS.values(), "white"], blindness) > 25


def test_the_check_of_colours_can_fail():
    assert nearest(["#d62728", "#2ca02c"], "none") > 100
    assert nearest(["#8c564b", "#5a6e30"], "deuteranopia") < 13


def test_a_role_has_one_colour_in_every_picture(small):
    known = {target(flow) for flow in (*FLOW_NAMES, *STEP_NAMES)}
    assert known == set(COLOURS) == {role.name for role in STEP_ROLES} | {"text"}
    assert len({colour(f"q2{role.short}") for role in ROLES}) == 5
    made = pictures(small, FLOW_NAMES)
    with style():
        for name, picture in made.items():
            if "head_map" in name:
                continue
            figure = draw(picture, (8.0, 5.0))
            panels = [[picture.flow]] if "bars" in name else [panel.bars for panel in picture.panels]
            for number, axes in enumerate(figure.axes):
                colours = [patch.get_facecolor() for patch in axes.patches]
                colours += [one for bars in axes.collections for one in bars.get_facecolor()]
                drawn = list(dict.fromkeys(map(to_hex, colours)))
                assert drawn == [colour(flow).lower() for flow in panels[min(number, len(panels) - 1)]], name


def test_each_group_of_queries_has_a_panel(small):
    picture = pictures(small, FLOW_NAMES)["mme_overall_stacked_hist"]
    assert [tuple(panel.bars) for panel in picture.panels] == list(by_queries(FLOW_NAMES).values())
    assert [{flow[0] for flow in panel.bars} for panel in picture.panels] == [{"t", "v"}, {"v"}, {"q"}, {"a"}]
    with style():
        figure = draw(picture, (8.0, 5.0))
    titles = [axes.get_legend().get_title().get_text() for axes in figure.axes]
    assert titles[1:] == ["Attention of image tokens", "Attention of question tokens", "Attention of the last token"]


def test_bars_of_all_layers_stand_on_each_other(small):
    picture = pictures(small)["mme_layers_stacked_hist"]
    with style():
        figure = draw(picture, (8.0, 5.0))
    for axes, panel in zip(figure.axes, picture.panels, strict=True):
        bottom = np.zeros(len(picture.edges) - 1)
        for patch, heights in zip(axes.patches, panel.bars.values(), strict=True):
            drawn = patch.get_data()
            assert drawn.baseline == pytest.approx(bottom)
            assert drawn.values == pytest.approx(bottom + heights)
            bottom = bottom + heights


def test_bins_of_unequal_width_are_densities(small):
    edges = (0, 0.1, 0.2, 1)
    picture = pictures(small, edges=edges)["mme_overall_stacked_hist"]
    heads, _ = open_heads(small)
    values = sample_values(heads, ["v2t"], heads.scope("no-system"))["v2t"].ravel()
    assert picture.panels[0].bars["v2t"] == pytest.approx(np.histogram(values, edges, density=True)[0])
    with style():
        assert draw(picture, (8.0, 5.0)).axes[0].get_ylabel() == "Density of head values"
        equal = pictures(small, edges=(0, 0.25, 0.5, 0.75, 1))["mme_overall_stacked_hist"]
        assert draw(equal, (8.0, 5.0)).axes[0].get_ylabel() == "Share of all head values"
    assert sum(equal.panels[0].bars["v2t"]) == pytest.approx(1)


def test_scales_that_the_user_gives(small):
    for name, picture in pictures(small, ymax=0.25, vmax=0.125).items():
        with style():
            figure = draw(picture, (8.0, 5.0))
        if "head_map" in name:
            norm = figure.axes[0].collections[0].norm
            assert (norm.vmin, norm.vmax) == (0, 0.125)
            assert figure.axes[0].collections[0].colorbar.extend == ("max" if picture.cut else "neither")
            continue
        ends = [axes.get_ylim()[1] for axes in figure.axes]
        wanted = 0.25 if "hist" in name else 0.125
        assert ends == [wanted] * len(ends), name
        assert picture.cut
    assert not any(picture.cut for picture in pictures(small).values())
    assert not any(picture.cut for picture in pictures(small, ymax=2.5, vmax=1).values())


def test_the_style_does_not_depend_on_the_users_settings():
    with matplotlib.rc_context({"text.usetex": True, "axes.titlesize": 40, "figure.constrained_layout.use": True}):
        with style():
            assert not matplotlib.rcParams["text.usetex"]
            assert matplotlib.rcParams["axes.titlesize"] == pytest.approx(10.8)
        assert matplotlib.rcParams["text.usetex"]
