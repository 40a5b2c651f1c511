"""Oracle: the published figures must agree with each other; and each fault is put into them by hand."""

import json

import numpy as np
import pytest

from analyze.published.reference import LLAVA_MME, read_reference
from schemas.errors import HeadflowError
from tests.support.runs import MME


@pytest.mark.parametrize("flow", ["t2v", "v2t"])
def test_the_published_figures_agree_with_each_other(flow):
    reference = read_reference(LLAVA_MME)
    overall = getattr(reference.overall, flow).mean
    assert np.mean(getattr(reference.by_layer, f"{flow}_mean")) == pytest.approx(overall, abs=1e-12)
    sums = [category.n_samples * getattr(category, f"{flow}_mean") for category in reference.by_category.values()]
    assert sum(sums) / reference.n_samples == pytest.approx(overall, abs=1e-12)
    assert {name: category.n_samples for name, category in reference.by_category.items()} == MME


def test_the_figures_as_rows():
    figures = read_reference(LLAVA_MME).figures().set_index(["group", "name", "flow", "statistic"])["reference"]
    content = json.loads(LLAVA_MME.read_text())
    assert len(figures) == 2 * (5 + 32 + 14)
    assert figures["overall", "all", "v2t", "std"] == content["overall"]["v2t"]["std"]
    assert figures["layer", "31", "t2v", "mean"] == content["by_layer"]["t2v_mean"][31]
    assert figures["category", "OCR", "v2t", "mean"] == content["by_category"]["OCR"]["v2t_mean"]


NO_LAYERS: dict = {"t2v_mean": [], "v2t_mean": []}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.pop("overall"), "reference.json: the field `overall` is missing"),
        (lambda content: content["overall"]["t2v"].pop("std"), "`t2v`: the field `std` is missing"),
        (lambda content: content["overall"]["t2v"].update(mean="x"), "`mean` is 'x', not of type float"),
        (lambda content: content["overall"]["t2v"].update(mean=float("nan")), "overall all t2v is nan, not in 0..1"),
        (lambda content: content["by_layer"]["v2t_mean"].pop(), "`by_layer` has 31 v2t_mean, of 32 layers"),
        (lambda content: content["by_layer"]["v2t_mean"].__setitem__(1, 1.5), "layer 1 v2t is 1.5, not in 0..1"),
        (lambda content: content.update(n_samples=0, by_category={}), "without figures of layers or of categories"),
        (
            lambda content: [content["settings"].update(layers=0), content.update(by_layer=NO_LAYERS)],
            "without figures of layers or of categories",
        ),
        (lambda content: content.update(n_samples=16), "its categories have 2374 samples, not 16"),
        (lambda content: content["by_category"].update(OCR=3), "`by_category`['OCR'] is 3"),
        (lambda content: content["settings"].update(heads=None), "`heads` is None, not of type int"),
    ],
)
def test_a_fault_is_named(tmp_path, change, says):
    content = json.loads(LLAVA_MME.read_text())
    change(content)
    (tmp_path / "reference.json").write_text(json.dumps(content))
    with pytest.raises(HeadflowError, match=r"^reference ") as error:
        read_reference(tmp_path / "reference.json")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"", "Expecting value"), (b"[]", "no JSON object"), (b"\xff", "is not JSON in UTF-8")],
)
def test_a_file_that_is_no_reference(tmp_path, content, says):
    path = tmp_path / "reference.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HeadflowError, match=says):
        read_reference(path)
