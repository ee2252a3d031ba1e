"""Threads that run what they are given, in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


Call = tuple[Callable[[], Any], "Future[Any]"]


class Dispatcher:
    """Its threads are daemons: a second Ctrl-C does not wait for what they do.

    A call goes to the thread that was busy last, and to a new one only where all are busy: each may hold a process.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name, self._most = name, threads
        self._lock = threading.Lock()
        self._started = 0
        self._idle: list[queue.SimpleQueue[Call | None]] = []  # of threads that wait, the last one busy at the end
        self._waiting: deque[Call] = deque()
        self._closed = False
        self.longest = 0  # how many waited at the same time, at most

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Have it done as soon as a thread is free, after all that was given before; cancelled once this is closed."""
        promised: Future[T] = Future()
        with self._lock:
            if self._closed:
                promised.cancel()
            elif self._idle:
                self._idle.pop().put((call, promised))
            elif self._started < self._most:
                self._started += 1
                own: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
                own.put((call, promised))
                threading.Thread(target=self._serve, args=(own,), name=self._name, daemon=True).start()
            else:
                self._waiting.append((call, promised))
                self.longest = max(self.longest, len(self._waiting))
        return promised

    def close(self) -> None:
        """End each thread after what it does now; what waits is cancelled."""
        with self._lock:
            self._closed = True
            for _, promised in self._waiting:
                promised.cancel()
            self._waiting.clear()
            for own in self._idle:
                own.put(None)
            self._idle.clear()

    def _serve(self, own: queue.SimpleQueue[Call | None]) -> None:
        while (given := own.get()) is not None:
            call, promised = given
            if promised.set_running_or_notify_cancel():
                settle(promised, call)
            del given, call, promised  # nothing of a job outlives it
            with self._lock:
                if self._waiting:
                    own.put(self._waiting.popleft())
                elif self._closed:
                    return
                else:
                    self._idle.append(own)


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
