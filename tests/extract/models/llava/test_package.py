"""Oracle: the original package in an environment of its own: its templates, its loading, its tokens, its model."""

import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extract.__main__ import main
from extract.prompts.conversation_templates import BY_NAME, TEMPLATES, choose_default, find_template
from schemas.store.run import open_run
from schemas.validation.run import validate
from tests.conftest import ROOT
from tests.support import tiny_originals as tiny
from tests.support.runs import apart

MESSAGES = ("<image>\nIs it red?", "<image>\n a  b\n<s>红</s>", "<im_start><image><im_end>\n### USER: ")
NAMES = (
    "liuhaotian/llava-v1.5-7b",
    "liuhaotian/llava-v1.6-34b/",
    "/models/llava-v1.6-Mistral-7b",
    "llava-llama-2-13b-chat-lightning-preview",
    "LLaVA-7B-v0",
    "llava-mpt-7b",
    "runs/llava-v1-finetune/checkpoint-800",
    "runs/llava-mpt/checkpoint-1",
)
QUESTIONS = ("Is there a cross in this image?", " two  spaces</s> b 红 <image>\t?", "#")
SHAPES = ((80, 60), (60, 80), (56, 56), (300, 40), (40, 300), (113, 57), (57, 113), (640, 480), (31, 200), (5, 5))
ROWS = 4
# One of each kind of projector, tower, tokens, language model and adapter; files of other forms are in `test_released`
FORMS = (
    "released", "linear projector", "deep projector", "last layer, class token", "tower inside", "start and end",
    "mistral", "any resolution", "lora", "projector only",
)  # fmt: skip
# One of each kind of tokenizer and of number of image tokens; the tokens of other forms are in `samples` of their runs
TOKENS = (
    "released", "last layer, class token", "start and end", "more embeddings", "legacy tokenizer", "mistral",
    "any resolution", "lora", "projector only",
)  # fmt: skip

PROMPTS = """
import json, sys
from llava.conversation import conv_templates
prompts = {}
for name, template in conv_templates.items():
    for message in json.load(open(sys.argv[1])):
        conversation = template.copy()
        conversation.append_message(conversation.roles[0], message)
        conversation.append_message(conversation.roles[1], None)
        prompts.setdefault(name, []).append(conversation.get_prompt())
json.dump(prompts, open(sys.argv[2], "w"))
"""

REPLIES = PROMPTS.replace("conversation.roles[1], None", "conversation.roles[1], 'Yes'").replace(
    # PLAIN has no second separator, which the package adds to every reply
    "prompts.setdefault(name, []).append(conversation.get_prompt())",
    "conversation.sep2 = conversation.sep2 or ''; prompts[name] = conversation.get_prompt()",
)

# The package's own rule is in the middle of a function that needs a GPU: this takes its lines out and runs them
CHOICES = """
import inspect, json, sys, textwrap
from llava.eval import run_llava
source = inspect.getsource(run_llava.eval_model)
start, end = source.index("    if \\"llama-2\\""), source.index("    if args.conv_mode is not None")
rule = textwrap.dedent(source[start:end])
chosen = []
for path in json.load(open(sys.argv[1])):
    names = {"model_name": run_llava.get_model_name_from_path(path)}
    exec(rule, names)
    chosen.append(names["conv_mode"])
json.dump(chosen, open(sys.argv[2], "w"))
"""

RUNS = """
import contextlib, io, json, sys
from extract.__main__ import main
said = []
for arguments in json.load(open(sys.argv[1])):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    said.append([code, out.getvalue(), err.getvalue()])
json.dump(said, open(sys.argv[2], "w"))
"""


# One process for all calls, as the package takes seconds to import; a line of JSON for each, and one when it is done.
# Each checkpoint is loaded once; loading collects garbage, which is to search no imported module
SERVER = """
import functools, gc, json, sys, traceback
from extract.models.llava import original_package as package
package.load_pretrained_model = functools.cache(package.load_pretrained_model)
gc.collect()
gc.freeze()
for line in sys.stdin:
    script, *sys.argv[1:] = json.loads(line)
    try:
        exec(script, {"__name__": "__main__"})
        error = ""
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps({"error": error}), flush=True)
"""


@pytest.fixture(scope="module")
def package(llava_python, tmp_path_factory):
    """Run a script in the package's environment: JSON in, JSON out."""
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([llava_python, "-c", SERVER], cwd=ROOT, text=True, **pipe)

    def call(script: str, given):
        folder = tmp_path_factory.mktemp("call")
        (folder / "in.json").write_text(json.dumps(given))
        process.stdin.write(json.dumps([script, str(folder / "in.json"), str(folder / "out.json")]) + "\n")
        process.stdin.flush()
        said = next(line for line in process.stdout if line.startswith('{"error"'))
        assert json.loads(said)["error"] == ""
        return json.loads((folder / "out.json").read_text())

    yield call
    process.communicate()


