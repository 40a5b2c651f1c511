"""Oracles: messages written out by hand, from MME's own question and the texts of LLaVA's and lmms-eval's evaluations.

Of system messages: the text of the tokens of each role.
"""

import json
from dataclasses import replace

import pytest
from PIL import Image

from extract.models.loading import load_prompt_format
from extract.prompts.conversation_templates import TEMPLATES
from extract.prompts.wordings import PRESETS, Wording, check_options_asked, read_wordings, suffix_of
from schemas.errors import HeadflowError
from schemas.roles import ROLES, SYSTEM
from schemas.tasks import CHOICES, MME
from tests.support.tiny_families import make_family

SHORT = "\nAnswer the question using a single word or phrase."


@pytest.mark.parametrize(
    ("text", "mme", "lmms"),
    [
        # As most texts of MME's release and the hub's Parquet have it
        ("Is it a cat? Please answer yes or no.", "Is it a cat? Please answer yes or no.", "Is it a cat?"),
        # With two spaces, as some have it: LLaVA's file has none at its end, lmms-eval leaves one
        ("Is it a cat?  Please answer yes or no.", "Is it a cat?  Please answer yes or no.", "Is it a cat? "),
        # As LLaVA's file and other tables have it
        ("Is it a cat?", "Is it a cat? Please answer yes or no.", "Is it a cat?"),
    ],
)
def test_the_presets_are_how_others_ask(text, mme, lmms):
    """What LLaVA's and lmms-eval's evaluations sent was read off `llava_mme.jsonl` and `mme_doc_to_text`."""
    asked = {each.name: each.ask(text) for each in read_wordings(["mme", "llava", "lmms-eval"])}
    assert asked == {"mme": mme, "llava": "Is it a cat?" + SHORT, "lmms-eval": lmms + SHORT}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Look. {question}", "Look. Q? Please answer yes or no."),
        ("{stem}", "Q?"),
        ("{stem} Again: {question}!", "Q? Again: Q? Please answer yes or no.!"),
        ("{question} {other} {{}}", "Q? Please answer yes or no. {other} {{}}"),
        ("Yes or no? {stem} \n", "Yes or no? Q?"),
    ],
)
def test_a_template(template, message):
    assert Wording(template).ask("Q? Please answer yes or no.") == message


def test_a_question_may_hold_what_marks_its_place():
    assert Wording("{stem}: {question}.").ask("Is it {stem}") == "Is it {stem}: Is it {stem}."


def test_a_suffix_is_not_said_twice():
    assert Wording.of_suffix(" Yes or no?").ask("Is it? Yes or no?") == "Is it? Yes or no?"
    assert Wording("Yes or no? {question} Yes or no?").ask("Is it?") == "Yes or no? Is it? Yes or no?"


def test_files_and_presets_in_the_order_they_are_named(tmp_path):
    (tmp_path / "a.toml").write_text(
        '[one]\ntemplate = "{question}\\nShort."\n["二"]\ntemplate = "{stem}"\nsystem = ""\n'
    )
    (tmp_path / "b.json").write_text(json.dumps({"x.y": {"template": "{question}", "conv_mode": "v1", "system": None}}))
    found = read_wordings([str(tmp_path / "b.json"), "mme", str(tmp_path / "a.toml")])
    assert [(each.name, each.template, each.conv_mode, each.system) for each in found] == [
        ("x.y", "{question}", "v1", None),
        ("mme", "{question} Please answer yes or no.", None, None),
        ("one", "{question}\nShort.", None, None),
        ("二", "{stem}", None, ""),
    ]


GOOD = {"template": "{question}"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "holds no wordings"),
        ({}, "holds no wordings"),
        ({"a": "{question}"}, "'a' is '{question}', not an object with a `template`"),
        ({"a": {}}, r"'a' has no `template` with `{question}` or `{stem}` in it"),
        ({"a": {"template": "Is it?"}}, r"'a' has no `template` with"),
        ({"a": {"template": None}}, "'a' has None as `template`, not text"),
        ({"a": GOOD | {"system": 1}}, "'a' has 1 as `system`, not text"),
        ({"a": GOOD | {"suffix": "x"}}, "'a' has the field 'suffix'; there are template, conv_mode, system"),
        ({"a b": GOOD}, "'a b' is not up to 40 letters"),
        ({"a@b": GOOD}, "'a@b' is not"),
        ({"../x": GOOD}, "'../x' is not"),
        ({"x" * 41: GOOD}, "is not up to 40 letters"),
        ({"a": GOOD | {"system": "\ud800"}}, "'a' has a `system` that is not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_file_of_wordings(tmp_path, content, says):
    file = tmp_path / "wordings.json"
    file.write_text(json.dumps(content))
    with pytest.raises(HeadflowError, match=says):
        read_wordings([str(file)])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"{", "cannot be read as JSON, or as .toml"),
        ("a.json", b"\xff\xfe\x00", "cannot be read as JSON"),
        ("a.json", b"[" * 100_000, "cannot be read as JSON"),
        ("a.toml", b"[a", "cannot be read as JSON, or as .toml"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HeadflowError, match=says):
        read_wordings([str(tmp_path / name)])


