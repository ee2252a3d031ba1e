"""Losses by name, by function and as compiled, for class numbers, one-hot rows and any labels; tried before training."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.models.decision import CompiledLoss, Decision
from litetuner.spaces.tf import load
from litetuner.spaces.training.losses import (
    LossWishes,
    choose_loss,
    class_weights,
    make_loss,
    named,
    soft_loss,
    tried_outputs,
)
from tests.decisions import BINARY, BINARY_LOGITS, LOGITS, NUMBERS, PROBABILITIES, SEVERAL

RAW = Decision("raw", None, "scores", "none", "for a test")
RAW_SOFTMAX = Decision("raw", None, "probabilities", "softmax", "for a test")
X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
CLASSES, ROWS = np.arange(20) % 3, np.eye(3, dtype=np.float32)[np.arange(20) % 3]


def model(units: int = 3, activation: str | None = "softmax") -> Any:
    load()
    import tf_keras

    return tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(units, activation=activation)])


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    tf = load()
    found = types.ModuleType("mine_of_losses")

    def focal(y_true: Any, y_pred: Any) -> Any:
        """For class numbers (n,)."""
        p = tf.gather(y_pred, tf.cast(tf.reshape(y_true, [-1]), tf.int32), axis=1, batch_dims=1)
        return tf.reduce_mean(-((1 - p) ** 2) * tf.math.log(p + 1e-6))

    def of_rows(y_true: Any, y_pred: Any) -> Any:
        return -tf.reduce_sum(y_true * tf.math.log(y_pred + 1e-6), axis=-1)

    def broken(y_true: Any, y_pred: Any) -> Any:
        raise KeyError("no such column")

    found.__dict__.update(focal=focal, of_rows=of_rows, broken=broken, constant=lambda y, p: tf.constant(1.0))
    monkeypatch.setitem(sys.modules, found.__name__, found)
    return found


def choose(
    decision: Decision,
    y: np.ndarray,
    network: Any,
    *,
    asked: str | None = None,
    compiled: str | None = None,
    **how: Any,
) -> Any:
    known = None if compiled is None else CompiledLoss(compiled, compiled)
    wishes = LossWishes(asked, how.pop("metric", "classification"), how.pop("own", False), known)
    (outputs,) = tried_outputs(network, X)
    return choose_loss(wishes, decision, outputs, y, how.pop("weighted", False))


@pytest.mark.parametrize(
    ("decision", "name", "logits"),
    [
        (PROBABILITIES, "sparse_categorical_crossentropy", False),
        (LOGITS, "sparse_categorical_crossentropy", True),
        (BINARY, "binary_crossentropy", False),
        (BINARY_LOGITS, "binary_crossentropy", True),
        (SEVERAL, "binary_crossentropy", False),
        (NUMBERS, "mean_squared_error", None),
    ],
)
def test_the_loss_by_task_fits_the_outputs(decision: Decision, name: str, logits: bool | None) -> None:
    found = named("classification", decision)
    assert (found.name, found.config.get("from_logits")) == (name, logits)


@pytest.mark.parametrize(
    "asked",
    ["categorical_crossentropy", "sparse_categorical_crossentropy", "CategoricalFocalCrossentropy", "mse", "kld"],
)
def test_a_loss_by_name_is_what_keras_computes_of_one_hot_rows(asked: str) -> None:
    load()
    import tf_keras

    network = model()
    found = choose(PROBABILITIES, CLASSES, network, asked=asked, weighted=True)
    reference = tf_keras.losses.get({"class_name": asked, "config": {}} if asked[0] == "C" else asked)
    y = CLASSES if "sparse" in asked else ROWS
    outputs = network(X).numpy()
    assert np.mean(make_loss(found)(CLASSES, outputs)) == pytest.approx(np.mean(reference(y, outputs)), rel=1e-5)


def test_a_function_gets_class_numbers_or_rows(mine: Any) -> None:
    network = model()
    assert choose(PROBABILITIES, CLASSES, network, asked="mine_of_losses:focal").one_hot is None
    assert choose(PROBABILITIES, CLASSES, network, asked="mine_of_losses:of_rows", weighted=True).one_hot == 3


@pytest.mark.parametrize(
    ("asked", "weighted", "part"),
    [
        ("mine_of_losses:focal", True, "one number for a batch"),
        ("mine_of_losses:broken", False, "no such column"),
        ("mine_of_losses:constant", False, "does not depend on the outputs"),
        ("mean_squard_error", False, "did you mean 'mean_squared_error'"),
    ],
)
def test_a_loss_that_does_not_fit_is_named(mine: Any, asked: str, weighted: bool, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(PROBABILITIES, CLASSES, model(), asked=asked, weighted=weighted)
    assert part in str(caught.value) and asked in str(caught.value)


def test_the_compiled_loss_comes_before_that_of_the_task() -> None:
    linear = model(1, None)
    y = (CLASSES > 0).astype(np.int64)
    scores = Decision("binary", 0.5, "scores", "none", "for a test")
    assert choose(scores, y, linear, compiled="mean_squared_error").name == "mean_squared_error"
    assert choose(BINARY_LOGITS, y, linear).name == "binary_crossentropy"
    assert choose(PROBABILITIES, CLASSES, model(), compiled="my_focal").name == "sparse_categorical_crossentropy"
    own = choose(NUMBERS, X[:, 0], linear, compiled="huber", metric="mae", own=True)
    assert (own.name, own.source) == ("mean_absolute_error", "from the metric")


def test_raw_labels_are_trained_on_where_a_loss_is_known_to_fit() -> None:
    assert choose(RAW_SOFTMAX, CLASSES, model()).name == "sparse_categorical_crossentropy"
    assert choose(RAW_SOFTMAX, ROWS, model()).name == "categorical_crossentropy"
    assert choose(RAW, X[:, :3], model(3, None)).name == "mean_squared_error"
    embeddings = model(3, None)
    for y, compiled in ((CLASSES, None), (CLASSES, "triplet"), (ROWS, "triplet"), (np.array(["a", "b"]), None)):
        with pytest.raises(ConfigError, match="no training loss fits"):
            choose(RAW, y, embeddings, compiled=compiled)


def test_the_loss_towards_the_baseline() -> None:
    p, teacher = np.array([[0.2, 0.8]], np.float32), np.array([[0.5, 0.5]], np.float32)
    cross = float(-(0.5 * np.log(p)).sum())
    assert float(soft_loss(PROBABILITIES, named("mse", None))(teacher, p)[0]) == pytest.approx(cross, rel=1e-5)
    assert float(soft_loss(NUMBERS, named("mae", None))(teacher, p)[0]) == pytest.approx(0.3, rel=1e-5)
    assert float(soft_loss(RAW, named("kld", None))(teacher, p)[0]) == pytest.approx(0.09, rel=1e-5)


def test_class_weights() -> None:
    y = np.array([0, 0, 0, 1])
    assert class_weights(None, 2, y) is None
    assert class_weights("balanced", 2, y) == pytest.approx((4 / 6, 2.0))
    assert class_weights("1=4", 3, y) == (1.0, 4.0, 1.0)
    for wrong in ("3=1", "x=1", "1"):
        with pytest.raises(ConfigError, match="CLASS=WEIGHT"):
            class_weights(wrong, 2, y)
    with pytest.raises(ConfigError, match="w_train"):
        class_weights("balanced", None, y)
