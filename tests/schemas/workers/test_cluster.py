"""Workers on a Ray cluster, and on one that they start. Oracle: doing the tasks in this process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from schemas.errors import HeadflowError
from schemas.workers import cluster as cluster_module
from schemas.workers.opening import open_workers
from tests.support import tasks
from tests.support.ray_cluster import QUIET

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster(ray_address):
    with open_workers(2, ray_address) as workers:
        yield workers


def test_results_come_in_the_order_of_the_tasks(cluster):
    times = [0.3, 0.0, 0.2, 0.0, 0.1, *[0.0] * 5]
    assert list(cluster.map(tasks.sleep, enumerate(times))) == list(range(10))


def test_the_error_is_that_of_the_first_task_that_fails(cluster):
    with pytest.raises(HeadflowError, match="task 3 is bad") as caught:
        list(cluster.map(tasks.fail_from_3, range(10)))
    assert caught.value.setting == "bins"


def test_a_task_whose_worker_is_killed_is_done_again(cluster, tmp_path):
    given = [(number, tmp_path / "killed") for number in range(5)]
    assert list(cluster.map(tasks.kill_once, given)) == list(range(5))
    assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_is_named(cluster, monkeypatch):
    monkeypatch.setattr(cluster_module, "RETRIES", 1)
    with pytest.raises(HeadflowError, match="a task was not done 1 times anew"):
        list(cluster.map(tasks.kill_at_2, range(3)))


def test_nobody_answers():
    pytest.importorskip("ray")
    with pytest.raises(HeadflowError, match=r"no Ray cluster at 127\.0\.0\.1:1: .*refused") as caught:
        open_workers(2, "127.0.0.1:1")
    assert caught.value.setting == "ray"


STARTED = """
import sys
from schemas.cli import leave_at_interrupt, run_command
leave_at_interrupt()
from schemas.workers.opening import open_workers
from tests.support.tasks import sleep_long
def command():
    with open_workers(1, "local") as workers:
        for number in workers.map(sleep_long, range(9)):
            print(number, flush=True)
if __name__ == "__main__":
    sys.exit(run_command(command))
"""


def test_ctrl_c_ends_the_cluster():
    pytest.importorskip("ray")
    command = [sys.executable, "-c", STARTED]
    process = psutil.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | QUIET,
    )
    process.stdout.readline()
    started = process.children(recursive=True)
    assert len(started) > 3
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=120)[1] == "interrupted\n"
    assert process.returncode == 130
    assert psutil.wait_procs(started, timeout=60)[1] == []
