"""Python looks for cycles less often where thousands of records are in memory."""

import contextlib
import gc
from collections.abc import Iterator

NEW_OBJECTS = 100_000  # before Python looks among them; it would after 700


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Records have no cycles, and to look for some among the values of 5,000 takes half of the time of resuming their run."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], NEW_OBJECTS) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
