"""Oracles: an eager pass reduced in float64 (tests/oracle.py); the unobserved sdpa model, for logits."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, LlavaForConditionalGeneration

from data.demo_model import make_checkpoint
from extract.checkpoint import load_checkpoint
from extract.flows import flows_from_sums, reference_flows, role_sums
from schemas.columns import FLOW_NAMES, PARTITIONS
from schemas.roles import PADDING
from tests.oracle import Witness, reduce

CPU = torch.device("cpu")
SHORT = ("bos", "sys", "user", "v", "q")


@pytest.mark.parametrize(
    "options",
    [{}, {"kv_heads": 2}, {"logit_std": 5.0, "seed": 1}, {"layers": 2, "heads": 4, "kv_heads": 1, "image_size": 154}],
    ids=["multi-head", "grouped-query", "peaked", "multi-query"],
)
def test_a_run_equals_the_witness(tmp_path, questions, texts, extract, options):
    model, run = tmp_path / "model", tmp_path / "run"
    make_checkpoint(model, texts, **options)
    assert extract(run, model_path=model, dtype="float32", device="cpu") == 0
    heads, samples = pd.read_parquet(run / "heads"), pd.read_parquet(run / "samples")
    assert (samples["status"] == "ok").all()
    witness, processor = Witness(model), CLIPImageProcessorPil.from_pretrained(model)
    layers, number = witness.model.config.text_config.num_hidden_layers, options.get("heads", 8)
    assert len(heads) == len(samples) * layers * number
    worst, spread = 0.0, 0.0
    for sample in samples.itertuples():
        image = Image.open(questions / "images" / sample.image).convert("RGB")
        expected = witness.flows(sample.question, processor(images=image, return_tensors="pt")["pixel_values"])
        rows = heads[heads["sample_id"] == sample.sample_id].sort_values(["layer", "head"])
        for name in FLOW_NAMES:
            found = rows[name].to_numpy(np.float64).reshape(layers, number)
            worst = max(worst, np.abs(found - expected[name]).max())
        spread = max(spread, expected["a2v"].max() - expected["a2v"].min())
        counts = [getattr(sample, f"n_{name}") for name in ("bos", "system", "user", "image", "question")]
        roles = witness.tokens(sample.question)[1]
        assert counts == [roles.count(short) for short in SHORT]
    print(f"largest error {worst:.2e}")
    assert worst <= 1e-5
    assert spread > 0.3  # far from uniform, where every head would give the share of image tokens
    for columns in PARTITIONS.values():
        total = heads[[column.name for column in columns]].astype("float64").sum(axis=1)
        assert np.abs(total - 1).max() <= 1e-5


def test_logits_are_those_of_the_unobserved_model(checkpoint_path):
    observed = load_checkpoint(str(checkpoint_path), None, device=CPU, dtype=torch.float32)
    plain = LlavaForConditionalGeneration.from_pretrained(checkpoint_path, attn_implementation="sdpa").eval()
    ids = torch.tensor([[1, 5, 9, *[observed.image_token_id] * observed.image_tokens, 300, 7, 40]])
    roles = torch.tensor([[0, 1, 2, *[3] * observed.image_tokens, 4, 4, 4]])
    pixels = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    logits, _ = observed.forward(ids, roles, pixels)
    with torch.inference_mode():
        expected = plain(input_ids=ids, pixel_values=pixels, logits_to_keep=1).logits[:, -1]
    assert torch.equal(logits, expected)


def test_the_vision_tower_is_not_observed(checkpoint_path):
    model = load_checkpoint(str(checkpoint_path), None, device=CPU, dtype=torch.float32).model.model
    assert model.vision_tower.config._attn_implementation == "sdpa"
    assert model.language_model.config._attn_implementation == "headflow"


def attention_by_hand(query, key, scale, mask):
    """Full attention in float64, [batch, heads, sequence, sequence]."""
    key = key.double().repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = query.double() @ key.transpose(-1, -2) * scale
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("length", [7, 128, 300])
def test_masses_of_random_queries_and_keys(kv_heads, length):
    random = torch.Generator().manual_seed(length)
    query = torch.randn(2, 4, length, 16, generator=random) * 1.7
    key = torch.randn(2, kv_heads, length, 16, generator=random) * 1.7
    image = length // 2
    roles = torch.tensor([[0, 1, 2, *[3] * image, *[4] * (length - 3 - image)]] * 2)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    attention = attention_by_hand(query, key, 0.25, causal)
    flows = flows_from_sums(role_sums(query, key, roles, scale=0.25, mask=None)[None], roles)
    masked = flows_from_sums(role_sums(query, key, roles, scale=0.25, mask=causal.expand(2, 1, -1, -1))[None], roles)
    assert torch.equal(flows, masked)
    for item in range(2):
        expected = reference_flows(attention[item], roles[item])
        witness = reduce(attention[item].numpy(), [SHORT[code] for code in roles[item]])
        for position, name in enumerate(FLOW_NAMES):
            assert np.abs(expected[name].numpy() - witness[name]).max() < 1e-12
            assert (flows[item, 0, :, position] - expected[name]).abs().max() <= 2e-6


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side):
    random = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, 20, 8, generator=random) for _ in range(2))
    roles = torch.tensor([[0, 1, 2, *[3] * 9, *[4] * 8]])
    alone = flows_from_sums(role_sums(query, key, roles, scale=0.4, mask=None)[None], roles)
    pads = (5, 0) if side == "left" else (0, 5)
    padded = torch.nn.functional.pad(roles, pads, value=PADDING)
    some = [torch.nn.functional.pad(tensor, (0, 0, *pads), value=3.0) for tensor in (query, key)]
    mask = torch.ones(25, 25, dtype=torch.bool).tril() & (padded[0] != PADDING)
    together = flows_from_sums(role_sums(*some, padded, scale=0.4, mask=mask[None, None])[None], padded)
    assert (alone - together).abs().max() <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_masses_are_summed_in_float32(dtype):
    random = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, 700, 16, generator=random).mul(1.7).to(dtype) for _ in range(2))
    roles = torch.tensor([[0, 1, *[3] * 600, *[4] * 98]])
    sums = role_sums(query, key, roles, scale=0.25, mask=None)
    assert sums.dtype == torch.float32
    flows = flows_from_sums(sums[None], roles)
    causal = torch.ones(700, 700, dtype=torch.bool).tril()
    expected = reference_flows(attention_by_hand(query, key, 0.25, causal)[0], roles[0])
    for position, name in enumerate(FLOW_NAMES):
        assert (flows[0, 0, :, position] - expected[name]).abs().max() <= 1e-5
