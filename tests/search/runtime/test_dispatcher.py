"""Threads for calls: no more than are needed, in order, and none that outlives its use."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from litetuner.search.runtime.dispatcher import Dispatcher


def test_calls_one_after_the_other_are_done_by_one_thread() -> None:
    dispatcher = Dispatcher("test", threads=3)
    names = set()
    for _ in range(5):
        names.add(dispatcher.submit(threading.get_ident).result(timeout=10))
        time.sleep(0.01)  # until the thread waits again
    assert len(names) == 1 and dispatcher.longest == 0
    dispatcher.close()


def test_as_many_at_once_as_there_are_threads_and_the_rest_in_order() -> None:
    dispatcher, order = Dispatcher("test", threads=2), list[int]()
    opened = threading.Event()

    def call(number: int) -> None:
        order.append(number)
        assert opened.wait(10)

    calls = [dispatcher.submit(lambda number=number: call(number)) for number in range(5)]
    deadline = time.monotonic() + 10
    while len(order) < 2:
        assert time.monotonic() < deadline
    assert sorted(order) == [0, 1] and not any(done.done() for done in calls)
    assert dispatcher.longest == 3
    opened.set()
    for done in calls:
        done.result(timeout=10)
    assert sorted(order) == [0, 1, 2, 3, 4] and set(order[:2]) == {0, 1}
    dispatcher.close()


def test_the_end_cancels_what_waits_and_what_comes_later() -> None:
    dispatcher, opened = Dispatcher("test"), threading.Event()
    running, waiting = dispatcher.submit(lambda: opened.wait(10)), dispatcher.submit(lambda: True)
    time.sleep(0.01)
    dispatcher.close()
    later = dispatcher.submit(lambda: True)
    opened.set()
    assert running.result(timeout=10)
    for future in (waiting, later):
        with pytest.raises(CancelledError):
            future.result(timeout=10)


def test_an_error_is_the_callers() -> None:
    dispatcher = Dispatcher("test")
    with pytest.raises(ZeroDivisionError):
        dispatcher.submit(lambda: 1 / 0).result(timeout=10)
    assert dispatcher.submit(lambda: 1).result(timeout=10) == 1
    dispatcher.close()
