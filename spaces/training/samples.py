"""Access to training samples by index: read from the data for each call of the compiled loop, or kept on a GPU."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.augmentation import NONE, augmented
from litetuner.spaces.data.named_arrays import by_name
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load

# Maximum bytes of training data on a GPU. A guess: small GPUs have 4 GB, and the model needs some of it.
RESIDENT_BYTES = 1_000_000_000
# Indices of samples (steps, batch) -> (x, *targets), each (steps, batch, ...).
Samples = Callable[[np.ndarray], Any]


def sample_bytes(sample: Any) -> int:
    """Bytes of one sample (x, or x and targets) in the types that the model gets."""
    tf = load()
    return sum(math.prod(part.shape) * int(tf.as_dtype(part.dtype).size) for part in tf.nest.flatten(sample))


def samples_of(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray], each_bytes: int) -> Samples:
    """The samples of a training: from a GPU if there is one, the data fit there, and augmentation is off.

    ``each_bytes`` are the bytes of one sample. Otherwise samples are read from the data for each call.
    """
    resident = bool(load().config.list_logical_devices("GPU")) and len(context.x_train) * each_bytes <= RESIDENT_BYTES
    return (_from_gpu if resident and augment == NONE else _from_host)(model, context, augment, targets)


def _from_host(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray]) -> Samples:
    """Samples that are read from the data and cast for each call."""
    # A separate generator, so that the order of samples is the same with and without augmentation.
    views = np.random.default_rng([context.seed, 1])

    def samples(chosen: np.ndarray) -> Any:
        x = feed(model, augmented(np.asarray(context.x_train[chosen.ravel()]), augment, views))
        y = (by_name(np.asarray(part[chosen.ravel()])) for part in targets)
        release(context.x_train)
        return load().nest.map_structure(functools.partial(_in_steps, chosen.shape), (x, *y))

    return samples


def _from_gpu(model: Any, context: Context, augment: str, targets: Sequence[np.ndarray]) -> Samples:
    """Samples that are copied to the GPU once: a small network would wait longer for batches than it computes."""
    tf = load()
    everything = (feed(model, np.asarray(context.x_train)), *(by_name(np.asarray(part)) for part in targets))
    kept = tf.nest.map_structure(tf.convert_to_tensor, everything)
    return lambda chosen: tf.nest.map_structure(lambda part: tf.gather(part, chosen), kept)


def _in_steps(shape: tuple[int, ...], part: Any) -> Any:
    """Reshape samples from (steps * batch, ...) to (steps, batch, ...)."""
    tf = load()
    return tf.reshape(part, (*shape, *part.shape[1:]))
