"""Importance by reconstruction error: channels are removed one by one, always the one that the others compensate best.

For a linear layer with input covariance H and kernel W, removing the inputs B and refitting all others by least squares
causes the squared error trace(W_B' (H^-1_BB)^-1 W_B). This is the optimal brain surgeon (Hassibi and Stork 1993) with
all inputs of a channel instead of a single weight, as in Frantar and Alistarh 2022 (arXiv:2208.11580). Outputs are
weighted by their effect on the model's outputs (squared gradients of random projections), so that groups can be
compared.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from litetuner.spaces.channels.groups import Call, ChannelGraph
from litetuner.spaces.models.keras_bridge.bridge import clone
from litetuner.spaces.models.signature import feed
from litetuner.spaces.reconstruction.patches import is_depthwise, patches, places, why_not_refitted
from litetuner.spaces.tf import load

SAMPLES = 512
BATCH_BYTES = 16_000_000  # bytes of the largest tensor of a batch
# Output positions per layer: ROWS, or ROWS_PER_FEATURE times the weights of one output if that is more.
ROWS = 8192
ROWS_PER_FEATURE = 4
RIDGE = 1e-3  # ridge, as a share of the mean variance of the inputs


@dataclasses.dataclass
class _Reader:
    """A layer that mixes channels, with sums over its output positions. ``inputs``: channel id of each kernel row."""

    call: Call
    inputs: np.ndarray
    rows: int
    kernel: np.ndarray
    products: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    count: int = 0
    samples: int = 0


def eliminations(model: Any, graph: ChannelGraph, samples: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Importance by channel id, and a mask of the ids that have one.

    Channels of pinned groups, attention heads and channels that no refittable layer reads have none. The importances of
    removed channels of a group add up to the squared change of the model's outputs, to first order. They increase in
    the order of removal.
    """
    readers = _readers(graph)
    _read(model, readers, samples, np.random.default_rng([seed, 3]))
    scores, known = np.zeros(len(graph.roots)), np.zeros(len(graph.roots), dtype=bool)
    for group in graph.groups:
        if group.pinned is not None or group.heads:
            continue
        states = [_state(reader) for reader in readers if np.isin(group.channels, reader.inputs).any()]
        if states:
            scores[group.channels] = one_by_one(group.channels, states)
            known[group.channels] = True
    return scores, known


