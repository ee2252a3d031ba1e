"""One pass over a float ``.tflite``: each layer is solved for on the outputs of the changed layers before it."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.reconstruction.activations import Walk, affordable, input_values
from litetuner.spaces.reconstruction.codebook import clustered
from litetuner.spaces.reconstruction.grid import Stored, rounded, spaced
from litetuner.spaces.reconstruction.hessian import Moments, corrected_bias, inverse_factor, moments, target
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.pruning import pruned
from litetuner.spaces.tflite.schema import pack_model, read_model

SAMPLES = 512
# Output positions of a layer per sample. 32 give no better files of ResNet8 and DS-CNN and take up to twice the time
# (2026-11-27).
PLACES = 16
MOST_KEPT = 2**27  # bytes of cached layer inputs of one float file; the last two files are cached. ResNet8: 115 MB
MOST_SPARSITY = 0.94
BITS = (8, 4, 3, 2)
Fields = tuple[float, int, int] | tuple[float, int, int, int]  # sparsity, clusters, bits; levels unless 0


@dataclasses.dataclass(frozen=True)
class Treatment:
    """The compression of one layer: sparsity, number of distinct values in the tensor (0: no limit), and bits.

    8 and 4 bits are the types int8 and int4; 3 and 2 bits are 7 and 3 evenly spaced int8 values. These grids have one
    scale per channel. With ``clusters`` or ``levels`` the values are int8 with one scale for the tensor: ``clusters``
    are chosen for the kernel, ``levels`` are evenly spaced.
    """

    sparsity: float = 0.0
    clusters: int = 0
    bits: int = 8
    levels: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity <= MOST_SPARSITY:
            raise Refused(f"reconstruct: sparsity is {self.sparsity}, and must lie between 0 and {MOST_SPARSITY}")
        if self.clusters and not 3 <= self.clusters <= 256:
            raise Refused(f"reconstruct: clusters is {self.clusters}, and must be 0, or 3 to 256")
        if self.levels and not (3 <= self.levels <= 255 and self.levels % 2):
            raise Refused(f"reconstruct: levels is {self.levels}, and must be 0, or an odd number of 3 to 255")
        if self.levels and self.clusters:
            raise Refused("reconstruct: values are either chosen (clusters) or evenly spaced (levels)")
        if self.bits not in BITS or (self.counted and self.bits != 8):
            raise Refused(
                f"reconstruct: bits is {self.bits}, and must be 8 with clusters or levels, and 8, 4, 3 or 2 without"
            )

    @property
    def text(self) -> str:
        """The treatment in words, such as ``prune 50%, cluster 16``."""
        said = [f"prune {100 * self.sparsity:g}%"] if self.sparsity else []
        said += [f"cluster {self.clusters}"] if self.clusters else []
        said += [f"{self.levels} levels"] if self.levels else []
        said += [f"{self.bits}-bit values"] if self.bits < 4 else []
        return ", ".join(said + (["int4"] if self.bits == 4 else [])) or "int8"

    @property
    def counted(self) -> int:
        """The number of values of a tensor with one scale; 0 if only the bits limit it, with one scale per channel."""
        return self.clusters or self.levels

    @property
    def most_values(self) -> int:
        """The maximum number of distinct integers in the layer."""
        return self.counted or 2**self.bits - 1

    @property
    def fields(self) -> Fields:
        """The arguments that recreate it; without ``levels`` if 0, because records before 2026-11-27 have none."""
        usual = self.sparsity, self.clusters, self.bits
        return (*usual, self.levels) if self.levels else usual

    @property
    def few(self) -> bool:
        """True if it limits the layer to fewer values than int8 has."""
        return bool(self.counted) or self.bits < 8

    @property
    def clusters_alike(self) -> int:
        """The number of clusters with about the same compressed size: half of ``levels`` (ResNet8: 0.46 to 0.59)."""
        return max(3, (self.levels + 1) // 2) if self.levels else self.most_values


@dataclasses.dataclass(frozen=True)
class Reconstructed:
    """The float file, and the integer weights of each treated operator by index, in the file's shape."""

    file: bytes
    integers: dict[int, np.ndarray]


