"""Inputs and outputs of a model by name, whatever kind of model it is: Keras 3, tf_keras, or a traced function."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import parts
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.models.keras_graph import functional
from litetuner.spaces.tf import load

FEWEST_SAMPLES, MOST_SAMPLES = 64, 256  # of a batch
BATCH_BYTES = 1 << 22  # of inputs


def input_tensors(model: Any) -> tuple[TensorInfo, ...]:
    """The inputs in the order in which the model was made of them."""
    names = [str(tensor.name).split(":")[0] for tensor in model.inputs]
    return _tensors(names, model.inputs)


def output_tensors(model: Any) -> tuple[TensorInfo, ...]:
    """The outputs in order, named by the layers that give them (a second one of a layer by a number behind)."""
    names = [str(name).removeprefix("quant_") for name in functional(model).output_names]
    return _tensors(names, model.outputs)


def _tensors(names: Sequence[str], tensors: Sequence[Any]) -> tuple[TensorInfo, ...]:
    taken: list[str] = []
    for wanted in names:
        # Names become those of TensorFlow's tensors, which may hold fewer characters.
        plain = re.sub(r"[^A-Za-z0-9_.\-/]", "_", wanted)
        name, number = plain, 1
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.append(name)
    pairs = zip(taken, tensors, strict=True)
    return tuple(
        TensorInfo(name, (None, *tuple(tensor.shape)[1:]), str(getattr(tensor.dtype, "name", tensor.dtype)))
        for name, tensor in pairs
    )


def call(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of inference, in order, for inputs (n, *sample) in order."""
    import tf_keras

    if hasattr(model, "call_flat"):
        return list(model.call_flat(inputs))
    if isinstance(model, tf_keras.Model):
        nest = load().nest
        given = nest.pack_sequence_as(model.input, list(inputs)) if hasattr(model, "input") else inputs[0]
        return list(nest.flatten(model(given, training=False)))
    import keras

    # A model may have been made from ``[input]`` or ``{"name": input}``; its outputs then come the same way.
    given = keras.tree.pack_sequence_as(functional(model).input, list(inputs))
    return list(keras.tree.flatten(model(given, training=False)))


def feed(model: Any, rows: np.ndarray) -> Any:
    """Samples (n, ...), structured for several inputs, as what a tf_keras model is called with."""
    tf = load()
    pairs = zip(parts(np.asarray(rows)), model.inputs, strict=True)
    given = [tf.constant(np.asarray(part, tensor.dtype.as_numpy_dtype)) for part, tensor in pairs]
    return given[0] if len(given) == 1 else given


def usual_batch(model: Any, x: Sequence[np.ndarray]) -> int:
    """How many samples a model is given at once: what it was made for, else many small ones.

    A call of a MobileNet takes 0.1 s in Keras, whether for 32 images of 32x32 or for 300.
    """
    sample = sum(part[:1].size for part in x) * np.dtype(np.float32).itemsize
    return getattr(model, "batch", None) or min(MOST_SAMPLES, max(FEWEST_SAMPLES, BATCH_BYTES // max(1, sample)))


def predict(model: Any, x: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs (n, ...) in order as float32, for inputs (n, *sample) in order, batch by batch."""
    found, batch = [], usual_batch(model, x)
    for start in range(0, len(x[0]), batch):
        given = [
            cast(part[start : start + batch], tensor) for part, tensor in zip(x, input_tensors(model), strict=True)
        ]
        found.append([np.asarray(output, np.float32) for output in call(model, given)])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def cast(x: np.ndarray, tensor: TensorInfo) -> Any:
    """Samples as a tensor of the input's type."""
    tf = load()
    return tf.constant(np.asarray(x, tf.as_dtype(tensor.dtype).as_numpy_dtype))
