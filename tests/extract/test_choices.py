"""Questions with options of their own, through the whole stage, on the demo's model, which has a token for each letter.

Oracles: transformers' own pass over the text that is to be asked, written here; a run of a model without some heads; of
contributions, what that pass adds to the last token, value by value, times the difference of two letters' rows.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from analyze.__main__ import main as analyze
from extract.__main__ import main as extract
from schemas.columns import CONTRIBUTION_COLUMNS, LAYER_COLUMNS, PARTS
from tests.support.eager_partition import EagerPartition
from tests.support.runs import put, rewrite

DEMO = Path(__file__).parents[2] / "data" / "demo"
MODEL = DEMO / "tiny-llava"
ASKED = {"image": "existence/01.png", "question": "What colour is it?", "category": "colour"}
ROWS = [
    ASKED | {"A": "red", "B": "blue", "C": "green", "answer": "B", "hint": "Look."},
    ASKED | {"A": "red", "B": "blue", "answer": "A"},
    ASKED | {"A": "red", "B": "red", "answer": "A"},  # the same
    ASKED | {"A": "red", "answer": "A"},  # one
    ASKED | {"A": "red", "B": "blue", "C": "green", "answer": "E"},  # none of them
    ASKED | {"question": "<image 1> or <image 2>?", "A": "red", "B": "blue", "answer": "A"},
]
TEXTS = [
    "Look.\nWhat colour is it?\nA. red\nB. blue\nC. green\n",
    "What colour is it?\nA. red\nB. blue\n",
]
REASONS = [None, None, "options_unusable", "options_unusable", None, "several_images"]
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)


def run(folder, rows=ROWS, **flags):
    """A run on some questions; returns its folder."""
    file = folder / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    values = {"model-path": MODEL, "image-folder": DEMO / "images", "question-file": file, "num-workers": 0} | flags
    argv = [f"--{name}" if value is True else f"--{name}={value}" for name, value in values.items()]
    assert extract([*argv, f"--output-dir={folder / 'run'}"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("choices"), **{"contributions": True, "layer-profile": True})


@pytest.fixture(scope="module")
def eager():
    model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float64, attn_implementation="eager")
    return EagerPartition(model.eval())


def asked(model, text):
    """The inputs of a question, and the role of each token; the system prompt and what follows it are one role."""
    processor = AutoProcessor.from_pretrained(MODEL)
    image = Image.open(DEMO / "images" / ASKED["image"]).convert("RGB")
    instruction = "Answer with the option's letter from the given choices directly."
    before, after = f"{SYSTEM} USER: ", f"\n{text}{instruction} ASSISTANT:"
    first, (_, *second) = (processor.tokenizer(each).input_ids for each in (before, after))
    ids = [*first, *[model.config.image_token_id] * 64, *second]  # LLaVA tokenises what is before and after
    pixels = processor.image_processor(image, return_tensors="pt")["pixel_values"].double()
    roles = ["bos", *["sys"] * (len(first) - 1), *["v"] * 64, *["q"] * len(second)]
    return {"input_ids": torch.tensor([ids]), "pixel_values": pixels}, roles


def test_the_logits_of_letters_are_those_of_transformers(observed, eager):
    samples = pd.read_parquet(observed / "samples").sort_values("row")
    assert samples["reason"].astype(object).where(samples["reason"].notna(), None).tolist() == REASONS
    processor = AutoProcessor.from_pretrained(MODEL)
    for text, (_, sample) in zip(TEXTS, samples.iterrows(), strict=False):
        inputs, _ = asked(eager.model, text)
        with torch.no_grad():
            logits = eager.model(**inputs).logits[0, -1]
        tokens = processor.tokenizer.convert_tokens_to_ids([f"▁{letter}" for letter in "ABC"])
        expected = logits[tokens].tolist()[: len(sample["options"])]
        assert sample["option_logits"].tolist() == pytest.approx(expected, abs=2e-4)
        right = "ABC".index(sample["answer"])
        wrong = max(logit for place, logit in enumerate(expected) if place != right)
        assert sample["lead"] == pytest.approx(expected[right] - wrong, abs=4e-4)
        assert sample["prediction"] == processor.tokenizer.decode([int(logits.argmax())])
    assert samples["margin"].notna().tolist() == [False, True, False, False, False, False]
    assert samples["lead"].notna().tolist() == [True, True, False, False, False, False]
    assert samples["p_yes"].isna().all()


def test_contributions_add_up_to_the_lead(observed, eager):
    """Of the right letter over the strongest wrong one; of the likeliest where the right answer is no option."""
    samples = pd.read_parquet(observed / "samples").set_index("row")
    heads, layers = (pd.read_parquet(observed / name) for name in ("contributions", "layers"))
    tokens = AutoProcessor.from_pretrained(MODEL).tokenizer.convert_tokens_to_ids(["▁A", "▁B", "▁C"])
    names, of_layers = ([each.name for each in columns] for columns in (CONTRIBUTION_COLUMNS, LAYER_COLUMNS))
    for row, text in {0: TEXTS[0], 1: TEXTS[1], 4: TEXTS[0].removeprefix("Look.\n")}.items():
        sample = samples.loc[row]
        logits = sample["option_logits"]
        first = int(np.argmax(logits)) if row == 4 else "ABC".index(sample["answer"])
        second = max((place for place in range(len(logits)) if place != first), key=lambda place: logits[place])
        inputs, roles = asked(eager.model, text)
        rows = [eager.unembedding[token] for token in tokens[: len(logits)]]
        right = eager.run(inputs, roles, rows[first] - rows[second])
        expected, profile, lead = right.heads, right.profile, right.margin
        assert sample["lead"] == pytest.approx(lead, abs=4e-4) or row == 4
        size = 1e-5 * max(1, abs(lead))
        own = heads[heads["sample_id"] == sample["sample_id"]].sort_values(["layer", "head"])[names]
        found = own.to_numpy(copy=True).reshape(expected.shape)
        found[..., 1] += found[..., 2]
        found[..., 2] = 0
        assert np.abs(found - expected).max() <= size
        parts = [right.embedding, expected.sum(), 0, profile[:, of_layers.index("d_mlp")].sum(), 0, 0]
        assert sample[[each.name for each in PARTS]].astype(float).to_numpy() == pytest.approx(parts, abs=10 * size)
        # After a layer the strongest other letter may be another one
        lens = np.stack([eager.run(inputs, roles, each).profile[:, of_layers.index("margin")] for each in rows], axis=1)
        profile[:, of_layers.index("margin")] = lens[:, first] - np.delete(lens, first, axis=1).max(axis=1)
        own = layers[layers["sample_id"] == sample["sample_id"]].sort_values("layer")[of_layers].to_numpy()
        assert np.abs(own - profile).max() <= 2 * size


@pytest.mark.parametrize(
    ("name", "row", "value", "says"),
    [
        ("d_mlp", 0, 9.0, "d_bias and d_rest is not `lead` in 1 row"),
        ("d_mlp", 4, 9.0, "d_bias and d_rest is not `lead` in 1 row"),
        ("d_mlp", 0, None, "d_mlp is null in rows of observed samples"),
    ],
)
def test_validate_holds_the_parts_of_a_lead(observed, tmp_path, capsys, name, row, value, says):
    broken = shutil.copytree(observed, tmp_path / "copy")
    place = pd.read_parquet(broken / "samples")["row"].tolist().index(row)
    rewrite(broken, "samples", lambda content: put(content, name, place, value))
    assert analyze(["validate", str(broken)]) == 1
    assert says in capsys.readouterr().out


def test_the_run_is_valid_and_says_its_task(observed, capsys):
    assert analyze(["validate", str(observed)]) == 0
    manifest = json.loads((observed / "run.json").read_text())
    assert (manifest["task"], manifest["answer_tokens"]) == ("choices", ["▁A", "▁B", "▁C"])


def test_leads_of_knock_outs_are_those_of_a_model_without_the_heads(observed, tmp_path):
    heads = {"heads": [[1, 2], [3, 0], [3, 1]], "layers": []}
    (tmp_path / "sets.json").write_text(json.dumps({"some": heads}))
    (tmp_path / "plan.json").write_text(json.dumps(heads))
    argv = [str(observed), "--sets", str(tmp_path / "sets.json"), "--kind", "remove", "--num-workers", "0"]
    assert extract(["knock-out", *argv]) == 0
    found = pd.read_parquet(next((observed / "jobs").iterdir()) / "knockouts").set_index("sample_id")
    before = pd.read_parquet(observed / "samples").set_index("sample_id")
    after = pd.read_parquet(run(tmp_path, plan=tmp_path / "plan.json") / "samples").set_index("sample_id")
    scored = found.index[found["lead"].notna()]
    assert len(scored) == 2
    for name in scored:
        assert found.loc[name, "lead_untouched"] == pytest.approx(before.loc[name, "lead"], abs=1e-4)
        assert found.loc[name, "lead"] == pytest.approx(after.loc[name, "lead"], abs=1e-4)
        assert found.loc[name, "prediction"] == after.loc[name, "prediction"]
    assert abs(found.loc[scored, "lead"] - found.loc[scored, "lead_untouched"]).min() > 0.01
    assert analyze(["validate", str(observed)]) == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"answer-tokens": "A"}, "--answer-tokens"),
        ({"task": "mme"}, "its questions have options of their own, and the task mme is of questions with the answer"),
        ({"prompts": "mme"}, "the wording mme has no {options}, and the questions have options of their own"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_line(tmp_path, capsys, flags, says):
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    argv = ["--model-path", str(MODEL), "--question-file", str(tmp_path / "questions.jsonl")]
    argv += ["--image-folder", str(DEMO / "images"), "--output-dir", str(tmp_path / "run")]
    for name, value in flags.items():
        argv += [f"--{name}", *({"answer-tokens": ["Ja", "Nein"]}.get(name, [value]))]
    assert extract(argv) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
