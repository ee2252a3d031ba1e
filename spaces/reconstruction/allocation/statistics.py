"""Layer statistics: the error at the output and the bytes of each layer of a float file, for a grid of treatments."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from litetuner.spaces.jobs.record import Record
from litetuner.spaces.quantization.int4 import int4_operators
from litetuner.spaces.reconstruction.allocation.noise import noise_of_layers
from litetuner.spaces.reconstruction.codebook import assigned
from litetuner.spaces.reconstruction.grid import nearest_of_best_scale, nearest_spaced
from litetuner.spaces.reconstruction.hessian import inverse_factor, squared_error
from litetuner.spaces.reconstruction.layers import Layer
from litetuner.spaces.reconstruction.pruning import pruned_in_one_pass
from litetuner.spaces.reconstruction.sequence import Treatment
from litetuner.spaces.tflite.operators import names_of_layers, read_operators

# The grid: the number of values in a tensor, roughly sorted by compressed size. Odd numbers are evenly spaced values
# (``Treatment.levels``), even numbers are clusters, and 256 is plain int8. INT4 stands for the type int4.
INT4 = 15
VALUES = (5, 7, 9, 13, 17, 8, 25, 16, 35, 32, 51, 101, 256)
SPARSITIES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MOST_GROUPS = 8  # maximum number of layer groups; a search chooses for each group
# Weights of a layer that are compressed to estimate its compressed size. For 37,000 weights with 16 values, 80 % zeros
# or plain int8, the first 16,384 have the same compression ratio as all within 1.5 %; zlib takes 12 ms for them and 33
# ms for all (2026-11-27).
MOST_DEFLATED = 2**14
# Weights of a layer that are rounded and pruned. A larger layer is sampled: only every n-th of its outputs is used.
MOST_TREATED = 2**16
SCALE_BYTES = 4  # bytes of one scale
_BITS = {INT4: 4, 256: 8}


@dataclasses.dataclass(frozen=True)
class LayerStatistics(Record):
    """One layer: errors and bytes by values (rows: ``VALUES``, then ``INT4``) and sparsity (columns: ``SPARSITIES``).

    ``errors`` are estimates of the squared error at the model's outputs: the error at the layer's own output, times a
    factor that is measured by rounding the layer to 4 bits. Errors of several layers add up. ``deflated`` are bytes
    after zlib. ``change`` is measured: the root mean square change of the outputs if only this layer is rounded to 4
    bits, in units of the outputs' standard deviation. ``keras_layer`` is the layer of the Keras model with this kernel,
    if that is certain.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    int4: bool  # True if the layer supports the type int4
    errors: tuple[tuple[float, ...], ...]
    deflated: tuple[tuple[float, ...], ...]
    change: float
    keras_layer: str = ""


@dataclasses.dataclass(frozen=True)
class Statistics(Record):
    """The statistics of all layers that can be solved for, in execution order."""

    layers: tuple[LayerStatistics, ...]

    @functools.cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The names of layers by group."""
        return groups_of(self.layers, MOST_GROUPS)

    @functools.cached_property
    def grids(self) -> tuple[np.ndarray, np.ndarray]:
        """Errors and bytes as arrays (layers, ``VALUES``, ``SPARSITIES``), without ``INT4``."""
        errors, deflated = (
            np.array([getattr(layer, name) for layer in self.layers]) for name in ("errors", "deflated")
        )
        return errors[:, : len(VALUES)], deflated[:, : len(VALUES)]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The estimate for a file: squared error at the output, compressed bytes of its weights, and its int4 layers.

    Error and bytes leave out a constant part. ``arithmetic`` is the type that the file computes in.
    """

    error: float
    deflated: float
    stored: float  # bytes of the weights without compression
    int4: frozenset[str]
    arithmetic: str = "int8"


def estimate(statistics: Statistics, treatments: Mapping[str, Treatment]) -> Estimate | None:
    """The estimate for treatments by layer name; ``None`` if one of them is not on the grid."""
    error = deflated = stored = 0.0
    short = set()
    for layer in statistics.layers:
        treatment = treatments[layer.name]
        if treatment.bits == 4 and not layer.int4:
            treatment = Treatment(treatment.sparsity)
        place = place_of(treatment)
        if place is None:
            return None
        error, deflated = error + layer.errors[place[0]][place[1]], deflated + layer.deflated[place[0]][place[1]]
        stored += math.prod(layer.shape) * (0.5 if treatment.bits == 4 else 1.0)
        short |= {layer.name} if treatment.bits == 4 else set()
    return Estimate(error, deflated, stored, frozenset(short))


@functools.cache
def place_of(treatment: Treatment) -> tuple[int, int] | None:
    """Row and column of a treatment in the grid; ``None`` if it is not on the grid."""
    row = next((row for row, values in enumerate((*VALUES, INT4)) if _is(treatment, values)), None)
    if row is None or treatment.sparsity not in SPARSITIES:
        return None
    return row, SPARSITIES.index(treatment.sparsity)


def _is(treatment: Treatment, values: int) -> bool:
    return treatment_of(values, treatment.sparsity) == treatment


