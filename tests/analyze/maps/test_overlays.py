"""Overlays. Oracle: the geometry of matplotlib's artists in pixels of the image, and the boxes of texts."""

import io
import os
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.text import Text
from PIL import Image, PngImagePlugin
from PIL.PngImagePlugin import PngInfo

from analyze.drawing.figures import style
from analyze.drawing.maps import attention_colours, attention_scale
from analyze.drawing.results.maps import looks_figure, overlays_figure, sinks_figure
from analyze.drawing.texts import width_of, wrap
from analyze.maps.results import localise
from analyze.pictures.images import PictureImages
from analyze.pictures.overlays import Overlay, Overlays, chosen_samples
from analyze.tables.frames import open_heads
from schemas.columns import MAPS
from schemas.errors import HeadflowError
from schemas.store.thumbnails import write_thumbnail
from tests.support.boxes import badly_placed
from tests.support.looking import GRIDS, SIZE, answer_box, picture, write_looking
from tests.support.runs import edit_json, edit_manifest, put, rewrite


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, folder):
    return write_looking(tmp_path_factory.mktemp("overlays") / "run", images=6, folder=folder)


@pytest.fixture(scope="module")
def found(run):
    return localise(open_heads(run)[0], resamples=100)


def pictures(found, folder=None, heads=((1, 2), (0, 0)), samples=(0, 2, 4)):
    overlays = Overlays.of(found, list(heads), list(samples), PictureImages(found.heads, folder))
    return {each.name: each for each in overlays.all()}


def drawn(overlay):
    with style():
        figure = overlays_figure(type("Picture", (), {"title": "", "of": (), "overlays": (overlay,), "debiased": ()}))
    return figure.axes[0]