def test_every_template_character_for_character(package):
    prompts = package(PROMPTS, MESSAGES)
    assert prompts.keys() == TEMPLATES.keys()
    ours = {name: [find_template(name).render(message).text for message in MESSAGES] for name in TEMPLATES}
    assert ours == prompts


def test_a_reply_is_written_as_the_package_does(package):
    written = package(REPLIES, MESSAGES[:1])
    for name, text in written.items():
        template = find_template(name)
        assert text.startswith(template.render(MESSAGES[0]).text + template.reply("Yes")), name
    assert written.keys() == TEMPLATES.keys()


def test_auto_chooses_as_the_package_does(package):
    chosen = [find_template(BY_NAME, name).name for name in NAMES]
    assert chosen == package(CHOICES, NAMES)
    assert len(set(chosen)) == 6


def test_the_default_on_other_models_than_vicuna_is_the_package_s(package):
    """A Mistral is known by its class, whatever its name."""
    others = [name for name in (*NAMES, "a/LLaVA-Llama-2-7b/", "x/checkpoint-llama-2") if "mistral" not in name.lower()]
    for name, chosen in zip(others, package(CHOICES, others), strict=True):
        known = chosen in ("llava_llama_2", "chatml_direct")
        assert choose_default(name) == (chosen if known else "vicuna_v1"), name
    assert (
        choose_default("/models/llava-v1.6-Mistral-7b")
        == choose_default("v1.6-34b", mistral=True)
        == "mistral_instruct"
    )


