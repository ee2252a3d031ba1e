"""Samples in the form that the search stores: preprocessed, in the model's input shape, finite."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.raw import Rows
from litetuner.spaces.data.splits import SplitRows
from litetuner.spaces.errors import DataError
from litetuner.spaces.tf import quiet_stdout

BATCH_SAMPLES = 256
HASH_BYTES = 8  # of a sample; among ten million, two different ones share a hash with a probability of 3e-6
Shape = tuple[int | None, ...]


@dataclasses.dataclass
class SamplePreparer:
    """Converts the user's samples into inputs of the model, the same way for all splits, and collects notes.

    ``preprocess`` is the user's function for batches, named ``spec``. ``settle`` tries the first batch and sets
    ``shape`` and ``dtype`` of a prepared sample.
    """

    input_shape: Shape
    input_dtype: str
    preprocess: Callable[[Any], Any] | None
    spec: str | None
    shape: tuple[int, ...] = ()
    dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype(np.float32))
    notes: list[str] = dataclasses.field(default_factory=list)
    hashes: dict[str, list[bytes]] = dataclasses.field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def settle(self, splits: dict[str, Rows]) -> None:
        """Set shape and type from the first batch of each split. Raises ``DataError`` if they do not fit."""
        shapes, dtypes = {}, []
        for split, x in splits.items():
            batch = self._preprocessed(split, x[:BATCH_SAMPLES])
            if self.preprocess is not None:
                self._check_function(split, x[:BATCH_SAMPLES], batch)
            shapes[split] = fitted_shape(self._where(split), batch.shape[1:], self.input_shape[1:])
            dtypes.append(_stored_dtype(f"x_{split}", batch.dtype, np.dtype(self.input_dtype)))
            if shapes[split] != batch.shape[1:] and not any("channel axis" in note for note in self.notes):
                self.notes.append(f"samples have shape {batch.shape[1:]}: a channel axis of 1 was added")
        if len(set(shapes.values())) > 1:
            named = ", ".join(f"{split} {shape}" for split, shape in shapes.items())
            raise DataError(f"the splits have samples of different shapes: {named}")
        self.shape = next(iter(shapes.values()))
        joint = np.result_type(*dtypes)
        model = np.dtype(self.input_dtype)
        self.dtype = (joint if model.kind == "f" or np.can_cast(joint, model) else model).newbyteorder("=")

    def batches(self, split: str, x: Rows, source: SplitRows) -> Iterator[np.ndarray]:
        """Prepared batches (b, *shape) of a split's rows of ``x``.

        Raises ``DataError`` at the end if some values are not finite.
        """
        hashes = self.hashes.setdefault(split, [])
        bad_values, bad_rows = 0, []
        for start in range(0, len(source.rows), BATCH_SAMPLES):
            rows = source.rows[start : start + BATCH_SAMPLES]
            batch = self._preprocessed(source.given, x[rows])
            if batch.shape[1:] != self.shape and (*batch.shape[1:], 1) != self.shape:
                raise DataError(
                    f"{self._where(source.given)} gives samples of shape {batch.shape[1:]} and of {self.shape}"
                )
            batch = self._cast(source.given, batch).reshape(len(rows), *self.shape)
            if batch.dtype.kind == "f":
                finite = np.isfinite(batch).reshape(len(rows), -1)
                if not finite.all():
                    bad_values += int((~finite).sum())
                    bad_rows.extend(rows[~finite.all(axis=1)])
            if not bad_rows:
                low, high = self.ranges.get(split, (math.inf, -math.inf))
                self.ranges[split] = (min(low, float(batch.min())), max(high, float(batch.max())))
            hashes.append(b"".join(hashlib.blake2b(sample, digest_size=HASH_BYTES).digest() for sample in batch))
            yield batch
            if isinstance(x, np.ndarray):
                release(x)
        if bad_rows:
            raise DataError(
                f"{self._where(source.given)} holds {bad_values} values that are NaN or infinite, in {len(bad_rows)} samples, "
                f"first in x_{source.given}[{min(bad_rows)}]. Remove those samples or fix them with --preprocess."
            )

    def findings(self) -> list[str]:
        """Notes on samples that occur in several splits, and on splits whose value ranges differ greatly."""
        found = list(self.notes)
        for split, others in (("search", ("train",)), ("test", ("train", "search"))):
            for other in others:
                shared = len(np.intersect1d(self._digests(split), self._digests(other)))
                if shared:
                    found.append(
                        f"{shared} samples of {split} are also in {other}, byte for byte: scores on {split} are too high"
                    )
        widths = {split: max(abs(low), abs(high)) for split, (low, high) in self.ranges.items()}
        if widths and max(widths.values()) > 20 * min(widths.values()):
            named = ", ".join(f"{split} {low:g} to {high:g}" for split, (low, high) in self.ranges.items())
            found.append(
                f"the splits' values lie in far different ranges ({named}): is one of them scaled and another not?"
            )
        return found

    def _digests(self, split: str) -> np.ndarray:
        return np.frombuffer(b"".join(self.hashes.get(split, ())), np.uint64)

    def _where(self, split: str) -> str:
        return f"x_{split}" + (f" after --preprocess {self.spec}" if self.preprocess is not None else "")

    def _preprocessed(self, split: str, x: np.ndarray) -> np.ndarray:
        if self.preprocess is None:
            return x
        try:
            with quiet_stdout():
                given = self.preprocess(np.array(x))  # a copy: the function may write into it
            result = np.asarray(given)
        except Exception as error:
            raise DataError(
                f"--preprocess {self.spec} failed on a batch of x_{split} of shape {x.shape} and type {x.dtype}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if given is None or result.ndim == 0 or len(result) != len(x):
            got = "nothing" if given is None else f"an array of shape {result.shape}"
            raise DataError(
                f"--preprocess {self.spec} returned {got} for a batch of {len(x)} samples of x_{split}. "
                "It must return one row for each sample."
            )
        return result

    def _check_function(self, split: str, x: np.ndarray, batch: np.ndarray) -> None:
        """Check that the result for a sample does not depend on its batch: no random changes, no batch statistics."""
        half = (len(x) + 1) // 2
        again = self._preprocessed(split, x[:half])
        scale = float(np.abs(batch[np.isfinite(batch)]).max(initial=0)) if batch.dtype.kind in "fiu" else 0.0
        same = again.shape[1:] == batch.shape[1:] and again.dtype == batch.dtype
        if batch.dtype.kind in "fiu" and same:
            same = np.allclose(again, batch[:half], rtol=1e-3, atol=1e-3 * scale, equal_nan=True)
        if not same:
            raise DataError(
                f"--preprocess {self.spec} gives other values for the same samples when their batch is another: it is random, or "
                "uses the mean or range of its batch. Use constants (of the training data), and leave augmentation out."
            )

    def _cast(self, split: str, batch: np.ndarray) -> np.ndarray:
        dtype = _stored_dtype(f"x_{split}", batch.dtype, np.dtype(self.input_dtype))
        if not np.can_cast(dtype, self.dtype):
            raise DataError(f"{self._where(split)} gives type {batch.dtype} in one batch and {self.dtype} in another")
        if self.dtype.kind in "iu" and not np.can_cast(batch.dtype, self.dtype) and batch.size:
            limits = np.iinfo(self.dtype)
            if batch.min() < limits.min or batch.max() > limits.max:
                raise DataError(
                    f"{self._where(split)} holds values from {batch.min()} to {batch.max()}, beyond {self.dtype}"
                )
        with np.errstate(over="ignore"):  # values beyond float32 become infinite and are reported as such
            return np.ascontiguousarray(batch, self.dtype)


def _stored_dtype(name: str, given: np.dtype, model: np.dtype) -> np.dtype:
    """The type in which samples are stored: the user's, if it has at most 32 bits and the model can take it."""
    if given.kind not in "biuf":
        what = "Python objects (rows of different lengths?)" if given.kind == "O" else f"type {given}"
        raise DataError(f"{name} holds {what}; samples must be an array of numbers, all of one shape")
    if given.kind == "b":
        given = np.dtype(np.uint8)
    if model.kind == "f":
        small = given.itemsize <= 2 or given == np.float32
        return given if small else np.dtype(np.float32)
    if model.kind not in "iu":
        raise DataError(f"the model takes {model}; only numbers can be used")
    if given.kind == "f":
        raise DataError(f"{name} has type {given}, the model takes {model}. Cast it with --preprocess module:function.")
    return given if np.can_cast(given, model) else model