@pytest.mark.parametrize(("sample", "grid"), [(0, GRIDS[0]), (2, GRIDS[1]), (4, GRIDS[2])])
def test_a_map_lies_where_its_grid_does(found, folder, sample, grid):
    rows, columns, (x0, y0, x1, y1) = grid
    overlay = pictures(found, folder)["head_L1H2"].overlays[sample // 2]
    axes = drawn(overlay)
    image, patches = axes.images
    assert image.get_extent() == [0, 60, 40, 0]
    assert patches.get_extent() == [x0, x1, y1, y0]
    assert patches.get_array().shape == (rows, columns)
    assert axes.get_xlim() == (min(0, x0), max(60, x1))
    assert axes.get_ylim() == (max(40, y1), min(0, y0))  # all of both is there, upright
    assert axes.get_aspect() == 1
    (box,) = (each for each in axes.patches if isinstance(each, Rectangle))
    assert np.allclose([*box.get_xy(), box.get_width(), box.get_height()], [*answer_box(sample // 2)[:2], 12, 12])
    # The image is black in its box, and pale elsewhere
    pixels = image.get_array()
    a, b, c, d = map(int, answer_box(sample // 2))
    assert pixels.shape == (40, 60)
    assert pixels[b:d, a:c].max() < pixels[:2].min()


@pytest.mark.parametrize("name", ["head_L1H2", "mean_L1H2"])
def test_what_is_cropped_is_shaded(found, name):
    made = pictures(found)[name]
    overlays = made.debiased or made.overlays
    shaded = [[each for each in drawn(overlay).patches if isinstance(each, PathPatch)] for overlay in overlays]
    assert list(map(len, shaded)) == [0, 1, 0]  # the second image is cropped to 10, 0, 50, 40
    whole, hole = shaded[1][0].get_path().to_polygons()
    assert [*whole.min(axis=0), *whole.max(axis=0)] == [0, 0, 60, 40]
    assert [*hole.min(axis=0), *hole.max(axis=0)] == [10, 0, 50, 40]
    turns = [np.sign(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) for x, y in (whole.T, hole.T)]
    assert turns[0] == -turns[1]  # of the two, what is between is filled
    with style():
        assert "shaded: cropped, not read by the model" in texts(overlays_figure(made))
        assert "shaded" not in texts(overlays_figure(replace(made, overlays=made.overlays[:1], debiased=())))


def texts(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_a_narrow_panel_keeps_the_mass_of_its_title(found):
    overlay = replace(pictures(found)["sample_OCR_0"].overlays[0], lines=("L31H31, mass 0.57",))
    with style():
        figure = overlays_figure(replace(pictures(found)["sample_OCR_0"], overlays=(overlay,) * 3))
        assert badly_placed(figure) == []
    assert figure.axes[0].get_title() == "L31H31\nmass 0.57"


def test_values_are_relative_to_an_even_map(found):
    overlay = pictures(found)["sample_OCR_0"].overlays[0]
    assert overlay.values.mean() == pytest.approx(1)
    place = found.heads.samples["sample_id"].astype(str).tolist().index("OCR/0")
    mass = found.values["mass"][place][1, 2]
    assert overlay.lines == (f"L1H2, mass {mass:.2f}",)


def test_pictures_and_their_titles(found):
    made = pictures(found)
    assert list(made) == [
        "sample_OCR_0", "sample_OCR_1", "sample_OCR_2", "head_L1H2", "head_L0H0", "mean_L1H2", "mean_L0H0",
    ]  # fmt: skip
    one = made["sample_OCR_0"]
    assert one.title == "Is this 0?"
    assert one.of[:4] == ("attention of the last token", "answer Yes", "prediction Yes", "sample OCR/0")
    assert len(made["mean_L1H2"].overlays) == 1
    assert len(made["mean_L1H2"].debiased) == 3


@pytest.mark.parametrize(("number", "drawn"), [(1, ""), (3, "_L1H2"), (6, "_L1H2|sample_(?!OCR_0)")])
def test_figures_are_as_wide_as_columns_and_hold_their_texts(found, folder, number, drawn):
    """Of one sample all pictures; of several those that have more panels, or are of other samples."""
    made = pictures(found, folder, samples=tuple(range(0, 2 * number, 2)))
    some = [each for name, each in made.items() if re.search(drawn, name)]
    assert len(some) == {1: 5, 3: 2, 6: 7}[number]
    for picture_of in some:
        with style():
            figure = overlays_figure(picture_of)
            assert badly_placed(figure) == []
        panels = len(picture_of.overlays) + len(picture_of.debiased)
        assert figure.get_size_inches()[0] == pytest.approx(5.1 if panels <= 3 else 10.6)
        assert len(figure.axes) == panels + 1 + bool(picture_of.debiased)


def test_figures_of_heads_and_layers(found):
    with style():
        for figure in (
            looks_figure(found.looks.table, found.looks.threshold, ("a run",), told=True),
            sinks_figure(found.looks.layers, ("a run",)),
        ):
            names = ("frame 0", "texts 0")  # heads that localise best are named in the panel
            assert [each for each in badly_placed(figure) if each != names] == []
    (line,) = figure.axes[0].lines
    assert np.allclose(line.get_ydata(), 100 * found.looks.layers["sink_share"])


def test_the_scale_begins_at_an_even_map_and_darkens():
    overlay = Overlay(("",), np.array([[0.2, 1.0, 13.0]]), (0, 0, 3, 1), (3, 1))
    scale, colours = attention_scale([overlay]), attention_colours()
    assert (scale.vmin, scale.vmax) == (1, 20)
    rgba = colours(scale(np.array([0.2, 1, 2, 5, 20])))
    assert rgba[:2, 3].tolist() == [0, 0]
    assert (np.diff(rgba[1:, 3]) > 0).all()
    luminance = rgba[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[1:]) < 0).all()
    assert rgb_to_hsv(to_rgb(rgba[-1]))[2] < 0.5
    even = attention_scale([Overlay(("",), np.ones((2, 2)), (0, 0, 1, 1), (1, 1))])
    assert even.vmax > even.vmin


def test_maps_that_are_all_0_are_drawn(tmp_path):
    path = write_looking(tmp_path / "run", images=2, grids=GRIDS[:1])
    rewrite(path, MAPS, lambda table: put(table, "map", slice(None), [[0] * 24] * table.num_rows))
    made = pictures(localise(open_heads(path)[0], resamples=100), samples=(0,))
    assert not made["sample_OCR_0"].overlays[0].values.any()
    assert np.isnan(made["mean_L1H2"].debiased[0].values).all()
    with style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture_of in made.values():
            overlays_figure(picture_of).draw_without_rendering()


def read(run, folder=None, **change):
    heads, _ = open_heads(run)
    images = PictureImages(heads, folder)
    sample = heads.samples.iloc[0].copy()
    for name, value in change.items():
        sample[name] = value
    return images.read(sample), next(iter(images.missing.values()), None)


def test_images_come_from_the_folder(run, folder):
    pixels, why = read(run, folder)
    assert (pixels.shape, why) == ((40, 60), None)
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(picture(0))).convert("L")))


def test_images_are_read_as_the_model_had_them(run, folder):
    """16-bit grey is scaled and not clipped, a long text in a PNG is passed over, EXIF turns only where it did."""
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None]
    notes = PngInfo()
    notes.add_text("note", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(ramp).save(folder / "grey.png", pnginfo=notes)
    assert read(run, folder, image="grey.png", image_sha256=None)[0][0].tolist() == list(range(256))
    turned = Image.new("L", (60, 40))
    turned.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.png", exif=exif)
    for size, place in (((60, 40), (0, 0)), ((40, 60), (0, 39))):
        width, height = size
        change = {"image": "turned.png", "image_sha256": None, "image_width": width, "image_height": height}
        assert np.unravel_index(read(run, folder, **change)[0].argmax(), (height, width)) == place


def test_images_come_from_the_folder_of_the_session(tmp_path, run, folder):
    assert read(run)[0] is None  # its session names none
    path = write_looking(tmp_path / "run", images=2)
    assert read(path)[0] is None
    ledger = path / "chunks" / "00000.json"
    edit_json(ledger, sessions=[{"arguments": {"image_folder": str(folder)}}, {"arguments": {"image_folder": None}}])
    assert read(path)[0].shape == (40, 60)
    edit_json(ledger, sessions=[{"arguments": {"image_folder": "/nowhere"}}, {"arguments": {"image_folder": 3}}])
    assert read(path) == (None, "there is neither an image folder nor a thumbnail")


def test_images_come_from_thumbnails(tmp_path):
    path = write_looking(tmp_path / "run", images=2)
    digest = open_heads(path)[0].samples["image_sha256"].iloc[0]
    small = io.BytesIO()
    Image.open(io.BytesIO(picture(0))).resize((30, 20)).save(small, "JPEG")
    write_thumbnail(path, digest, small.getvalue())
    pixels, why = read(path)
    assert (pixels.shape, why) == ((20, 30), None)
    overlay = Overlay(("",), np.ones((1, 1)), (0, 0, *SIZE), SIZE, pixels)
    assert drawn(overlay).images[0].get_extent() == [0, 60, 40, 0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": "gone.png"}, "does not exist"),
        ({"image": "../OCR/0.png"}, "leads out of"),
        ({"image": "OCR/../../x.png"}, "leads out of"),
        ({"image": "/etc/passwd"}, "leads out of"),
        ({"image": "OCR"}, "Is a directory"),
        ({"image": "a\0b"}, "null byte"),
        ({"image": "pipe"}, "it is a pipe or a device"),
        ({"image": "OCR/1.png"}, "is not the image that the run has seen"),
        ({"image": "broken.png", "image_sha256": None}, "cannot be decoded"),
        ({"image": "empty.png", "image_sha256": None}, "cannot be decoded"),
        ({"image": None}, "there is neither an image folder nor a thumbnail"),
        ({"image": float("nan"), "image_sha256": float("nan")}, "there is neither an image folder nor a thumbnail"),
    ],
)
def test_why_there_is_no_image(run, folder, change, says):
    (folder / "broken.png").write_bytes(picture(0)[:200])
    (folder / "empty.png").write_bytes(b"")
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")
    pixels, why = read(run, folder, **change)
    assert pixels is None
    assert says in why
    assert "\n" not in why


def test_an_orientation_is_applied_where_the_run_says_so(tmp_path):
    """Extraction leaves it; a run whose sizes are those of the upright image gets the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    (tmp_path / "images").mkdir()
    Image.new("RGB", SIZE).save(tmp_path / "images" / "turned.jpg", exif=exif)
    path = write_looking(tmp_path / "run", images=2)
    change = {"image": "turned.jpg", "image_sha256": None}
    assert read(path, tmp_path / "images", **change)[0].shape == (40, 60)
    assert read(path, tmp_path / "images", **change, image_width=40, image_height=60)[0].shape == (60, 40)


def test_a_run_on_other_images_is_drawn_without_them(tmp_path, folder):
    path = write_looking(tmp_path / "run", images=2)
    edit_manifest(path, images="blank")
    assert read(path, folder) == (None, "the model was given other images than these: blank")


def test_only_the_parts_of_what_is_drawn_are_read(tmp_path, monkeypatch):
    from schemas.store import writer as writer_module

    monkeypatch.setattr(writer_module, "ROWS_PER_PART", 12)
    path = write_looking(tmp_path / "run", images=4)
    found = localise(open_heads(path)[0], resamples=100)
    parts = sorted((path / MAPS).glob("*.parquet"))
    for part in parts[1:]:
        part.write_bytes(b"")
    assert len(pictures(found, samples=(0,))) == 5
    with pytest.raises(HeadflowError):
        pictures(found, samples=(7,))


def test_the_first_sample_of_each_category_is_drawn(found):
    ids = found.samples["sample_id"].astype(str)
    assert [ids[place] for place in chosen_samples(None, found, 6)] == ["OCR/0", "color/3"]
    assert chosen_samples(["OCR/1", "OCR/0", "OCR/1"], found, 6) == [2, 0]


def test_a_question_of_null_is_drawn(tmp_path):
    path = write_looking(tmp_path / "run", images=2)
    for column in ("question", "answer", "prediction"):
        rewrite(path, "samples", lambda table, name=column: put(table, name, 0, None))
    made = pictures(localise(open_heads(path)[0], resamples=100), samples=(0,))
    assert made["sample_OCR_0"].title == "unknown"


def test_text_is_divided_between_words():
    lines = wrap("Is there a very small but visible cross in this image?", 7, 0.9, 3)
    assert len(lines) == 3
    assert all(width_of(line, 7) <= 0.9 for line in lines)
    assert lines[0].startswith("Is there a")
    assert lines[2].endswith("image?")
    assert wrap("short", 7, 0.9, 3) == ["short"]
    assert wrap("", 7, 0.9, 3) == [""]
    (word,) = wrap("unbelievablylongword" * 3, 7, 0.9, 1)
    assert width_of(word, 7) <= 0.9
