"""Models that tell classes apart at every pixel or step: labels, losses and metrics; and outputs without a last axis."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from litetuner.objectives.metrics import METRICS
from litetuner.objectives.statistics import bootstrap_metric_interval
from litetuner.spaces.context import Context
from litetuner.spaces.data.labels import prepare_labels
from litetuner.spaces.errors import DataError
from litetuner.spaces.tf import load
from litetuner.spaces.training.distillation import teacher_targets
from litetuner.spaces.training.fit import fit
from litetuner.spaces.training.losses import make_loss, named, soft_loss
from tests.decisions import BINARY_LOGITS, LOGITS

RNG = np.random.default_rng(0)
MASKS = RNG.integers(0, 3, (12, 4, 4))
X = RNG.random((12, 4, 4, 2), np.float32)


@pytest.mark.parametrize("given", [MASKS, MASKS[..., None], np.eye(3)[MASKS], MASKS.astype("f4")])
def test_masks_become_class_numbers_of_every_pixel(given):
    np.testing.assert_array_equal(prepare_labels("y", given, "multiclass", (None, None, None, 3)), MASKS)


def test_masks_in_a_file_are_checked_without_a_copy_and_float_ones_take_a_byte_each(tmp_path):
    np.save(tmp_path / "masks.npy", MASKS.astype("u1"))
    mapped = np.load(tmp_path / "masks.npy", mmap_mode="r")
    assert np.shares_memory(prepare_labels("y", mapped[..., None], "multiclass", (None, 4, 4, 3)), mapped)
    assert prepare_labels("y", MASKS.astype("f4"), "multiclass", (None, 4, 4, 3)).dtype == np.uint8


@pytest.mark.parametrize("y, shape, said", [
    (MASKS[:, :2], (None, 4, 4, 3), r"numbers \(n, 4, 4\) or \(n, 4, 4, 1\), or one-hot rows \(n, 4, 4, 3\)"),
    (MASKS, (None, 4, 4, 2), r"first y\[0, \d, \d\] = 2"),
    (MASKS[:, 0, 0], (None, 4, 4, 3), "class labels are numbers"),
    (np.ones((4, 3)), (None, 3), "--task multilabel"),
    (RNG.random((4, 3)), (None, 3), "add --metric mae, rmse or r2"),
    (np.array([-1, 1]), (None, 1), r"y = \(y \+ 1\) // 2"),
    (MASKS, (None, 4, None), "last axis of classes"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused_with_what_to_do(y, shape, said):
    with pytest.raises(DataError, match=said):
        prepare_labels("y", y, "multiclass", shape)


@pytest.mark.parametrize("name", ["accuracy", "balanced-accuracy", "macro-f1", "roc-auc", "top-5"])
def test_metrics_count_places(name):
    classes = 7 if name == "top-5" else 3
    y = RNG.integers(0, classes, (12, 4, 4))
    scores = RNG.normal(size=(12, 4, 4, classes))
    metric = METRICS[name](decision=LOGITS)
    assert metric.score(y, scores) == pytest.approx(metric.score(y.ravel(), scores.reshape(-1, classes)))
    each = metric.each(y, scores)
    if each is not None:
        assert each.shape == (12,) and each.mean() == pytest.approx(metric.score(y, scores))
    else:  # a single sample is no single class
        low, high = bootstrap_metric_interval(metric, y[:1], scores[:1], 0)
        assert low <= metric.score(y[:1], scores[:1]) <= high


@pytest.mark.parametrize("head", [3, 1])
def test_segmentation_is_trained_also_towards_the_original(head):
    load()
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((4, 4, 2)), tf_keras.layers.Conv2D(head, 3, padding="same")])
    y = prepare_labels("y", MASKS if head == 3 else MASKS > 0, "multiclass", model.output_shape)
    decision = LOGITS if head == 3 else BINARY_LOGITS
    settings = named("classification", decision)
    soft = soft_loss(decision, settings)
    context = Context(X, y, X, make_loss(settings), 4, 0, soft_loss=soft)
    metric = METRICS["accuracy"](decision=decision)
    before = metric.score(y, model(X).numpy())
    fit(model, context, epochs=30.0, learning_rate=1e-2)
    assert metric.score(y, model(X).numpy()) >= before
    teacher = np.concatenate(list(teacher_targets(model, X, {"y": decision.link})))
    fit(model, dataclasses.replace(context, teacher=teacher), epochs=1.0, learning_rate=1e-3, distill=0.5)


def test_a_binary_output_without_a_last_axis_is_one_unit():
    load()
    import tf_keras

    inputs = tf_keras.Input((4,))
    model = tf_keras.Model(inputs, tf_keras.layers.Reshape(())(tf_keras.layers.Dense(1)(inputs)))
    x, y = RNG.normal(size=(64, 4)).astype("f4"), np.zeros(64)
    y[x[:, 0] > 0] = 1
    labels = prepare_labels("y", y, "binary", model.output_shape)
    context = Context(x, labels, x, make_loss(named("classification", BINARY_LOGITS)), 8, 0)
    fit(model, context, epochs=40.0, learning_rate=3e-2)
    assert METRICS["accuracy"](decision=BINARY_LOGITS).score(labels, model(x).numpy()) > 0.85
    teacher = np.concatenate(list(teacher_targets(model, x, {"y": "sigmoid"})))
    assert teacher.shape == (64,) and 0 < teacher.min() < teacher.max() < 1
