"""Folding: batch normalizations are merged into the layers before them.

The model computes the same function with fewer weights, which are already scaled.

The converter folds them too, but after clustering. The scale of each channel then turns every shared value into a
different one.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from litetuner.spaces.models.keras_graph import call_arguments, call_outputs, nodes
from litetuner.spaces.tf import load

# The output channel axes of the kernel, counted from the end. A depthwise kernel has two: inputs and multiplier.
_AXES = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "Dense"), (1,)),
    "DepthwiseConv2D": (2, 1),
    "Conv2DTranspose": (2,),
}


def foldable(model: Any) -> dict[str, str]:
    """Batch normalization -> the layer that it can be folded into, in a flat functional tf_keras model.

    That layer has no activation, is called once, and its output has no other use. A normalization that produces a model
    output stays, because the output would lose its name.
    """
    outputs = set(model.output_names)
    found = {}
    for layer in model.layers:
        before = linear_before(layer, _AXES) if is_normalization(layer) and layer.name not in outputs else None
        if before is None or before.name in outputs or len(before.inbound_nodes) != 1:
            continue
        last = list(layer.axis) == [len(layer.inbound_nodes[0].output_shapes) - 1]
        if last and getattr(before, "data_format", "channels_last") == "channels_last":
            found[layer.name] = before.name
    return found


def is_normalization(layer: Any) -> bool:
    """True for a batch normalization."""
    return type(layer).__name__ in ("BatchNormalization", "SyncBatchNormalization")


def linear_before(layer: Any, kinds: Collection[str]) -> Any | None:
    """The layer before ``layer`` if it has one of the types ``kinds`` and no activation; else ``None``.

    ``layer`` must be called only once, and must be the only one that uses the output of that layer.
    """
    before: Any = layer.inbound_nodes[0].inbound_layers if len(layer.inbound_nodes) == 1 else None
    if type(before).__name__ not in kinds or len(before.outbound_nodes) != 1:
        return None
    return before if before.activation is None or before.activation.__name__ == "linear" else None


def fold(model: Any) -> Any:
    """A copy without the normalizations in ``foldable``, equal except for float32 rounding."""
    load()
    import tf_keras

    pairs = foldable(model)
    into = {layer: normalization for normalization, layer in pairs.items()}
    made: dict[str, Any] = {}

    def twin(layer: Any) -> Any:
        if layer.name not in made:
            bias = {"use_bias": True} if layer.name in into else {}
            made[layer.name] = type(layer).from_config(layer.get_config() | bias)
        return made[layer.name]

    tensors = {
        id(item): tf_keras.Input(tuple(item.shape[1:]), dtype=item.dtype, name=item.node.layer.name)
        for item in model.inputs
    }
    inputs = [tensors[id(item)] for item in model.inputs]
    for node in nodes(model):
        args, kwargs = call_arguments(node, tensors)
        result = args[0] if node.layer.name in pairs else twin(node.layer)(*args, **kwargs)
        flat = load().nest.flatten(result)
        tensors |= {id(item): value for item, value in zip(call_outputs(node), flat, strict=True)}
    folded = tf_keras.Model(inputs, [tensors[id(item)] for item in model.outputs], name=model.name)
    for name, layer in made.items():
        source = model.get_layer(name)
        layer.set_weights(_scaled(source, model.get_layer(into[name])) if name in into else source.get_weights())
    return folded


def _scaled(layer: Any, normalization: Any) -> list[np.ndarray]:
    """Kernel and bias for a layer that includes the normalization after it, computed in double precision."""
    kernel, *bias = (value.astype(np.float64) for value in layer.get_weights())
    mean, variance = (
        value.numpy().astype(np.float64) for value in (normalization.moving_mean, normalization.moving_variance)
    )
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.gamma is not None:
        scale = scale * normalization.gamma.numpy()
    shift = ((bias[0] if bias else 0.0) - mean) * scale
    if normalization.beta is not None:
        shift = shift + normalization.beta.numpy()
    axes = _AXES[type(layer).__name__]
    shape = [size if kernel.ndim - axis in axes else 1 for axis, size in enumerate(kernel.shape)]
    return [(kernel * scale.reshape(shape)).astype(np.float32), shift.astype(np.float32)]
