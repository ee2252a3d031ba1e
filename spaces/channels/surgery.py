"""Removes channels from a tf_keras model: the same layers with fewer channels and the remaining weights."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.spaces.channels.groups import Call, ChannelGraph
from litetuner.spaces.channels.layer_rules import KERNELS
from litetuner.spaces.errors import BuildFailed


def cut(model: Any, graph: ChannelGraph, kept: np.ndarray) -> Any:
    """A copy of ``model`` with only the channels ``kept`` (by id, true or false).

    Layers keep their names, order and settings. ``graph`` is the model's channel graph. Raises ``BuildFailed`` if a
    width is not the planned one.
    """
    import tf_keras

    calls = graph.layers()

    def narrow(layer: Any) -> Any:
        return type(layer).from_config(_settings(layer, calls.get(layer.name), graph, kept))

    copy = tf_keras.models.clone_model(model, clone_function=narrow)
    for layer in model.layers:
        twin = copy.get_layer(layer.name)
        values = list(_weights(layer, calls.get(layer.name), graph, kept))
        wanted, found = ([tuple(value.shape) for value in side] for side in (values, twin.weights))
        if wanted != found:
            raise BuildFailed(f"channels: the weights of {layer.name} should have shapes {wanted}, and have {found}")
        twin.set_weights(values)
    _check(model, copy, graph, kept)
    return copy


def _settings(layer: Any, call: Call | None, graph: ChannelGraph, kept: np.ndarray) -> dict[str, Any]:
    settings: dict[str, Any] = layer.get_config()
    if call is None or not call.understood:
        return settings
    kind = type(layer).__name__
    kernels = KERNELS.get(kind)
    remaining = graph.remaining(call.heads if kernels is not None and kernels.heads else call.output, kept)
    if kernels is not None and kernels.width is not None:
        return settings | {kernels.width: len(remaining)}
    return settings | SETTINGS[kind](settings, remaining) if kind in SETTINGS else settings


def _target_shape(settings: dict[str, Any], remaining: np.ndarray) -> dict[str, Any]:
    *others, last = settings["target_shape"]
    return {"target_shape": (*others, last if last == -1 else len(remaining))}


def _scales(settings: dict[str, Any], remaining: np.ndarray) -> dict[str, Any]:
    values = {name: np.asarray(settings[name]) for name in ("scale", "offset")}
    return {name: value[remaining].tolist() for name, value in values.items() if value.size > 1}


SETTINGS: dict[str, Callable[[dict[str, Any], np.ndarray], dict[str, Any]]] = {
    "Reshape": _target_shape,
    "Rescaling": _scales,
}


def named_weights(layer: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The layer's weights in its own order, each with its name (``kernel``, ``bias``, ``query/kernel``...)."""
    for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
        yield weight_name(layer, weight), value


def weight_name(layer: Any, weight: Any) -> str:
    """A weight's name within its layer; in a MultiHeadAttention with the part of the layer (``query/kernel``)."""
    parts = weight.name.partition(":")[0].split("/")
    return "/".join(parts[-2:] if type(layer).__name__ == "MultiHeadAttention" else parts[-1:])


def _weights(layer: Any, call: Call | None, graph: ChannelGraph, kept: np.ndarray) -> Iterator[np.ndarray]:
    kernels = KERNELS.get(type(layer).__name__)
    for name, value in named_weights(layer):
        axes = kernels.axes.get(name, {}) if kernels and call is not None and call.understood else {}
        for from_end, side in axes.items():
            axis = value.ndim - from_end
            numbers = call.side(side)  # type: ignore[union-attr]  # axes are empty without a call
            if value.shape[axis] == len(numbers):  # otherwise the size is 1: a slope of PReLU for all channels
                value = np.take(value, graph.remaining(numbers, kept), axis=axis)
        yield value


def _check(model: Any, copy: Any, graph: ChannelGraph, kept: np.ndarray) -> None:
    planned: dict[str, list[int]] = {}
    for call in graph.calls:
        if call.understood:
            planned.setdefault(call.layer.name, []).append(len(graph.remaining(call.output, kept)))
    for name, widths in planned.items():
        found = [node.outputs.shape[-1] for node in copy.get_layer(name).inbound_nodes]
        if sorted(found) != sorted(widths):
            raise BuildFailed(f"channels: {name} has {found} channels, and {widths} were planned")
    for before, after in zip(model.inputs + model.outputs, copy.inputs + copy.outputs, strict=True):
        if tuple(before.shape) != tuple(after.shape):
            raise BuildFailed(f"channels: an input or output of the model changed from {before.shape} to {after.shape}")
