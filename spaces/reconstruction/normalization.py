"""Batch normalizations whose inputs changed: statistics of what they read now, and the scale and shift that fit it.

In training they normalize by the statistics of a batch, afterwards by those that are stored. Refitted kernels give less variance
than the original ones (least squares shrink), and layers that cannot be refitted give another mean, too. With the old statistics
a fine-tuning would begin at another function than the one that was refitted.
"""

from typing import Any

import numpy as np

from litetuner.spaces.reconstruction.least_squares import correction

LEAST_ROWS = 256  # fewer tell too little of a variance: with 256, its standard error is 9 %


def is_normalization(layer: Any, rank: int) -> bool:
    """Is it a batch normalization over the last axis of a tensor of this rank, called once?"""
    found = type(layer).__name__ == "BatchNormalization" and len(layer.inbound_nodes) == 1
    return found and list(layer.axis) == [rank - 1]


def fit_normalization(layer: Any, x: np.ndarray, wanted: np.ndarray | None, judged: np.ndarray) -> None:
    """Give ``layer`` (in place) the statistics of its input ``x`` (rows, channels).

    Its outputs come as near as they can to ``wanted`` (rows, channels) by least squares, judged on the rows where ``judged`` is
    true; they stay as they are where it is ``None``. Too few rows change nothing.
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
    """What it does outside of training: times scale plus shift (channels,), in double precision."""
    mean, variance = (value.numpy().astype(np.float64) for value in (layer.moving_mean, layer.moving_variance))
    scale = (layer.gamma.numpy() if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
    return scale, (layer.beta.numpy() if layer.center else 0.0) - mean * scale


def _store(layer: Any, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
    """Compute ``scale`` and ``shift`` with these statistics; without gamma or beta the statistics alone can do so."""
    if layer.scale:
        layer.gamma.assign((scale * np.sqrt(variance + layer.epsilon)).astype(np.float32))
    else:
        old, _ = _affine(layer)
        scale = np.where((scale > 0) & (scale**2 * layer.epsilon < 1), scale, old)  # no variance is negative
        variance = 1 / scale**2 - layer.epsilon
    if layer.center:
        layer.beta.assign((shift + scale * mean).astype(np.float32))
    else:
        mean = np.where(scale != 0, -shift / np.where(scale != 0, scale, 1.0), mean)
    layer.moving_mean.assign(mean.astype(np.float32))
    layer.moving_variance.assign(variance.astype(np.float32))
