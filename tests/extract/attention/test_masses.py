"""Oracle: the attention of each question, written out in float64 and reduced by `reference_masses`, which is itself
compared with a reduction row by row (tests/support/eager_reference.py)."""

import pytest
import torch

from extract.attention import masses
from extract.attention.causal import Observation
from extract.attention.kernels import FLASH_CPU, PORTABLE
from extract.attention.packing import pack
from schemas.columns import FLOW_NAMES
from schemas.roles import IMAGE
from tests.support.attention import (
    BATCHES,
    HEADS,
    SCALE,
    by_hand,
    largest_errors,
    layers,
    reference_masses,
    written_out,
)
from tests.support.prompts import columns, prompt, tiles


@pytest.fixture(params=BATCHES.values(), ids=BATCHES.keys())
def images(request):
    return request.param


KERNELS = {"flash": FLASH_CPU, "portable": PORTABLE}


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_flows_of_random_queries_and_keys(images, kv_heads):
    made = layers(images, kv_heads=kv_heads)
    right = written_out(images, made)
    for name, kernel in KERNELS.items():
        worst, worst_output = largest_errors(images, made, kernel, right)
        print(f"{name}: largest error {worst:.1e}, of outputs {worst_output:.1e}")
        assert worst <= 2e-6, name
        assert worst_output <= 1e-5, name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(images, dtype):
    made = layers(images, kv_heads=2, dtype=dtype)
    right = written_out(images, made)
    for name, kernel in KERNELS.items():
        worst, _ = largest_errors(images, made, kernel, right)
        print(f"{name}: largest error {worst:.1e}")
        assert worst <= 1e-4, name


def test_a_batch_equals_one_by_one(images):
    made = layers(images)
    batch = Observation(pack(images), FLASH_CPU)
    for layer in made:
        batch.attend(*layer, SCALE)
    together = batch.masses()
    prompts = [each for group in images for each in group]
    for number, (each, (row, own)) in enumerate(zip(prompts, columns(images), strict=True)):
        alone = Observation(pack([[each]]), FLASH_CPU)
        for layer in made:
            alone.attend(*(tensor[row : row + 1, :, own] for tensor in layer), SCALE)
        assert (together[number] - alone.masses()[0]).abs().max() <= 2e-6


def test_layers_reduced_together_equal_one_at_a_time(images, monkeypatch):
    made = layers(images, 5)

    def observe(hold):
        observation = Observation(pack(images), FLASH_CPU, hold=hold)
        for number, layer in enumerate(made):
            observation.attend(*layer, SCALE if number != 3 else 0.5)
        return observation.masses()

    each = observe(0)
    reduced = []
    reduce_now = Observation._reduce
    monkeypatch.setattr(Observation, "_reduce", lambda self: (reduced.append(len(self._held)), reduce_now(self)))
    assert (observe(2 * made[0][0].nbytes) - each).abs().max() <= 1e-6
    assert max(reduced) == 2


def test_explicit_rows_in_chunks_equal_the_whole(monkeypatch):
    images = BATCHES["5 questions"]
    made = layers(images)
    right = written_out(images, made)
    whole = largest_errors(images, made, FLASH_CPU, right)
    monkeypatch.setattr(masses, "SCRATCH", 4 * HEADS * 100 * 3)
    assert max(largest_errors(images, made, FLASH_CPU, right)) <= max(2e-6, *whole) * 2


@pytest.mark.parametrize("number", [1, 3])
def test_scores_are_held_in_bounded_pieces(monkeypatch, number):
    """800 question tokens and more layers than one, held back or not."""
    images = [[prompt(800), prompt(5)], [prompt(600)]]
    made = layers(images, number, kv_heads=2)

    def observe():
        observation = Observation(pack(images), FLASH_CPU, hold=2**40)
        for layer in made:
            observation.attend(*layer, SCALE)
        return observation.masses()

    whole, largest, limit = observe(), [], 2**18
    monkeypatch.setattr(masses, "SCRATCH", limit)
    plain = masses.attention_scores
    monkeypatch.setattr(masses, "attention_scores", lambda *tensors: largest.append(made := plain(*tensors)) or made)
    assert (observe() - whole).abs().max() <= 5e-6  # sums of 800 rows, added in another order
    assert max(scores.nbytes for scores in largest) <= limit
    assert len(largest) > 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_small_masses_of_the_image_are_right_in_proportion(dtype):
    """Of question rows, whose masses on the image are summed; those of image rows are what is left of 1."""
    images = [[prompt(30, image=300), prompt(9, image=300)], [tiles()]]
    made = layers(images, 1, kv_heads=2, dtype=dtype, logit_std=1.0)
    ((query, key, _),) = made
    roles = pack(images).roles
    query[..., 0], key[..., 0] = 6.0, torch.where(roles == IMAGE, -7.0, 0.0)[:, None].to(dtype)
    observation = Observation(pack(images), FLASH_CPU)
    observation.attend(*made[0], SCALE)
    found, worst, smallest = observation.masses(), 0.0, 1.0
    prompts = [each for group in images for each in group]
    for number, (each, (row, own)) in enumerate(zip(prompts, columns(images), strict=True)):
        expected = reference_masses(by_hand(made[0], row, own)[0], torch.tensor(each.roles))
        for name in ("q2v", "a2v", "t2v"):
            error = (found[number, 0, :, FLOW_NAMES.index(name)] / expected[name] - 1).abs().max()
            worst, smallest = max(worst, float(error)), min(smallest, float(expected[name].min()))
    print(f"{dtype}: masses from {smallest:.1e}, largest error {worst:.1e} of a mass")
    assert smallest < 1e-3
    assert worst <= (1e-5 if dtype == torch.float32 else 5e-4)


def test_nan_reaches_the_questions_that_see_it_and_no_others():
    images = [[prompt(9), prompt(5)], [prompt(3)]]
    made = layers(images)
    made[1][1][0, 2, 32] = torch.nan  # a key of the first image's first question
    observation = Observation(pack(images), FLASH_CPU)
    for layer in made:
        observation.attend(*layer, SCALE)
    finite = torch.isfinite(observation.masses()).all(dim=-1)
    assert finite[0, 0].all()
    assert finite[0, 1].tolist() == [True, True, False, True]
    assert finite[1:].all()