@functools.cache
def treatment_of(values: int, sparsity: float) -> Treatment:
    """The treatment for a number of values (or ``INT4``) and a sparsity of the grid."""
    if values in _BITS:
        return Treatment(sparsity, 0, _BITS[values])
    return Treatment(sparsity, levels=values) if values % 2 else Treatment(sparsity, values)


def measure(file: bytes, samples: np.ndarray, seed: int) -> Statistics:
    """Measure the statistics of a float file with unlabeled samples (n, *sample).

    Raises ``Refused`` without samples. Raises ``BuildFailed`` with the layer's name if a layer cannot be solved for.
    """
    names = {index: name for name, index in names_of_layers(read_operators(file)).items()}
    found = []
    for noise in noise_of_layers(file, samples, seed):
        layer = noise.layer
        errors, deflated = _grid(layer, noise.kernel, noise.hessian)
        able, name = layer.kind in int4_operators(), names[layer.operator]
        grids = _nested(errors * noise.factor), _nested(deflated)
        found.append(LayerStatistics(name, layer.kind, layer.shape, able, *grids, float(f"{noise.change:.6g}")))
    return Statistics(tuple(found))


def _grid(layer: Layer, kernel: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors at the layer's own output, and bytes. Errors of rounding and pruning are measured separately and added."""
    factor, axes = inverse_factor(hessian, layer.name), layer.channel_axes
    kernel = kernel[:, :, :: math.ceil(kernel.size / MOST_TREATED)]
    some = layer.with_outputs(kernel.shape[2])
    whole = layer.size / some.size
    pruned = [pruned_in_one_pass(kernel, factor, share) for share in SPARSITIES]
    lost = np.array([squared_error(each - kernel, hessian) for each in pruned])
    errors, deflated = [], []
    for values in (*VALUES, INT4):
        rounded = _stored(kernel, hessian, factor, values, axes)[1]
        noise = squared_error(rounded - kernel, hessian)
        errors.append(lost + noise * (1 - np.array(SPARSITIES)))
        scales = layer.outputs if values in _BITS else 1
        kinds = (_stored(each, hessian, None, values, axes)[0] for each in pruned)
        deflated.append(
            [whole * _deflated(some.weights(each), values == INT4) + SCALE_BYTES * scales for each in kinds]
        )
    return whole * np.array(errors), np.array(deflated)


def _stored(
    kernel: np.ndarray, hessian: np.ndarray, factor: np.ndarray | None, values: int, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Integers and kernel. With a ``factor``, later weights compensate for the rounding errors of earlier ones."""
    if values in _BITS:
        stored = nearest_of_best_scale(kernel, hessian, factor, _BITS[values], axes)
    elif values % 2:
        stored = nearest_spaced(kernel, factor, values)
    else:
        stored = assigned(kernel, hessian, factor, values)
    return stored.integers, stored.kernel


def _deflated(integers: np.ndarray, packed: bool) -> float:
    """Bytes of weights after zlib, estimated from the first ``MOST_DEFLATED`` weights if there are more."""
    values = integers.ravel()[:MOST_DEFLATED].astype(np.int8)
    if packed:
        pairs = np.pad(values, (0, values.size % 2)).reshape(-1, 2)
        values = (pairs[:, 0] & 15) | (pairs[:, 1] << 4)
    taken = min(integers.size, MOST_DEFLATED)
    return len(zlib.compress(values.tobytes(), 9)) * integers.size / taken


def _nested(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.6g}") for value in row) for row in values)


def groups_of(layers: Sequence[LayerStatistics], most: int) -> dict[str, tuple[str, ...]]:
    """Layer names by group: the first layer, the last layer, and the others by kind, up to ``most`` groups.

    The largest groups are split in half by sensitivity until there are ``most``. The halves are numbered, the most
    sensitive first.
    """
    kinds: dict[str, list[list[LayerStatistics]]] = {}
    for at, layer in enumerate(layers):
        kinds.setdefault(_group(layer, at, len(layers)), [[]])[0].append(layer)
    for groups in kinds.values():
        groups[0].sort(key=lambda layer: -_sensitivity(layer))
    while sum(len(groups) for groups in kinds.values()) < most:
        several = [(groups, at) for groups in kinds.values() for at, group in enumerate(groups) if len(group) > 1]
        if not several:
            break
        groups, at = max(several, key=lambda each: sum(_size(layer) for layer in each[0][each[1]]))
        half = len(groups[at]) // 2
        groups[at : at + 1] = [groups[at][:half], groups[at][half:]]
    return {
        kind if len(groups) == 1 else f"{kind} {number}": tuple(layer.name for layer in group)
        for kind, groups in sorted(kinds.items())
        for number, group in enumerate(groups, 1)
    }


def _group(layer: LayerStatistics, at: int, count: int) -> str:
    if at in (0, count - 1):
        return "first" if at == 0 else "last"
    if layer.kind == "FULLY_CONNECTED":
        return "dense"
    if layer.kind == "DEPTHWISE_CONV_2D":
        return "depthwise"
    return "pointwise" if layer.shape[1:3] == (1, 1) else "convolution"


def _size(layer: LayerStatistics) -> int:
    return math.prod(layer.shape)


def _sensitivity(layer: LayerStatistics) -> float:
    """The error per weight if all weights of the layer are rounded to 4 bits."""
    return layer.errors[-1][0] / _size(layer)
