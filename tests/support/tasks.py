"""Functions that workers do in tests; light, as workers load this module."""

import os
import signal
import time

from schemas.errors import HeadflowError


def double(value):
    return value * 2


def sleep(task):
    number, seconds = task
    time.sleep(seconds)
    return number


def sleep_long(number):
    """The first tasks at once, the others hardly ever; returns the process."""
    time.sleep(0.3 if number < 2 else 60)
    return os.getpid()


def process(number):
    time.sleep(0.05)
    return os.getpid()


def fail_from_3(number):
    if number >= 3:
        raise HeadflowError(f"task {number} is bad", setting="bins")
    return number


def divide(number):
    return 1 / number


def kill_at_2(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def kill_once(task):
    """Kill the worker that has not found the file."""
    number, path = task
    if number == 2 and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def leave(number):
    os._exit(3)
