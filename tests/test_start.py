"""Ctrl-C while a command starts: one line, exit code 130, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import write_run

ROOT = Path(__file__).parents[1]
# Runs a command as `python -m` does, with Ctrl-C when it imports a module; whoever imports it may catch everything
START = """
import os, runpy, signal, sys
command, module, *sys.argv[1:] = sys.argv[1:]
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(100):
                    pass
            except KeyboardInterrupt:
                raise SystemError("initialization failed") from None
sys.meta_path.insert(0, Interrupt())
runpy.run_module(command, run_name="__main__", alter_sys=True)
"""


def interrupt(command: str, module: str, *arguments: object, ignored: bool = False) -> subprocess.CompletedProcess:
    begin = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignored else ""
    argv = [sys.executable, "-c", begin + START, command, module, *map(str, arguments)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["extract.settings", "transformers.tokenization_utils_base"])
def test_extract(module, checkpoint_path, questions, tmp_path):
    flags = ["--model-path", checkpoint_path, "--image-folder", questions / "images", "--output-dir", tmp_path / "run"]
    done = interrupt("extract", module, *flags, "--question-file", questions / "MME_test.json")
    assert done.returncode == 130
    begun = ": nothing is written yet" * (module != "extract.settings")
    assert done.stderr == f"interrupted{begun}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", ["analyze.pictures"])
def test_analyze(module, tmp_path):
    run = write_run(tmp_path / "run")
    done = interrupt("analyze", module, "plots", run, "--dpi", 20)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert not list(run.glob("*.png"))


def test_a_command_in_the_background_that_ignores_ctrl_c_goes_on(tmp_path):
    run = write_run(tmp_path / "run")
    assert interrupt("analyze", "pyarrow.parquet", "validate", run, ignored=True).returncode == 0


def test_imports_before_it_are_few():
    code = "import sys; before = set(sys.modules); import schemas.cli; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pyarrow", "numpy", "pandas", "torch"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("asked", "expected"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")]
)
def test_arrow_takes_memory_from_the_system_unless_another_pool_is_asked_for(asked, expected, monkeypatch):
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    code = "from schemas.cli import begin; begin(); import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | asked, capture_output=True, text=True
    )
    assert done.stdout == f"{expected}\n"
