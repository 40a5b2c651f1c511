"""Questions with three images, for each family that takes them. Oracles: the ids of its own processor's template, and
its eager pass in float64 over all that the processor writes, reduced row by row; for the tokens of an image, and
where they lie in it: those whose embeddings change with a painted patch of it."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from analyze.__main__ import main as analyze
from analyze.drawing.figures import FigureFiles
from analyze.generated.reading import Texts
from analyze.maps.reading import of_picture
from analyze.maps.results import localise
from analyze.pictures.images import PictureImages
from analyze.pictures.overlays import Overlays, chosen_samples
from analyze.pictures.texts import TextPictures, chosen_texts
from analyze.tables.frames import open_heads
from extract.__main__ import main
from extract.attention.packing import pack
from extract.attention.readers import read_pass
from extract.models import self_check
from extract.models.self_check import check_observation
from extract.models.transfer import Uploader
from extract.questions.fields import MME_SUFFIX
from extract.questions.samples import Unusable
from extract.tables.map_reader import LISTS
from extract.tables.maps import MapMaker
from schemas.columns import FLOW_NAMES, MAPS, OF_LAST
from schemas.errors import HeadflowError
from schemas.validation.run import validate
from tests.support.maps import VALUES, describe, lay
from tests.support.pictures import write_empty
from tests.support.places import embeddings, painted
from tests.support.tiny_families import make_or_skip
from tests.support.witness import CPU, SHORT, FamilyWitness, hf, picture

SEVERAL = (
    "llava_next", "llava_next_mistral", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "idefics3", "smolvlm", "internvl",
    "gemma3",
)  # fmt: skip
PICTURES = picture(40, 70), picture(90, 48), picture(56, 56)
PLACED = "First <image>, then <image> and last <image>: are they alike?"
QUESTIONS = (PLACED, "Are they alike?", "Is there a red car?")


def knock_out(argv):
    return main(["knock-out", *argv])


def content(question):
    """A message in the form of chat templates, its images where the question places them, or first."""
    texts, images = (question + MME_SUFFIX).split("<image>"), [{"type": "image", "image": each} for each in PICTURES]
    if len(texts) == 1:
        return [*images, {"type": "text", "text": texts[0]}]
    between = [
        part for pair in zip(images, texts[1:], strict=True) for part in (pair[0], {"type": "text", "text": pair[1]})
    ]
    return [{"type": "text", "text": texts[0]}, *between]


@pytest.fixture(scope="module", params=SEVERAL)
def family(request, tmp_path_factory):
    path = make_or_skip(tmp_path_factory.mktemp(request.param), request.param)
    model, prompts = hf(path)
    return request.param, FamilyWitness(path, request.param), check_observation(model, prompts, images=3), prompts


def read_whole(reference, question):
    """All that the family's own processor writes of a question with its images."""
    text = reference.processor.apply_chat_template(
        [{"role": "user", "content": content(question)}], tokenize=False, add_generation_prompt=True
    )
    bos = reference.tokenizer.bos_token
    special = bos is None or not text.startswith(bos)
    return reference.processor(images=[list(PICTURES)], text=[text], return_tensors="pt", add_special_tokens=special)


