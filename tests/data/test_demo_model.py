"""Oracle: the committed models themselves, run in eager attention without `extract`: they answer because they look.

And `extract` on them, where attention is far from uniform, against that oracle; and the texts about them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, DynamicCache

from data.questions import CATEGORIES, CONTROL, DEMO_SEED, make_questions
from tests.support.eager_reference import EagerReference

DEMO = Path(__file__).parents[2] / "data" / "demo"
DEPTH = {"tiny-llava": 6, "tiny-llava-4x4": 4}
SEEN = [category for category in CATEGORIES if category != CONTROL]
AT_ONCE = 104  # questions, two on each image: those of two of the demo's categories


@pytest.fixture(scope="module", params=[*DEPTH])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def reference(name):
    return EagerReference(DEMO / name)


def questions(folder: Path) -> list[dict]:
    return json.loads((folder / "MME_test.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows():
    return questions(DEMO)


def knocked_out(roles: list[str], heads: int, blind: Iterable[int]) -> torch.Tensor:
    """A causal mask of the question's rows, float32 [1, heads, question, sequence]: in some heads they see no image."""
    question, image = (torch.tensor([name == role for name in roles]) for role in ("q", "v"))
    hidden = torch.ones(len(roles), len(roles)).triu(1).bool().repeat(heads, 1, 1)
    for head in blind:
        hidden[head] |= question[:, None] & image
    hidden = hidden[:, question]
    return torch.zeros(hidden.shape).masked_fill(hidden, torch.finfo(torch.float32).min)[None]


@cache
def processor_of(config: str) -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(**json.loads(config))


@cache
def pixels(config: str, image: Path) -> torch.Tensor:
    return processor_of(config)(images=Image.open(image).convert("RGB"), return_tensors="pt")["pixel_values"]


def pixels_of(model: Path, image: Path) -> torch.Tensor:
    """An image as the model takes it, float32 [1, 3, height, width]."""
    return pixels((model / "preprocessor_config.json").read_text(), image)


@cache
def asked(reference, question: str) -> tuple[list[int], list[str]]:
    return reference.tokens(question)


@lru_cache(3)  # the demo's
def up_to_the_image(reference, images: tuple[Path, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values of each layer [images, heads, tokens, head_dim], of the tokens before a question.

    They see no question, and nothing is hidden from them: they are computed once.
    """
    ids, roles = asked(reference, "")
    first, last = roles.index("v"), roles.index("q")
    pixels = torch.cat([pixels_of(reference.path, image) for image in images])
    past = DynamicCache()
    with torch.no_grad():
        before = reference.model(input_ids=torch.tensor([ids[:first]]), logits_to_keep=1).past_key_values
        for number, layer in enumerate(before.layers):  # they see no image, too
            past.update(*(each.expand(len(images), -1, -1, -1) for each in (layer.keys, layer.values)), number)
        ids = torch.tensor([ids[first:last]] * len(images))
        reference.model(input_ids=ids, pixel_values=pixels, past_key_values=past, logits_to_keep=1)
    return [(layer.keys, layer.values) for layer in past.layers]


@contextmanager
def blindfold(model, roles: list[str], blind: Mapping[int, Iterable[int] | None]):
    """Hide the image from the question in some layers: in those heads of each, or in all."""
    heads = model.config.text_config.num_attention_heads
    masks = {layer: knocked_out(roles, heads, range(heads) if of is None else of) for layer, of in blind.items()}
    hooks = [
        model.model.language_model.layers[layer].self_attn.register_forward_pre_hook(
            lambda _, given, named, mask=mask: (given, named | {"attention_mask": mask}), with_kwargs=True
        )
        for layer, mask in masks.items()
    ]
    yield
    for hook in hooks:
        hook.remove()


def last_logits(reference, questions: list[str], images: list[Path], shown: tuple[Path, ...], blind) -> torch.Tensor:
    """Logits of the first answer token [questions, vocabulary]; each image is one of those that are `shown`."""
    tokens = [asked(reference, question) for question in questions]
    logits = torch.empty(len(questions), reference.model.config.text_config.vocab_size)
    for length in {len(ids) for ids, _ in tokens}:
        alike = [index for index, (ids, _) in enumerate(tokens) if len(ids) == length]
        roles, rows = tokens[alike[0]][1], [shown.index(images[index]) for index in alike]
        past = DynamicCache()
        for layer, (keys, values) in enumerate(up_to_the_image(reference, shown)):
            past.update(keys[rows], values[rows], layer)
        ids = torch.tensor([tokens[index][0][roles.index("q") :] for index in alike])
        with torch.no_grad(), blindfold(reference.model, roles, blind):
            output = reference.model(input_ids=ids, past_key_values=past, logits_to_keep=1)
        logits[alike] = output.logits[:, -1]
    return logits


def answers(
    reference, folder: Path, *, swapped=False, blind: Mapping[int, Iterable[int] | None] | None = None, every: int = 1
):
    """The questions of a folder, on every so many images, with `margin` and `right`.

    The margin is the logit of the right one of Yes and No, less that of the other. An answer is right if its token is
    the likeliest of all, as a prediction of `extract` is read.
    """
    yes, no = (reference.tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("Yes", "No"))
    whole, rows, logits = questions(folder), [], []
    for at in range(0, len(whole), AT_ONCE):
        some = whole[at : at + AT_ONCE]
        shown = tuple(sorted({folder / "images" / row["image_file"] for row in some}))
        some = [row for number, row in enumerate(some, at) if number // 2 % every == 0]
        images = []
        for row in some:
            same = [other for other in some if other["category"] == row["category"]]
            images.append(folder / "images" / same[(same.index(row) + 2 * swapped) % len(same)]["image_file"])
        logits.append(last_logits(reference, [row["question"] for row in some], images, shown, blind or {}))
        rows += some
    said = torch.cat(logits).numpy()
    answer = np.array([yes if row["answer"] == "Yes" else no for row in rows])
    margin = (said[:, yes] - said[:, no]) * np.where(answer == yes, 1, -1)
    return pd.DataFrame(rows).assign(margin=margin, right=said.argmax(-1) == answer)


def accuracy(table: pd.DataFrame) -> dict[str, float]:
    """Share of right answers by category."""
    return table.groupby("category", sort=False)["right"].mean().to_dict()


@pytest.fixture(scope="module")
def untouched(reference):
    return answers(reference, DEMO)


@pytest.fixture(scope="module")
def looking(untouched):
    return accuracy(untouched)


@pytest.fixture(scope="module")
def hard(reference):
    return answers(reference, DEMO / "hard")


def numbers(text: str, first: str, columns: int) -> list[str]:
    """The first cells of a table's row that begins with `first`."""
    (line,) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", text, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")][:columns]


