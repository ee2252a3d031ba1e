"""Labels in the form that the search stores, checked against the model's output."""

import math
from collections.abc import Callable, Iterable

import numpy as np

from litetuner.spaces.data.arrays import chunks, new_array
from litetuner.spaces.data.label_advice import label_advice
from litetuner.spaces.errors import DataError

FEW = 50  # a class with fewer samples gets a note
FLOAT = np.dtype(np.float32)


def classes_of(output_shape: tuple[int | None, ...]) -> int:
    """The number of classes of an output: its last axis, or 2 if that is missing or 1.

    In segmentation these are the classes at each position.
    """
    if len(output_shape) == 1:
        return 2
    last = output_shape[-1]
    if last is None:
        raise DataError(
            f"the model's output has shape {output_shape}; classification needs a last axis of classes. "
            "Choose a regression metric (mae, rmse, r2), or your own with the attribute task = 'regression'."
        )
    return 2 if last == 1 else last


def in_parts(y: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Labels (n, ...) transformed part by part; large results are created in a file."""
    first, start = change(y[:1]), 0
    found = new_array((len(y), *first.shape[1:]), first.dtype)
    for part in chunks(y):
        found[start : start + len(part)] = change(part)
        start += len(part)
    return found


def as_type(y: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Labels converted to a type; the same array if it has that type already."""
    return y if y.dtype == dtype else in_parts(y, lambda part: part.astype(dtype))


def prepare_labels(name: str, y: np.ndarray, task: str, output_shape: tuple[int | None, ...]) -> np.ndarray:
    """Labels of one split, converted for the task (``models/decision.py``). ``name`` is such as ``y_train``.

    Classification: int64 class numbers (n,). If the model classifies every position, as in segmentation: class numbers
    (n, *places) in the smallest type for the classes. Regression: float32 (n,) or (n, k). Several labels at once:
    float32 (n, *places, k) of 0 and 1. Raw: unchanged, but floats become float32.

    Raises ``DataError`` for text, objects, NaN, labels that the model's output cannot have, and shapes that do not fit.
    """
    if task == "raw" and y.dtype.kind in "biufU":
        return as_type(y, FLOAT) if y.dtype.kind == "f" else y
    if y.dtype.kind in "US":
        raise DataError(
            f"{name} holds text such as {str(y.ravel()[0])!r}. Give class numbers in the order of the model's outputs, "
            "for example classes.index(label)."
        )
    if y.dtype.kind not in "biuf":
        raise DataError(f"{name} has type {y.dtype}; labels must be numbers")
    if y.dtype.kind == "f" and not all(np.isfinite(part).all() for part in chunks(y)):
        bad = ~np.isfinite(y.reshape(len(y), -1)).all(axis=1)
        raise DataError(f"{name} holds NaN or infinity in {bad.sum()} labels, first in {name}[{int(bad.argmax())}]")
    if task == "regression":
        return _numbers(name, y, output_shape)
    if task == "multilabel":
        return _several(name, y, output_shape)
    return _class_numbers(name, y, classes_of(output_shape), output_shape)


def _numbers(name: str, y: np.ndarray, output_shape: tuple[int | None, ...]) -> np.ndarray:
    expected = output_shape[1:]
    sample = y.shape[1:] or (1,)
    single = math.prod(size or 1 for size in expected) == 1 and math.prod(sample) == 1
    fits = len(sample) == len(expected) and all(b in (None, a) for a, b in zip(sample, expected, strict=True))
    if not single and not fits:
        raise DataError(
            f"{name} has {sample} numbers a sample, the model gives {expected}. {label_advice(y, output_shape, 'regression')}"
        )
    values = as_type(y, FLOAT)
    return values.reshape(len(y)) if single else values


def _several(name: str, y: np.ndarray, output_shape: tuple[int | None, ...]) -> np.ndarray:
    sizes = zip(y.shape[1:], output_shape[1:], strict=False)
    fits = y.ndim == len(output_shape) and all(b in (None, a) for a, b in sizes)
    if not fits or not all(((part == 0) | (part == 1)).all() for part in chunks(y)):
        raise DataError(
            f"{name} has shape {y.shape} and values from {y.min():g} to {y.max():g}; several labels at once are a column of 0 "
            f"and 1 for each of the model's outputs {output_shape[1:]}."
        )
    return as_type(y, FLOAT)


def _class_numbers(name: str, y: np.ndarray, classes: int, output_shape: tuple[int | None, ...]) -> np.ndarray:
    sample, places = y.shape[1:], output_shape[1:-1]
    if len(sample) == len(places) + 1 and sample[-1] > 1:
        return _from_one_hot(name, y, classes, output_shape)
    plain = sample if len(sample) == len(places) else sample[:-1]
    fits = len(plain) == len(places) and all(b in (None, a) for a, b in zip(plain, places, strict=True))
    if not fits or (plain != sample and sample[-1:] != (1,)):
        shape = ", ".join(["n", *("any" if size is None else str(size) for size in places)])
        raise DataError(
            f"{name} has shape {y.shape}; class labels are numbers ({shape}{',' if not places else ''}) or ({shape}, 1), or "
            f"one-hot rows ({shape}, {classes}). {label_advice(y, output_shape, 'classification')}"
        )
    values = y.reshape(len(y), *plain)
    if values.dtype.kind == "f" and any((part != np.floor(part)).any() for part in chunks(values)):
        first = _place(values != np.floor(values))
        raise DataError(
            f"{name}[{_say(first)}] is {values[first]}, which is not a class number. "
            f"{label_advice(y, output_shape, 'classification')}"
        )
    low, high = (int(limit(initial=0)) for limit in (values.min, values.max))
    if low < 0 or high >= classes:
        outside = (values < 0) | (values >= classes)
        first = _place(outside)
        raise DataError(
            f"{name} holds labels from {int(values.min())} to {high}, the model has {classes} classes (0 to {classes - 1}); "
            f"{outside.sum()} are outside, first {name}[{_say(first)}] = {int(values[first])}. "
            f"{label_advice(values, output_shape, 'classification')}"
        )
    return as_type(values, _class_type(classes, places))


def _class_type(classes: int, places: tuple[int | None, ...]) -> np.dtype:
    """The type of class numbers in memory.

    Masks are stored as int64, but may not fit into memory as int64, so they get the smallest type.
    """
    return np.min_scalar_type(classes - 1) if places else np.dtype(np.int64)


def _from_one_hot(name: str, y: np.ndarray, classes: int, output_shape: tuple[int | None, ...]) -> np.ndarray:
    if y.shape[-1] != classes:
        advice = label_advice(y, output_shape, "classification")
        raise DataError(f"{name} has {y.shape[-1]} columns, the model has {classes} classes. {advice}")
    if not all(_one_hot(part).all() for part in chunks(y)):
        wrong = np.concatenate([~_one_hot(part) for part in chunks(y)])
        raise DataError(
            f"{name} has a column for each class, but {wrong.sum()} rows are not one-hot, first {name}[{_say(_place(wrong))}]. "
            f"{_advice(y)}"
        )
    dtype = _class_type(classes, y.shape[1:-1])
    return in_parts(y, lambda part: part.argmax(axis=-1).astype(dtype))


def _one_hot(y: np.ndarray) -> np.ndarray:
    found: np.ndarray = ((y == 0) | (y == 1)).all(axis=-1) & (y.sum(axis=-1) == 1)
    return found


def _advice(y: np.ndarray) -> str:
    if ((y == 0) | (y == 1)).all():
        return (
            "The model ends with a softmax, which names one class a sample. If several labels may hold at once, say "
            "--task multilabel; else give one class number a sample."
        )
    return "If they are quantities, add --metric mae, rmse or r2; soft labels cannot be used: give class numbers."


def _place(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))


def _say(place: tuple[int, ...]) -> str:
    return ", ".join(map(str, place))


def absent_classes(split: str, labels: Iterable[np.ndarray], classes: int) -> list[str]:
    """A note if some classes have no sample in a split. ``labels`` are the parts of its labels."""
    present = np.zeros(classes, bool)
    for part in labels:
        present[part] = True
    absent = np.flatnonzero(~present)
    if len(absent) in (0, classes):
        return []
    named = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
    return [f"the {split} split has no sample of {len(absent)} of the {classes} classes ({named})"]


def few_samples(labels: np.ndarray, classes: int | None) -> list[str]:
    """A note if there is little training data: few samples of a class, or few in total if there are no classes."""
    least, what = len(labels), "samples"
    if classes is not None and labels.ndim == 1 and len(labels):
        found, counts = np.unique(labels, return_counts=True)
        least, what = int(counts.min()), f"samples of class {found[counts.argmin()]}"
    if not 0 < least < FEW:
        return []
    return [
        f"the train split has only {least} {what}: training may overfit, and techniques without training may be better"
    ]