def test_masses_and_maps_are_those_of_the_eager_model(family):
    name, reference, model, prompts = family
    pixels = model.preprocessor(*PICTURES)
    built = [prompts.build(question, pixels.image_ids) for question in QUESTIONS]
    one = model.preprocessor(PICTURES[1])  # a question with one image in the same batch
    groups = [(pixels, built[:1]), (one, [prompts.build(QUESTIONS[1], one.image_ids)])]
    groups += [(pixels, built[1:])] if model.packs else [(pixels, [each]) for each in built[1:]]
    maker = MapMaker(model, OF_LAST, ())
    of_images = [each for each, _ in groups]
    batch, inputs = Uploader(CPU, torch.float32).send(pack([each for _, each in groups]), of_images)
    (logits, flows, _), found = read_pass(model.forward, batch, inputs, [maker.begin(batch, of_images)])
    places, worst = maker.places(pixels), dict.fromkeys(("flows", "logits", "maps"), 0.0)
    for number, question in zip((0, 2, 3), QUESTIONS, strict=True):
        whole, prompt = read_whole(reference, question), built[QUESTIONS.index(question)]
        assert prompt.input_ids == whole["input_ids"][0].tolist()
        roles = reference.roles(prompt.input_ids)
        assert [SHORT[role] for role in prompt.roles] == roles
        output = reference.run(whole, dtype=torch.float64, attention="eager", output_attentions=True)
        attention = torch.stack(output.attentions)[:, 0].numpy()
        expected = reference.flows(whole)
        for column, flow in enumerate(FLOW_NAMES):
            worst["flows"] = max(worst["flows"], np.abs(flows[number, ..., column].numpy() - expected[flow]).max())
        worst["logits"] = max(worst["logits"], float((logits[number] - output.logits[0, -1]).abs().max()))
        on_image = attention[:, :, -1][..., np.array(roles) == "v"]
        first = 0
        for at, (place, size) in enumerate(zip(places, pixels.sizes, strict=True)):
            own = on_image[..., first : first + len(place.outside)]
            first += len(place.outside)
            grid, rest = lay(own, place)
            numbers, drawn = describe(grid, rest, np.zeros_like(rest), place.box, size)
            map_of = found[LISTS][number, at].numpy()[:, : drawn.shape[-1]].reshape(drawn.shape)
            worst["maps"] = max(worst["maps"], np.abs(map_of - drawn).max())
            for column in ("mass", "rest"):
                ours = found[MAPS][number, at, ..., VALUES.index(column)].numpy()
                worst["maps"] = max(worst["maps"], np.abs(ours - numbers[..., VALUES.index(column)]).max())
            known = numbers[..., 0] > 1e-9
            for column in ("entropy", "centre_x", "centre_y"):
                ours = found[MAPS][number, at, ..., VALUES.index(column)].numpy()
                assert np.abs(ours - numbers[..., VALUES.index(column)])[known].max() <= 1e-5
        assert first == on_image.shape[-1]
        total = found[MAPS][number, :, ..., VALUES.index("mass")].sum(dim=0).numpy()
        assert np.abs(total - flows[number, ..., FLOW_NAMES.index("a2v")].numpy()).max() <= 2e-6
    print(name, {what: f"{value:.1e}" for what, value in worst.items()})
    assert max(worst.values()) <= 1e-5


def test_tokens_and_patches_are_of_the_image_that_is_painted(family):
    *_, model, prompts = family
    before, pixels = embeddings(model, prompts, *PICTURES, question=PLACED)
    places = MapMaker(model, OF_LAST, ()).places(pixels)
    ends = np.cumsum([0, *(len(place.outside) for place in places)])
    for number, place in enumerate(places):
        x0, y0, x1, y1 = place.box
        width, height = (x1 - x0) / place.columns, (y1 - y0) / place.rows
        size = PICTURES[number].size
        inside = [
            (row, column)
            for row in range(place.rows)
            for column in range(place.columns)
            if x0 + column * width + 0.5 >= 0 and x0 + (column + 1) * width <= size[0] + 0.5
            if y0 + row * height + 0.5 >= 0 and y0 + (row + 1) * height <= size[1] + 0.5
        ]
        for row, column in (inside[0], inside[-1]):
            box = x0 + column * width, y0 + row * height, x0 + (column + 1) * width, y0 + (row + 1) * height
            other = [*PICTURES]
            other[number] = painted(other[number], box)
            after, _ = embeddings(model, prompts, *other, question=PLACED)
            change = np.linalg.norm(after - before, axis=-1)
            outside = np.delete(change, np.s_[ends[number] : ends[number + 1]])
            assert not outside.any()
            grid, _ = lay(change[ends[number] : ends[number + 1]], place)
            assert np.unravel_index(grid.argmax(), grid.shape) == (row, column), (number, row, column)


IMAGES_FIRST = (  # as LLaVA-OneVision's own
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}/{{ part['text'] }}{% endfor %}<|im_end|>"
    "{% endfor %}<|im_start|>assistant"
)


