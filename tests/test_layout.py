"""The layout of the packages: who imports whom, sizes and maps, and that a light install stays light."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.forks import run_afresh
from tests.support.runs import write_run

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "schemas": {"extract", "analyze", "data", "torch", "transformers", "pandas", "matplotlib"},
    "extract": {"analyze", "data", "pandas", "matplotlib"},
    "analyze": {"extract", "data", "transformers"},
}
# The packages of `extract`, and its settings, in the order of imports; the other modules, the run, come last
LAYERS = (
    "questions",
    "images",
    "prompts",
    "settings",
    "attention",
    "models",
    "generation",
    "tables",
    "passes",
    "batched_knockouts",
)
COMMAND_LINE = {
    "schemas.cli", "schemas.commands.command_line", "extract.__main__", "extract.command",
    "extract.knockouts.command", "extract.look.command", "extract.survey.command",
    "analyze.__main__", "analyze.opening", "analyze.commands",
    "analyze", "analyze.results", "analyze.notebook", "schemas.commands.headflow",
    *(".".join(path.relative_to(ROOT).with_suffix("").parts)
      for path in (ROOT / "analyze" / "commands").rglob("[!_]*.py")),
}  # fmt: skip
OTHER_ENVIRONMENT = "extract.models.llava.original_package"
OF_CLUSTERS = ("ray", "boto3", "botocore", "fsspec", "s3fs")
HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "sentencepiece", *OF_CLUSTERS)

# Python with the packages of [extract] hidden, as in a base install
LIGHT = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


@cache
def imported(source: str) -> set[str]:
    """The modules that a module imports, anywhere in it, by their whole names."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages_imported(source: str) -> set[str]:
    """The top-level packages that a module imports."""
    return {name.partition(".")[0] for name in imported(source)}


def modules(package: str) -> dict[str, Path]:
    """The modules of a package and of its sub-packages, by name."""
    files = (ROOT / package).rglob("*.py")
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def layer(name: str) -> int:
    """The place of a module of `extract` in the order of imports."""
    parts = [*name.split("."), ""]
    return LAYERS.index(parts[1]) if parts[1] in LAYERS else len(LAYERS)


def every_module() -> dict[str, Path]:
    """The modules of all packages, by name."""
    return {name: path for package in FORBIDDEN for name, path in modules(package).items()}


def graph() -> dict[str, set[str]]:
    """Which module of ours imports which, at any place in its code."""
    ours = every_module()
    return {name: (imported(path.read_text()) & ours.keys()) - {name} for name, path in ours.items()}


def find_cycle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty where there are none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        found = next((cycle for each in sorted(imports[name]) if (cycle := visit(each, [*path, name]))), [])
        done.add(name)
        return found

    return next((cycle for name in imports if (cycle := visit(name, []))), [])


