"""Targets mixed from labels and the original's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.tf import load
from litetuner.spaces.training.distillation import soft_targets, teacher_targets

GENERATOR = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tf_keras() -> Any:
    load()
    import tf_keras

    return tf_keras


def dense(tf_keras: Any, activation: str | None, units: int = 3) -> Any:
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input((5,))
    return tf_keras.Model(inputs, tf_keras.layers.Dense(units, activation=activation)(inputs))


def test_logits_become_probabilities_and_regression_stays(tf_keras: Any) -> None:
    x = GENERATOR.normal(size=(600, 5)).astype(np.float32)
    model = dense(tf_keras, None)
    probabilities = teacher_targets(model, x, "linear", classification=True)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        teacher_targets(model, x, "linear", classification=False), model.predict(x, verbose=0), atol=1e-5
    )


def test_a_mixture_of_targets_is_the_mixture_of_losses(tf_keras: Any) -> None:
    y, teacher = np.array([0, 2, 1]), np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], np.float32)
    outputs = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]], np.float32)
    hard = tf_keras.losses.SparseCategoricalCrossentropy()
    targets, loss = soft_targets(y, teacher, 0.25, hard)
    expected = (
        0.75 * hard(y, outputs).numpy() + 0.25 * tf_keras.losses.CategoricalCrossentropy()(teacher, outputs).numpy()
    )
    assert loss(targets, outputs).numpy() == pytest.approx(expected, abs=1e-5)
    assert soft_targets(y, None, 0.0, hard) == (y, hard)


def test_what_cannot_be_mixed_is_refused(tf_keras: Any) -> None:
    hard = tf_keras.losses.SparseCategoricalCrossentropy()
    with pytest.raises(BuildFailed, match="set distill to 0"):
        soft_targets(np.array([0]), None, 1.0, hard)
    with pytest.raises(BuildFailed, match="cannot be mixed"):
        soft_targets(np.zeros((4, 2)), np.zeros((4, 3), np.float32), 0.5, tf_keras.losses.MeanSquaredError())


def test_training_towards_the_original_alone_needs_no_labels(tf_keras: Any) -> None:
    """With wrong labels and distill=1 the copy stays what the original is; with distill=0 it follows the labels."""
    x = GENERATOR.normal(size=(512, 5)).astype(np.float32)
    model = dense(tf_keras, "softmax")
    teacher = teacher_targets(model, x, "softmax", classification=True)
    wrong = (teacher.argmax(axis=1) + 1) % 3
    context = Context(x, wrong, x[:8], tf_keras.losses.SparseCategoricalCrossentropy(), 32, 0, teacher=teacher)
    before = teacher.argmax(axis=1)
    kept = (
        Finetune(epochs=10, learning_rate=0.05, distill=1.0).apply(model, context).predict(x, verbose=0).argmax(axis=1)
    )
    lost = (
        Finetune(epochs=10, learning_rate=0.05, distill=0.0).apply(model, context).predict(x, verbose=0).argmax(axis=1)
    )
    assert (kept == before).mean() > 0.97
    assert (lost == before).mean() < 0.5
