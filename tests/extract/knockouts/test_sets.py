"""Oracle: the rules, written out: what each file of sets or plan that is wrong is told, and what jobs are called."""

import re

import pytest

from extract.knockouts.command import left_out
from extract.knockouts.sets import read_plan, read_sets
from extract.knockouts.settings import KnockOut
from schemas.errors import HeadflowError
from tests.support.runs import manifest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": {"heads": [[0, 1]]}, "a": {"heads": [[1, 1]]}}', "it has 'a' twice"),
        ('{"a": {"heads": [[0, 1]], "heads": [[1, 1]]}}', "it has 'heads' twice"),
        ('{" ": {"heads": [[0, 1]]}}', "a set has no name"),
        ('{"a": {}}', "the set 'a' is empty"),
        ("{}", "names no sets"),
        ('{"a": {"heads": [[0, 9]]}}', "names head 9 of layer 0"),
    ],
)
def test_sets_that_are_wrong(tmp_path, text, says):
    path = tmp_path / "sets.json"
    path.write_text(text)
    with pytest.raises(HeadflowError, match=re.escape(says)) as error:
        read_sets(path, manifest())
    assert str(path) in str(error.value) or "names head" in says


def test_a_file_of_sets_is_no_plan(tmp_path):
    path = tmp_path / "sets.json"
    path.write_text('{"a": {"heads": [[0, 1]]}}')
    with pytest.raises(HeadflowError, match="it has neither `heads` nor `layers`"):
        read_plan(path)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"heads": ["all"]}, "heads_edge"),
        ({"heads": ["L0H1"], "kind": "zero"}, "heads_zero"),
        ({"layers": ["each"]}, "layers_edge"),
        ({"layers": ["windows"], "window": 3, "kind": "skip"}, "layers_windows3_skip"),
        ({"layers": ["onward"], "query": "last", "key": "image"}, "layers_onward_edge_last_image"),
        ({"sets": "some.json", "kind": "remove"}, "sets_remove"),
        ({"heads": ["all"], "job": "mine"}, "mine"),
    ],
)
def test_other_knock_outs_have_another_name(asked, name):
    assert KnockOut("run", **asked).job_name == name


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"layers": ["each"]},
            "layers 0, 2 left out: they do not attend, so `edge` is not for them; `skip` takes any layer",
        ),
        ({"layers": ["onward"], "kind": "zero"}, "layers 0, 2 left out: they do not attend, so `zero` is not"),
        ({"layers": ["each"], "kind": "skip"}, None),
        ({"heads": ["L1H0"]}, None),
    ],
)
def test_layers_without_heads_that_a_job_leaves_out_are_named(asked, says):
    line = left_out(KnockOut("run", **asked), manifest(layers=4, attending=[1, 3]))
    assert (line or "").startswith(says or "")
    assert (line is None) == (says is None)
    assert left_out(KnockOut("run", **asked), manifest(layers=4)) is None


def test_a_plan_that_leaves_no_layer_is_refused(extract, tmp_path, capsys):
    (tmp_path / "plan.json").write_text('{"layers": [0, 1, 2, 3]}')
    assert extract(tmp_path / "run", plan=tmp_path / "plan.json", num_samples=2, num_workers=0) == 2
    assert "the plan removes all layers, and nothing is left to observe" in capsys.readouterr().err
