"""A connection to another machine that may drop: the error, and how it is retried."""

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from litetuner.spaces.errors import TargetLost

T = TypeVar("T")
PAUSES_SECONDS = (2.0, 8.0, 20.0)  # before each retry


class Dropped(Exception):
    """There is no connection, or it ended; worth a retry."""


def retry(work: Callable[[], T], pauses_seconds: tuple[float, ...], address: str, command: str) -> T:
    """Call ``work``, and again after each pause while the connection drops. Raises ``TargetLost`` when that does not help.

    ``command`` is what the user can type to look at the target.
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
