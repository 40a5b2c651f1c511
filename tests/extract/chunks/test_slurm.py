"""The Slurm script of the README, run with plain processes: stopped before its limit, queued again, complete."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from schemas.store.run import open_run

ROOT = Path(__file__).parents[3]


def script(readme: str) -> str:
    """The script in a README."""
    found = re.search(r"^    #!/bin/bash\n(?:    .*\n)+", (ROOT / "extract" / readme).read_text(), re.M)
    assert found is not None
    return re.sub(r"^    ", "", found.group(), flags=re.M)


def test_the_chinese_one_is_the_same():
    assert re.sub(r" +# .*", "", script("README.md")) == re.sub(r" +# .*", "", script("README.zh.md"))


@pytest.mark.skipif(os.name != "posix", reason="it is a shell script")
def test_it_goes_on_where_it_was_stopped(extract, checkpoint_path, questions, extracted, tmp_path):
    run = tmp_path / "run"
    text = script("README.md").replace("--num-chunks 16", "--num-chunks 2 --num-workers 0 --device cpu")
    values = {"MODEL": checkpoint_path, "IMAGES": questions / "images", "MME_test.json": questions / "MME_test.json"}
    for name, value in {**values, "RUN": run, ".venv/bin/python": sys.executable}.items():
        text = re.sub(rf"(?<= ){re.escape(name)}(?= )|^{re.escape(name)}(?= )", str(value), text, flags=re.M)
    (tmp_path / "task.sh").write_text(text)
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/queued\n')
    (tmp_path / "scontrol").chmod(0o755)

    def begin() -> subprocess.Popen:
        slurm = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return subprocess.Popen(["bash", tmp_path / "task.sh"], cwd=ROOT, env={**os.environ, **slurm, **path})

    first = begin()
    until = time.monotonic() + 120
    while not (run / "chunks" / "00001.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 143
    assert (tmp_path / "queued").read_text() == "requeue 7_1\n"
    assert not open_run(run).complete
    assert begin().wait(120) == 0
    assert (tmp_path / "queued").read_text() == "requeue 7_1\n"
    assert open_run(run).chunks_complete == [1]
    assert extract(run, num_chunks=2, num_workers=0) == 0  # the other task
    for table in ("heads", "samples"):
        assert pd.read_parquet(run / table).equals(pd.read_parquet(extracted / table))
