"""Threads that run submitted calls in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


Call = tuple[Callable[[], Any], "Future[Any]"]


class Dispatcher:
    """A pool of daemon threads: after a second Ctrl-C, the program exits without waiting for their calls.

    A call goes to the idle thread that was busy most recently. A new thread starts only if all others are busy, because
    each thread may own a worker process.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name, self._most = name, threads
        self._lock = threading.Lock()
        self._started = 0
        self._idle: list[queue.SimpleQueue[Call | None]] = []  # of idle threads, the most recently busy last
        self._waiting: deque[Call] = deque()
        self._closed = False
        self.longest = 0  # the largest number of calls that waited at the same time

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a call as soon as a thread is free; calls start in order. After ``close``, its future is cancelled."""
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
        """End each thread after its current call. Waiting calls are cancelled."""
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
            del given, call, promised  # keep no reference to a finished job
            with self._lock:
                if self._waiting:
                    own.put(self._waiting.popleft())
                elif self._closed:
                    return
                else:
                    self._idle.append(own)


def settle(promised: Future[T], call: Callable[[], T]) -> None:
    """Run a call and store its result, or its exception, in a future."""
    try:
        found = call()
    except BaseException as error:
        promised.set_exception(error)
    else:
        promised.set_result(found)


def completed(call: Callable[[], T]) -> Future[T]:
    """Run a call now and return its finished future. ``KeyboardInterrupt`` and the like are raised, not stored."""
    promised: Future[T] = Future()
    try:
        promised.set_result(call())
    except Exception as error:
        promised.set_exception(error)
    return promised