def test_it_has_learnt_to_look(looking):
    assert min(looking["existence"], looking["color"]) >= 0.9
    assert min(looking["count"], looking["position"]) >= 0.8
    assert min(looking["OCR"], looking[CONTROL]) >= 0.8


def test_without_attention_to_the_image_it_guesses(name, reference, looking):
    blind = accuracy(answers(reference, DEMO, blind=dict.fromkeys(range(DEPTH[name])), every=2))
    assert all(0.4 <= blind[category] <= 0.6 for category in SEEN), blind
    assert abs(blind[CONTROL] - looking[CONTROL]) <= 0.05


def test_which_layers_carry_the_image(name, reference, untouched):
    """As the overview says; in the guided model the first three, from there on nothing. Of the other, one way."""
    seen = untouched["category"] != CONTROL
    overview = (DEMO / "README.md").read_text(encoding="utf-8")

    depth = DEPTH[name]
    ways = [("one layer", [2]), ("it and all after", range(3, depth)), ("one layer", [0])]
    found = []
    for way, layers in ways if name == "tiny-llava" else ways[:1]:
        found.append(answers(reference, DEMO, blind=dict.fromkeys(layers)))
        cell = numbers(overview, f"`{name}` | {way}", depth)[layers[0]]
        assert f"{100 * found[-1]['right'][seen].mean():.0f}" == cell, (way, layers)
    if name == "tiny-llava":
        _, late, early = found
        assert untouched["right"].sum() - late["right"].sum() == 3  # as the README of the root says
        shares = accuracy(early)
        assert all(0.4 <= shares[category] <= 0.6 for category in ("existence", "position", "color")), shares


def test_on_another_image_it_is_no_better_than_chance(reference, looking):
    swapped = accuracy(answers(reference, DEMO, swapped=True, every=2))
    seen = [swapped[category] for category in SEEN]
    assert all(share <= 0.7 for share in seen), swapped
    assert 0.4 <= sum(seen) / len(seen) <= 0.6
    assert abs(swapped[CONTROL] - looking[CONTROL]) <= 0.05