def test_a_template_that_puts_images_first_gets_the_places_in_the_text(checkpoint):
    """The text is written by hand; one that changes the text itself is refused."""
    model, _ = hf(checkpoint("llava_onevision"))
    template = replace(model.prompt_format.chat, template=IMAGES_FIRST)
    asked = "First <image>, then <image> and last <image>"
    assert template.render(asked, 3).text == f"<|im_start|>user /{asked}<|im_end|><|im_start|>assistant"
    assert template.render("Is it?", 2).text == "<|im_start|>user <image><image>/Is it?<|im_end|><|im_start|>assistant"
    odd = replace(
        template, template=IMAGES_FIRST.replace("{{ part['text'] }}", "{{ part['text'] | replace('as', 'like') }}")
    )
    with pytest.raises(HeadflowError, match="does not keep the places of images"):
        odd.render("Is <image> as <image>?", 2)


@pytest.fixture
def asked(tmp_path):
    """Questions of three, two and one image, one that lacks its second image, and one with a place too few."""
    for number, image in enumerate(PICTURES):
        image.save(tmp_path / f"{number}.png")
    given = [
        (["0.png", "1.png", "2.png"], PLACED), (["0.png", "1.png", "2.png"], QUESTIONS[1]),
        (["1.png", "0.png"], "Is <image 2> as <image 1>?"), ("1.png", QUESTIONS[2]), (["0.png", "gone.png"], "Alike?"),
        (["0.png", "1.png"], "Alike <image>?"),
    ]  # fmt: skip
    rows = [
        {"question_id": str(number), "image": names, "question": text} for number, (names, text) in enumerate(given)
    ]
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    return {"question_file": tmp_path / "questions.json", "image_folder": tmp_path}


def check_that_it_is_said_which_image(run, capsys, monkeypatch):
    """Commands that show maps say on the terminal which image they are of; pictures, where there are several."""
    monkeypatch.setattr(FigureFiles, "save", write_empty)
    monkeypatch.setattr("analyze.pictures.texts.find_words", lambda pieces: [(0, "word")])  # the model writes none
    maps = ["maps", str(run), "--samples-only", "--top", "1"]
    for argv in (["text", str(run)], ["report", str(run)], maps, [*maps, "--picture", "2", "--samples", "0"]):
        assert analyze(argv) == 0
        which = "are of image 3" if "--picture" in argv else "and boxes are of the first"
        assert f"3 questions have several images: maps {which}" in capsys.readouterr().err
    (numbers,) = re.findall(r'"images":(\[\d[\d,]*\])', (run / "report.html").read_text(encoding="utf-8"))
    assert sorted(json.loads(numbers)) == [1, 2, 3, 3]
    heads, _ = open_heads(run)
    texts, images = TextPictures(heads, chosen_texts(["0", "3"], Texts.of(heads), 2), None), PictureImages(heads, None)
    several, one = texts.all(images)
    assert several.caption[0].startswith("mass on all images when the token was chosen")
    assert several.caption[1].endswith(" on image 1 of 3")
    assert {each.lines[3:] for each in several.overlays} == {("on all images",)}
    assert "images" not in " ".join([*one.caption, *(line for each in one.overlays for line in each.lines)])
    for number, ids in ((0, ["0", "3"]), (2, ["0"])):
        found = localise(of_picture(heads, number), resamples=1)
        overlays = Overlays.of(found, [(0, 0)], chosen_samples(ids, found, 2), images)
        pictures = {each.name: each for each in overlays.all()}
        said = [[f"image {number + 1} of 3"], []][: len(ids)]
        assert [re.findall(r"image \d of \d", " ".join(pictures[f"sample_{each}"].of)) for each in ids] == said
        assert [list(each.lines[1:-1]) for each in pictures["head_L0H0"].overlays] == said


