"""Training of a tf_keras model: one loop for every TRAIN step, deterministic by seed and fast for small models.

It is a custom loop, because tf.data and Keras callbacks take more time per step than the computation of a small network
(digits network on two cores, ms per step: ``model.fit`` 4.6, with ``steps_per_execution=32`` 3.1, this loop with 32
steps per call 2.7).
"""

import contextlib
import dataclasses
import math
import operator
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.data.augmentation import NONE
from litetuner.spaces.data.named_arrays import by_name, is_packed
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.models.signature import feed
from litetuner.spaces.tf import load
from litetuner.spaces.training.learning_rate import cosine_decay
from litetuner.spaces.training.losses import like_outputs, mean_loss
from litetuner.spaces.training.own_loop import run_loop
from litetuner.spaces.training.samples import sample_bytes, samples_of

_CALL_BYTES = 16_000_000  # maximum bytes of samples for one call of the compiled loop
_CALL_STEPS = 32
# Numbers of steps to measure the time of a step with, until a run takes SHORT_SECONDS. More steps are more accurate.
TIMED_STEPS = (4, 16, 32)
SHORT_SECONDS = 0.5


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all random generators with ``seed``; Python's and NumPy's global states are restored afterwards.

    Keras layers (dropout) and tfmot's centroids use global generators, so a step runs completely inside this context.
    """
    load()
    import tf_keras

    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        tf_keras.utils.set_random_seed(seed % 2**32)
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def count_steps(context: Context, epochs: float) -> int:
    """The number of optimizer steps in ``epochs`` passes (may be fractional) over the training data, rounded up."""
    samples = len(context.x_train)
    return math.ceil(epochs * samples / min(context.batch_size, samples)) if samples else 0


@dataclasses.dataclass(frozen=True)
class TrainingHooks:
    """Callbacks and masks that a step adds to its training.

    ``callbacks`` are Keras callbacks; only ``on_train_begin``, ``on_epoch_end`` (once, after the last step) and
    ``on_train_end`` are called. ``masks`` are (variable, 0/1 array) pairs: the variable is multiplied by its mask after
    every step, so zeros stay zero.
    """

    callbacks: Sequence[Any] = ()
    masks: Sequence[tuple[Any, np.ndarray]] = ()


def fit(
    model: Any,
    context: Context,
    *,
    epochs: float,
    learning_rate: float,
    distill: float = 0.0,
    augment: str = NONE,
    hooks: TrainingHooks | None = None,
) -> None:
    """Train ``model`` in place on the context's training data, with Adam and cosine decay (``learning_rate.py``).

    ``distill`` is the weight of the loss towards the baseline's outputs (``context.teacher``); the loss on labels has
    the weight 1 - ``distill``. Batches are slices of consecutive permutations of all samples, drawn from
    ``context.seed``, so all batches are full. Samples may be memory-mapped and of any type; they are cast in small
    parts. ``augment`` names the random views of images (``data/augmentation.py``); with ``distill``, the target of a
    view is the baseline's output for the original image.

    If the user gave a training function (``context.loop``), it does the steps; it does not support distillation.

    Raises ``Refused`` without training data, or for ``distill`` with a training function of the user. Raises
    ``BuildFailed`` if a weight is not finite after training, or if ``distill`` needs outputs that were not kept.
    """
    hooks = hooks or TrainingHooks()
    steps = count_steps(context, epochs)
    if not len(context.x_train):
        raise Refused(
            "this step trains, and there is no training data. Give data with a train split, or leave the step out."
        )
    if distill and context.loop is not None:
        raise Refused("the function of --fit trains on labels only: set distill to 0")
    for callback in hooks.callbacks:
        callback.set_model(model)
        callback.on_train_begin({})
    if steps and context.loop is not None:
        _fit_by_loop(model, context, epochs, learning_rate, augment, hooks)
    elif steps:
        with _fast_statistics(model, steps):
            if distill and context.teacher is None:
                raise BuildFailed(
                    "the baseline's outputs are not kept (too large, or no training data): set distill to 0"
                )
            step = _step(model, _loss(context, distill), cosine_decay(learning_rate, steps), hooks.masks)
            _run(model, context, steps, step, augment, _targets(model, context, distill))
    for callback in hooks.callbacks:
        callback.on_epoch_end(max(0, math.ceil(epochs) - 1), {})
        callback.on_train_end({})
    _check_finite(model, steps, learning_rate)


def _check_finite(model: Any, steps: int, learning_rate: float) -> None:
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise BuildFailed(
            f"training diverged: after {steps} steps with learning rate {learning_rate:g} some weights are not finite. "
            "A smaller learning rate may help."
        )


def _fit_by_loop(
    model: Any, context: Context, epochs: float, learning_rate: float, augment: str, hooks: TrainingHooks
) -> None:
    import tf_keras

    steps = count_steps(context, epochs)
    optimizer = tf_keras.optimizers.Adam(cosine_decay(learning_rate, steps))
    with _fast_statistics(model, steps):
        run_loop(model, context, epochs, optimizer, augment, hooks.callbacks, hooks.masks)


@contextlib.contextmanager
def _fast_statistics(model: Any, steps: int) -> Iterator[None]:
    """Lower the momentum of batch normalizations so that a short training averages over about its last tenth.

    With the default momentum of 0.99, a third of the statistics after 100 steps still comes from the weights before
    pruning.
    """
    import tf_keras

    limit = 1 - 1 / max(10, steps / 10)
    layers = [getattr(layer, "layer", layer) for layer in model.layers]
    slow = [each for each in layers if isinstance(each, tf_keras.layers.BatchNormalization) and each.momentum > limit]
    kept = [layer.momentum for layer in slow]
    for layer in slow:
        layer.momentum = limit
    try:
        yield
    finally:
        for layer, momentum in zip(slow, kept, strict=True):
            layer.momentum = momentum


def _targets(model: Any, context: Context, distill: float) -> list[np.ndarray]:
    """The arguments of the loss besides the outputs, as arrays (n, ...): labels, the baseline's outputs, weights."""
    given = (context.teacher if distill else None, context.w_train)
    y = context.y_train if is_packed(context.y_train) else like_outputs(context.y_train, model.outputs[0].shape)
    return [y, *(part for part in given if part is not None)]


