"""Importance of channels of a float ``.tflite``: the error that remains after refitting the layers that read them."""

import math
from typing import Any

import numpy as np

from litetuner.spaces.channels.cost import ChannelCost, Term
from litetuner.spaces.channels.elimination import Elimination, one_by_one
from litetuner.spaces.channels.tflite.tracing import FileChannels
from litetuner.spaces.reconstruction.activations import Walk, input_values
from litetuner.spaces.reconstruction.hessian import damped, squared_error
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight, write_weight
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import ints, pack_model, read_model

WEIGHT = 1  # the position of a layer's weight among its inputs
SAMPLES = 512
PLACES = 32  # output positions of a layer per sample
PROBED = 64  # samples to measure how much noise in a layer changes the outputs
NOISE = 0.1  # standard deviation of this noise, as a share of the kernel's standard deviation


def importances(file: bytes, channels: FileChannels, samples: np.ndarray, seed: int) -> np.ndarray:
    """Importance by channel id; ``eliminations`` does the same for tf_keras models.

    The error of a layer is weighted by the squared error that noise in its kernel causes at the outputs. If no layer
    that can be solved for reads a channel, its importance is its share of the group's L1 norm.
    """
    states = _states(file, channels, samples[:SAMPLES], seed)
    scores = _norms(file, channels)
    for group in channels.groups:
        reading = [state for state in states if np.isin(group.channels, state.inputs).any()]
        if group.pinned is None and reading:
            scores[group.channels] = one_by_one(group.channels, reading)
    return scores


def file_cost(file: bytes, channels: FileChannels) -> ChannelCost:
    """The MACs of the convolutions and dense layers of a file, for any choice of its channels."""
    model = read_model(file)
    graph, terms = model.subgraphs[0], []
    for layer in layers_of(model):
        at = [axis for axis in range(len(layer.shape)) if (layer.operator, WEIGHT, axis) in channels.constants]
        sides = {axis: channels.constants[layer.operator, WEIGHT, axis] for axis in at}
        if sides:
            (result,) = ints(graph.operators[layer.operator].outputs)
            uses = math.prod(ints(graph.tensors[result].shape)[:-1])
            fixed = math.prod(size for axis, size in enumerate(layer.shape) if axis not in sides)
            terms.append(Term(uses * fixed, tuple(channels.roots[numbers] for numbers in sides.values())))
    return ChannelCost(terms)


def feature_numbers(channels: FileChannels, layer: Layer) -> np.ndarray | None:
    """The channel number of each feature of a layer with a single map; ``None`` if it has several maps."""
    numbers = channels.constants.get((layer.operator, WEIGHT, len(layer.shape) - 1))
    if layer.groups > 1 or layer.blocks > 1 or layer.kind == "DEPTHWISE_CONV_2D" or numbers is None:
        return None
    return np.tile(numbers, layer.features // len(numbers))


def _states(file: bytes, channels: FileChannels, samples: np.ndarray, seed: int) -> list[Elimination]:
    model = read_model(file)
    free = np.concatenate([np.zeros(0, np.int64), *(g.channels for g in channels.groups if g.pinned is None)])
    walk, found = Walk(model, input_values(model, samples)), []
    shown = samples[:PROBED]
    expected = last_values(model, shown)
    for layer in layers_of(model):
        numbers = feature_numbers(channels, layer)
        if numbers is None or not np.isin(channels.roots[numbers], free).any():
            continue
        walk.advance(layer.operator)
        x = walk.values[layer.source]
        random = np.random.default_rng([seed, layer.operator])
        rows = layer.rows(x.reshape(-1, *x.shape[2:]), PLACES * len(x), random)
        rows = rows - rows.mean(axis=1, keepdims=True)
        covariance = damped((rows.transpose(0, 2, 1) @ rows).astype(np.float64) / rows.shape[1])
        kernel, bias = read_weight(model, layer)
        noise = NOISE * kernel.std() * random.standard_normal(kernel.shape)
        changed = read_model(file)
        write_weight(changed, layer, kernel + noise, bias)
        there = sum(float(np.sum((a - b) ** 2)) for a, b in zip(last_values(changed, shown), expected, strict=True))
        here = squared_error(noise, covariance)
        weight = math.sqrt(there / here) if here > 0 else 0.0
        found.append(Elimination(channels.roots[numbers], covariance[0], weight * kernel[0]))
    return found


def last_values(model: Any, samples: np.ndarray) -> list[np.ndarray]:
    """The outputs of a float file in float64 before a final softmax or sigmoid: saturated outputs hide differences."""
    model = read_model(pack_model(model))
    walk = Walk(model, input_values(model, samples))
    operators = operators_of(model)
    walk.advance(len(operators) - (operators[-1].name in ("SOFTMAX", "LOGISTIC")))
    return [value.astype(np.float64) for value in walk.values.values()]


def _norms(file: bytes, channels: FileChannels) -> np.ndarray:
    """The L1 norm of the weights that create each channel, as a share of its group's total."""
    model, found = read_model(file), np.zeros(len(channels.roots))
    for layer in layers_of(model):
        axis = len(layer.shape) - 1 if layer.kind == "DEPTHWISE_CONV_2D" else 0
        numbers = channels.constants.get((layer.operator, WEIGHT, axis))
        if numbers is not None:
            kernel = np.abs(layer.weights(read_weight(model, layer)[0]))
            np.add.at(
                found, channels.roots[numbers], np.moveaxis(kernel, axis, 0).reshape(layer.outputs, -1).sum(axis=1)
            )
    for group in channels.groups:
        found[group.channels] /= found[group.channels].sum() or 1.0
    return found
