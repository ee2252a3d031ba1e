"""Unstructured sparsity: the share of zeros by layer, which weights become zero, and when zeros reduce latency."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import LayerInfo

SPREADS = ("uniform", "erk", "global", "sensitivity")
MOST = 0.98  # maximum share of zeros in a layer; a layer with only zeros passes on no information
# The most sensitive layer keeps this many times the share of weights of the middle one, the least sensitive the
# inverse.
_STEEPNESS = 2.0
SPARSE_KERNELS = 2 / 3  # share of zeros above which XNNPACK uses its sparse kernels
_STEM = (3, 3)


def erk(shapes: Mapping[str, Sequence[int]], sparsity: float) -> dict[str, float]:
    """Share of zeros by layer from Erdos-Renyi-Kernel densities, with ``sparsity`` over all weights.

    See Evci et al. 2020 (arXiv:1911.11134). ``shapes`` are kernel shapes, (height, width, in, out) or (in, out). Large
    kernels become sparser than small ones.
    """
    scores = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    return _solve({name: math.prod(shape) for name, shape in shapes.items()}, scores, sparsity)


def by_rank(shapes: Mapping[str, Sequence[int]], ranking: Sequence[str], sparsity: float) -> dict[str, float]:
    """Share of zeros by layer; less sensitive layers get more. ``ranking`` names the most sensitive layer first."""
    ordered = [name for name in ranking if name in shapes] + [name for name in shapes if name not in ranking]
    last = max(len(ordered) - 1, 1)
    scores = {name: _STEEPNESS ** (1 - 2 * place / last) for place, name in enumerate(ordered)}
    return _solve({name: math.prod(shape) for name, shape in shapes.items()}, scores, sparsity)


def by_magnitude(kernels: Mapping[str, np.ndarray], sparsity: float) -> dict[str, float]:
    """Share of zeros by layer if one magnitude threshold is used for all weights of all layers.

    No layer loses more than ``MOST`` of its weights; if one would, the others lose more instead.
    """
    magnitudes = {name: np.sort(np.abs(kernel).ravel()) for name, kernel in kernels.items()}
    found: dict[str, float] = {}
    wanted = round(sparsity * sum(values.size for values in magnitudes.values()))
    while magnitudes:
        together = np.sort(np.concatenate(list(magnitudes.values())))
        threshold = together[min(max(wanted, 1), together.size) - 1]
        shares = {name: np.searchsorted(each, threshold, side="right") / each.size for name, each in magnitudes.items()}
        full = [name for name, share in shares.items() if share > MOST]
        if not full:
            return found | {name: _rounded(share) for name, share in shares.items()}
        for name in full:
            found[name] = MOST
            wanted -= math.floor(MOST * magnitudes.pop(name).size)
    return found


def _solve(sizes: Mapping[str, int], scores: Mapping[str, float], sparsity: float) -> dict[str, float]:
    """Share of zeros by layer with ``sparsity`` over all weights; densities are proportional to ``scores``.

    Densities are limited to 1 - ``MOST`` to 1.
    """
    return dict(_solved(tuple(sizes.items()), tuple(scores.items()), sparsity))


@functools.lru_cache(maxsize=256)  # a search needs the same few results thousands of times
def _solved(
    sized: tuple[tuple[str, int], ...], scored: tuple[tuple[str, float], ...], sparsity: float
) -> dict[str, float]:
    sizes, scores = dict(sized), dict(scored)
    low, high = 0.0, 1 / min(scores.values())
    for _ in range(60):
        factor = (low + high) / 2
        kept = sum(size * _density(factor * scores[name]) for name, size in sizes.items())
        low, high = (low, factor) if kept > (1 - sparsity) * sum(sizes.values()) else (factor, high)
    return {name: _rounded(1 - _density(low * scores[name])) for name in sizes}


def _density(value: float) -> float:
    return min(1.0, max(1 - MOST, value))


def _rounded(share: float) -> float:
    """Round up to four decimals, so that the total sparsity is never below the requested one."""
    return min(MOST, math.ceil(float(share) * 1e4 - 1e-6) / 1e4)


def smallest(values: np.ndarray, sparsity: float) -> np.ndarray:
    """Mask of the weights that stay (bool, shape of ``values``): all but the share ``sparsity`` of smallest magnitude.

    Of equal magnitudes, the later ones stay. At least one weight stays.
    """
    keep = max(round(values.size * (1 - sparsity)), 1)
    mask = np.zeros(values.size, bool)
    mask[np.argsort(np.abs(values).ravel(), kind="stable")[values.size - keep :]] = True
    return mask.reshape(values.shape)


def described_kernel(layer: Any) -> tuple[str, tuple[int, ...], int]:
    """Type, shape of the largest weight, and stride of a layer, for Keras 3 and tf_keras."""
    kernel = max(layer.weights, key=lambda weight: math.prod(weight.shape))
    return type(layer).__name__, tuple(kernel.shape), int(np.max(getattr(layer, "strides", 1)))


def why_not_faster(layers: Sequence[tuple[str, Sequence[int], int, float]]) -> list[str]:
    """The reasons why zeros cannot make a model faster with XNNPACK's sparse inference; empty if they can.

    ``layers`` are (type, kernel shape, stride, share of zeros) of the layers with kernels, in execution order. XNNPACK
    uses sparse kernels for a float network that starts with a 3x3 convolution of stride 2, followed by 1x1 convolutions
    with at least two thirds zeros (documentation of its delegate). ARM processors become faster, x86 processors do not.
    """
    if not layers:
        return ["it has no kernels"]
    (kind, shape, stride, _), *others = layers
    reasons = []
    if kind != "Conv2D" or tuple(shape[:2]) != _STEM or stride != 2:
        reasons.append("the first layer is no 3x3 convolution of stride 2")
    points = [share for kind, shape, _, share in others if kind == "Conv2D" and tuple(shape[:2]) == (1, 1)]
    if not points:
        reasons.append("it has no 1x1 convolutions")
    elif all(share < SPARSE_KERNELS - 1e-3 for share in points):
        reasons.append(f"no 1x1 convolution has two thirds zeros (the most is {max(points):.0%})")
    wide = [kind for kind, shape, *_ in others if kind == "Conv2D" and tuple(shape[:2]) != (1, 1)]
    if wide:
        reasons.append(f"{len(wide)} convolutions behind the first are not 1x1")
    return reasons


def sparse_latency(layers: Sequence[tuple[str, Sequence[int], int]]) -> str:
    """One sentence on whether zeros can reduce a model's latency. ``layers`` are (type, kernel shape, stride)."""
    reasons = why_not_faster([(*layer, 1.0) for layer in layers])
    if reasons:
        return f"Zeros make it smaller, not faster: {'; '.join(reasons)}."
    return f"Zeros can make float files faster on ARM, from {SPARSE_KERNELS:.0%} of them in the 1x1 convolutions on."


