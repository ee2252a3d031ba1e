"""Inputs and outputs of a model by name, for all kinds of models: Keras 3, tf_keras, or a traced function."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import parts
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.models.keras_graph import functional
from litetuner.spaces.tf import load

FEWEST_SAMPLES, MOST_SAMPLES = 64, 256  # in a batch
BATCH_BYTES = 1 << 22  # of the inputs of a batch


def input_tensors(model: Any) -> tuple[TensorInfo, ...]:
    """The inputs in the order in which the model was created."""
    names = [str(tensor.name).split(":")[0] for tensor in model.inputs]
    return _tensors(names, model.inputs)


def output_tensors(model: Any) -> tuple[TensorInfo, ...]:
    """The outputs in order, named by the layers that produce them; further outputs of a layer get a number."""
    names = [str(name).removeprefix("quant_") for name in functional(model).output_names]
    return _tensors(names, model.outputs)


def _tensors(names: Sequence[str], tensors: Sequence[Any]) -> tuple[TensorInfo, ...]:
    taken: list[str] = []
    for wanted in names:
        # The names become names of TensorFlow tensors, which allow fewer characters.
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
    """The inference outputs in order, for inputs (n, *sample) in order."""
    import tf_keras

    if hasattr(model, "call_flat"):
        return list(model.call_flat(inputs))
    if isinstance(model, tf_keras.Model):
        nest = load().nest
        given = nest.pack_sequence_as(model.input, list(inputs)) if hasattr(model, "input") else inputs[0]
        return list(nest.flatten(model(given, training=False)))
    import keras

    # A model may have been created with ``[input]`` or ``{"name": input}``; its outputs then have that structure.
    given = keras.tree.pack_sequence_as(functional(model).input, list(inputs))
    return list(keras.tree.flatten(model(given, training=False)))


def feed(model: Any, rows: np.ndarray) -> Any:
    """Samples (n, ...), structured for several inputs, as input for a tf_keras model."""
    tf = load()
    pairs = zip(parts(np.asarray(rows)), model.inputs, strict=True)
    given = [tf.constant(np.asarray(part, tensor.dtype.as_numpy_dtype)) for part, tensor in pairs]
    return given[0] if len(given) == 1 else given


def usual_batch(model: Any, x: Sequence[np.ndarray]) -> int:
    """The batch size for a model: the fixed size that it has, or else one that depends on the size of a sample.

    A call of a MobileNet in Keras takes 0.1 s, both for 32 images of 32x32 pixels and for 300.
    """
    sample = sum(part[:1].size for part in x) * np.dtype(np.float32).itemsize
    return getattr(model, "batch", None) or min(MOST_SAMPLES, max(FEWEST_SAMPLES, BATCH_BYTES // max(1, sample)))


def predict(model: Any, x: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs (n, ...) in order as float32, for inputs (n, *sample) in order, computed batch by batch."""
    found, batch = [], usual_batch(model, x)
    for start in range(0, len(x[0]), batch):
        given = [
            cast(part[start : start + batch], tensor) for part, tensor in zip(x, input_tensors(model), strict=True)
        ]
        found.append([np.asarray(output, np.float32) for output in call(model, given)])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def cast(x: np.ndarray, tensor: TensorInfo) -> Any:
    """Samples as a tensor with the type of the input."""
    tf = load()
    return tf.constant(np.asarray(x, tf.as_dtype(tensor.dtype).as_numpy_dtype))