def test_names_are_told_apart(tmp_path):
    with pytest.raises(HeadflowError, match="there are two wordings mme"):
        read_wordings(["mme", "mme"])
    with pytest.raises(
        HeadflowError, match=r"nope is no file of wordings, and no preset: these are mme, llava, lmms-e"
    ):
        read_wordings([str(tmp_path / "nope")])


def _texts(prompts, image_ids, tokenizer):
    """The text of the tokens of each role."""
    prompt = prompts.build("Is it red?", image_ids)
    roles = dict.fromkeys(range(len(ROLES)), "")
    for code in roles:
        ids = [token for token, role in zip(prompt.input_ids, prompt.roles, strict=True) if role == code]
        roles[code] = tokenizer.decode(ids)
    return roles


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_another_system_message_of_llavas_templates(checkpoint_path, name):
    prompt_format, _ = load_prompt_format(str(checkpoint_path))
    template = TEMPLATES[name]
    own = template.render("m").text
    other = template.with_system("Be short.").render("m").text
    assert other.count("Be short.") == 1
    text = template.system.removeprefix("<|im_start|>system\n")
    if text:
        assert other == own.replace(text, "Be short.")
    wording = Wording("{question}", "w", system="Be short.")
    prompts = prompt_format.prompt_builder(template, wording=wording)
    image_ids = [prompt_format.image_ids]
    assert "short" in _texts(prompts, image_ids, prompt_format.tokenizer)[SYSTEM]


@pytest.mark.parametrize("family", ["qwen2_vl", "llava", "gemma3"])
def test_a_system_message_of_a_chat_template(tmp_path, family):
    make_family(tmp_path, family)
    prompt_format, preprocessor = load_prompt_format(str(tmp_path))
    image_ids = preprocessor(Image.new("RGB", (56, 28))).image_ids
    template = prompt_format.find_template("hf", "")
    wording = Wording("{question}", "w", system="Be a short one.")
    texts = _texts(prompt_format.prompt_builder(template, wording=wording), image_ids, prompt_format.tokenizer)
    assert texts[SYSTEM].count("Be a short one.") == 1
    assert "You answer." not in texts[SYSTEM]  # what Qwen's template writes by itself
    own = prompt_format.prompt_builder(template, wording=Wording("{question}"))
    usual = _texts(own, image_ids, prompt_format.tokenizer)
    assert {role: text for role, text in texts.items() if role != SYSTEM} == {
        role: text for role, text in usual.items() if role != SYSTEM
    }


def test_a_chat_template_without_a_system_message(tmp_path):
    make_family(tmp_path, "qwen2_vl")
    prompt_format, _ = load_prompt_format(str(tmp_path))
    template = prompt_format.find_template("hf", "")
    deaf = replace(template, template=template.template.replace("{% for", "{% set messages = messages[-1:] %}{% for"))
    with pytest.raises(HeadflowError, match="the checkpoint's chat template writes no system message"):
        prompt_format.prompt_builder(deaf, wording=Wording("{question}", "w", system="Be a short one."))


OPTIONS = ("red", "dark blue")


@pytest.mark.parametrize(
    ("name", "hint", "expected"),
    [
        (
            "llava-choices",
            "Look.",
            "Look.\nWhat is it?\nA. red\nB. dark blue\n"
            "Answer with the option's letter from the given choices directly.",
        ),
        (
            "llava-choices",
            "",
            "What is it?\nA. red\nB. dark blue\nAnswer with the option's letter from the given choices directly.",
        ),
        (
            "vlmevalkit",
            "Look.",
            "Hint: Look.\nQuestion: What is it?\nOptions:\nA. red\nB. dark blue\n"
            "Please select the correct answer from the options above. \n",
        ),
    ],
)
def test_choices_are_asked_as_the_benchmarks_do(name, hint, expected):
    """Oracle: what these programs send, written by hand from their public code."""
    assert PRESETS[name].ask("What is it?", OPTIONS, hint) == expected


def test_a_suffix_follows_the_options():
    wording = Wording.of_suffix("\nA letter.")
    assert wording.ask("What?", OPTIONS, "Look.") == "Look.\nWhat?\nA. red\nB. dark blue\nA letter."
    assert wording.ask("What?") == "What?\nA letter."
    assert wording.suffix == "\nA letter."
    asks = "Question: Which? A. red B. blue\nPlease select the correct answer from the options above. \n"
    assert PRESETS["vlmevalkit"].ask("Which? A. red B. blue") == asks  # no heading without its lines
    assert Wording("Answer:\n{hint}\n{question}").ask("Which?") == "Which?"
    assert Wording.of_suffix(suffix_of(CHOICES)).ask("What?", OPTIONS) == PRESETS["llava-choices"].ask("What?", OPTIONS)


def test_a_wording_that_leaves_options_out_is_refused():
    check_options_asked([PRESETS["mme"]], MME)
    with pytest.raises(HeadflowError, match=r"the wording mme has no {options}, and the questions have options"):
        check_options_asked([PRESETS["vlmevalkit"], PRESETS["mme"]], CHOICES)