def test_the_effect_of_a_head_is_the_listed_one(name, reference, untouched):
    effects = pd.read_csv(DEMO / "head_effects.csv")
    first = int(re.search(r'"seed": (\d+)', (DEMO / name / "training.json").read_text())[1])
    own = effects[(effects["model"] == name) & (effects["seed"] == first)]
    assert len(own) == DEPTH[name] * {"tiny-llava": 8, "tiny-llava-4x4": 4}[name]
    largest = own.loc[own["drop"].idxmax()]
    without = answers(reference, DEMO, blind={int(largest["layer"]): [int(largest["head"])]})
    seen = untouched["category"] != CONTROL
    assert (untouched["margin"] - without["margin"])[seen].mean() == pytest.approx(largest["drop"], abs=2e-3)
    assert without["right"][seen].mean() == pytest.approx(largest["accuracy"], abs=5e-3)
    assert effects[effects["model"] == "tiny-llava"]["seed"].nunique() == 3


def test_extract_sees_what_the_witness_sees(tmp_path, extract, name, reference, rows, untouched):
    """On every twelfth image."""
    run, asked = tmp_path / "run", tmp_path / "asked.json"
    some = [index for index in range(len(rows)) if index // 2 % 12 == 0]
    rows = [rows[index] for index in some]
    asked.write_text(json.dumps(rows))
    assert extract(run, model_path=DEMO / name, image_folder=DEMO / "images", question_file=asked) == 0
    samples = pd.read_parquet(run / "samples")
    assert (samples["prediction"] == samples["answer"]).tolist() == untouched["right"][some].tolist()
    assert (
        np.abs(
            samples["margin"] * np.where(samples["answer"] == "Yes", 1, -1) - untouched["margin"].to_numpy()[some]
        ).max()
        <= 1e-4
    )
    assert [None if boxes is None else [box.tolist() for box in boxes] for boxes in samples["boxes"]] == [
        row.get("boxes") and [pytest.approx(box) for box in row["boxes"]] for row in rows
    ]
    heads = pd.read_parquet(run / "heads").set_index("sample_id")
    for category in CATEGORIES:
        index = next(index for index, row in enumerate(rows) if row["category"] == category)
        pixels = pixels_of(DEMO / name, DEMO / "images" / rows[index]["image_file"])
        expected = reference.flows(rows[index]["question"], pixels)
        found = heads.loc[samples["sample_id"][index]].sort_values(["layer", "head"])
        for flow, values in expected.items():
            assert abs(found[flow].to_numpy() - values.ravel()).max() <= 1e-5, (category, flow)


def test_its_card_is_true(name, looking, hard):
    card = (DEMO / name / "README.md").read_text(encoding="utf-8")
    harder = accuracy(hard)
    for category in CATEGORIES:
        expected = [f"{share[category]:.1%}" for share in (looking, harder)]
        assert numbers(card, f"`{category}`", 4)[2:] == expected


def test_harder_questions_fail_in_every_way(name, hard):
    pairs = hard.pivot(index="image_file", columns="answer", values="right")
    names = {(True, True): "both right", (True, False): "yes-biased", (False, True): "no-biased"}
    states = Counter(names.get(pair, "both wrong") for pair in zip(pairs["Yes"], pairs["No"], strict=True))
    overview = (DEMO / "README.md").read_text(encoding="utf-8")
    listed = [states[state] for state in ("both right", "yes-biased", "no-biased", "both wrong")]
    assert re.findall(rf"^\| `{name}` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| 0 \|$", overview, re.MULTILINE) == [
        tuple(map(str, listed))
    ]
    if name == "tiny-llava":
        assert 0.65 <= hard["right"].mean() <= 0.9
        assert min(listed) >= 10


def test_the_committed_demo_is_the_recipe_s(tmp_path, rows):
    assert make_questions(tmp_path, seed=DEMO_SEED) == rows
    for row in rows:
        ours, theirs = (Image.open(folder / "images" / row["image_file"]) for folder in (tmp_path, DEMO))
        assert ours.tobytes() == theirs.tobytes()


def test_its_size(rows):
    assert len(rows) >= 300
    assert len({row["image_file"] for row in rows}) >= 150
    assert sum(path.stat().st_size for path in (DEMO / "images").rglob("*.png")) <= 2_000_000
    assert sum((DEMO / name / "model.safetensors").stat().st_size for name in DEPTH) <= 10_000_000
    for name, heads in (("tiny-llava", 8), ("tiny-llava-4x4", 4)):
        config = json.loads((DEMO / name / "config.json").read_text())
        assert config["dtype"] == "float16"
        assert config["text_config"]["num_hidden_layers"] == DEPTH[name]
        assert config["text_config"]["num_attention_heads"] == heads
        assert (config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]) ** 2 >= 64
