"""Connections to other machines that may drop: the error and the retries."""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from litetuner.spaces.errors import TargetLost

T = TypeVar("T")
PAUSES_SECONDS = (2.0, 8.0, 20.0)  # before each retry


class Dropped(Exception):
    """There is no connection, or it has ended. The caller should retry."""


def retry(work: Callable[[], T], pauses_seconds: tuple[float, ...], address: str, command: str) -> T:
    """Call ``work``; if the connection drops, retry after each pause. Raises ``TargetLost`` if all attempts fail.

    ``command`` is a command that the user can type to check the target.
    """
    for pause in pauses_seconds:
        with contextlib.suppress(Dropped):
            return work()
        time.sleep(pause)
    try:
        return work()
    except Dropped as error:
        tries = len(pauses_seconds) + 1
        raise TargetLost(f"{error}. It did not come back in {tries} tries. Try by hand: {command}", address) from error
