"""Oracles: for half precision, the same model in float32; sums that must hold. Each family's partition is compared with
an eager one in tests/extract/models/test_families.py."""

import shutil

import pandas as pd
import pytest
import torch

from analyze.__main__ import main as analyze_main
from extract.attention.packing import pack
from extract.attention.readers import read_pass
from extract.models.answers import AnswerReader
from extract.models.loading import load_model
from extract.models.transfer import Uploader
from extract.prompts.prompt_builder import Prompts
from extract.tables.decoder import Decoder, Norm
from extract.tables.residual import OF_SAMPLE, ResidualMaker
from schemas.columns import CONTRIBUTION_COLUMNS, CONTRIBUTIONS, LAYER_COLUMNS, LAYERS, PARTS
from schemas.errors import HeadflowError
from schemas.validation.limits import TOLERANCE
from schemas.validation.run import validate
from tests.support.runs import put, rewrite
from tests.support.tiny_families import make_or_skip
from tests.support.witness import CPU, PICTURES, QUESTIONS


def load(path, dtype=torch.float32, template="hf"):
    model = load_model(str(path), device=CPU, dtype=str(dtype).removeprefix("torch."))
    prompts = model.prompt_format.prompt_builder(model.prompt_format.find_template(template, str(path)))
    tokens = model.prompt_format.answer_tokens(Prompts({None: prompts}), ["Yes", "No"])
    return model, prompts, AnswerReader.of(model, tokens)


def read(model, answers, asked, names=(CONTRIBUTIONS, LAYERS)):
    """The results of one pass over images with their prompts."""
    maker = ResidualMaker(model, answers, names)
    batch, inputs = Uploader(CPU, model.dtype).send(pack([each for _, each in asked]), [pixels for pixels, _ in asked])
    (_, _, hidden), found = read_pass(
        model.forward, batch, inputs, [maker.begin(batch, [pixels for pixels, _ in asked])]
    )
    return found | {"margin": answers.margin(hidden)}


@pytest.mark.parametrize("name", ["llava", "paligemma2"])
def test_in_half_precision_the_rest_is_that_of_rounding(tmp_path, name):
    """Without norms on what is added, and with them."""
    path = make_or_skip(tmp_path, name)
    (model, prompts, answers), (single, _, same) = load(path, torch.bfloat16), load(path)
    pixels = model.preprocessor(PICTURES[0])
    worst = 0.0
    for question in QUESTIONS:
        asked = [(pixels, [prompts.build(question, pixels.image_ids)])]
        half, whole = read(model, answers, asked), read(single, same, asked)
        *_, rest = half[OF_SAMPLE][0].tolist()
        worst = max(worst, abs(rest) / max(1, abs(float(half["margin"][0]))))
        assert (half[CONTRIBUTIONS] - whole[CONTRIBUTIONS]).abs().max() <= 0.2 * whole[CONTRIBUTIONS].abs().max()
    print(f"{name}: rest {worst:.1e} of the margin in bfloat16")
    assert worst <= 0.02


def test_biases_have_a_part_of_their_own(checkpoint_path):
    """Of a projection and of the head; LLaMA's have none, so they are given some."""
    model, prompts, answers = load(checkpoint_path, template=None)
    random = torch.Generator().manual_seed(0)
    for linear in (*(layer.self_attn.o_proj for layer in model.stack.layers), model.unembedding):
        linear.bias = torch.nn.Parameter(torch.randn(linear.out_features, generator=random))
    answers = AnswerReader.of(model, answers.tokens)
    pixels = model.preprocessor(PICTURES[0])
    found = read(model, answers, [(pixels, [prompts.build(QUESTIONS[0], pixels.image_ids)])])
    parts = found[OF_SAMPLE][0]
    print(f"parts {parts.tolist()}, margin {float(found['margin'][0]):.3f}")
    assert abs(float(parts[4])) > 0.1
    assert abs(float(parts[5])) <= 1e-5 * float(parts.abs().max())
    attention = found[LAYERS][0, :, [column.name for column in LAYER_COLUMNS].index("d_attention")].sum()
    assert float(attention) == pytest.approx(float(parts[1] + parts[4]) - answers.bias, abs=1e-4)


def test_a_norm_of_another_kind_is_refused(checkpoint_path):
    biased = torch.nn.LayerNorm(128)
    with torch.no_grad():
        assert Norm.of(biased).centred
        biased.bias.fill_(0.5)
    with pytest.raises(HeadflowError, match="its LayerNorm is no norm without a bias"):
        Norm.of(biased)
    model, _, _ = load(checkpoint_path, template=None)
    model.stack.norm = biased
    with pytest.raises(
        HeadflowError, match=r"is not built as LLaMA or Gemma is: its LayerNorm is no norm without a bias"
    ):
        Decoder.of(model)
    del model.stack.layers[0].mlp
    with pytest.raises(HeadflowError, match=r"is not built as LLaMA or Gemma is: .*'mlp'"):
        Decoder.of(model)


def test_what_a_layer_adds_is_found_whatever_its_modules_are_called(checkpoint_path):
    """By the same contributions as before; a layer that adds something else is refused."""
    model, prompts, answers = load(checkpoint_path, template=None)
    pixels = model.preprocessor(PICTURES[0])
    asked = [(pixels, [prompts.build(QUESTIONS[0], pixels.image_ids)])]
    before = read(model, answers, asked)
    layer = model.stack.layers[1]
    named = dict(layer._modules)
    layer._modules = {"drop": torch.nn.Dropout(), **{name[::-1]: module for name, module in named.items()}}
    layer.__dict__ |= named  # as its code calls them
    after = read(model, answers, asked)
    assert (before[CONTRIBUTIONS] == after[CONTRIBUTIONS]).all()
    assert (before[LAYERS] == after[LAYERS]).all()
    layer.register_forward_hook(lambda _, given, made: made * 1.5)
    with pytest.raises(HeadflowError, match="a layer adds more than 2 modules give"):
        Decoder.of(model)


