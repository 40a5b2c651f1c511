"""Oracles: the classes of transformers; `AutoProcessor`'s order of files, as its documentation and code have it."""

import json
import shutil

import pytest
import transformers
from transformers import AutoConfig, AutoTokenizer, GotOcr2ImageProcessorPil

from extract.images.processors import load_processor
from schemas.errors import HeadflowError
from schemas.store.run import open_run
from tests.support.tiny_families import make_family


@pytest.fixture(scope="module")
def internvl(tmp_path_factory):
    path = tmp_path_factory.mktemp("internvl")
    make_family(path, "internvl")
    return path


@pytest.fixture
def changed(tmp_path, internvl):
    """A copy of a checkpoint with other values in some of its JSON files."""

    def change(**files):
        path = tmp_path / "model"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(internvl, path)
        for name, values in files.items():
            file = path / f"{name}.json"
            kept = json.loads(file.read_text()) | values
            file.write_text(json.dumps({key: value for key, value in kept.items() if value is not None}))
        return path

    return change


@pytest.fixture
def made_of(monkeypatch):
    """Let the name of a processor's class and its parts stand for it."""

    def made(kind, parts, _):
        return kind.__name__, parts

    monkeypatch.setattr(transformers.ProcessorMixin, "from_args_and_dict", classmethod(made))
    monkeypatch.setattr("extract.images.processors._complete", lambda *_: None)


def load(path):
    return load_processor(path, AutoConfig.from_pretrained(path), AutoTokenizer.from_pretrained(path))


class OfTorchvision(GotOcr2ImageProcessorPil):
    backend = "torchvision"


def test_an_image_processor_that_only_torchvision_has(changed, monkeypatch, extract):
    path = changed(preprocessor_config={"image_processor_type": "OnlyImageProcessorFast"})
    monkeypatch.setattr(transformers, "OnlyImageProcessor", OfTorchvision, raising=False)
    assert type(load(path).image_processor) is OfTorchvision
    run = path.parent / "run"
    assert extract(run, model_path=path, num_samples=1) == 0
    said = open_run(run).manifest.image_preprocessing
    assert (said["processor"], said["backend"]) == ("OfTorchvision", "torchvision")


def test_an_image_processor_that_needs_torchvision_is_refused_in_one_line(changed, monkeypatch):
    def missing(*_, **__):
        raise ImportError("\nOnlyImageProcessor requires the Torchvision library but it was not found")

    monkeypatch.setattr(OfTorchvision, "from_pretrained", missing)
    monkeypatch.setattr(transformers, "OnlyImageProcessor", OfTorchvision, raising=False)
    monkeypatch.setattr("extract.images.processors.is_torchvision_available", lambda: False)
    path = changed(preprocessor_config={"image_processor_type": "OnlyImageProcessor"})
    with pytest.raises(HeadflowError, match=r"is a internvl: its image processor needs torchvision: pip install torch"):
        load(path)


@pytest.mark.parametrize("named", ["GotOcr2ImageProcessor", "GotOcr2ImageProcessorFast", "GotOcr2FeatureExtractor"])
def test_pillow_comes_before_torchvision(changed, named):
    old = named.endswith("Extractor")
    names = {"image_processor_type": None if old else named, "feature_extractor_type": named if old else None}
    processor = load(changed(preprocessor_config=names)).image_processor
    assert (type(processor), processor.backend) == (GotOcr2ImageProcessorPil, "pil")


def test_an_image_processor_by_the_kind_of_model(changed):
    """Such as of a checkpoint whose files name a class in code of its own."""
    path = changed(preprocessor_config={"image_processor_type": "OwnImageProcessor"})
    assert type(load(path).image_processor) is GotOcr2ImageProcessorPil


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, "InternVLProcessor"),
        ({"processor_config": {"processor_class": "AyaVisionProcessor"}}, "AyaVisionProcessor"),
        (
            {
                "processor_config": {"processor_class": None},
                "preprocessor_config": {"processor_class": "AyaVisionProcessor"},
                "tokenizer_config": {"processor_class": "GotOcr2Processor"},
            },
            "AyaVisionProcessor",
        ),
        ({"processor_config": {"processor_class": "OwnProcessor"}}, "InternVLProcessor"),
        ({"processor_config": {"processor_class": "AutoModel"}}, "InternVLProcessor"),
    ],
)
def test_the_processor_that_the_files_name(changed, made_of, files, kind):
    assert load(changed(**files))[0] == kind


def test_parts_for_sound_and_videos_are_not_needed(changed, made_of, monkeypatch):
    class OnlyHeard(transformers.InternVLProcessor):
        def __init__(self, feature_extractor, image_processor, tokenizer, video_processor):
            pass

    monkeypatch.setattr(transformers, "OnlyHeard", OnlyHeard, raising=False)
    kind, parts = load(changed(processor_config={"processor_class": "OnlyHeard"}))
    assert (kind, parts[0], type(parts[1]), parts[3]) == ("OnlyHeard", None, GotOcr2ImageProcessorPil, None)
