"""Weights that already lie on a grid of few bits, found again in a float file: what low-bit training made is exported exactly.

litert-quantizer's own recovery takes the smallest gap between two values for the step of the grid. A channel of few weights
may leave gaps (values 0, 2 and 5 steps), where that is wrong and it raises; batch-norm folding adds rounding. Here every
step that the largest value allows is tried, so a grid of 4 bits is found whenever there is one.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

TOLERANCE = 1e-3  # of a step of the grid: what float32 rounding and folded batch norms leave


def grid_steps(weights: np.ndarray, bits: int) -> np.ndarray:
    """The largest step s of each row for which all values are whole multiples of s within ``bits`` signed bits.

    ``weights`` (channels, n) float; gives (channels,) float, NaN for a row that lies on no such grid and 1 for one of zeros.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    rows = np.asarray(weights, np.float64)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    steps = np.where(largest == 0, 1.0, np.nan)
    for levels in range(1, -low + 1):  # few levels first: the largest step that fits
        step = np.where(largest == 0, 1.0, largest / levels)[:, None]
        whole = np.rint(rows / step)
        fits = (np.abs(rows / step - whole).max(axis=1, initial=0.0) <= TOLERANCE) & (
            whole.min(axis=1, initial=0) >= low
        )
        fits &= whole.max(axis=1, initial=0) <= high
        steps = np.where(np.isnan(steps) & fits, step[:, 0], steps)
    return steps


@functools.cache
def register() -> str:
    """Teach litert-quantizer this recovery, through its own registry, in place of its first guess; gives the algorithm's key."""
    from litert_quantizer import algorithm_manager as known
    from litert_quantizer.algorithms.uniform_quantize import common_quantize, dequantized_weight_recovery
    from litert_quantizer.qtyping import TFLOperationName as Kind

    key = known.AlgorithmName.DEQUANTIZED_WEIGHT_RECOVERY
    for kind in (Kind.FULLY_CONNECTED, Kind.CONV_2D):
        known.register_quantized_op(
            key,
            kind,
            dequantized_weight_recovery.init_qsvs,
            calibration_func=dequantized_weight_recovery.calibrate,
            materialize_func=functools.partial(common_quantize.materialize_fc_conv, _quantized),
        )
    return str(key.value)


def _quantized(op_info: Any, config: Any, tensor_content: Any = None, tensor_qsv: Any = None) -> Any:
    """The library's ``get_tensor_quant_params`` for weights on a grid; activations are measured as everywhere."""
    from litert_quantizer.algorithms.uniform_quantize import naive_min_max_quantize
    from litert_quantizer.algorithms.utils import common_utils
    from litert_quantizer.qtyping import UniformQuantParams

    if tensor_content is None:
        return naive_min_max_quantize.get_tensor_quant_params(op_info, config, tensor_content, tensor_qsv)
    axis = common_utils.get_weight_quantized_dim(op_info, tensor_content, config.granularity)
    rows = tensor_content.reshape(1, -1) if axis is None else np.moveaxis(tensor_content, axis, 0)
    steps = grid_steps(rows.reshape(rows.shape[0], -1), config.num_bits)
    if np.isnan(steps).any():
        raise ValueError(
            f"{int(np.isnan(steps).sum())} of {len(steps)} channels lie on no grid of {config.num_bits} bits, so their weights "
            "cannot be recovered"
        )
    shape = [1] * tensor_content.ndim
    if axis is not None:
        shape[axis] = len(steps)
    scale = steps.reshape(shape).astype(np.float32)
    found = UniformQuantParams(
        num_bits=config.num_bits,
        quantized_dimension=axis,
        scale=scale,
        zero_point=np.zeros(shape, np.int32),
        symmetric=True,
        block_size=0,
    )
    return dataclasses.replace(found, quantized_data=np.rint(tensor_content / scale).astype(np.int8))
