"""Batches of training data, as a step is given them: read from the host each time, or resident on a GPU."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.named_arrays import by_name
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load
from litetuner.spaces.training.augmentation import NONE, augmented

# Of training data on a GPU. A guess: small GPUs have 4 GB, and the model needs some of it.
RESIDENT_BYTES = 1_000_000_000
# (x, *targets), each (steps, batch, ...), by the numbers of samples (steps, batch)
Batches = Callable[[np.ndarray], Any]


def read_batches(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray]) -> Batches:
    """What gives batches by the numbers of their samples."""
    first = (feed(model, context.x_train[:1]), *(by_name(part[:1]) for part in targets))
    resident = augment == NONE and fits_on_gpu(len(context.x_train) * sum(bytes_of(part) for part in first))
    return (_from_gpu if resident else _from_host)(model, context, augment, targets)


def bytes_of(sample: Any) -> int:
    tf = load()
    return sum(math.prod(part.shape) * int(tf.as_dtype(part.dtype).size) for part in tf.nest.flatten(sample))


def fits_on_gpu(data_bytes: int) -> bool:
    """Does this process train on a GPU, and have the data a place there beside the model?"""
    return bool(load().config.list_logical_devices("GPU")) and data_bytes <= RESIDENT_BYTES


def _from_host(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray]) -> Batches:
    """Read from the data for each call, and cast then."""
    views = np.random.default_rng([context.seed, 1])  # of its own: the order is the same with and without views

    def samples(chosen: np.ndarray) -> Any:
        x = feed(model, augmented(np.asarray(context.x_train[chosen.ravel()]), augment, views))
        y = (by_name(np.asarray(part[chosen.ravel()])) for part in targets)
        release(context.x_train)
        return load().nest.map_structure(functools.partial(_in_steps, chosen.shape), (x, *y))

    return samples


def _from_gpu(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray]) -> Batches:
    """Copied to the GPU once, since a small network waits longer for a batch from the host than it computes."""
    tf = load()
    everything = (feed(model, np.asarray(context.x_train)), *(by_name(np.asarray(part)) for part in targets))
    kept = tf.nest.map_structure(tf.convert_to_tensor, everything)
    return lambda chosen: tf.nest.map_structure(lambda part: tf.gather(part, chosen), kept)


def _in_steps(shape: tuple[int, ...], part: Any) -> Any:
    """Samples (steps * batch, ...) as (steps, batch, ...)."""
    tf = load()
    return tf.reshape(part, (*shape, *part.shape[1:]))
