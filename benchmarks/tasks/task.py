"""A task: a model, its data, the keys of a search, and its score computed without litetuner."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Score = Callable[[np.ndarray, Any, np.ndarray], float]
PARTS = {"train": 0.6, "search": 0.2, "test": 0.2}


@dataclasses.dataclass(frozen=True)
class Made:
    """A trained Keras model and its data: arrays by their keys in an ``.npz``."""

    model: Any
    data: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Task:
    """A task. ``keys`` are keys of the search. ``score`` gets labels, outputs and samples of the search split.

    ``keras_metric`` is the name of a compiled metric that must have the same value. ``refusal`` is a text that the
    rejection of the model must contain, or the reason why it cannot be trained.
    """

    name: str
    kind: str
    make: Callable[[], Made]
    score: Score
    keys: Mapping[str, Any]
    keras_metric: str | None = None
    refusal: str | None = None


TASKS: dict[str, Task] = {}


def task(
    kind: str, score: Score, *, keras_metric: str | None = None, refusal: str | None = None, **keys: Any
) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Register the decorated function, which makes a model and its data, as a task with the function's name."""

    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        TASKS[make.__name__] = Task(make.__name__, kind, make, score, keys, keras_metric, refusal)
        return make

    return register


def split(x: Any, y: Any, **others: np.ndarray) -> dict[str, np.ndarray]:
    """Split arrays into 60 % train, 20 % search and 20 % test, in order. Returns them by key.

    Dicts are split by input or output name. ``others`` are kept for the train split only.
    """
    columns = {**_named("x", x), **_named("y", y)}
    count = len(next(iter(columns.values())))
    found, start = {}, 0
    for part, share in PARTS.items():
        stop = start + round(share * count)
        for key, values in columns.items():
            axis, colon, name = key.partition(":")
            found[f"{axis}_{part}{colon}{name}"] = values[start:stop]
        if part == "train":
            found |= {f"{key}_train": values[start:stop] for key, values in others.items()}
        start = stop
    return found


def _named(axis: str, values: Any) -> dict[str, np.ndarray]:
    if isinstance(values, dict):
        return {f"{axis}:{name}": array for name, array in values.items()}
    return {axis: values}


def part(data: Mapping[str, np.ndarray], axis: str, name: str = "search") -> Any:
    """The samples (``x``) or labels (``y``) of a split: an array, or arrays by name."""
    key = f"{axis}_{name}"
    return data[key] if key in data else {k.partition(":")[2]: v for k, v in data.items() if k.startswith(f"{key}:")}


def trained(model: Any, data: Mapping[str, np.ndarray], epochs: int, **how: Any) -> Made:
    """Fit a compiled model on the train split."""
    model.fit(part(data, "x", "train"), part(data, "y", "train"), epochs=epochs, batch_size=32, verbose=0, **how)
    return Made(model, dict(data))


def seed() -> np.random.Generator:
    """Set all seeds, so that models are the same each time. Returns a NumPy generator."""
    import keras

    keras.utils.set_random_seed(0)
    return np.random.default_rng(0)