def test_a_stream_with_more_than_its_parts_is_refused(checkpoint_path):
    """Something scales what goes from one layer to the next."""
    model, prompts, answers = load(checkpoint_path, template=None)
    ResidualMaker(model, answers, (CONTRIBUTIONS, LAYERS)).check(prompts)
    model.stack.layers[1].register_forward_pre_hook(lambda _, given: (given[0] * 1.5, *given[1:]))
    with pytest.raises(HeadflowError, match="is not the sum of its embedding, heads and MLPs"):
        ResidualMaker(model, answers, (CONTRIBUTIONS, LAYERS)).check(prompts)


@pytest.fixture(scope="module")
def run(extract, tmp_path_factory):
    """A run with both tables."""
    folder = tmp_path_factory.mktemp("run")
    assert extract(folder, contributions=True, layer_profile=True, num_samples=12, num_workers=0) == 0
    return folder


def test_a_run_with_the_tables(run, extract, tmp_path, capsys):
    assert list(validate(run)) == []
    samples, heads, contributions, layers = (
        pd.read_parquet(run / table) for table in ("samples", "heads", CONTRIBUTIONS, LAYERS)
    )
    assert len(contributions) == len(heads) == 12 * 4 * 8
    assert len(layers) == 12 * 4
    names = [column.name for column in CONTRIBUTION_COLUMNS]
    total = contributions.groupby("sample_id", observed=True)[names].sum().sum(axis=1)
    assert (total - samples.set_index("sample_id")["d_heads"]).abs().max() <= 1e-5
    parts = samples[[column.name for column in PARTS]]
    assert (parts.sum(axis=1) - samples["margin"]).abs().max() <= 1e-5
    assert parts["d_rest"].abs().max() <= 1e-5
    last = layers[layers["layer"] == 3].set_index("sample_id")["margin"]
    assert (last - samples.set_index("sample_id")["margin"]).abs().max() <= 1e-5
    assert (layers.filter(like="bi_") > 0).all(axis=None)
    assert extract(tmp_path / "plain", num_samples=12, num_workers=0) == 0
    plain = pd.read_parquet(tmp_path / "plain" / "heads")
    pd.testing.assert_frame_equal(plain, heads)
    assert not (tmp_path / "plain" / LAYERS).exists()
    capsys.readouterr()
    assert extract(run, num_samples=12, num_workers=0) == 2
    assert "its tables is ['contributions', 'layers'], this command's is []" in capsys.readouterr().err


def test_a_resumed_run_has_the_same_rows(run, extract, tmp_path):
    assert extract(tmp_path / "run", contributions=True, layer_profile=True, num_samples=6, num_workers=0) == 0
    assert extract(tmp_path / "run", contributions=True, layer_profile=True, num_samples=12, num_workers=0) == 0
    for table in ("samples", CONTRIBUTIONS, LAYERS):
        pd.testing.assert_frame_equal(pd.read_parquet(run / table), pd.read_parquet(tmp_path / "run" / table))


@pytest.mark.parametrize(
    ("table", "name", "row", "value", "says"),
    [
        (CONTRIBUTIONS, "d2v", 3, 9.0, "the sum of a sample's rows is not its `d_heads` in 1 row"),
        (CONTRIBUTIONS, "d2v", 3, float("nan"), "`d2v` is not finite in 1 row"),
        (CONTRIBUTIONS, "head", 3, 4, "repeats rows of"),
        (LAYERS, "margin", 3, float("inf"), "`margin` is not finite in 1 row"),
        (LAYERS, "layer", 3, 9, "1 row has a layer beyond the manifest's 4"),
        (LAYERS, "layer", 3, 0, "(the first has 3 of 4, and none for layer 3), repeats rows of"),
        ("samples", "d_mlp", 3, 9.0, "d_bias and d_rest is not `margin` in 1 row"),
        ("samples", "d_heads", 3, None, "d_heads is null in rows of observed samples"),
    ],
)
def test_validate_holds_the_tables(run, tmp_path, table, name, row, value, says):
    broken = shutil.copytree(run, tmp_path / "copy")
    rewrite(broken, table, lambda content: put(content, name, row, value))
    assert any(says in line for line in validate(broken)), list(validate(broken))


def test_the_parts_of_a_margin_are_off_by_rounding_of_the_largest_of_them(run, tmp_path):
    """An error of two such roundings is less than one of the sum of all parts."""
    broken = shutil.copytree(run, tmp_path / "copy")
    names = [column.name for column in PARTS]
    for error, wrong in ((0.5, False), (2.0, True)):
        values = dict(zip(names, (1000.0, 1000.0, 0.0, -1000.0, -500.0, -500.0), strict=True))
        for name, value in (values | {"margin": error * TOLERANCE * 1000}).items():
            rewrite(broken, "samples", lambda content, name=name, value=value: put(content, name, 3, value))
        assert any("d_bias and d_rest is not `margin` in 1 row" in line for line in validate(broken)) == wrong


def test_a_subset_keeps_the_tables(run, tmp_path):
    assert analyze_main(["subset", str(run), str(tmp_path / "some"), "--query", "row < 4"]) == 0
    assert list(validate(tmp_path / "some")) == []
    for table, rows in ((CONTRIBUTIONS, 4 * 32), (LAYERS, 4 * 4)):
        some = pd.read_parquet(tmp_path / "some" / table)
        whole = pd.read_parquet(run / table)
        expected = whole[whole["sample_id"].isin(some["sample_id"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(some, expected, check_categorical=False)
        assert len(some) == rows
