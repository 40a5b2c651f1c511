"""The Slurm script of the guide, run with plain processes: stopped before its limit, queued again, complete."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from extract.__main__ import main
from extract.models.transformers_model import TransformersModel
from schemas.store.run import open_run
from tests.support.forks import start, wait

ROOT = Path(__file__).parents[3]
# In place of Python, which would import torch for seconds: the test forks, and a signal reaches the fork
STAND_IN = f"""#!{sys.executable} -IS
import json, os, signal, socket, sys
test = socket.socket(fileno=int(os.environ["TEST"]))
test.sendall(json.dumps(sys.argv[1:]).encode())
child = int(test.recv(99))
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
test.sendall(b"ready")
sys.exit(int(test.recv(99)))
"""


def script(page: str) -> str:
    """The script in a page."""
    found = re.search(r"^    #!/bin/bash\n(?:    .*\n)+", (ROOT / "extract" / "guide" / page).read_text(), re.M)
    assert found is not None
    return re.sub(r"^    ", "", found.group(), flags=re.M)


def test_the_chinese_one_is_the_same():
    assert re.sub(r" +# .*", "", script("many-machines.md")) == re.sub(r" +# .*", "", script("many-machines.zh.md"))


@pytest.mark.skipif(os.name != "posix", reason="it is a shell script")
def test_it_goes_on_where_it_was_stopped(extract, checkpoint_path, questions, extracted, tmp_path):
    run = tmp_path / "run"
    text = script("many-machines.md").replace("--num-chunks 16", "--num-chunks 2 --num-workers 0 --device cpu")
    values = {"MODEL": checkpoint_path, "IMAGES": questions / "images", "MME_test.json": questions / "MME_test.json"}
    for name, value in {**values, "RUN": run, ".venv/bin/python": tmp_path / "python"}.items():
        text = re.sub(rf"(?<= ){re.escape(name)}(?= )|^{re.escape(name)}(?= )", str(value), text, flags=re.M)
    (tmp_path / "task.sh").write_text(text)
    for name, program in {"python": STAND_IN, "scontrol": f'#!/bin/sh\necho "$@" >> {tmp_path}/queued\n'}.items():
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)

    def until_stopped(words: list[str]) -> int:
        """Extract, and wait in the second pass for a signal."""
        forward, calls = TransformersModel.forward, count()

        def waiting(self, *inputs, **options):
            if next(calls) == 1:
                handle, arrived = signal.getsignal(signal.SIGTERM), []
                signal.signal(signal.SIGTERM, lambda *given: (arrived.append(given), handle(*given)))
                (tmp_path / "waits").touch()
                until = time.monotonic() + 20
                while not arrived and time.monotonic() < until:
                    time.sleep(0.005)
            return forward(self, *inputs, **options)

        TransformersModel.forward = waiting
        return main(words)

    def begin(main: Callable[[list[str]], int]) -> tuple[subprocess.Popen, int, socket.socket]:
        """The task, the fork that extracts in it, and where the task waits for the fork's exit code."""
        ours, theirs = socket.socketpair()
        slurm = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1", "TEST": str(theirs.fileno())}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        with theirs:
            task = subprocess.Popen(
                ["bash", tmp_path / "task.sh"],
                cwd=ROOT,
                env={**os.environ, **slurm, **path},
                pass_fds=[theirs.fileno()],
            )
        dash_m, package, *words = json.loads(ours.recv(10**5))
        assert (dash_m, package) == ("-m", "extract")
        child = start(main, words)
        ours.sendall(str(child).encode())
        assert ours.recv(99) == b"ready"
        return task, child, ours

    def end(task: subprocess.Popen, child: int, waits: socket.socket) -> tuple[int, int]:
        """The exit codes of the fork and of the task."""
        with waits:
            code = wait(child)
            waits.sendall(str(code).encode())
            return code, task.wait(120)

    first = begin(until_stopped)
    until = time.monotonic() + 120
    while not (tmp_path / "waits").exists() and time.monotonic() < until:
        time.sleep(0.005)
    first[0].send_signal(signal.SIGTERM)
    assert end(*first) == (143, 143)
    assert (tmp_path / "queued").read_text() == "requeue 7_1\n"
    assert not open_run(run).complete
    assert end(*begin(main)) == (0, 0)
    assert (tmp_path / "queued").read_text() == "requeue 7_1\n"
    assert open_run(run).chunks_complete == [1]
    assert extract(run, num_chunks=2, num_workers=0) == 0  # the other task
    for table in ("heads", "samples"):
        assert pd.read_parquet(run / table).equals(pd.read_parquet(extracted / table))
