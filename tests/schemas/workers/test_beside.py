"""Oracle: what the function returns or raises, and a function that never ends."""

from threading import Event

import pytest

from schemas.workers.beside import beside, both


def test_a_function_is_done_beside_the_block():
    begun, go_on = Event(), Event()
    with beside(lambda: begun.set() or go_on.wait(10)) as result:
        assert begun.wait(10)
        go_on.set()
        assert result() is True


def test_its_error_is_that_of_the_result():
    with beside(lambda: 1 / 0) as result, pytest.raises(ZeroDivisionError):
        result()


def test_an_error_of_the_block_waits_for_nothing():
    never = Event()
    with pytest.raises(KeyError), beside(never.wait):
        raise KeyError
    never.set()


def test_both_raise_what_the_first_raised_or_else_the_second():
    assert both(lambda: 1, lambda: "a") == (1, "a")
    with pytest.raises(KeyError):
        both({}.popitem, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        both(lambda: 1, lambda: 1 / 0)
