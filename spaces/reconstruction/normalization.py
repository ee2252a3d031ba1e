"""Batch normalizations whose inputs changed get new statistics, and a scale and shift that fit them.

A batch normalization uses the statistics of the batch in training and the stored ones in inference. Outputs of refitted
kernels have less variance than the original ones (least squares shrink), and outputs of layers that cannot be refitted
also have another mean. With the old statistics, fine-tuning would start from another function than the refitted one.
"""

from typing import Any

import numpy as np

from litetuner.spaces.reconstruction.least_squares import correction

LEAST_ROWS = 256  # fewer rows estimate a variance too poorly: with 256, its standard error is 9 %


def is_normalization(layer: Any, rank: int) -> bool:
    """True for a batch normalization over the last axis of a tensor of this rank that is called once."""
    found = type(layer).__name__ == "BatchNormalization" and len(layer.inbound_nodes) == 1
    return found and list(layer.axis) == [rank - 1]


def fit_normalization(layer: Any, x: np.ndarray, wanted: np.ndarray | None, judged: np.ndarray) -> None:
    """Set the statistics of ``layer`` in place to those of its input ``x`` (rows, channels).

    Scale and shift are fitted so that outputs are closest to ``wanted`` (rows, channels) by least squares; the rows
    where ``judged`` is true are held out. If ``wanted`` is ``None``, the outputs do not change. With fewer than
    ``LEAST_ROWS`` rows nothing changes.
    """
    if len(x) < LEAST_ROWS:
        return
    scale, shift = _affine(layer)
    if wanted is not None:
        missing = (wanted - (x * scale + shift)).T[:, :, None]
        found = correction(x.T[:, :, None], missing, judged, float(wanted.var(axis=0).mean()), biased=True)
        if found is not None:
            scale, shift = scale + found.kernel[:, 0, 0], shift + found.bias[:, 0]
    _store(layer, scale, shift, x.mean(axis=0, dtype=np.float64), x.var(axis=0, dtype=np.float64))


def _affine(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """The scale and shift (channels,) of the normalization in inference, in double precision."""
    mean, variance = (value.numpy().astype(np.float64) for value in (layer.moving_mean, layer.moving_variance))
    scale = (layer.gamma.numpy() if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    return scale, (layer.beta.numpy() if layer.center else 0.0) - mean * scale


def _store(layer: Any, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
    """Store ``scale`` and ``shift`` with these statistics; without gamma or beta, adjusted statistics express them."""
    if layer.scale:
        layer.gamma.assign((scale * np.sqrt(variance + layer.epsilon)).astype(np.float32))
    else:
        old, _ = _affine(layer)
        scale = np.where((scale > 0) & (scale**2 * layer.epsilon < 1), scale, old)  # a variance is never negative
        variance = 1 / scale**2 - layer.epsilon
    if layer.center:
        layer.beta.assign((shift + scale * mean).astype(np.float32))
    else:
        mean = np.where(scale != 0, -shift / np.where(scale != 0, scale, 1.0), mean)
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign(variance.astype(np.float32))
