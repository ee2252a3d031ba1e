"""Models that were built for one batch size: the same model for any size, since all work here goes sample by sample."""

from __future__ import annotations

from typing import Any

from litetuner.spaces.errors import ModelError, told_by_keras
from litetuner.spaces.tf import load


def free_batch(model: Any, source: str) -> Any:
    """``model`` (Keras 3 or tf_keras, with a graph) itself where its batch is free, else a copy of equal weights whose batch is.

    Raises ``ModelError`` where layers remember from one call to the next, or the graph itself counts on the size.
    """
    size = next((tensor.shape[0] for tensor in model.inputs if tensor.shape[0] is not None), None)
    remembering = [layer.name for layer in _flat(model) if getattr(layer, "stateful", False) is True]
    if remembering:
        raise ModelError(
            f"{source}: layer {remembering[0]!r} is stateful: what it gives depends on the calls before, and every call of a "
            ".tflite begins anew. Build the model with stateful=False and give it these weights: "
            "free.set_weights(model.get_weights())."
        )
    if size is None:
        return model
    try:
        copy = _copy(model)
        fixed = [tensor for tensor in copy.outputs if tensor.shape[0] is not None]
        why = "" if not fixed else f"its output then still has shape {tuple(fixed[0].shape)}"
    except Exception as error:  # layers and operators raise what they like
        copy, why = None, told_by_keras(error)
    if copy is None or why:
        raise ModelError(
            f"{source}: the model was built for batches of {size}, a .tflite runs on single samples, and the model cannot be "
            f"built without that size: {why.rstrip('.')}. Build it with keras.Input(shape) and shapes such as (-1, ...) inside."
        )
    return copy


def _flat(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def _copy(model: Any) -> Any:
    """The same layers, names and weights between inputs that have no batch size."""
    import keras
    import tf_keras

    library = tf_keras if isinstance(model, tf_keras.Model) else keras
    names = [str(tensor.name).split(":")[0] for tensor in model.inputs]
    inputs = [
        library.Input(tuple(tensor.shape[1:]), dtype=tensor.dtype, name=name)
        for name, tensor in zip(names, model.inputs, strict=True)
    ]
    if isinstance(model, (keras.Sequential, tf_keras.Sequential)):
        layers = [type(layer).from_config(layer.get_config()) for layer in model.layers]
        copy = library.Sequential([inputs[0], *layers], name=model.name)
    else:
        pack = keras.tree.pack_sequence_as if library is keras else load().nest.pack_sequence_as
        copy = library.models.clone_model(model, input_tensors=pack(model.input, inputs))
    copy.set_weights(model.get_weights())
    return copy
