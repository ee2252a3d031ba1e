"""Copy a ``tf.data.Dataset`` once into arrays on disk, so that only one batch is in memory."""

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.data.raw import Arrays
from litetuner.spaces.data.sources.columns import Column
from litetuner.spaces.errors import DataError
from litetuner.spaces.store import cannot_write

MOST_SAMPLES = 10_000_000
FREE_SHARE = 0.4  # of the free disk space; the splits are written in addition to the copy
PROGRESS_SECONDS = 1.0
INFINITE = -1  # tf.data.INFINITE_CARDINALITY
MAY_END = ("_TakeWhileDataset", "_TakeDataset")  # these may end although their input never does
Shapes = Mapping[str, tuple[int | None, ...]]


@dataclasses.dataclass(frozen=True)
class Streams:
    """Reads datasets into files in ``scratch`` (``None``: the system's temporary folder).

    The files are deleted when no array uses them any more. ``progress`` is called every second with a text.
    """

    scratch: Path | None = None
    progress: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        """Create ``scratch``, since no other code may have done so yet. Raises ``HostError`` or ``RunError``."""
        if self.scratch is not None:
            try:
                self.scratch.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(self.scratch, error) from error

    def read(self, source: str, dataset: Any, shapes: Shapes) -> tuple[Arrays, Arrays]:
        """All samples and labels. The shapes of the elements show whether they are batched.

        Raises ``DataError`` for elements that are not pairs of numeric tensors of one shape, for a dataset that repeats
        forever or has too many samples, and for exceptions in the user's own functions.
        """
        spec = dataset.element_spec
        sides = [_named(side) for side in spec] if isinstance(spec, tuple) and len(spec) == 2 else []
        if not sides or not all(hasattr(part, "shape") for side in sides for part in side.values()):
            raise DataError(f"{source}: the dataset's elements are {spec}; they must be pairs (x, y) of tensors")
        if _endless(dataset):
            raise DataError(f"{source}: the dataset repeats forever. Remove repeat().")
        batched = _is_batched(sides[0], sides[1], shapes)
        columns = [{name: Column(source, self.scratch) for name in side} for side in sides]
        most_bytes = FREE_SHARE * shutil.disk_usage(self.scratch or tempfile.gettempdir()).free
        told = time.monotonic()
        for element in _elements(source, dataset):
            for side, value in zip(columns, element, strict=True):
                for name, part in _named(value).items():
                    side[name].append(np.asarray(part) if batched else np.asarray(part)[None])
            every = [column for side in columns for column in side.values()]
            samples, size = every[0].count, sum(column.bytes for column in every)
            if samples > MOST_SAMPLES or size > most_bytes:
                raise DataError(
                    f"{source} has given {samples:,} samples ({size / 1e6:,.0f} MB) and has not ended; more than "
                    f"{MOST_SAMPLES:,} samples or {most_bytes / 1e6:,.0f} MB are not read. "
                    "If it repeats, remove repeat(); else give a part of it: dataset.take(n)."
                )
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                self.progress(f"reading {source}: {samples:,} samples, {size / 1e6:,.0f} MB")
        x, y = ({name: column.array() for name, column in side.items()} for side in columns)
        return x.get("", x), y.get("", y)


def _elements(source: str, dataset: Any) -> Any:
    iterator = dataset.as_numpy_iterator()
    while True:
        try:
            element = next(iterator)
        except StopIteration:
            return
        except Exception as error:  # any exception of the user's own functions, wrapped by TensorFlow
            said = (str(error).splitlines() or [""])[0][:300]
            raise DataError(f"{source} failed while its dataset was read: {type(error).__name__}: {said}") from error
        yield element


def _endless(dataset: Any) -> bool:
    """True if the dataset repeats forever, even if interleave or filter hide it from the cardinality."""
    if int(dataset.cardinality()) == INFINITE:
        return True
    before = dataset._inputs() if int(dataset.cardinality()) < 0 and type(dataset).__name__ not in MAY_END else []
    return len(before) == 1 and _endless(before[0])


def _named(value: Any) -> dict[str, Any]:
    return {str(name): part for name, part in value.items()} if isinstance(value, Mapping) else {"": value}


def _is_batched(xs: Mapping[str, Any], ys: Mapping[str, Any], shapes: Shapes) -> bool:
    if any(part.shape.rank == 0 for part in ys.values()):
        return False
    for name, part in xs.items():
        sample = shapes.get(name, next(iter(shapes.values())) if len(xs) == 1 else None)
        if sample is None:  # no input has that name; an error is raised later
            continue
        expected, given = sample[1:], part.shape.as_list()
        if len(given) == len(expected) and all(b is None or a == b for a, b in zip(given, expected, strict=True)):
            return False
    return True
