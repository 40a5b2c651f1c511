"""Oracle: doing the tasks in this process. What becomes of errors, killed workers and Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import HeadflowError
from schemas.workers.opening import open_workers
from schemas.workers.processes import Processes
from schemas.workers.work import HERE, divided
from tests.support import tasks
from tests.support.forks import living
from tests.support.tasks import double

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def two():
    with Processes(2) as workers:
        yield workers


def test_results_come_in_the_order_of_the_tasks(two):
    """The first tasks take longest."""
    times = [0.3, 0.0, 0.2, 0.0, 0.1, *[0.0] * 20]
    assert list(two.map(tasks.sleep, enumerate(times))) == list(HERE.map(tasks.sleep, enumerate(times)))


def test_tasks_are_taken_a_few_ahead(two):
    taken = []
    results = two.map(double, (taken.append(number) or number for number in range(100)))
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 8
    assert list(results) == [2 * number for number in range(3, 100)]


def test_results_that_are_not_taken_do_not_come_later(two):
    results = two.map(double, range(10))
    assert next(results) == 0
    results.close()
    assert list(two.map(double, range(100, 103))) == [200, 202, 204]


def test_nothing_to_do(two):
    assert list(two.map(double, [])) == []


def test_large_tasks_and_results(two):
    assert [len(each) for each in two.map(double, [b"x" * 10**7] * 5)] == [2 * 10**7] * 5


@pytest.mark.parametrize("workers", ["here", "two"])
def test_the_error_is_that_of_the_first_task_that_fails(request, workers):
    chosen = HERE if workers == "here" else request.getfixturevalue(workers)
    results = chosen.map(tasks.fail_from_3, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(HeadflowError, match="task 3 is bad") as caught:
        next(results)
    assert caught.value.setting == "bins"


def test_a_defect_has_its_traceback():
    with Processes(1) as workers, pytest.raises(ZeroDivisionError) as caught:
        list(workers.map(tasks.divide, [1, 0]))
    assert "in divide" in caught.value.__notes__[0]


@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_that_is_killed_is_named(number):
    with Processes(number) as workers:
        with pytest.raises(HeadflowError, match="a worker process was killed by signal 9 before its task") as caught:
            list(workers.map(tasks.kill_at_2, range(5)))
        assert caught.value.setting == "workers"
        assert list(workers.map(double, [1])) == [2]  # the next ones are started anew


def test_a_worker_that_exits_is_named():
    with Processes(1) as workers, pytest.raises(HeadflowError, match="ended with exit code 3 before"):
        list(workers.map(tasks.leave, range(3)))


def test_one_worker_is_this_process():
    for number in (None, 1):
        with open_workers(number, None) as workers:
            assert list(workers.map(tasks.process, [0])) == [os.getpid()]
    with open_workers(2, None) as workers:
        assert os.getpid() not in set(workers.map(tasks.process, range(4)))


def test_division_is_by_number_of_parts():
    assert [list(each) for each in divided(list(range(19)))] == [[*range(8)], [*range(8, 16)], [16, 17, 18]]


SLEEPING = """
import sys
from schemas.cli import leave_at_interrupt
leave_at_interrupt()
from schemas.workers.processes import Processes
from tests.support.tasks import sleep_long
if __name__ == "__main__":
    with Processes(2) as workers:
        for pid in workers.map(sleep_long, range(9)):
            print(pid, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("whom", ["group", "parent", "killed"])
def test_ctrl_c_ends_all_processes(whom):
    command = [sys.executable, "-c", SLEEPING]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = {int(process.stdout.readline()) for _ in range(2)}
    if whom == "group":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGINT if whom == "parent" else signal.SIGKILL)
    error = process.communicate(timeout=120)[1]
    assert (process.returncode, error) == ((-9, "") if whom == "killed" else (130, "interrupted\n"))
    assert len(pids) == 2
    assert living(pids) == []
