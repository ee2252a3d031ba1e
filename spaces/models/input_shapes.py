"""The input shapes of a model: any batch size, because everything runs sample by sample, and fixed sample sizes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import parts
from litetuner.spaces.errors import ModelError, keras_error_text
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.models.keras_graph import all_layers
from litetuner.spaces.models.loading.traced import TracedModel
from litetuner.spaces.models.signature import call, input_tensors
from litetuner.spaces.tf import load

Shape = tuple[int | None, ...]


def free_batch(model: Any, source: str) -> Any:
    """A model (Keras 3 or tf_keras, with a graph) that accepts any batch size: ``model`` itself or a copy.

    The copy has equal weights. Raises ``ModelError`` if layers keep state between calls, or the graph itself depends on
    the batch size.
    """
    size = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0] is not None), None)
    remembering = [layer.name for layer in all_layers(model) if getattr(layer, "stateful", False) is True]
    if remembering:
        raise ModelError(
            f"{source}: layer {remembering[0]!r} is stateful: its output depends on earlier calls, and every call of a "
            ".tflite starts from zero. Build the model with stateful=False and give it these weights: "
            "free.set_weights(model.get_weights())."
        )
    if size is None:
        return model
    try:
        copy = _copy(model, [tuple(tensor.shape[1:]) for tensor in model.inputs])
        fixed = [tensor for tensor in copy.outputs if tensor.shape[0] is not None]
        why = "" if not fixed else f"its output then still has shape {tuple(fixed[0].shape)}"
    except Exception as error:  # layers and operators may raise any exception
        copy, why = None, keras_error_text(error)
    if copy is None or why:
        raise ModelError(
            f"{source}: the model was built for batches of {size}, a .tflite runs on single samples, and the model cannot be "
            f"built without that size: {why.rstrip('.')}. Build it with keras.Input(shape) and shapes such as (-1, ...) inside."
        )
    return copy


def fix_sizes(model: Any, shapes: Mapping[str, Sequence[int | None]] | None, source: str) -> Any:
    """A model that accepts samples of known sizes only: ``model`` itself, or a copy for the sizes in ``shapes``.

    The copy has equal weights. ``shapes`` has the shape of each input by name, with the batch axis, as the data have
    it; ``None`` without data. A file for a fixed size is smaller and faster, and quantization needs it. Raises
    ``ModelError`` if the sizes stay unknown, or the model cannot be built for them.
    """
    inputs = input_tensors(model)
    if not any(None in tensor.shape[1:] for tensor in inputs):  # keras.Input((None, None, 3)) has unknown sizes
        return model
    known = [tuple((shapes or {}).get(tensor.name, tensor.shape))[1:] for tensor in inputs]
    if any(None in shape for shape in known):
        tensor = next(tensor for tensor in inputs if None in tensor.shape[1:])
        raise ModelError(
            f"{source}: the input shape {tensor.shape} of {tensor.name!r} has unknown sizes. Add --data: the sizes are then "
            f"those of its samples. Or fix them: inputs = keras.Input({tuple(size or 224 for size in tensor.shape[1:])}); "
            "keras.Model(inputs, model(inputs)).save('fixed.keras')."
        )
    try:
        if isinstance(model, TracedModel):
            return _traced(model, known)
        return _copy(model, known)
    except Exception as error:  # layers and operators may raise any exception
        shapes_of_data = ", ".join(f"{tensor.name} {shape}" for tensor, shape in zip(inputs, known, strict=True))
        raise ModelError(
            f"{source}: the model takes inputs of any size, and cannot be built for that of the data ({shapes_of_data}): "
            f"{keras_error_text(error)}"
        ) from error


def sample_shapes(tensors: Sequence[TensorInfo], samples: np.ndarray) -> dict[str, Shape]:
    """The shapes of stored samples (n, ...) with the batch axis, by input name."""
    return {tensor.name: (None, *part.shape[1:]) for tensor, part in zip(tensors, parts(samples), strict=True)}


def _traced(model: TracedModel, shapes: Sequence[Shape]) -> TracedModel:
    inputs = tuple(
        dataclasses.replace(tensor, shape=(None, *shape)) for tensor, shape in zip(model.inputs, shapes, strict=True)
    )
    tf = load()
    zeros = [tf.zeros((model.batch or 1, *tensor.shape[1:]), tf.as_dtype(tensor.dtype)) for tensor in inputs]
    found = [np.shape(output)[1:] for output in call(model, zeros)]
    outputs = tuple(
        dataclasses.replace(tensor, shape=(None, *shape)) for tensor, shape in zip(model.outputs, found, strict=True)
    )
    return dataclasses.replace(model, inputs=inputs, outputs=outputs)


def _copy(model: Any, shapes: Sequence[Shape]) -> Any:
    """The same layers, names and weights, with new inputs: any batch size, and samples of these shapes."""
    import keras
    import tf_keras

    library = tf_keras if isinstance(model, tf_keras.Model) else keras
    names = [str(tensor.name).split(":")[0] for tensor in model.inputs]
    inputs = [
        library.Input(shape, dtype=tensor.dtype, name=name)
        for name, tensor, shape in zip(names, model.inputs, shapes, strict=True)
    ]
    if isinstance(model, (keras.Sequential, tf_keras.Sequential)):
        layers = [type(layer).from_config(layer.get_config()) for layer in model.layers]
        copy = library.Sequential([inputs[0], *layers], name=model.name)
    else:
        pack = keras.tree.pack_sequence_as if library is keras else load().nest.pack_sequence_as
        copy = library.models.clone_model(model, input_tensors=pack(model.input, inputs))
    copy.set_weights(model.get_weights())
    return copy