def arguments(flags: dict) -> list[str]:
    flags = {"device": "cpu"} | flags
    return [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def forms(tmp_path_factory, texts):
    def make(form):
        return tiny.Original(
            tmp_path_factory.mktemp("form"), tiny.make_corpus(texts), coarse="lora" in form.values(), **form
        )

    return {name: make(tiny.FORMS[name]) for name in {*FORMS, *TOKENS}}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "questions.json"
    path.write_text(json.dumps([{"image_file": "x.png", "question": question} for question in QUESTIONS]))
    return path


def without_image_id(text: str) -> list[str]:
    """The lines of a printed prompt; the id that stands for an image is each backend's own."""
    return [" ".join(line.split()[:2]) if " image " in line else line for line in text.splitlines()]


def test_token_ids_and_roles_are_the_package_s(package, forms, asked, capsys):
    calls = []
    for name in TOKENS:
        others = {"added", "legacy", "language", "on_base"} & tiny.FORMS[name].keys()  # their tokenizer is another one
        modes = ["vicuna_v1", "llama_2"] if others or name == "released" else ["vicuna_v1"]
        for mode in TEMPLATES if name == "start and end" else modes:
            flags = {"question_file": asked, "show_prompt": 9, "conv_mode": mode, "system_span": "original"}
            calls.append(arguments(forms[name].flags() | flags))
    theirs = package(RUNS, [[*call, "--backend", "llava"] for call in calls])
    for call, (code, text, error) in zip(calls, theirs, strict=True):
        assert (main(call), code) == (0, 0), error
        assert without_image_id(capsys.readouterr().out) == without_image_id(text), call
        assert text.count("question") > 2 * len(QUESTIONS)


@pytest.mark.parametrize(
    ("aspect", "names"), [("crop", FORMS), (None, ["released", "any resolution"]), ("checkpoint", ["released"])]
)
def test_flows_and_first_tokens_are_the_package_s(package, forms, questions, tmp_path, aspect, names):
    """Other aspects of both are in `test_pictures_of_any_shape_are_read_as_the_package_does`."""
    calls = {}
    for name in names:
        flags = {"image_folder": questions / "images", "question_file": questions / "MME_test.json"}
        flags |= {"num_samples": ROWS, "dtype": "float32"} | ({"image_aspect_ratio": aspect} if aspect else {})
        calls[name] = arguments(forms[name].flags() | flags)
    theirs = package(
        RUNS,
        [[*call, "--backend", "llava", "--output-dir", str(tmp_path / f"{name} p")] for name, call in calls.items()],
    )
    for (name, call), (code, _, error) in zip(calls.items(), theirs, strict=True):
        assert (main([*call, "--output-dir", str(tmp_path / name)]), code) == (0, 0), (name, error)
        assert list(validate(tmp_path / f"{name} p")) == []
        made = open_run(tmp_path / f"{name} p")
        assert made.manifest.format == "llava-package"
        assert made.manifest.architecture.startswith("Llava")
        assert (made.manifest.sequences, made.ledgers[0].sessions[0].batch_size) == ("separate", 1)
        assert made.ledgers[0].weights == open_run(tmp_path / name).ledgers[0].weights
        compare(tmp_path / name, tmp_path / f"{name} p")


def test_contributions_and_layers_are_the_package_s(package, forms, questions, tmp_path):
    flags = {"image_folder": questions / "images", "question_file": questions / "MME_test.json", "num_samples": ROWS}
    call = [*arguments(forms["released"].flags() | flags | {"dtype": "float32"}), "--contributions", "--layer-profile"]
    ((code, _, error),) = package(RUNS, [[*call, "--backend", "llava", "--output-dir", str(tmp_path / "package")]])
    assert (main([*call, "--output-dir", str(tmp_path / "run")]), code) == (0, 0), error
    assert list(validate(tmp_path / "package")) == []
    for table in ("contributions", "layers", "samples"):
        ours, theirs = (pd.read_parquet(tmp_path / name / table) for name in ("run", "package"))
        floats = ours.select_dtypes("float32").columns
        assert len(floats) >= 5
        assert np.abs(ours[floats] - theirs[floats]).max(axis=None) <= 1e-5


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Noise of many shapes, and a question about each."""
    folder = tmp_path_factory.mktemp("shapes")
    for width, height in SHAPES:
        noise = Image.effect_noise((width, height), 90)
        Image.merge("RGB", (noise, noise.rotate(180), noise)).save(folder / f"{width} x {height}.png")
    rows = [{"image_file": f"{width} x {height}.png", "question": "Is it red?"} for width, height in SHAPES]
    (folder / "questions.json").write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("name", "aspect"),
    [("any resolution", "checkpoint"), ("any resolution", "pad"), ("released", "pad"), ("released", "crop")],
)
def test_pictures_of_any_shape_are_read_as_the_package_does(package, forms, shapes, tmp_path, name, aspect):
    flags = {"image_folder": shapes, "question_file": shapes / "questions.json", "dtype": "float32"}
    call = [*arguments(forms[name].flags() | flags | {"image_aspect_ratio": aspect}), "--maps"]
    (theirs,) = package(RUNS, [[*call, "--backend", "llava", "--output-dir", str(tmp_path / "package")]])
    assert (main([*call, "--output-dir", str(tmp_path / "run")]), theirs[0]) == (0, 0), theirs[2]
    compare(tmp_path / "run", tmp_path / "package")
    compare_maps(tmp_path / "run", tmp_path / "package")
    ours, its = (open_run(tmp_path / name).ledgers[0].sessions[0].versions for name in ("run", "package"))
    assert its.keys() - ours.keys() == {"llava-torch"}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", its["llava-torch"])
    counts = pd.read_parquet(tmp_path / "run" / "samples")["n_image"]
    assert (counts.nunique() > 5) == (aspect == "checkpoint")


def test_names_by_which_the_package_would_not_load_or_would_run_code(package, forms, questions, tmp_path):
    calls = []
    for name in ("vicuna-7b", "llava-prompted"):  # `mpt`
        model = shutil.copytree(forms["released"].path, tmp_path / name)
        flags = {"model_path": model, "question_file": questions / "MME_test.json", "show_prompt": 1}
        calls.append([*arguments(flags), "--backend", "llava"])
    (first, _, unnamed), (second, _, mpt) = package(RUNS, calls)
    assert (first, second) == (2, 2)
    assert "vicuna-7b does not contain `llava`: rename it" in unnamed
    assert "takes llava-prompted for an MPT, by three of its letters, and would run the checkpoint's own code" in mpt


def compare(run, reference):
    heads, expected = (pd.read_parquet(each / "heads") for each in (run, reference))
    keys = ["sample_id", "category", "layer", "head"]
    assert heads[keys].equals(expected[keys])
    assert np.abs(heads.drop(columns=keys) - expected.drop(columns=keys)).max(axis=None) <= 1e-5
    samples, expected = (pd.read_parquet(each / "samples") for each in (run, reference))
    for table in (samples, expected):
        table["grid_box"] = table["grid_box"].map(tuple, na_action="ignore")
    (others, numbers), (expected_others, expected_numbers) = map(apart, (samples, expected))
    np.testing.assert_allclose(
        numbers, expected_numbers, rtol=0, atol=1e-5, equal_nan=True
    )  # no `lead` without an answer
    assert others.equals(expected_others)


def compare_maps(run, reference):
    maps, expected = (pd.read_parquet(each / "maps") for each in (run, reference))
    floats = maps.select_dtypes("float32").columns
    # Shares of small masses; `sink` is null in both
    np.testing.assert_allclose(maps[floats], expected[floats], rtol=0, atol=1e-4, equal_nan=True)
    for ours, theirs in zip(maps["map"], expected["map"], strict=True):
        assert np.abs(ours - theirs).max() <= 1e-5


@pytest.mark.parametrize("images", ["swap", "shuffle"])
def test_counterfactual_images_are_the_package_s(package, forms, questions, tmp_path, images):
    """Of other images and of the same; `blank` and `noise` take the way of `shuffle`."""
    flags = {"image_folder": questions / "images", "question_file": questions / "MME_test.json", "num_samples": ROWS}
    call = [*arguments(forms["released"].flags() | flags | {"dtype": "float32"}), "--images", images]
    ((code, _, error),) = package(RUNS, [[*call, "--backend", "llava", "--output-dir", str(tmp_path / "package")]])
    assert (main([*call, "--output-dir", str(tmp_path / "run")]), code) == (0, 0), error
    compare(tmp_path / "run", tmp_path / "package")
