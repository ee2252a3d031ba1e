"""Which models can be searched: what was loaded, checked and traced where it has no graph."""

from __future__ import annotations

from typing import Any

from litetuner.spaces.errors import ModelError
from litetuner.spaces.models.input_shapes import free_batch
from litetuner.spaces.models.keras_graph import has_graph
from litetuner.spaces.models.loading.traced import TracedModel, trace_subclassed
from litetuner.spaces.models.signature import input_tensors


def checked_model(model: Any, source: str) -> Any:
    """The model, traced where it has no graph. Refuses what cannot be searched: text, quantized layers."""
    import keras
    import tf_keras

    if not isinstance(model, (keras.Model, tf_keras.Model, TracedModel)):
        raise ModelError(f"{source} gave a {type(model).__name__}, and a Keras model is needed.")
    if isinstance(model, (keras.Sequential, tf_keras.Sequential)):
        if not model.built or not has_graph(model):
            raise ModelError(
                f"{source}: the model was never built, so its input shape is not known. Start it with keras.Input(shape), "
                "or call it on a batch before you save it."
            )
    elif not isinstance(model, TracedModel) and not has_graph(model):
        model = trace_subclassed(model, source)
    if not isinstance(model, TracedModel):
        model = free_batch(model, source)
    for tensor in input_tensors(model):
        if tensor.dtype == "string":
            raise ModelError(
                f"{source}: input {tensor.name!r} takes text, which TensorFlow Lite's built-in operators cannot read. Cut the "
                "model behind its TextVectorization (or StringLookup, Hashing): give keras.Model(that_layer.output, outputs), "
                "and data of numbers."
            )
    for layer in model.layers:
        _check_layer(layer, source)
    return model


def _check_layer(layer: Any, source: str) -> None:
    if type(layer).__name__ in ("IntegerLookup", "StringLookup", "TextVectorization", "Hashing"):
        raise ModelError(
            f"{source}: layer {layer.name!r} ({type(layer).__name__}) looks values up in a table or hashes them, for which "
            "TensorFlow Lite has no built-in operators. Cut it off: give keras.Model(that_layer.output, outputs), "
            "and data that went through the layer."
        )
    if getattr(layer, "quantization_mode", None):
        raise ModelError(
            f"{source}: layer {layer.name!r} is already quantized. Give the float model that it was made from."
        )
    policy = getattr(getattr(layer, "dtype_policy", None), "name", "float32")
    if policy in ("float16", "bfloat16", "float64") and layer.weights:
        raise ModelError(
            f"{source}: layer {layer.name!r} holds {policy} weights, and compression starts from float32 ones. Build the "
            "model without that dtype and give it these weights: model32.set_weights(model.get_weights())."
        )