def _fits(sample: Shape, expected: Shape) -> bool:
    return len(sample) == len(expected) and all(b in (None, a) for a, b in zip(sample, expected, strict=True))


def fitted_shape(name: str, sample: tuple[int, ...], expected: Shape) -> tuple[int, ...]:
    """The shape in which samples are stored. A missing last axis of 1 is added.

    Raises ``DataError`` for any other difference.
    """
    if 0 in sample:
        raise DataError(f"{name} has samples of shape {sample}, which are empty")
    if _fits(sample, expected):
        return sample
    if _fits((*sample, 1), expected):
        return (*sample, 1)
    raise DataError(f"{name} has samples of shape {sample}, the model takes {expected}. {_hint(sample, expected)}")


def _hint(sample: tuple[int, ...], expected: Shape) -> str:
    by = "with --preprocess module:function"
    if len(sample) == len(expected) and len(sample) in (2, 3) and _fits((*sample[1:], sample[0]), expected):
        return f"The channels come first: use np.moveaxis(x, 1, -1) {by}."
    if (
        len(expected) > 1
        and expected[-1] is not None
        and (_fits(sample, expected[:-1]) or _fits(sample, (*expected[:-1], 1)))
    ):
        grown = "x" if len(sample) == len(expected) else "x[..., None]"
        return f"The channels are missing: use np.repeat({grown}, {expected[-1]}, axis=-1) {by}."
    if sample[-1:] == (1,) and _fits(sample[:-1], expected):
        return f"There is an axis of 1 too many: use x[..., 0] {by}."
    if len(sample) == len(expected) - 1 and _fits(sample, expected[1:]):
        return "Is this a single sample? The first axis must count the samples: use x[None]."
    if None not in expected and math.prod(sample) == math.prod(size or 1 for size in expected):
        return f"The number of values agrees: use x.reshape(len(x), {', '.join(map(str, expected))}) {by}."
    if len(sample) == len(expected) and sample[-1] == expected[-1]:
        return f"Resize them {by}."
    return f"Bring them into that shape {by}."
