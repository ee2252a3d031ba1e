"""Training towards the baseline's outputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.context import Context
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.finetune import Finetune
from litetuner.spaces.tf import load
from litetuner.spaces.training.distillation import teacher_targets
from litetuner.spaces.training.fit import _loss as loss_of
from litetuner.spaces.training.fit import fit

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
    probabilities = np.concatenate(list(teacher_targets(model, x, {"y": "softmax"})))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        np.concatenate(list(teacher_targets(model, x, {"y": "none"}))), model.predict(x, verbose=0), atol=1e-5
    )


def test_both_losses_are_mixed_by_share(tf_keras: Any) -> None:
    y, teacher = np.array([0, 2, 1]), np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], np.float32)
    outputs = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]], np.float32)
    hard, soft = tf_keras.losses.sparse_categorical_crossentropy, tf_keras.losses.categorical_crossentropy
    context = Context(outputs, y, outputs, hard, 4, 0, teacher=teacher, soft_loss=soft)
    expected = 0.75 * np.mean(hard(y, outputs)) + 0.25 * np.mean(soft(teacher, outputs))
    assert float(loss_of(context, 0.25)(outputs, y, teacher)) == pytest.approx(expected, abs=1e-5)
    weights = np.array([0, 2, 0], np.float32)
    weighted = loss_of(dataclasses.replace(context, w_train=weights), 0.25)(outputs, y, teacher, weights)
    second = 0.75 * float(hard(y, outputs)[1]) + 0.25 * float(soft(teacher, outputs)[1])
    assert float(weighted) == pytest.approx(2 * second / 3, abs=1e-5)


def test_without_outputs_of_the_baseline_it_is_refused(tf_keras: Any) -> None:
    x = np.zeros((8, 5), np.float32)
    context = Context(x, np.zeros(8, int), x, tf_keras.losses.SparseCategoricalCrossentropy(), 4, 0)
    with pytest.raises(BuildFailed, match="set distill to 0"):
        fit(dense(tf_keras, "softmax"), context, epochs=1, learning_rate=0.1, distill=0.5)


def test_training_towards_the_original_alone_needs_no_labels(tf_keras: Any) -> None:
    """With wrong labels and distill=1 the copy stays what the original is; with distill=0 it follows the labels."""
    x = GENERATOR.normal(size=(512, 5)).astype(np.float32)
    model = dense(tf_keras, "softmax")
    teacher = np.concatenate(list(teacher_targets(model, x, {"y": "none"})))
    wrong = (teacher.argmax(axis=1) + 1) % 3
    losses = {"loss": "sparse_categorical_crossentropy", "soft_loss": "categorical_crossentropy"}
    context = Context(x, wrong, x[:8], batch_size=32, seed=0, teacher=teacher, **losses)
    before = teacher.argmax(axis=1)
    kept = (
        Finetune(epochs=10, learning_rate=0.05, distill=1.0).apply(model, context).predict(x, verbose=0).argmax(axis=1)
    )
    lost = (
        Finetune(epochs=10, learning_rate=0.05, distill=0.0).apply(model, context).predict(x, verbose=0).argmax(axis=1)
    )
    assert (kept == before).mean() > 0.97
    assert (lost == before).mean() < 0.5
