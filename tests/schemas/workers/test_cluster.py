"""Workers on a Ray cluster that is started here. Oracle: doing the tasks in this process."""

import pytest

from schemas.errors import HeadflowError
from schemas.workers.opening import open_workers
from schemas.workers.tasks import LOCAL
from tests.support import tasks


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray")
    with open_workers(2, LOCAL) as workers:
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


def test_a_task_that_kills_every_worker_is_named(cluster):
    with pytest.raises(HeadflowError, match="a task was not done"):
        list(cluster.map(tasks.kill_at_2, range(3)))
