"""Statistics of batch normalizations that a training begins with: outputs stay, and a batch normalizes as the model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.models.keras_bridge.standardization import take_statistics

SAMPLES = np.random.default_rng(3).normal(1.0, 2.0, (150, 6, 6, 3)).astype(np.float32)


def network(**normalization: Any) -> Any:
    """Two convolutions with normalizations, whose statistics are not those of what they read; then a dense layer."""
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    layers = [tf_keras.Input((6, 6, 3))]
    for name in ("a", "b"):
        layers += [tf_keras.layers.Conv2D(4, 3, name=name), tf_keras.layers.BatchNormalization(**normalization)]
        layers += [tf_keras.layers.ReLU()]
    model = tf_keras.Sequential([*layers, tf_keras.layers.Flatten(), tf_keras.layers.Dense(2)])
    random = np.random.default_rng(5)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.2, 1.5, values.shape) for values in layer.get_weights()])
    return model


def outputs(model: Any, training: bool = False) -> np.ndarray:
    return np.asarray(model(SAMPLES, training=training))


@pytest.mark.parametrize("normalization", [{}, {"scale": False}, {"center": False}])
def test_outputs_stay(normalization: dict[str, Any]) -> None:
    model = network(**normalization)
    before = outputs(model)
    take_statistics(model, SAMPLES)
    np.testing.assert_allclose(outputs(model), before, rtol=1e-3, atol=1e-3 * np.abs(before).max())


def test_a_batch_is_normalized_as_the_model_does_it(gap: Callable[[Any], float]) -> None:
    model = network()
    assert gap(model) > 0.5, "other statistics"
    take_statistics(model, SAMPLES)
    assert gap(model) < 1e-3


def test_channels_that_are_off_and_models_without_normalizations_stay() -> None:
    model = network()
    (first, second) = [layer for layer in model.layers if "batch" in layer.name]
    first.gamma.assign([0.0, 1.0, 1.0, 1.0])
    before = outputs(model)
    take_statistics(model, SAMPLES)
    assert first.gamma.numpy()[0] == 0.0 and second.gamma.numpy().all()
    np.testing.assert_allclose(outputs(model), before, rtol=1e-3, atol=1e-3 * np.abs(before).max())
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    plain = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2)])
    kept = plain.get_weights()
    take_statistics(plain, SAMPLES[:, 0, 0])
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), kept, strict=True))


@pytest.fixture
def gap() -> Callable[[Any], float]:
    """By how much outputs differ when batches are normalized by their own statistics, relative to their spread."""

    def measure(model: Any) -> float:
        as_it_is, weights = outputs(model), model.get_weights()
        by_batch = outputs(model, training=True)
        model.set_weights(weights)
        return float(np.abs(by_batch - as_it_is).max() / as_it_is.std())

    return measure
