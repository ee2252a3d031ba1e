"""One thread that runs what it is given, in order."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Dispatcher:
    """Starts its thread with the first call. It is a daemon: a second Ctrl-C does not wait for what it does."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Have it done after all that was given before."""
        promised: Future[T] = Future()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
        self._calls.put((call, promised))
        return promised

    def close(self) -> None:
        """End the thread after what it does now; what waits is cancelled."""
        with self._lock:
            while not self._calls.empty():
                waiting = self._calls.get()
                if waiting is not None:
                    waiting[1].cancel()
            if self._thread is not None:
                self._calls.put(None)
                self._thread = None

    def _serve(self) -> None:
        while (given := self._calls.get()) is not None:
            call, promised = given
            if promised.set_running_or_notify_cancel():
                settle(promised, call)
            del given, call, promised  # nothing of a job outlives it


def settle(promised: Future[T], call: Callable[[], T]) -> None:
    """Give a future the result of a call, or what it raises."""
    try:
        found = call()
    except BaseException as error:
        promised.set_exception(error)
    else:
        promised.set_result(found)


def completed(call: Callable[[], T]) -> Future[T]:
    """Do it now; interrupts come out as they are."""
    promised: Future[T] = Future()
    try:
        promised.set_result(call())
    except Exception as error:
        promised.set_exception(error)
    return promised
