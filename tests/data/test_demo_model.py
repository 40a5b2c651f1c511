"""Oracle: the committed model itself, run in eager attention without `extract`: it answers because it looks.

And `extract` on it, where attention is far from uniform, against that oracle.
"""

import json
import re
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from data.questions import CATEGORIES, CONTROL, DEMO_SEED, make_questions
from tests.support.eager_reference import EagerReference

DEMO = Path(__file__).parents[2] / "data" / "demo"
MODEL = DEMO / "tiny-llava"


@pytest.fixture(scope="module")
def reference():
    return EagerReference(MODEL)


@pytest.fixture(scope="module")
def rows():
    return json.loads((DEMO / "MME_test.json").read_text(encoding="utf-8"))


def knocked_out(roles: list[str]) -> torch.Tensor:
    """A causal mask, float32 [1, 1, sequence, sequence], under which no question token sees an image token."""
    question, image = (torch.tensor([name == role for name in roles]) for role in ("q", "v"))
    hidden = torch.ones(len(roles), len(roles)).triu(1).bool() | (question[:, None] & image)
    return torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None]


def pixels_of(name: str) -> torch.Tensor:
    """An image of the demo as the model takes it, float32 [1, 3, height, width]."""
    image = Image.open(DEMO / "images" / name).convert("RGB")
    return CLIPImageProcessorPil.from_pretrained(MODEL)(images=image, return_tensors="pt")["pixel_values"]


@contextmanager
def blindfold(model, roles: list[str], layers: Sequence[int]):
    """Hide the image from the question in some layers."""
    mask = knocked_out(roles)
    attentions = [model.model.language_model.layers[layer].self_attn for layer in layers]
    hooks = [
        attention.register_forward_pre_hook(
            lambda _, given, named: (given, named | {"attention_mask": mask}), with_kwargs=True
        )
        for attention in attentions
    ]
    yield
    for hook in hooks:
        hook.remove()


def accuracy(reference, rows, *, swapped=False, blind: Sequence[int] = ()) -> dict[str, float]:
    """Share of right answers by category, the likelier of Yes and No taken; `blind` are layers."""
    yes, no = (reference.tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("Yes", "No"))
    right = {category: [] for category in CATEGORIES}
    for row in rows:
        same = [other for other in rows if other["category"] == row["category"]]
        shown = same[(same.index(row) + 2 * swapped) % len(same)]["image_file"]
        ids, roles = reference.tokens(row["question"])
        with torch.no_grad(), blindfold(reference.model, roles, blind):
            logits = reference.model(
                input_ids=torch.tensor([ids]), pixel_values=pixels_of(shown), logits_to_keep=1
            ).logits[0, -1]
        right[row["category"]].append((logits[yes] > logits[no]) == (row["answer"] == "Yes"))
    return {category: float(torch.stack(each).float().mean()) for category, each in right.items()}


@pytest.fixture(scope="module")
def looking(reference, rows):
    return accuracy(reference, rows)


def test_it_has_learnt_to_look(looking):
    assert min(looking["existence"], looking["color"]) >= 0.9
    assert min(looking["count"], looking["position"]) >= 0.8
    assert min(looking["OCR"], looking[CONTROL]) >= 0.8


def test_its_card_is_true(looking):
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \|.* ([\d.]+)% \|$", card, re.MULTILINE))
    assert {category: round(100 * share, 1) for category, share in looking.items()} == {
        category: float(share) for category, share in table.items()
    }


def test_without_attention_to_the_image_it_guesses(reference, rows, looking):
    blind = accuracy(reference, rows, blind=range(6))
    seen = [category for category in CATEGORIES if category != CONTROL]
    assert all(0.4 <= blind[category] <= 0.6 for category in seen), blind
    assert abs(blind[CONTROL] - looking[CONTROL]) <= 0.05


def test_it_reads_the_image_in_its_first_layers(reference, rows, looking):
    late = accuracy(reference, rows, blind=range(3, 6))
    assert all(abs(late[category] - looking[category]) <= 0.02 for category in CATEGORIES), late
    early = accuracy(reference, rows, blind=[0])
    assert all(0.4 <= early[category] <= 0.6 for category in ("existence", "position", "color")), early
    assert abs(early[CONTROL] - looking[CONTROL]) <= 0.05


def test_on_another_image_it_is_no_better_than_chance(reference, rows, looking):
    swapped = accuracy(reference, rows, swapped=True)
    seen = [swapped[category] for category in CATEGORIES if category != CONTROL]
    assert all(share <= 0.7 for share in seen), swapped
    assert 0.4 <= sum(seen) / len(seen) <= 0.6
    assert abs(swapped[CONTROL] - looking[CONTROL]) <= 0.05


def test_extract_sees_what_the_witness_sees(tmp_path, extract, reference, rows, looking):
    run = tmp_path / "run"
    assert extract(run, model_path=MODEL, image_folder=DEMO / "images", question_file=DEMO / "MME_test.json") == 0
    samples = pd.read_parquet(run / "samples")
    right = (samples["p_yes"] > samples["p_no"]) == (samples["answer"] == "Yes")
    assert right.groupby(samples["category"], observed=True).mean().to_dict() == pytest.approx(looking)
    heads = pd.read_parquet(run / "heads").set_index("sample_id")
    for category in CATEGORIES:
        index = next(index for index, row in enumerate(rows) if row["category"] == category)
        expected = reference.flows(rows[index]["question"], pixels_of(rows[index]["image_file"]))
        found = heads.loc[samples["sample_id"][index]].sort_values(["layer", "head"])
        for name, values in expected.items():
            assert abs(found[name].to_numpy() - values.ravel()).max() <= 1e-5, (category, name)


def test_the_committed_demo_is_the_recipe_s(tmp_path, rows):
    assert make_questions(tmp_path, seed=DEMO_SEED) == rows
    for row in rows:
        ours, theirs = (Image.open(folder / "images" / row["image_file"]) for folder in (tmp_path, DEMO))
        assert ours.tobytes() == theirs.tobytes()


def test_its_size(rows):
    assert len(rows) >= 300
    assert len({row["image_file"] for row in rows}) >= 150
    assert sum(path.stat().st_size for path in (DEMO / "images").rglob("*.png")) <= 2_000_000
    assert (MODEL / "model.safetensors").stat().st_size <= 8_000_000
    config = json.loads((MODEL / "config.json").read_text())
    assert config["dtype"] == "float16"
    assert config["text_config"]["num_hidden_layers"] >= 6
    assert config["text_config"]["num_attention_heads"] >= 8
    assert (config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]) ** 2 >= 64
