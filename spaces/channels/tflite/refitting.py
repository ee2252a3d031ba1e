"""Refits a ``.tflite`` with pruned channels: each layer is solved for to reproduce its output in the original file.

The method is He, Zhang and Sun 2017 (arXiv:1707.06168), layer by layer on the outputs of the pruned layers before. The
branch that is added to a shortcut corrects the shortcut's error. If the activation after a layer clips a value, only
the error after clipping counts.
"""

import math
from typing import Any

import numpy as np

from litetuner.spaces.channels.tflite.tracing import FileChannels
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.reconstruction.activations import Walk, input_values
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.patches import chosen_places
from litetuner.spaces.tflite.operators import operators_of
from litetuner.spaces.tflite.schema import ints, pack_model, read_model

# Accuracy with half of the channels, for 512 samples of 32 positions, 512 of 128, 1,024 of 32 and 2,048 of 32:
# ResNet8 0.581, 0.591, 0.604, 0.603; DS-CNN 0.968, 0.967, 0.972, 0.970.
SAMPLES = 1024
PLACES = 32  # output positions of a layer per sample
# Strengths of the ridge towards no change, as shares of the mean variance of the inputs.
STRENGTHS = (
    1e-3,
    1e-2,
    1e-1,
    1.0,
    10.0,
)
# Rounds that solve again for outputs that the activation clips, and the factor by which each step is extended. Accuracy
# of ResNet8, mean of three channel choices and two seeds: 0.729 with 10 rounds and factor 1, 0.726 with 5 rounds and
# factor 1, 0.728 with 5 rounds and factor 1.8, which takes a quarter less time than 10 rounds (2026-11-28).
ROUNDS, STRIDE = 5, 1.8
# Output range of each fused activation, by its number in the TFLite schema.
_FUSED = {0: (-math.inf, math.inf), 1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_ALL = _FUSED[0]
_ACTIVATIONS = {"RELU": _FUSED[1], "RELU_N1_TO_1": _FUSED[2], "RELU6": _FUSED[3]}


def refit(
    original: bytes, narrow: bytes, channels: FileChannels, kept: np.ndarray, samples: np.ndarray, seed: int
) -> bytes:
    """The file ``narrow`` with kernels and biases that best reproduce the layer outputs of ``original`` on ``samples``.

    ``narrow`` has only the ``channels`` ``kept`` of ``original``. Raises ``BuildFailed`` with the name of a layer that
    cannot be solved for.
    """
    before, now = read_model(original), read_model(narrow)
    order = _smallest_first(before)
    for model in (before, now):
        operators = model.subgraphs[0].operators
        model.subgraphs[0].operators = [operators[index] for index in order]
    pair = _Pair(before, now, channels, kept, samples, seed)
    for wide, layer in zip(layers_of(before), layers_of(now), strict=True):
        pair.refit(wide, layer)
    operators = now.subgraphs[0].operators
    now.subgraphs[0].operators = [operators[order.index(index)] for index in range(len(order))]
    return pack_model(now)


def _smallest_first(model: Any) -> list[int]:
    """A valid execution order of all operators: always the one with the smallest kernel of those that can run.

    So a shortcut comes before its branch, and the branch's last kernel corrects the error of their sum.
    """
    graph = model.subgraphs[0]
    found: list[int] = []
    sizes = [math.prod(operator.weight_shape or (0,)) for operator in operators_of(model)]
    made = {index: number for number, node in enumerate(graph.operators) for index in ints(node.outputs)}
    needs = [{made[index] for index in ints(node.inputs) if index in made} for node in graph.operators]
    waiting = list(range(len(sizes)))
    while waiting:
        ready = [number for number in waiting if needs[number].issubset(found)] or waiting
        found.append(min(ready, key=lambda number: (sizes[number], number)))
        waiting.remove(found[-1])
    return found


class _Pair:
    """Runs both files side by side, operator by operator."""

    def __init__(
        self, before: Any, now: Any, channels: FileChannels, kept: np.ndarray, samples: np.ndarray, seed: int
    ) -> None:
        self.before, self.now = before, now
        self.channels, self.kept, self.seed = channels, kept, seed
        self.walks = Walk(before, input_values(before, samples)), Walk(now, input_values(now, samples))
        graph = before.subgraphs[0]
        self.kinds = [operator.name for operator in operators_of(before)]
        self.readers: dict[int, list[int]] = {index: [-1] for index in ints(graph.outputs)}
        for number, node in enumerate(graph.operators):
            for index in ints(node.inputs):
                self.readers.setdefault(index, []).append(number)

    def refit(self, wide: Layer, layer: Layer) -> None:
        for walk in self.walks:
            walk.advance(layer.operator)
        original, read = (
            each.rows(self._values(walk, each.source), self._count(), self._random(layer))
            for each, walk in zip((wide, layer), self.walks, strict=True)
        )
        if layer.blocks > 1 or wide.blocks > 1 or (read.shape == original.shape and np.array_equal(read, original)):
            return
        kernel, bias = read_weight(self.before, wide)
        (result,) = ints(self.before.subgraphs[0].operators[wide.operator].outputs)
        stays = self.channels.remaining(self.channels.tensors[result], self.kept)
        wanted = (original @ kernel.astype(np.float32)).transpose(1, 0, 2).reshape(original.shape[1], -1) + bias
        other, seen = self._behind(wide.operator, result)
        added = np.zeros(1)
        if other >= 0:
            ours, theirs = (self._rows(walk, other, layer) for walk in (self.walks[1], self.walks[0]))
            added, wanted = ours, wanted[:, stays] + theirs[:, stays] - ours
        else:
            wanted = wanted[:, stays]
        maps = (-1, layer.groups, layer.outputs // layer.groups)
        start, _ = read_weight(self.now, layer)
        kernel, bias = _solved(
            read,
            wanted.reshape(maps).transpose(1, 0, 2),
            start,
            added.reshape(maps).transpose(1, 0, 2) if other >= 0 else added,
            seen,
        )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise BuildFailed(
                f"channels: layer {layer.name} cannot be refitted: its weights or its inputs are not finite"
            )
        write_weight(self.now, layer, kernel, bias.ravel())

    def _count(self) -> int:
        return PLACES * len(next(iter(self.walks[0].values.values())))

    def _random(self, layer: Layer) -> np.random.Generator:
        return np.random.default_rng([self.seed, layer.operator])

    def _values(self, walk: Walk, tensor: int) -> np.ndarray:
        x = walk.values[tensor]
        return x.reshape(-1, *x.shape[2:])

    def _rows(self, walk: Walk, tensor: int, layer: Layer) -> np.ndarray:
        """Values (positions, channels) at the layer's sampled positions of a tensor as large as the layer's output."""
        x = self._values(walk, tensor)
        x = x.reshape(-1, x.shape[-1])
        return x[chosen_places(len(x), self._count(), self._random(layer))]

    def _behind(self, operator: int, result: int) -> tuple[int, tuple[float, float]]:
        """The tensor that is added to a layer's output (-1: none is known), and the range that activations clip to."""
        graph = self.before.subgraphs[0]
        own = _fused(graph.operators[operator])
        readers = self.readers.get(result, [-1])
        if own != _ALL or len(readers) != 1 or readers[0] < 0:
            return -1, own
        (reader,) = readers
        node = graph.operators[reader]
        if self.kinds[reader] in _ACTIVATIONS:
            return -1, _ACTIVATIONS[self.kinds[reader]]
        others = [index for index in ints(node.inputs) if index != result]
        known = (
            self.kinds[reader] == "ADD" and len(others) == 1 and all(others[0] in walk.values for walk in self.walks)
        )
        if not known or ints(graph.tensors[others[0]].shape) != ints(graph.tensors[result].shape):
            return -1, _ALL
        seen = _fused(node)
        if seen == _ALL:
            (total,) = ints(node.outputs)
            after = self.readers.get(total, [-1])
            seen = _ACTIVATIONS.get(self.kinds[after[0]], _ALL) if len(after) == 1 and after[0] >= 0 else _ALL
        return others[0], seen


def _fused(node: Any) -> tuple[float, float]:
    return _FUSED.get(int(getattr(node.builtinOptions, "fusedActivationFunction", 0)), _ALL)


def _solved(
    read: np.ndarray, wanted: np.ndarray, start: np.ndarray, added: np.ndarray, seen: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (maps, features, outputs) near ``start`` and bias (maps, outputs) whose outputs are closest to ``wanted``.

    ``read`` is (maps, positions, features). Where ``wanted`` plus ``added`` is clipped to the range ``seen``, every
    output that is clipped to the same end has no error.
    """
    strength = _strength(read, wanted, start)
    fit = _Fit(read)
    kernel, bias = fit.solve(wanted, start, strength)
    total = wanted + added
    low, high = total <= seen[0], total >= seen[1]
    for _ in range(ROUNDS if low.any() or high.any() else 0):
        given = fit.read @ kernel.astype(np.float32) + bias[:, None]
        sums = given + added
        aim = np.where(low, given - np.maximum(sums - seen[0], 0), wanted) if low.any() else wanted
        aim = np.where(high, given - np.minimum(sums - seen[1], 0), aim) if high.any() else aim
        further_kernel, further_bias = fit.solve(aim, kernel, strength)
        kernel, bias = kernel + STRIDE * (further_kernel - kernel), bias + STRIDE * (further_bias - bias)
    return kernel, bias


class _Fit:
    """Ridge regression on rows (maps, positions, features); the ridge is a share of their mean variance."""

    def __init__(self, read: np.ndarray) -> None:
        self.read = read
        self.mean = read.mean(axis=1, keepdims=True, dtype=np.float64)
        self._transposed = (read - self.mean.astype(read.dtype)).transpose(0, 2, 1)
        self._products = (self._transposed @ self._transposed.transpose(0, 2, 1)).astype(np.float64) / read.shape[1]
        self._inverses: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    def solve(self, wanted: np.ndarray, start: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """The kernel near ``start`` and the bias that best fit ``wanted`` (maps, positions, outputs)."""
        ridge, inverse = self._inverse(strength)
        middle = wanted.mean(axis=1, keepdims=True)
        across = (self._transposed @ (wanted - middle).astype(np.float32)).astype(np.float64) / wanted.shape[1]
        kernel = inverse @ (across + ridge * start)
        return kernel, (middle - self.mean @ kernel)[:, 0]

    def _inverse(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        if strength not in self._inverses:
            size = self._products.shape[1]
            spread = np.trace(self._products, axis1=1, axis2=2) / size
            ridge = np.where(spread > 0, strength * spread, 1.0)[:, None, None]
            self._inverses[strength] = ridge, np.linalg.inv(self._products + ridge * np.eye(size))
        return self._inverses[strength]


def _strength(read: np.ndarray, wanted: np.ndarray, start: np.ndarray) -> float:
    """The ridge strength with the least error on the last quarter of the rows, which come from other samples."""
    first = 3 * read.shape[1] // 4
    if first < 1:
        return STRENGTHS[-1]
    fit, errors = _Fit(read[:, :first]), []
    for strength in STRENGTHS:
        kernel, bias = fit.solve(wanted[:, :first], start, strength)
        outputs = read[:, first:] @ kernel.astype(np.float32) + bias[:, None]
        errors.append(float(np.mean((outputs - wanted[:, first:]) ** 2)))
    return STRENGTHS[int(np.argmin(errors))]