def reconstruct(file: bytes, samples: np.ndarray, treatments: Mapping[int, Treatment], seed: int) -> Reconstructed:
    """Apply treatments, by operator index; other layers do not change. Equal arguments give equal bytes on one machine.

    ``samples`` (n, *sample) need no labels; at most 512 are used. Raises ``Refused`` without samples. Raises
    ``BuildFailed`` with the layer's name if a layer cannot be solved for.
    """
    model, original = read_model(file), read_model(file)
    taken = chosen_samples(original, samples)
    now, integers = Walk(model, input_values(model, taken)), {}
    kept = _kept_rows(file, taken.tobytes(), taken.dtype, taken.shape, seed)
    for layer, before in zip(layers_of(original), kept or _float_rows(original, taken, seed), strict=True):
        if layer.operator not in treatments:
            continue
        now.advance(layer.operator)
        found = moments(read_rows(now, layer, seed), before)
        kernel, bias = read_weight(original, layer)
        stored = solved(kernel, found, layer, treatments[layer.operator])
        changed = corrected_bias(bias, kernel, stored.kernel, found, layer.groups > 1)
        if not (np.isfinite(stored.kernel).all() and np.isfinite(changed).all()):
            raise BuildFailed(f"reconstruction of layer {layer.name}: its weights or its inputs are not finite")
        write_weight(model, layer, stored.kernel, changed)
        integers[layer.operator] = layer.weights(stored.integers).astype(np.int8)
    return Reconstructed(pack_model(model), integers)


def _float_rows(model: Any, samples: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """The sampled inputs of each layer of an unchanged model."""
    walk = Walk(model, input_values(model, samples))
    for layer in layers_of(model):
        walk.advance(layer.operator)
        yield read_rows(walk, layer, seed)


@functools.lru_cache(maxsize=2)
def _kept_rows(
    file: bytes, samples: bytes, dtype: Any, shape: tuple[int, ...], seed: int
) -> tuple[np.ndarray, ...] | None:
    """``_float_rows``, cached for two files: a worker builds many candidates of one file. ``None`` if too large."""
    found: list[np.ndarray] = []
    for rows in _float_rows(read_model(file), np.frombuffer(samples, dtype).reshape(shape), seed):
        found.append(rows)
        if sum(each.nbytes for each in found) > MOST_KEPT:
            return None
    return tuple(found)


def samples_of(context: Context) -> np.ndarray:
    """At most 512 inputs, drawn by seed from the train split, or from the calibration samples if there is none."""
    x = context.x_train if len(context.x_train) else context.calibration
    order = np.random.default_rng(context.seed).permutation(len(x))[:SAMPLES]
    return np.asarray(x[np.sort(order)])


def chosen_samples(model: Any, samples: np.ndarray) -> np.ndarray:
    """The first 512 samples, or fewer to limit memory and time (``affordable``). Raises ``Refused`` without samples."""
    if not len(samples):
        raise Refused("reconstruction looks at activations, and there are no samples: give data with a train split")
    return samples[: affordable(model, min(len(samples), SAMPLES))]


def read_rows(walk: Walk, layer: Layer, seed: int, places: int = PLACES) -> np.ndarray:
    """The inputs of a layer at ``places`` output positions per sample. The positions are the same for every walk."""
    x = walk.values[layer.source]
    random = np.random.default_rng([seed, layer.operator])
    return layer.rows(x.reshape(-1, *x.shape[2:]), places * len(x), random)


def solved(kernel: np.ndarray, found: Moments, layer: Layer, treatment: Treatment) -> Stored:
    """A kernel that is pruned, then clustered or rounded to a grid. Raises ``BuildFailed`` with the layer's name."""
    factor = inverse_factor(found.hessian, layer.name)
    wanted = target(kernel, found)
    start = pruned(wanted, found.hessian, factor, kernel != 0, treatment.sparsity)
    if treatment.clusters:
        return clustered(start, wanted, found.hessian, factor, treatment.clusters)
    if treatment.levels:
        return spaced(start, wanted, found.hessian, factor, treatment.levels)
    return rounded(start, wanted, found.hessian, factor, treatment.bits, layer.channel_axes)
