"""Oracle: the definition. Which runs can be read without their system prompt; values are in test_tallies."""

import pytest

from analyze.__main__ import main
from tests.support.runs import edit_manifest, put, rewrite

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(params=["plots", "summary", "export-pt"])
def command(request, made_up, tmp_path):
    """Run a command on the made-up run without its system prompt; returns the exit code."""
    flags = ["--dpi", "20"] if request.param == "plots" else []
    out = ["--text-scope", "no-system", "--output-dir", str(tmp_path / "out"), *flags]
    return lambda: main([request.param, str(made_up), *out])


def test_a_model_that_is_not_causal_is_refused(made_up, command, capsys):
    edit_manifest(made_up, causal=False, architecture="PaliGemmaForConditionalGeneration")
    assert command() == 2
    error = capsys.readouterr().err
    assert "in a PaliGemmaForConditionalGeneration text before the image sees it" in error
    assert error.endswith("; see --text-scope\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("causal", [True, None])
def test_other_models_are_converted(made_up, command, causal):
    edit_manifest(made_up, causal=causal)
    assert command() == 0


def test_without_a_system_prompt_there_is_nothing_to_see(made_up, command):
    edit_manifest(made_up, causal=False)
    rewrite(made_up, "samples", lambda content: put(content, "n_system", slice(None), [0] * 10))
    assert command() == 0
