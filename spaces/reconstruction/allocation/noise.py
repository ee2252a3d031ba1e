"""The error at the outputs of a float file when one layer is rounded to 4 bits, for each layer."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from litetuner.spaces.reconstruction.activations import Walk, input_values
from litetuner.spaces.reconstruction.grid import nearest
from litetuner.spaces.reconstruction.hessian import corrected_bias, moments, squared_error
from litetuner.spaces.reconstruction.layers import Layer, layers_of, read_weight, write_weight
from litetuner.spaces.reconstruction.sequence import chosen_samples, read_rows
from litetuner.spaces.tflite.macs import file_macs
from litetuner.spaces.tflite.schema import read_model

SAMPLES = 64  # samples for the runs from each layer to the outputs
# Large models get fewer samples. This limits the MACs of one whole run per layer; about 20 s on one core.
MOST_MACS = 4 * 10**11
FEWEST_SAMPLES = 4
PLACES = 8  # output positions of a layer per sample
MOST_FEATURES = 512  # features that are solved for together; the time grows with the cube


@dataclasses.dataclass(frozen=True)
class Noise:
    """A layer, its float kernel, the second moments of its inputs, and the squared error at the model's outputs."""

    layer: Layer
    kernel: np.ndarray
    hessian: np.ndarray
    error: float
    change: float  # the same error as a root mean square, in units of the outputs' standard deviation
    factor: float  # error at the model's outputs per unit of error at the layer's own output


def noise_of_layers(file: bytes, samples: np.ndarray, seed: int) -> Iterator[Noise]:
    """The ``Noise`` of each layer in order, from unlabeled samples (n, *sample). Raises ``Refused`` without samples."""
    model = read_model(file)
    layers = layers_of(model, MOST_FEATURES)
    walk = Walk(model, input_values(model, chosen_samples(model, samples)))
    count = max(FEWEST_SAMPLES, min(SAMPLES, MOST_MACS // max(1, len(layers) * file_macs(model))))
    expected = walk.fork(model, count).finish()
    spread = sum(float(np.sum((each.astype(np.float64) - np.mean(each)) ** 2)) for each in expected)
    for layer in layers:
        walk.advance(layer.operator)
        rows = read_rows(walk, layer, seed, PLACES)
        seen = moments(rows, rows)
        kernel, bias = read_weight(model, layer)
        noisy = nearest(kernel, 4, layer.channel_axes).kernel
        node = model.subgraphs[0].operators[layer.operator]
        inputs = node.inputs
        write_weight(model, layer, noisy, corrected_bias(bias, kernel, noisy, seen, layer.groups > 1))
        outputs = walk.fork(model, count).finish()
        write_weight(model, layer, kernel, bias)
        node.inputs = inputs  # a bias that the layer shares or does not have was replaced by its own
        there = sum(float(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in zip(outputs, expected, strict=True))
        here = squared_error(noisy - kernel, seen.hessian)
        yield Noise(
            layer,
            kernel,
            seen.hessian,
            there,
            math.sqrt(there / spread) if spread else 0.0,
            there / here if here > 0 else 0.0,
        )
