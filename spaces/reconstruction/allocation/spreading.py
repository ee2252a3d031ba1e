"""Sparsity by layer, from each layer's error at the output after the remaining weights compensated for the pruning."""

from collections.abc import Sequence

import numpy as np

from litetuner.spaces.reconstruction.allocation.noise import noise_of_layers
from litetuner.spaces.reconstruction.hessian import inverse_factor, squared_error
from litetuner.spaces.reconstruction.pruning import pruned_in_one_pass
from litetuner.spaces.reconstruction.sequence import MOST_SPARSITY

SHARES = (0.0, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.88, MOST_SPARSITY)


class Sensitivities:
    """The errors that compressing each layer of a float file causes at the output, measured from unlabeled samples."""

    def __init__(self, file: bytes, samples: np.ndarray, seed: int) -> None:
        self.sizes: dict[int, int] = {}
        self.noise: dict[int, float] = {}  # squared error at the output if the layer is rounded to int4
        self.errors: dict[int, np.ndarray] = {}  # squared error at the output for each sparsity of SHARES
        for noise in noise_of_layers(file, samples, seed):
            at, kernel = noise.layer.operator, noise.kernel
            inverse = inverse_factor(noise.hessian, noise.layer.name)
            zeroed = [pruned_in_one_pass(kernel, inverse, share) - kernel for share in SHARES]
            self.sizes[at], self.noise[at] = noise.layer.size, noise.error
            self.errors[at] = np.array([squared_error(each, noise.hessian) for each in zeroed]) * noise.factor

    def most_sensitive(self, count: int) -> list[int]:
        """The ``count`` operators with the largest int4 error per weight, the largest first; never all operators."""
        ranked = sorted(self.sizes, key=lambda at: -self.noise[at] / self.sizes[at])
        return ranked[: min(count, len(ranked) - 1)]

    def spread(self, sparsity: float, kept: Sequence[int] = ()) -> dict[int, float]:
        """Sparsity by operator with the least total error and ``sparsity`` over all operators except ``kept``."""
        from scipy.interpolate import PchipInterpolator

        fine = np.linspace(0, SHARES[-1], 941)
        sizes = {at: size for at, size in self.sizes.items() if at not in kept}
        curves = {at: PchipInterpolator(SHARES, self.errors[at])(fine) for at in sizes}

        def shares(price: float) -> dict[int, float]:
            return {at: float(fine[np.argmin(curve - price * sizes[at] * fine)]) for at, curve in curves.items()}

        def reached(found: dict[int, float]) -> float:
            return sum(share * sizes[at] for at, share in found.items()) / sum(sizes.values())

        low, high = -40.0, 40.0  # bounds of the logarithm of the price
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if reached(shares(np.exp(middle))) < sparsity else (low, middle)
        return shares(np.exp(high))
