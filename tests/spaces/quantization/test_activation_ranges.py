"""Ranges of activations are those that the quantizer's own calibrator measures, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import Refused
from litetuner.spaces.quantization import activation_ranges as module
from litetuner.spaces.quantization.activation_ranges import activation_ranges


def static_quantizer(file: bytes) -> Any:
    from litert_quantizer import quantizer as ptq
    from litert_quantizer.qtyping import TFLOperationName

    found = ptq.Quantizer(bytearray(file))
    found.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    return found


def own_ranges(file: bytes, samples: np.ndarray) -> dict[str, tuple[float, float]]:
    key, rows = module._samples(file, samples)
    return told(module._calibrated(static_quantizer(file), file, key, rows))


def told(ranges: Any) -> dict[str, tuple[float, float]]:
    return {name: (float(found["min"].item()), float(found["max"].item())) for name, found in ranges.items()}


@pytest.mark.parametrize("which", ["plain", "branches"])
def test_they_are_the_calibrators_own(which: str, tflite: Callable[..., bytes]) -> None:
    file, samples = tflite(which, "float32"), np.random.default_rng(3).normal(size=(9, 8, 8, 3)).astype(np.float32)
    found = told(activation_ranges(static_quantizer(file), file, samples))
    assert found == own_ranges(file, samples)
    assert len(found) >= 6


def test_values_beyond_its_limit_are_left_to_the_calibrator(tflite: Callable[..., bytes]) -> None:
    file, samples = tflite("plain", "float32"), np.random.default_rng(3).normal(size=(3, 8, 8, 3)).astype(np.float32)
    samples[1, 0, 0] = 3.2e38
    found = told(activation_ranges(static_quantizer(file), file, samples))
    expected = own_ranges(file, samples)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name], equal_nan=True) for name in found)
    assert max(high for _, high in found.values() if np.isfinite(high)) < 3e38


def test_without_samples_there_are_none(tflite: Callable[..., bytes]) -> None:
    file = tflite("plain", "float32")
    with pytest.raises(Refused, match="calibration samples"):
        activation_ranges(static_quantizer(file), file, np.zeros((0, 8, 8, 3), np.float32))