def prunable_kernels(layer: Any) -> list[Any]:
    """The variables that tfmot prunes in a layer that its registry supports; none for a depthwise convolution."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune_registry

    # make_prunable only adds the method that lists the weights, and the layer is a copy.
    return list(prune_registry.PruneRegistry.make_prunable(layer).get_prunable_weights())


def overall(shares: Mapping[str, float], layers: Sequence[LayerInfo]) -> float:
    """The share of zeros over all layers in ``shares``."""
    sizes = {layer.name: math.prod(layer.kernel_shape) for layer in layers if layer.name in shares}
    return sum(shares[name] * size for name, size in sizes.items()) / sum(sizes.values())


def check_zeros(model: Any, shares: Mapping[str, float]) -> None:
    """Raises ``BuildFailed`` if a layer of a pruned model has fewer zeros than its share."""
    for name, share in shares.items():
        for kernel in prunable_kernels(model.get_layer(name)):
            values = kernel.numpy()
            found = int(np.count_nonzero(values == 0))
            if found < share * values.size - 1:
                raise BuildFailed(
                    f"prune: {name} has {found} zeros of {values.size} weights after training, and {share:g} of them were "
                    "requested (equal weights cannot be ranked; many equal weights come from clustering)"
                )


def keep_largest(model: Any, shares: Mapping[str, float]) -> None:
    """Set the smallest weights of layers to zero, in place, so that each layer has its share of zeros."""
    for name, share in shares.items():
        for kernel in prunable_kernels(model.get_layer(name)):
            kernel.assign(np.where(smallest(kernel.numpy(), share), kernel.numpy(), 0))


def shares_of(model: Any, layers: Sequence[str], spread: str, sparsity: float) -> dict[str, float]:
    """Share of zeros by layer of a tf_keras model: by ``erk`` if ``spread`` is "erk", else by ``by_magnitude``."""
    kernels = {name: [each.numpy() for each in prunable_kernels(model.get_layer(name))] for name in layers}
    largest = {name: max(found, key=np.size) for name, found in kernels.items()}
    if spread == "erk":
        return erk({name: kernel.shape for name, kernel in largest.items()}, sparsity)
    return by_magnitude(largest, sparsity)
