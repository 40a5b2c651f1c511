"""Oracle: the softmax under a mask written out in float64 and reduced by `reference_masses`."""

import pytest
import torch

from extract.attention import masses
from extract.attention.masked import MaskedObservation
from extract.attention.packing import pack
from schemas.columns import FLOW_NAMES
from schemas.roles import PADDING
from tests.support.attention import reference_masses
from tests.support.prompts import prompt, tiles

HEADS, WIDTH, SCALE = 4, 16, 0.25
QUESTIONS = [[prompt(9)], [tiles()], [prompt(3, image=31)]]


def layer(batch, kv_heads=HEADS, dtype=torch.float32, seed=0):
    """Queries, keys, values and a mask in which each token sees itself and about half of the others."""
    random = torch.Generator().manual_seed(seed)
    rows, length = batch.input_ids.shape
    heads = (HEADS, kv_heads, kv_heads)
    tensors = [torch.randn(rows, each, length, WIDTH, generator=random).mul(1.7).to(dtype) for each in heads]
    mask = (torch.rand(rows, 1, length, length, generator=random) < 0.5) | torch.eye(length, dtype=torch.bool)
    return *tensors, mask & (batch.roles != PADDING)[:, None, None]


def attention(query, key, mask, softcap):
    groups = query.shape[1] // key.shape[1]
    scores = query.double() @ key.double().repeat_interleave(groups, dim=1).transpose(-1, -2) * SCALE
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("scratch", [2**28, 4 * 3 * HEADS * 100])
def test_flows_and_outputs_under_any_mask(monkeypatch, softcap, kv_heads, scratch):
    monkeypatch.setattr(masses, "SCRATCH", scratch)
    batch = pack(QUESTIONS)
    observation = MaskedObservation(batch)
    layers = [layer(batch, kv_heads, seed=seed) for seed in range(2)]
    outputs = [observation.attend(*tensors, SCALE, mask=mask, softcap=softcap) for *tensors, mask in layers]
    flows = observation.masses()
    assert flows.shape == (3, 2, HEADS, len(FLOW_NAMES))
    for number, (query, key, value, mask) in enumerate(layers):
        weights = attention(query, key, mask, softcap)
        expected = weights @ value.double().repeat_interleave(HEADS // kv_heads, dim=1)
        for row, (each,) in enumerate(QUESTIONS):
            own = slice(0, len(each.roles))
            assert (outputs[number][row, :, own] - expected[row, :, own]).abs().max() <= 2e-6
            right = reference_masses(weights[row, :, own, own], torch.tensor(each.roles))
            for column, name in enumerate(FLOW_NAMES):
                assert (flows[row, number, :, column] - right[name]).abs().max() <= 2e-6


def test_padding_is_never_nan():
    batch = pack([[prompt(9)], [prompt(1)]])
    query, key, value, mask = layer(batch)
    mask = mask & (batch.roles != PADDING)[:, None, :, None]
    observation = MaskedObservation(batch)
    assert torch.isfinite(observation.attend(query, key, value, SCALE, mask=mask, softcap=None)).all()
    assert torch.isfinite(observation.masses()).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    batch = pack(QUESTIONS)
    query, key, value, mask = layer(batch, 2, dtype)
    observation = MaskedObservation(batch)
    output = observation.attend(query, key, value, SCALE, mask=mask, softcap=None)
    assert output.dtype == dtype
    whole = MaskedObservation(batch)
    whole.attend(query.float(), key.float(), value.float(), SCALE, mask=mask, softcap=None)
    assert (observation.masses() - whole.masses()).abs().max() <= 1e-5
