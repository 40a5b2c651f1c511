"""Oracles: an eager pass reduced in float64 (tests/oracle.py); the unobserved sdpa model, for logits; one question at
a time, for batches and for questions after one prefix."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, LlavaForConditionalGeneration

from extract.attention.kernels import FLASH_CPU, PORTABLE
from extract.attention.packing import pack
from extract.models.loading import load_model
from schemas.columns import FLOW_NAMES, PARTITIONS
from schemas.errors import HeadflowError
from tests.support.eager_reference import EagerReference
from tests.support.tiny_llava import make_checkpoint, random_pixels, random_prompt

CPU = torch.device("cpu")
SHORT = ("bos", "sys", "user", "v", "q")


@pytest.fixture(
    scope="module",
    params=[
        {},
        {"kv_heads": 2},
        {"logit_std": 5.0, "seed": 1},
        {"layers": 2, "heads": 4, "kv_heads": 1, "image_size": 154},
    ],
    ids=["multi-head", "grouped-query", "peaked", "multi-query"],
)
def witness(request, tmp_path_factory, questions, texts):
    """A checkpoint, the reference of it, and a function that gives the flows of a sample."""
    model = tmp_path_factory.mktemp("witness")
    make_checkpoint(model, texts, **request.param)
    reference, processor = EagerReference(model), CLIPImageProcessorPil.from_pretrained(model)

    @cache
    def flows(image: str, question: str) -> dict[str, np.ndarray]:
        pixels = processor(images=Image.open(questions / "images" / image).convert("RGB"), return_tensors="pt")
        return reference.flows(question, pixels["pixel_values"])

    return model, reference, flows


@pytest.mark.parametrize("sequences", ["packed", "separate"])
def test_a_run_equals_the_witness(tmp_path, extract, witness, sequences):
    (model, reference, flows), run = witness, tmp_path / "run"
    asked = {"sequences": sequences, "batch_size": 3, "num_samples": 12}
    assert extract(run, model_path=model, dtype="float32", device="cpu", **asked) == 0
    heads, samples = pd.read_parquet(run / "heads"), pd.read_parquet(run / "samples")
    assert (samples["status"] == "ok").tolist() == [True] * 12
    config = reference.model.config.text_config
    layers, number = config.num_hidden_layers, config.num_attention_heads
    assert len(heads) == len(samples) * layers * number
    worst, spread = 0.0, 0.0
    for sample in samples.itertuples():
        expected = flows(sample.image, sample.question)
        rows = heads[heads["sample_id"] == sample.sample_id].sort_values(["layer", "head"])
        for name in FLOW_NAMES:
            found = rows[name].to_numpy(np.float64).reshape(layers, number)
            worst = max(worst, np.abs(found - expected[name]).max())
        spread = max(spread, expected["a2v"].max() - expected["a2v"].min())
        counts = [getattr(sample, f"n_{name}") for name in ("bos", "system", "user", "image", "question")]
        roles = reference.tokens(sample.question)[1]
        assert counts == [roles.count(short) for short in SHORT]
    print(f"largest error {worst:.2e}")
    assert worst <= 1e-5
    assert spread > 0.3  # far from uniform, where every head would give the share of image tokens
    for columns in PARTITIONS.values():
        total = heads[[column.name for column in columns]].astype("float64").sum(axis=1)
        assert np.abs(total - 1).max() <= 1e-5


@pytest.fixture(scope="module")
def observed(checkpoint_path):
    return load_model(str(checkpoint_path), device=CPU, dtype="float32")


@pytest.fixture(scope="module")
def grouped(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("grouped")
    make_checkpoint(path, texts, kv_heads=2)
    return load_model(str(path), device=CPU, dtype="float32")


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_those_of_the_unobserved_model(checkpoint_path, number, dtype):
    observed = load_model(str(checkpoint_path), device=CPU, dtype=str(dtype).removeprefix("torch."))
    assert observed.kernel is FLASH_CPU
    plain = LlavaForConditionalGeneration.from_pretrained(checkpoint_path, attn_implementation="sdpa", dtype=dtype)
    batch, images = pack([[random_prompt(observed, 7, seed)] for seed in range(number)]), random_pixels(number, dtype)
    logits, *_ = observed.forward(batch, images)
    with torch.inference_mode():
        expected = plain.eval()(input_ids=batch.input_ids, **images, logits_to_keep=1).logits[:, -1]
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("which", ["observed", "grouped"])
@pytest.mark.parametrize(
    ("images", "number"), [*((images, number) for images in (1, 2) for number in (1, 2, 5)), (8, 1)]
)
def test_batches_and_shared_prefixes_equal_one_by_one(request, which, number, images):
    """The first image has `number` questions, the others 1 to 5, of several lengths."""
    checkpoint, some = request.getfixturevalue(which), random_pixels(images)["pixel_values"]
    numbers = [1 + (number - 1 + image) % 5 for image in range(images)]
    groups = [
        [random_prompt(checkpoint, 4 + (3 * image + 5 * each) % 7, 10 * image + each) for each in range(count)]
        for image, count in enumerate(numbers)
    ]
    logits, flows, _ = checkpoint.forward(pack(groups), {"pixel_values": some})
    one_by_one = [
        checkpoint.forward(pack([[each]]), {"pixel_values": some[image : image + 1]})
        for image, group in enumerate(groups)
        for each in group
    ]
    expected_logits, expected_flows, _ = (torch.cat(tensors) for tensors in zip(*one_by_one, strict=True))
    assert (logits - expected_logits).abs().max() <= 1e-5
    assert (flows - expected_flows).abs().max() <= 5e-6


def test_v2t_is_the_same_for_two_questions_on_one_image(observed):
    flows = observed.forward(pack([[random_prompt(observed, 7), random_prompt(observed, 4, 1)]]), random_pixels(1))[1]
    of_image = [position for position, name in enumerate(FLOW_NAMES) if name.startswith("v")]
    assert torch.equal(flows[0][..., of_image], flows[1][..., of_image])
    assert (flows[..., FLOW_NAMES.index("v2q")] == 0).all()
    assert not torch.equal(flows[0], flows[1])


def test_the_portable_way_sees_the_same(checkpoint_path, observed, monkeypatch):
    monkeypatch.setattr("extract.models.transformers_model.choose_kernel", lambda *_, **__: PORTABLE)
    portable = load_model(str(checkpoint_path), device=CPU, dtype="float32")
    batch = pack([[random_prompt(observed, 7), random_prompt(observed, 4, 1)], [random_prompt(observed, 5)]])
    for found, expected in zip(
        portable.forward(batch, random_pixels(2)), observed.forward(batch, random_pixels(2)), strict=True
    ):
        assert (found - expected).abs().max() <= 2e-6


def test_the_vision_tower_is_not_observed(observed):
    model = observed.model.model
    assert model.vision_tower.config._attn_implementation == "sdpa"
    assert model.language_model.config._attn_implementation == "headflow"


def test_attention_that_is_not_plain_is_refused(observed):
    batch = pack([[random_prompt(observed, 7)]])
    with pytest.raises(ValueError, match="attention with a mask cannot be observed"):
        observed.model.model.language_model.layers[0].self_attn(
            torch.zeros(1, 3, 128), (torch.zeros(1, 3, 16),) * 2, torch.zeros(1, 1, 3, 3), observation=batch
        )


def test_a_model_that_is_not_causal_is_refused(checkpoint_path, monkeypatch):
    load = LlavaForConditionalGeneration.from_pretrained

    def not_causal(*arguments, **options):
        model, report = load(*arguments, **options)
        model.model.language_model.layers[1].self_attn.is_causal = False
        return model, report

    monkeypatch.setattr(LlavaForConditionalGeneration, "from_pretrained", not_causal)
    with pytest.raises(HeadflowError, match="not causal over its prompt"):
        load_model(str(checkpoint_path), device=CPU, dtype="float32")