def _loss(context: Context, distill: float) -> Callable[..., Any]:
    """The loss as a function of (outputs, *targets) that returns a scalar."""
    load()
    import tf_keras

    hard, soft = (tf_keras.losses.get(loss) for loss in (context.loss, context.soft_loss))

    def loss(outputs: Any, y: Any, *others: Any) -> Any:
        weights = None if context.w_train is None else others[-1]
        parts = []
        if distill < 1:
            parts.append((1 - distill) * mean_loss(hard, y, outputs, weights))
        if distill > 0:
            parts.append(distill * mean_loss(soft, others[0], outputs, weights))
        return sum(parts)

    return loss


def _step(
    model: Any, loss_of: Callable[..., Any], schedule: Any, masks: Sequence[tuple[Any, np.ndarray]]
) -> Callable[..., None]:
    """A function that does one optimizer step on a batch (x, *targets)."""
    tf = load()
    import tf_keras

    optimizer = tf_keras.optimizers.Adam(schedule)
    optimizer.build(model.trainable_variables)
    kept = [(variable, tf.constant(mask, variable.dtype)) for variable, mask in masks]

    def step(x: Any, *targets: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(model(x, training=True), *targets)
            if model.losses:
                loss += tf.add_n(model.losses)
        variables = model.trainable_variables
        pairs = [pair for pair in zip(tape.gradient(loss, variables), variables, strict=True) if pair[0] is not None]
        optimizer.apply_gradients(pairs)
        for variable, mask in kept:
            variable.assign(variable * mask)

    return step


def _run(
    model: Any, context: Context, steps: int, step: Callable[..., None], augment: str, targets: Sequence[np.ndarray]
) -> None:
    """Run ``steps`` optimizer steps, many in each call of a compiled function."""
    advance, most = _compiled(model, context, step, augment, targets)
    order = _order(context, steps)
    for start in range(0, steps, most):
        advance(order[start : start + most])


def _compiled(
    model: Any, context: Context, step: Callable[..., None], augment: str, targets: Sequence[np.ndarray]
) -> tuple[Callable[[np.ndarray], None], int]:
    """A function that runs a step for each row of sample indices (steps, batch), and the maximum number of rows."""
    tf = load()
    batch = min(context.batch_size, len(context.x_train))

    def run(x: Any, *targets: Any) -> None:
        for index in tf.range(tf.shape(tf.nest.flatten(x)[0])[0]):
            step(*tf.nest.map_structure(operator.itemgetter(index), (x, *targets)))

    def described(part: Any) -> Any:
        return tf.TensorSpec((None, batch, *part.shape[1:]), part.dtype)

    first = (feed(model, context.x_train[:1]), *(by_name(part[:1]) for part in targets))
    compiled = tf.function(run, input_signature=tf.nest.map_structure(described, first))
    given = samples_of(model, context, augment, targets, sample_bytes(first))
    most = max(1, min(_CALL_STEPS, _CALL_BYTES // max(1, batch * sample_bytes(first[0]))))
    return lambda chosen: compiled(*given(chosen)), most


def _order(context: Context, steps: int) -> np.ndarray:
    """Sample indices (steps, batch): one shuffled pass over all samples after the other."""
    samples = len(context.x_train)
    batch = min(context.batch_size, samples)
    generator = np.random.default_rng(context.seed)
    passes = [generator.permutation(samples) for _ in range(math.ceil(steps * batch / samples))]
    return np.concatenate(passes)[: steps * batch].reshape(steps, batch)


def seconds_per_step(model: Any, context: Context) -> float:
    """The seconds that a step of ``fit`` takes, without tracing of the graph. Trained weights do not change."""
    step = _step(model, _loss(context, 0.0), 0.0, ())
    advance, most = _compiled(model, context, step, NONE, _targets(model, context, 0.0))
    advance(_order(context, 1))  # traces the graph
    for steps in (min(most, steps) for steps in TIMED_STEPS):
        started = time.perf_counter()
        advance(_order(context, steps))
        seconds = time.perf_counter() - started
        if seconds > SHORT_SECONDS:
            break
    return seconds / steps
