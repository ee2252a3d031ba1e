"""How sparsity is spread over layers: as much as each tolerates, by the error that remains once other weights made up for it."""

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

from litetuner.spaces.reconstruction.activations import Walk, input_values, last_values
from litetuner.spaces.reconstruction.grid import nearest
from litetuner.spaces.reconstruction.hessian import corrected_bias, inverse_factor, moments, squared_error
from litetuner.spaces.reconstruction.layers import layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.pruning import pruned_in_one_pass
from litetuner.spaces.reconstruction.sequence import MOST_SPARSITY, chosen_samples, read_rows
from litetuner.spaces.tflite.schema import pack_model, read_model

SHARES = (0.0, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.88, MOST_SPARSITY)
SENSITIVITY_SAMPLES = 64


class Sensitivities:
    """What each layer of a float file costs at the output, by operator: measured once, from unlabelled samples."""

    def __init__(self, file: bytes, samples: np.ndarray, seed: int) -> None:
        model = read_model(file)
        walk = Walk(model, input_values(model, chosen_samples(model, samples)))
        shown = samples[:SENSITIVITY_SAMPLES]
        expected = last_values(file, shown)
        self.sizes: dict[int, int] = {}
        self.noise: dict[int, float] = {}  # squared error at the output when the layer is plain int4
        self.errors: dict[int, np.ndarray] = {}  # squared error at the output, at each of SHARES
        for layer in layers_of(model):
            walk.advance(layer.operator)
            rows = read_rows(walk, layer, seed)
            found = moments(rows, rows)
            kernel, bias = read_weight(model, layer)
            factor = inverse_factor(found.hessian, layer.name)
            zeroed = [pruned_in_one_pass(kernel, factor, share) - kernel for share in SHARES]
            noisy = nearest(kernel, 4, layer.channel_axes).kernel
            changed = read_model(file)
            write_weight(changed, layer, noisy, corrected_bias(bias, kernel, noisy, found, layer.groups > 1))
            outputs = last_values(pack_model(changed), shown)
            there = sum(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in zip(outputs, expected, strict=True))
            here = squared_error(noisy - kernel, found.hessian)
            self.sizes[layer.operator], self.noise[layer.operator] = layer.size, there
            self.errors[layer.operator] = np.array([squared_error(each, found.hessian) for each in zeroed])
            self.errors[layer.operator] *= there / here if here > 0 else 0.0

    def most_sensitive(self, count: int) -> list[int]:
        """The operators in which a weight of low precision costs most; never all of them."""
        ranked = sorted(self.sizes, key=lambda at: -self.noise[at] / self.sizes[at])
        return ranked[: min(count, len(ranked) - 1)]

    def spread(self, sparsity: float, kept: Sequence[int] = ()) -> dict[int, float]:
        """Shares of zeros by operator, ``sparsity`` over all weights but those of ``kept``, of the least error together."""
        fine = np.linspace(0, SHARES[-1], 941)
        sizes = {at: size for at, size in self.sizes.items() if at not in kept}
        curves = {at: PchipInterpolator(SHARES, self.errors[at])(fine) for at in sizes}

        def shares(price: float) -> dict[int, float]:
            return {at: float(fine[np.argmin(curve - price * sizes[at] * fine)]) for at, curve in curves.items()}

        def reached(found: dict[int, float]) -> float:
            return sum(share * sizes[at] for at, share in found.items()) / sum(sizes.values())

        low, high = -40.0, 40.0  # of the price's logarithm
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if reached(shares(np.exp(middle))) < sparsity else (low, middle)
        return shares(np.exp(high))
