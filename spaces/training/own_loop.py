"""A training function of the user (``--fit``), for models whose training is more than a loss of (labels, outputs)."""

import inspect
import itertools
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.data.arrays import release
from litetuner.spaces.data.augmentation import NONE, augmented
from litetuner.spaces.data.named_arrays import is_packed, parts
from litetuner.spaces.errors import BuildFailed, ConfigError, keras_error_text
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.user_function import load_function

ARGUMENTS = ("model", "dataset", "epochs", "callbacks", "seed")
TRIED_RATE = 1e-3
# Numbers of steps to measure the time of a step with; the last one is only used if steps are short.
TIMED_STEPS = (1, 6, 60)
SHORT_SECONDS = 1.0
SHORTEST_STEP = 0.001  # seconds; less cannot be distinguished from variations in the time before the first step
Loop = Callable[..., Any]
Masks = Sequence[tuple[Any, np.ndarray]]


def make_loop(spec: str) -> Loop:
    """The function that ``module:function`` names. Raises ``ConfigError`` if it does not accept the five arguments."""
    function = load_function(spec, "--fit")
    try:
        inspect.signature(function).bind(*ARGUMENTS)
    except TypeError as error:
        raise ConfigError(f"--fit {spec}: {error}; it is called with ({', '.join(ARGUMENTS)}).") from error
    return function


def run_loop(
    model: Any, context: Context, epochs: float, optimizer: Any, augment: str, callbacks: Sequence[Any], masks: Masks
) -> None:
    """Train ``model`` in place with the user's function.

    The function gets whole epochs, and the size of the dataset is adjusted: 0.5 epochs are one pass over half of the
    samples, 2.6 epochs are three passes over 87 % of them. A callback applies ``masks`` after every batch; they are
    also applied at the end, in case the function calls no callbacks. Raises ``BuildFailed`` with the function's error.
    """
    loop = context.loop
    if loop is None:
        raise ValueError("the context has no loop of the user's")
    model.compile(optimizer)  # the function uses model.optimizer
    rounds = max(1, round(epochs))
    dataset = make_dataset(context, epochs / rounds, augment)
    try:
        with quiet_stdout():
            loop(model, dataset, rounds, [*callbacks, _holding(masks)], context.seed)
    except Exception as error:  # the user's code may raise any exception
        raise BuildFailed(f"the function of --fit failed: {_told(loop, error)}") from error
    for variable, mask in masks:
        variable.assign(variable * mask)


def _told(loop: Loop, error: Exception) -> str:
    """An error in the user's function: its type, its message, and the line of the user's file that caused it."""
    file = inspect.unwrap(loop).__code__.co_filename if hasattr(inspect.unwrap(loop), "__code__") else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    said, kind = keras_error_text(error), type(error).__name__
    return f"{said if said.startswith(kind) else f'{kind}: {said}'}{where}"


def make_dataset(context: Context, share: float, augment: str) -> Any:
    """A ``tf.data.Dataset`` of full batches (x, y) or (x, y, w): a ``share`` of the data, drawn again in each pass."""
    tf = load()
    samples, batch = len(context.x_train), min(context.batch_size, len(context.x_train))
    steps = math.ceil(share * samples / batch)
    arrays = [part for part in (context.x_train, context.y_train, context.w_train) if part is not None]
    passes = itertools.count()

    def batches() -> Iterator[tuple[Any, ...]]:
        generator = np.random.default_rng([context.seed, next(passes)])
        order = np.resize(generator.permutation(samples), steps * batch).reshape(steps, batch)
        for rows in order:
            x, *others = (np.asarray(part[rows]) for part in arrays)
            release(context.x_train)
            yield tuple(in_order(part) for part in (augmented(x, augment, generator), *others))

    def described(part: np.ndarray) -> Any:
        found = tuple(tf.TensorSpec((batch, *each.shape[1:]), tf.as_dtype(each.dtype)) for each in parts(part))
        return found if is_packed(part) else found[0]

    dataset = tf.data.Dataset.from_generator(batches, output_signature=tuple(described(part[:1]) for part in arrays))
    return dataset.apply(tf.data.experimental.assert_cardinality(steps))


def in_order(part: np.ndarray) -> Any:
    """A tuple with the arrays of several inputs or outputs, in the model's order; a single array stays as it is."""
    return tuple(parts(part)) if is_packed(part) else part


def _holding(masks: Masks) -> Any:
    import tf_keras

    class Holding(tf_keras.callbacks.Callback):  # type: ignore[misc]
        """Multiplies variables by their masks after every batch."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for variable, mask in masks:
                variable.assign(variable * mask)

    return Holding()


def try_loop(model: Any, context: Context) -> bool:
    """Test the user's function: train a plain copy of the model, and one with tfmot's wrappers, for one step each.

    Returns true if the function used the optimizer that it was given. Raises ``ConfigError`` if the function fails or
    changes no weight.
    """
    import tf_keras

    from litetuner.spaces.models.keras_bridge.bridge import clone

    share = context.batch_size / max(1, len(context.x_train))
    used = []
    for copy, callbacks in ((clone(model), []), _pruned(clone(model))):
        for callback in callbacks:
            callback.set_model(copy)
            callback.on_train_begin({})
        optimizer = tf_keras.optimizers.Adam(TRIED_RATE)
        before = [variable.numpy() for variable in copy.trainable_variables]
        try:
            run_loop(copy, context, min(1.0, share), optimizer, NONE, callbacks, ())
        except BuildFailed as error:
            wrapped = "a model in the wrappers of tfmot" if callbacks else "a small part of the training data"
            raise ConfigError(
                f"{error} It was tried on {wrapped}. The model is of tf_keras (Keras 2), not of keras."
            ) from error
        after = [variable.numpy() for variable in copy.trainable_variables]
        if not any((a != b).any() for a, b in zip(before, after, strict=True)):
            raise ConfigError(
                "the function of --fit changes no weight of the model that it is given; it must train it in place."
            )
        used.append(int(optimizer.iterations) > 0)
    return all(used)


def _pruned(model: Any) -> tuple[Any, list[Any]]:
    """The model with pruning wrappers around all layers that tfmot can prune, and the callback that these need."""
    import tensorflow_model_optimization as tfmot
    import tf_keras
    from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry

    sparsity = tfmot.sparsity.keras
    schedule = sparsity.ConstantSparsity(0.5, begin_step=1)

    def wrap(layer: Any) -> Any:
        able = layer.weights and PruneRegistry.supports(layer)
        return sparsity.prune_low_magnitude(layer, schedule) if able else layer

    return tf_keras.models.clone_model(model, clone_function=wrap), [sparsity.UpdatePruningStep()]


def seconds_per_step_of_loop(model: Any, context: Context) -> float:
    """The seconds that a step of the user's function takes. Trained weights do not change.

    A call may do other work before its first step, so the time is computed from the difference of two calls.
    """
    import tf_keras

    before, a_step = 0.0, SHORTEST_STEP
    for last, count in zip((0, *TIMED_STEPS), TIMED_STEPS, strict=False):
        epochs = count * context.batch_size / max(1, len(context.x_train))
        started = time.perf_counter()
        run_loop(model, context, epochs, tf_keras.optimizers.Adam(0.0), NONE, (), ())
        seconds = time.perf_counter() - started
        if last:
            a_step = max((seconds - before) / (count - last), SHORTEST_STEP)
            if seconds - before > SHORT_SECONDS:
                break
        before = seconds
    return a_step
