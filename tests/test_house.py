"""The house rules: who imports whom, and that a light install stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made_up import write_run

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "schemas": {"extract", "analyze", "data", "torch", "transformers", "pandas", "matplotlib"},
    "extract": {"analyze", "data", "pandas", "matplotlib"},
    "analyze": {"extract", "data", "transformers"},
}
HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "sentencepiece")

# Python with the packages of [extract] hidden, as in a base install
LIGHT = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def imported(source: str) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def python(code: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_who_imports_whom(package):
    for path in (ROOT / package).glob("*.py"):
        assert not imported(path.read_text()) & FORBIDDEN[package], path


def test_the_import_check_can_fail():
    assert imported("def f():\n    from torch.nn import Module\nimport extract.flows") == {"torch", "extract"}


def test_torch_is_named_in_legacy_alone():
    named = [path.name for path in (ROOT / "analyze").glob("*.py") if "torch" in imported(path.read_text())]
    assert named == ["legacy.py"]


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [("schemas.validate", ("torch", "pandas")), ("analyze.__main__", ("torch", "transformers")), ("analyze", HEAVY)],
)
def test_what_an_import_loads(module, unwanted):
    done = python(f"import sys, {module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not set(unwanted) & set(done.stdout.split())


@pytest.mark.parametrize("command", ["plots --dpi 20", "summary", "validate"])
def test_the_laptop_needs_no_torch(tmp_path, command):
    run = write_run(tmp_path / "run")
    name, *flags = command.split()
    code = LIGHT + "from analyze.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = python(code, name, run, *flags)
    assert done.returncode == 0, done.stderr


def test_the_laptop_is_told_what_a_pt_needs(tmp_path):
    run = write_run(tmp_path / "run")
    done = python(LIGHT + "from analyze.__main__ import main; sys.exit(main(sys.argv[1:]))", "export-pt", run)
    assert done.returncode == 2
    assert done.stderr == "error: the .pt format needs torch: pip install -e '.[legacy]'\n"


def test_the_light_install_check_can_fail():
    done = python(LIGHT + "import extract.flows")
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


def test_extract_without_its_packages(tmp_path, questions):
    code = LIGHT + "from extract.__main__ import main; sys.exit(main(sys.argv[1:]))"
    flags = ["--model-path", "x", "--image-folder", questions, "--question-file", questions / "MME_test.json"]
    done = python(code, *flags, "--output-dir", tmp_path / "run")
    assert done.returncode == 2
    assert "is not installed: pip install -e '.[extract]'" in done.stderr


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("extract", "make extract needs MODEL="),
        ("plots", "make plots needs RUN="),
        ("verify", "needs RUN="),
        ("export-pt", "needs RUN="),
    ],
)
def test_make_says_what_it_needs(target, says, tmp_path):
    command = ["make", target, f"VENV={tmp_path / 'none'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "none").exists()  # nothing was installed to find that out


@pytest.mark.parametrize(
    ("flags", "fetches", "says"),
    [
        ("", True, "--question-file 'data/MME'"),
        ("QUESTIONS=MME.parquet", False, "--question-file 'MME.parquet'"),
        ("IMAGES=MME QUESTIONS=MME_test.json", False, "--image-folder 'MME' --question-file 'MME_test.json'"),
    ],
)
def test_make_fetches_mme_where_no_questions_are_given(tmp_path, flags, fetches, says):
    command = ["make", "-n", "extract", "MODEL=m", "RUN=r", f"MME={tmp_path}", f"VENV={tmp_path}", *flags.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("hf download lmms-lab/MME" in done.stdout) == fetches
    assert says.replace("data/MME", str(tmp_path)) in done.stdout
    assert ("--image-folder" in done.stdout) == ("IMAGES" in flags)