def _readers(graph: ChannelGraph) -> list[_Reader]:
    free = np.concatenate(
        [np.zeros(0, np.int64), *(g.channels for g in graph.groups if g.pinned is None and not g.heads)]
    )
    found = []
    for call in graph.calls:
        layer = call.layer
        refitted = why_not_refitted(layer) is None and not is_depthwise(layer)
        if not refitted or not np.isin(graph.roots[call.source], free).any():
            continue
        kernel = layer.get_weights()[0]
        flat = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
        features, outputs = flat.shape
        inputs = np.tile(graph.roots[call.source], features // len(call.source))
        sums = (np.zeros((features, features)), np.zeros(features), np.zeros(outputs))
        found.append(_Reader(call, inputs, max(ROWS, ROWS_PER_FEATURE * features), flat, *sums))
    return found


def _read(model: Any, readers: list[_Reader], samples: np.ndarray, random: np.random.Generator) -> None:
    """Sum up the moments of each reader's inputs and the squared gradients of the model's outputs by its outputs."""
    tf = load()
    import tf_keras

    copy = clone(model)  # its layers record their outputs before the activation
    given: dict[str, Any] = {}
    for reader in readers:
        _record(copy.get_layer(reader.call.layer.name), given)
    sources = [copy.get_layer(reader.call.layer.name).input for reader in readers]
    seen = tf_keras.Model(copy.inputs, [sources, copy.outputs])
    largest = max((math.prod(size or 64 for size in source.shape[1:]) for source in sources), default=1)
    batch = max(1, min(64, BATCH_BYTES // (4 * largest)))
    count = min(len(samples), SAMPLES)
    chosen = np.sort(random.permutation(len(samples))[:count])
    for start in range(0, count, batch):
        rows = chosen[start : start + batch]
        x = feed(model, samples[rows])
        with tf.GradientTape() as tape:
            # Frozen variables are watched, too.
            tape.watch([variable for variable in copy.variables if variable.dtype.is_floating])
            read, outputs = seen(x, training=False)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            signs = [tf.constant(random.choice([-1.0, 1.0], value.shape), value.dtype) for value in outputs]
            aim = tf.add_n([tf.reduce_sum(value * sign) for value, sign in zip(outputs, signs, strict=True)])
        before = [given[reader.call.layer.name] for reader in readers]
        gradients = tape.gradient(aim, before, unconnected_gradients="zero")
        for reader, source, gradient in zip(readers, read, gradients, strict=True):
            at = places(gradient.shape, math.ceil(reader.rows * len(rows) / count), random)
            _add(reader, source.numpy(), gradient.numpy(), at)


def _record(layer: Any, given: dict[str, Any]) -> None:
    activation = layer.activation

    def recorded(value: Any) -> Any:
        given[layer.name] = value
        return activation(value)

    layer.activation = recorded


def _add(reader: _Reader, source: np.ndarray, gradient: np.ndarray, at: np.ndarray) -> None:
    read = patches(reader.call.layer, source, at)
    flat = read.reshape(len(read), -1).astype(np.float64)
    reader.products += flat.T @ flat
    reader.sums += flat.sum(axis=0)
    reader.count += len(flat)
    # The squared gradients are summed over positions, too.
    reader.squares += (gradient.astype(np.float64) ** 2).reshape(-1, gradient.shape[-1]).sum(axis=0)
    reader.samples += len(source)


class Elimination:
    """One reader during the removal of channels: the inverse of its damped input covariance, and the refitted kernel.

    ``inputs`` are the channel ids of the kernel's rows. The outputs of the kernel (features, outputs) are weighted by
    their effect on the model's outputs.
    """

    def __init__(self, inputs: np.ndarray, covariance: np.ndarray, kernel: np.ndarray) -> None:
        self.inputs = inputs
        self.inverse = np.linalg.inv(covariance)
        self.kernel = kernel

    def blocks(self, channels: np.ndarray) -> list[np.ndarray]:
        return [np.flatnonzero(self.inputs == channel) for channel in channels]

    def costs(self, blocks: list[np.ndarray]) -> np.ndarray:
        """The error that removing each channel would cause; 0 if the layer does not read it."""
        found = np.zeros(len(blocks))
        for size in {len(block) for block in blocks} - {0}:
            which = [index for index, block in enumerate(blocks) if len(block) == size]
            rows = np.stack([blocks[index] for index in which])
            corner = self.inverse[rows[:, :, None], rows[:, None, :]]
            kernel = self.kernel[rows]
            found[which] = np.sum(kernel * np.linalg.solve(corner, kernel), axis=(1, 2))
        return found

    def remove(self, block: np.ndarray) -> None:
        if not len(block):
            return
        across = self.inverse[:, block]
        share = across @ np.linalg.inv(across[block])
        self.kernel = self.kernel - share @ self.kernel[block]
        self.inverse = self.inverse - share @ across.T


def _state(reader: _Reader) -> Elimination:
    mean = reader.sums / reader.count
    covariance = reader.products / reader.count - np.outer(mean, mean)
    ridge = RIDGE * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    weighted = reader.kernel * np.sqrt(reader.squares / reader.samples)
    return Elimination(reader.inputs, covariance + ridge * np.eye(len(covariance)), weighted)


def one_by_one(channels: np.ndarray, states: list[Elimination]) -> np.ndarray:
    """The cost of removing each of ``channels``; the cheapest is always removed next. Costs increase in that order."""
    left = list(range(len(channels)))
    blocks = [state.blocks(channels) for state in states]
    found, least = np.zeros(len(channels)), 0.0
    while left:
        each = [state.costs([own[index] for index in left]) for state, own in zip(states, blocks, strict=True)]
        costs = np.sum(each, axis=0)
        worst = int(np.argmin(costs))
        going = left.pop(worst)
        least = max(float(costs[worst]), least * (1 + 1e-6))
        found[going] = least
        for state, own in zip(states, blocks, strict=True):
            state.remove(own[going])
    return found