def test_a_run_has_a_map_of_each_image(checkpoint, extract, asked, tmp_path, capsys, monkeypatch):
    run, separate = tmp_path / "run", tmp_path / "separate"
    flags = asked | {"model_path": checkpoint("internvl"), "maps": True, "thumbnails": True, "generate": 2}
    check, checked = self_check.check_observation, []
    kept = lambda *given, images: checked.append(images) or check(*given, images=images)  # noqa: E731
    monkeypatch.setattr(self_check, "check_observation", kept)
    assert extract(run, **flags, step_maps="all") == 0
    assert checked == [3]
    assert list(validate(run)) == []
    samples, maps = (pd.read_parquet(run / table).astype({"sample_id": str}) for table in ("samples", "maps"))
    samples = samples.set_index("sample_id")
    assert samples["n_images"].to_dict() == {"0": 3, "1": 3, "2": 2, "3": 1, "4": 2, "5": 2}
    assert samples["reason"].dropna().to_dict() == {"4": "image_missing", "5": "several_images"}
    assert samples.loc["4", "detail"].startswith("image 2 of 2: ")
    assert samples.loc["2", "image"] == "0.png + 1.png"  # in the order of the prompt
    assert samples.loc["0", "image_sha256"] == samples.loc["1", "image_sha256"]
    assert samples.loc["2", "image_sha256"] == samples.loc["5", "image_sha256"]  # the same two in the same order
    assert samples["image_sha256"].nunique() == 3
    sizes = [(each["image_width"], each["image_height"]) for each in samples.loc["0", "pictures"]]
    assert sizes == [image.size for image in PICTURES]
    assert samples["pictures"].isna().to_dict()["3"]
    hashes = {each["image_sha256"] for each in samples.loc["0", "pictures"]}
    assert {file.stem for file in (run / "thumbnails").iterdir()} == hashes
    assert maps.groupby("sample_id")["picture"].nunique().to_dict() == {"0": 3, "1": 3, "2": 2, "3": 1}
    keys = ["sample_id", "picture", "layer", "head"]
    steps = pd.read_parquet(run / "step_maps").astype({"sample_id": str}).query("step == 0").set_index(keys)
    assert (steps["mass"] == maps.set_index(keys).loc[steps.index, "mass"]).all()
    plain = asked | {"model_path": checkpoint("internvl"), "sequences": "separate", "num_chunks": 2}
    assert extract(separate, **plain) == 0
    one = pd.read_parquet(separate / "heads").astype({"sample_id": str, "category": str})
    whole = pd.read_parquet(run / "heads").astype({"sample_id": str, "category": str})
    whole = whole[whole["sample_id"].isin(one["sample_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, whole, atol=5e-6)
    capsys.readouterr()
    check_that_it_is_said_which_image(run, capsys, monkeypatch)
    assert analyze(["maps", str(run), "--picture", "3"]) == 2
    assert "no question has 4 images; the first one is 0; see --picture" in capsys.readouterr().err
    assert analyze(["subset", str(run), str(tmp_path / "some"), "--query", "row == 0"]) == 0
    assert list(validate(tmp_path / "some")) == []
    assert knock_out([str(run), "--kind", "swap", "--heads", "L0H1"]) == 2
    assert "has questions with several images, and swap takes those of another one" in capsys.readouterr().err
    assert extract(tmp_path / "blank", **flags | {"images": "blank"}) == 2
    assert "several images, and blank takes the place of one" in capsys.readouterr().err


def test_a_family_that_takes_one_image_skips_others_and_says_so(checkpoint, extract, asked, tmp_path, capsys):
    flags = asked | {"model_path": checkpoint("llava")}
    assert extract(tmp_path / "run", **flags) == 0
    says = "5 questions have several images, of 6, and a LLaVA-1.5 is asked with one: they are skipped"
    assert f"warning: {says}" in capsys.readouterr().err
    assert extract(tmp_path / "all", **flags, num_samples=2) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "2 questions have several images, which is all of them, and a LLaVA-1.5 is asked with one" in error
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("name", ["llava", "vipllava", "paligemma"])
def test_a_family_that_takes_one_image_says_so(tmp_path, name):
    model, _ = hf(make_or_skip(tmp_path, name))
    with pytest.raises(Unusable, match="the question has 3 images, and the model takes one") as error:
        model.preprocessor(*PICTURES)
    assert error.value.reason == "several_images"