def python(code: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_who_imports_whom(package):
    found = modules(package)
    assert any(name.count(".") > 1 for name in found)  # sub-packages are looked into
    for path in found.values():
        assert not packages_imported(path.read_text()) & FORBIDDEN[package], path


def test_the_import_check_can_fail():
    source = "def f():\n    from torch.nn import Module\nimport extract.attention.masses"
    assert packages_imported(source) == {"torch", "extract"}


def test_imports_of_extract_go_one_way():
    for name, others in graph().items():
        later = [other for other in others if other.startswith("extract.") and layer(other) > layer(name)]
        assert not later or not name.startswith("extract."), (name, later)


def test_the_check_of_the_order_can_fail():
    assert layer("extract.questions.samples") < layer("extract.images") < layer("extract.models.llava.released")
    assert layer("extract.models.loading") < layer("extract.runner") == layer("extract")


def test_a_package_of_extract_loads_no_later_one():
    """After all modules of each package in turn, nothing of a later one is loaded."""
    packages = {
        package: [
            name for name in modules("extract") if name.split(".")[1:2] == [package] and name != OTHER_ENVIRONMENT
        ]
        for package in LAYERS
    }
    done = run_afresh(
        "import sys\n" + "\n".join(f"import {', '.join(each)}; print(*sys.modules)" for each in packages.values())
    )
    assert done.returncode == 0, done.stderr
    for place, (names, line) in enumerate(zip(packages.values(), done.stdout.splitlines(), strict=True)):
        loaded = [name for name in line.split() if name.startswith(("extract.", "analyze.", "data."))]
        assert set(names) <= set(loaded)
        assert [name for name in loaded if layer(name) > place] == []


def test_no_imports_in_a_circle():
    assert find_cycle(graph()) == []


def test_the_check_of_circles_can_fail():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c"]


def between_packages(imports: dict[str, set[str]], packages: set[str]) -> dict[str, set[str]]:
    """Which package inside a stage, such as `analyze.tables`, imports which other one; modules beside them are none."""

    def package(name: str) -> str:
        return ".".join(name.split(".")[:2])

    found: dict[str, set[str]] = {each: set() for each in packages}
    for name in (each for each in imports if package(each) in packages):
        found[package(name)] |= ({package(other) for other in imports[name]} & packages) - {package(name)}
    return found


def test_packages_inside_a_stage_do_not_import_each_other_in_a_circle():
    inside = {name for name, path in every_module().items() if path.name == "__init__.py" and name.count(".") == 1}
    assert {"analyze.tables", "extract.attention", "schemas.store"} <= inside
    assert find_cycle(between_packages(graph(), inside)) == []


def test_the_check_of_circles_of_packages_can_fail():
    imports = {"analyze.a.x": {"analyze.b.y", "analyze.cli"}, "analyze.b.y": set(), "analyze.b.z.w": {"analyze.a.v"}}
    found = between_packages(imports, {"analyze.a", "analyze.b"})
    assert find_cycle(found)
    assert not find_cycle(between_packages(imports | {"analyze.b.z.w": {"analyze.b.y"}}, {"analyze.a", "analyze.b"}))


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_are_small(package):
    folders = {path.parent for path in modules(package).values()}
    assert {folder: number for folder in folders if (number := len(list(folder.glob("*.py")))) > 10} == {}


def test_every_package_opens_with_its_map():
    for package in FORBIDDEN:
        for init in (ROOT / package).rglob("__init__.py"):
            text = ast.get_docstring(ast.parse(init.read_text())) or ""
            names = {path.stem for path in init.parent.glob("*.py")} - {"__init__", "__main__"}
            names |= {path.parent.name for path in init.parent.glob("*/__init__.py")}
            assert [name for name in names if not re.search(rf"\b{name}\b", text)] == [], init


def names_of_flags(source: str) -> set[str]:
    """The command-line flags that a module's text names, docstrings and comments included."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]+", source))


def test_library_code_names_no_flag():
    found = {}
    for package in ("schemas", "extract", "analyze"):
        for name, path in modules(package).items():
            source = path.read_text()
            if name in COMMAND_LINE:
                continue
            flags = names_of_flags(source)
            imports = {each for each in imported(source) if each in COMMAND_LINE}
            if flags or imports:
                found[name] = flags | imports
    assert found == {}


def test_the_check_of_flags_can_fail():
    assert names_of_flags('raise ValueError("--dtype may help")  # see --device') == {"--dtype", "--device"}


def test_torch_is_named_in_legacy_alone():
    named = [path.name for path in modules("analyze").values() if "torch" in packages_imported(path.read_text())]
    assert named == ["legacy.py"]


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("schemas.validation.run", ("torch", "pandas")),
        ("analyze.__main__", ("torch", "transformers", "pandas")),
        ("analyze", HEAVY),
        ("analyze.commands.plots", ("pyarrow.compute", "pyarrow.parquet")),
    ],
)
def test_what_an_import_loads(module, unwanted):
    done = python(f"import sys, {module}; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not set(unwanted) & set(done.stdout.split())


def test_the_settings_of_commands_need_no_pandas():
    done = python("import sys; from analyze.commands import COMMANDS; [each.settings for each in COMMANDS.values()]; "
                  "print(*sys.modules)")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {"analyze.commands.plots", "analyze.commands.heads.prune"} <= set(done.stdout.split())
    assert not {"pandas", "matplotlib", "torch"} & set(done.stdout.split())


def test_the_settings_of_extract_need_neither_the_stage_nor_what_reads_runs():
    done = python("import sys; from extract.__main__ import STAGE_COMMANDS; "
                  "[each.settings for each in STAGE_COMMANDS.values()]; print(*sys.modules)")  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"extract.settings", "extract.knockouts.settings", "extract.look.settings"} <= loaded
    assert not {"extract.command", "extract.backends", "pyarrow.compute", "pyarrow.parquet", *HEAVY} & loaded


# `python -m analyze` of a run with each of the command lines; prints the exit codes
COMMANDS = """
from analyze.__main__ import main
run, *lines = sys.argv[1:]
print(*[main([line.split()[0], run, *line.split()[1:]]) for line in lines], file=sys.stderr)
"""


# In place of `scipy`, and of its statistics, whose import takes as long as all else that the commands do
NO_SCIPY = "sys.modules['scipy'] = None\n"
NO_STATS = "import scipy; vars(scipy).pop('stats', None); sys.modules['scipy.stats'] = None\n"


@pytest.mark.parametrize(
    ("hidden", "commands"),
    [
        (NO_SCIPY, ("plots --dpi 20 --layers 0 --categories OCR", "validate")),
        (NO_STATS, ("summary", "summary --text-scope no-system")),
    ],
)
def test_the_laptop_needs_no_torch_and_imports_little_of_scipy(hidden, commands, tmp_path):
    done = run_afresh(LIGHT + hidden + COMMANDS, write_run(tmp_path / "run"), *commands, without=HEAVY)
    assert done.stderr.splitlines()[-1] == "0 0", done.stderr


def test_statistics_of_scipy_are_imported_where_distances_are_asked_for():
    named = {name for name, path in every_module().items() if "scipy.stats" in imported(path.read_text())}
    assert named - set(modules("data")) == {"analyze.compare.comparison"}


def test_validate_needs_no_pandas(tmp_path):
    done = python(LIGHT.replace(repr(HEAVY), "('pandas',)") + COMMANDS, write_run(tmp_path / "run"), "validate")
    assert done.stderr == "0\n"


# Python as on Windows: no `fcntl`, and `msvcrt` with locks that another process holds or not
WINDOWS = """
import subprocess, sys, types  # subprocess takes `msvcrt` for a sign of Windows
sys.modules.pop("fcntl", None)
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "fcntl":
            raise ModuleNotFoundError("No module named 'fcntl'", name=name)
sys.meta_path.insert(0, Hidden())
def locking(file, mode, size):
    if BUSY:
        raise PermissionError(13, "Permission denied")
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
"""


def test_analyze_works_on_windows(tmp_path):
    """It locks no run that it reads; `verify` compares no run that is made up."""
    run = write_run(tmp_path / "run")
    commands = ("plots --dpi 20 --layers 0 --categories OCR", "summary", "validate", "verify --dpi 20", "export-pt")
    records = run / "mme_attention_head_records.pt"
    importing = f"""
codes = [main(["import-pt", {str(records)!r}, {str(tmp_path / "imported")!r}])]
BUSY = True
sys.exit(str([*codes, main(["import-pt", {str(records)!r}, {str(tmp_path / "busy")!r}])]))
"""
    done = run_afresh("BUSY = False" + WINDOWS + COMMANDS + importing, run, *commands)
    ends = ["0 0 0 2 0", f"error: another process writes {tmp_path / 'busy'}", "[0, 2]"]
    assert done.stderr.splitlines()[-3:] == ends, done.stderr
    assert "Traceback" not in done.stderr


def test_the_laptop_is_told_what_a_pt_needs(tmp_path):
    run = write_run(tmp_path / "run")
    done = python(LIGHT + "from analyze.__main__ import main; sys.exit(main(sys.argv[1:]))", "export-pt", run)
    assert done.returncode == 2
    assert done.stderr == "error: the .pt format needs torch: pip install -e '.[legacy]'\n"


def test_the_light_install_check_can_fail():
    done = python(LIGHT + "import extract.attention.masses")
    assert done.returncode == 1
    assert "No module named 'torch'" in done.stderr


def test_extract_without_its_packages(tmp_path, questions):
    code = LIGHT + "from extract.__main__ import main; sys.exit(main(sys.argv[1:]))"
    flags = [
        "--model-path",
        "x",
        "--image-folder",
        questions / "images",
        "--question-file",
        questions / "MME_test.json",
    ]
    done = python(code, *flags, "--output-dir", tmp_path / "run")
    assert done.returncode == 2
    assert "is not installed: pip install -e '.[extract]'" in done.stderr


def make(*words: str, **environment: str) -> subprocess.CompletedProcess:
    """`make`, without what a `make test` around these tests hands on to it: flags and variables."""
    variables = re.findall(r"^(\w+) [?:]?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    dropped = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "OMP_NUM_THREADS", *variables}
    env = {name: value for name, value in os.environ.items() if name not in dropped} | environment
    return subprocess.run(["make", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("extract", "make extract needs MODEL="),
        ("plots", "make plots needs RUN="),
        ("verify", "needs RUN="),
        ("export-pt", "needs RUN="),
        ("validate", "make validate needs RUN="),
        ("import-pt", "make import-pt needs FILE=records.pt RUN="),
        ("import-pt FILE=x", "make import-pt needs FILE=records.pt RUN="),
        ("extract MODEL=m RUN=r IMAGES=images", "and QUESTIONS=MME_test.json with IMAGES="),
    ],
)
def test_make_says_what_it_needs(target, says, tmp_path):
    done = make(*target.split(), f"VENV={tmp_path / 'none'}")
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
    done = make("-n", "extract", "MODEL=m", "RUN=r", f"MME={tmp_path}", f"VENV={tmp_path}", *flags.split())
    assert done.returncode == 0, done.stderr
    assert ("fetch lmms-lab-encoder || fetch lmms-lab || " in done.stdout) == fetches
    assert says.replace("data/MME", str(tmp_path)) in done.stdout
    assert ("--image-folder" in done.stdout) == ("IMAGES" in flags)


def make_in(tmp_path, *arguments: str, script: str, **environment: str) -> subprocess.CompletedProcess:
    """`make` with an environment that is there already, whose commands are all one script."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    for name in ("bin/python", "bin/hf", ".all", ".laptop", ".extract", ".legacy", ".report"):
        (tmp_path / "venv" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "venv" / name).chmod(0o755)
    return make(f"VENV={tmp_path / 'venv'}", f"MME={tmp_path / 'MME'}", *arguments, **environment)


@pytest.mark.parametrize(
    ("target", "environment", "threads"),
    [
        ("demo", {}, "1"),
        ("tour", {}, "1"),
        ("test", {}, "1"),
        ("test", {"OMP_NUM_THREADS": "3"}, "3"),
        ("bench", {}, ""),
    ],
)
def test_tiny_models_have_one_thread_each(tmp_path, target, environment, threads):
    done = make_in(tmp_path, target, script='echo "threads: $OMP_NUM_THREADS"', **environment)
    said = [line for line in done.stdout.splitlines() if line.startswith("threads:")]
    assert set(said) == {f"threads: {threads}"}


@pytest.mark.parametrize(
    ("target", "called"),
    [
        (["validate", "RUN=a run"], "-m analyze validate a run "),
        (
            ["import-pt", "FILE=the file", "RUN=a run", "ARGS=--overwrite"],
            "-m analyze import-pt the file a run --overwrite",
        ),
    ],
)
def test_what_make_calls(tmp_path, monkeypatch, target, called):
    for name, value in {"MAKEFLAGS": " -- ARGS=--durations=40", "ARGS": "--durations=40"}.items():
        monkeypatch.setenv(name, value)  # as in `make test ARGS=--durations=40`
    done = make_in(tmp_path, *target, script='echo "called: $*"')
    assert (done.returncode, done.stderr) == (0, "")
    assert f"called: {called}".strip() in done.stdout.splitlines()


def test_make_says_what_to_do_where_mme_cannot_be_fetched(tmp_path):
    done = make_in(tmp_path, "extract", "MODEL=m", "RUN=r", script="exit 1")
    assert done.returncode == 2
    assert done.stderr.startswith("MME cannot be fetched from the hub: name other questions, QUESTIONS=")
    assert not (tmp_path / "MME" / ".complete").exists()
