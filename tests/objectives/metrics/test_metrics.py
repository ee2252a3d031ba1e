"""Every metric keeps the contract; the user's own ones too."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics import METRICS
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import ConfigError, DataError
from litetuner.spaces.models.classes import class_numbers, class_scores
from litetuner.spaces.models.decision import TASKS, Decision
from tests.decisions import BINARY, BINARY_LOGITS, LOGITS, NUMBERS, PROBABILITIES, SEVERAL

Case = tuple[Decision, np.ndarray, np.ndarray]  # how outputs are read, labels, perfect predictions


def cases() -> dict[str, Case]:
    rng = np.random.default_rng(0)
    y, several = rng.normal(size=300).astype(np.float32), rng.normal(size=(300, 3)).astype(np.float32)
    many, two = rng.integers(0, 8, 300), rng.integers(0, 2, 300)
    labels, images = (rng.random((300, 4)) < 0.4).astype(np.float32), rng.random((20, 16, 16, 1)).astype(np.float32)
    return {
        "one": (NUMBERS, y, y[:, None].copy()),
        "several": (NUMBERS, several, several.copy()),
        "images": (NUMBERS, images, images.copy()),
        "probabilities": (PROBABILITIES, many, np.eye(8, dtype=np.float32)[many]),
        "logits": (LOGITS, many, np.eye(8, dtype=np.float32)[many] * 30 - 5),
        "two columns": (PROBABILITIES, two, np.eye(2, dtype=np.float32)[two]),
        "sigmoid": (BINARY, two, np.where(two, 1.0, 0.0).astype(np.float32)[:, None]),
        "binary logits": (BINARY_LOGITS, two, np.where(two, 19.0, -18.0).astype(np.float32)[:, None]),
        "labels": (SEVERAL, labels, labels.copy()),
    }


def every_case() -> list[Any]:
    return [
        pytest.param(kind(decision=decision), y, perfect, id=f"{name}-{label}")
        for name, kind in METRICS.items()
        for label, (decision, y, perfect) in cases().items()
        if decision.task in kind.tasks
        and not (name == "top-5" and perfect.shape[1] < 6)
        and (name in ("ssim", "psnr")) == (label == "images")
    ]


BEST = {"psnr": 100.0}  # else 1, or 0 for errors


def test_the_promised_metrics_exist() -> None:
    promised = {"accuracy", "balanced-accuracy", "top-5", "macro-f1", "roc-auc", "mae", "rmse", "r2"}
    promised |= {"micro-f1", "mean-iou", "log-loss", "mape", "smape", "ssim", "psnr", "anomaly-auc"}
    assert promised <= set(METRICS)


@pytest.mark.parametrize("name", [*METRICS, "top-3"])
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = find_metric(name)
    assert metric.name == name and metric.direction in ("maximize", "minimize") and isinstance(metric.bounded, bool)
    assert metric.tasks and set(metric.tasks) <= set(TASKS) and metric.default_loss
    assert metric == find_metric(name) and dataclasses.is_dataclass(metric)


@pytest.mark.parametrize(("metric", "y", "perfect"), every_case())
def test_contract(metric: Metric, y: np.ndarray, perfect: np.ndarray) -> None:
    before = y.copy(), perfect.copy()
    y.setflags(write=False)
    perfect.setflags(write=False)
    best = metric.score(y, perfect)
    assert best == pytest.approx(BEST.get(metric.name, float(metric.direction == "maximize")), abs=1e-6)
    rng = np.random.default_rng(1)
    for share in (0.3, 1.0):  # some, then all predictions go to other samples
        moved = rng.permutation(len(y))[: int(share * len(y))]
        worse = perfect.copy()
        worse[moved] = perfect[rng.permutation(moved)]
        value = metric.score(y, worse)
        assert isinstance(value, float) and np.isfinite(value)
        assert value < best if metric.direction == "maximize" else value > best
        if metric.bounded:
            assert 0 <= value <= 1
        each = metric.each(y, worse)
        if each is not None:
            assert each.shape == (len(y),) and each.mean() == pytest.approx(value, abs=1e-6)
    assert (y == before[0]).all() and (perfect == before[1]).all()


def test_known_values() -> None:
    y, scores = np.array([0, 0, 0, 1]), np.array([[0.9], [0.2], [0.6], [0.7]], np.float32)
    assert find_metric("accuracy", BINARY).score(y, scores) == 0.5
    assert find_metric("balanced-accuracy", BINARY).score(y, scores) == pytest.approx((1 / 3 + 1) / 2)
    assert find_metric("macro-f1", BINARY).score(y, scores) == pytest.approx((0.5 + 0.5) / 2)
    assert find_metric("roc-auc", BINARY).score(y, scores) == pytest.approx(2 / 3)
    assert find_metric("mean-iou", BINARY).score(y, scores) == pytest.approx((1 / 3 + 1 / 3) / 2)
    numbers, predicted = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [6.0]])
    assert find_metric("mae").score(numbers, predicted) == 1.0
    assert find_metric("rmse").score(numbers, predicted) == pytest.approx(3**0.5)
    assert find_metric("r2").score(numbers, predicted) == pytest.approx(1 - 9 / 2)


def test_balanced_accuracy_is_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 4, 200), rng.normal(size=(200, 4))
    found = find_metric("balanced-accuracy", LOGITS).score(y, scores)
    assert found == pytest.approx(balanced_accuracy_score(y, scores.argmax(axis=1)))


def test_top5_counts_ties_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 20, 400), rng.integers(0, 4, (400, 20)) / 4  # many ties, as int8 outputs have
    metric = find_metric("top-5", LOGITS)
    each = metric.each(y, scores)
    assert each is not None and each.mean() == pytest.approx(metric.score(y, scores))
    with pytest.raises(ConfigError, match="at least 6 classes"):
        metric.score(y[:3], scores[:3, :5])


def test_auc_of_quantized_probabilities_and_of_absent_classes() -> None:
    rng = np.random.default_rng(0)
    y, logits = rng.integers(0, 4, 500), rng.normal(size=(500, 4))
    logits[np.arange(500), y] += 1
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    of_logits, metric = find_metric("roc-auc", LOGITS), find_metric("roc-auc", PROBABILITIES)
    assert of_logits.score(y, logits) == pytest.approx(metric.score(y, exact), abs=1e-9)
    assert metric.score(y, np.rint(exact * 256) / 256) == pytest.approx(metric.score(y, exact), abs=2e-3)
    some = y < 2
    assert 0.5 < metric.score(y[some], exact[some]) < 1
    with pytest.raises(DataError, match="at least two classes"):
        metric.score(y[y == 1], exact[y == 1])


def test_outputs_are_read_as_the_decision_says_whatever_their_range() -> None:
    assert class_numbers(np.array([[0.4], [0.6]]), BINARY).tolist() == [0, 1]
    assert class_numbers(np.array([[-0.4], [0.6], [0.2]]), BINARY_LOGITS).tolist() == [
        0,
        1,
        1,
    ]  # all within [0, 1] or nearly
    assert class_numbers(np.array([[1.7], [0.4], [-0.2]]), dataclasses.replace(BINARY, outputs="scores")).tolist() == [
        1,
        0,
        0,
    ]
    assert class_numbers(np.array([0.4, 0.6]), BINARY).tolist() == [0, 1]
    assert class_numbers(np.array([[0.2, 0.7, 0.1]]), PROBABILITIES).tolist() == [1]
    assert class_numbers(np.array([[0.2, 0.7, 0.6]]), SEVERAL).tolist() == [[0, 1, 1]]
    assert class_scores(np.array([[0.4], [0.6]]), BINARY).shape == (2, 2)
    assert (
        class_numbers(np.eye(3)[None].repeat(2, axis=0), LOGITS).tolist() == [[0, 1, 2]] * 2
    )  # a class at every place
    with pytest.raises(ValueError, match="how outputs are read"):
        find_metric("accuracy").score(np.array([0, 1]), np.eye(2))


def labelled() -> tuple[np.ndarray, np.ndarray]:
    """Several labels at once, one of which no sample has, and probabilities."""
    rng = np.random.default_rng(3)
    y = (rng.random((200, 5)) < 0.4) * np.array([1, 1, 1, 1, 0])
    return y.astype(np.float32), np.clip(0.25 + 0.4 * y + 0.3 * rng.normal(size=y.shape), 0, 1).astype(np.float32)


def test_metrics_of_several_labels_are_scikit_learns() -> None:
    from sklearn.metrics import f1_score, log_loss, roc_auc_score

    y, p = labelled()
    for average in ("macro", "micro"):
        found = find_metric(f"{average}-f1", SEVERAL).score(y, p)
        assert found == pytest.approx(f1_score(y, p > 0.5, average=average, zero_division=0.0))
    assert find_metric("roc-auc", SEVERAL).score(y, p) == pytest.approx(roc_auc_score(y[:, :4], p[:, :4]))
    assert find_metric("accuracy", SEVERAL).score(y, p) == pytest.approx(((p > 0.5) == y).mean())
    each = [log_loss(y[:, k], p[:, k], labels=[0, 1]) for k in range(5)]
    assert find_metric("log-loss", SEVERAL).score(y, p) == pytest.approx(np.mean(each), rel=1e-5)


def test_log_loss_is_scikit_learns() -> None:
    from scipy.special import expit, softmax
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(0)
    y, logits, two = rng.integers(0, 4, 100), rng.normal(size=(100, 4)), rng.integers(0, 2, 100)
    expected = log_loss(y, softmax(logits, axis=1))
    assert find_metric("log-loss", LOGITS).score(y, logits) == pytest.approx(expected)
    unequal = softmax(logits, axis=1) * rng.uniform(0.98, 1.02, (100, 1))  # as integer outputs do not sum to 1
    assert find_metric("log-loss", PROBABILITIES).score(y, unequal) == pytest.approx(expected)
    found = find_metric("log-loss", BINARY_LOGITS).score(two, logits[:, :1])
    assert found == pytest.approx(log_loss(two, expit(logits[:, 0])))
    assert np.isfinite(find_metric("log-loss", PROBABILITIES).score(y, np.eye(4)[(y + 1) % 4]))
    with pytest.raises(ConfigError, match="needs probabilities"):
        find_metric("log-loss", dataclasses.replace(BINARY, outputs="scores")).score(two, logits[:, :1])


def test_top_k_is_scikit_learns() -> None:
    from sklearn.metrics import top_k_accuracy_score

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 10, 200), rng.normal(size=(200, 10))
    for k in (1, 3):
        found = find_metric(f"top-{k}", LOGITS).score(y, scores)
        assert found == pytest.approx(top_k_accuracy_score(y, scores, k=k))
    with pytest.raises(ConfigError, match="no metric 'top-0'"):
        find_metric("top-0")


def test_mean_iou_is_keras_own() -> None:
    from litetuner.spaces.tf import load

    load()
    import tf_keras

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 3, (6, 8, 8)), rng.normal(size=(6, 8, 8, 4))  # the labels never hold the last class
    scores[..., 3] = -9.0
    reference = tf_keras.metrics.MeanIoU(4)
    reference.update_state(y, scores.argmax(axis=-1))
    assert find_metric("mean-iou", LOGITS).score(y, scores) == pytest.approx(float(reference.result()), abs=1e-6)


def test_percentage_errors() -> None:
    from sklearn.metrics import mean_absolute_percentage_error

    rng = np.random.default_rng(0)
    y, p = rng.uniform(1, 5, (50, 3)), rng.uniform(1, 5, (50, 3))
    assert find_metric("mape").score(y, p) == pytest.approx(mean_absolute_percentage_error(y, p))
    # By hand: |1-3|/2 = 1, 0 where both are 0, 2 where one is.
    assert find_metric("smape").score(np.array([1.0, 0, 0]), np.array([[3.0], [0], [7]])) == pytest.approx(1.0)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_image_metrics_are_tensorflows(low: float, high: float) -> None:
    from litetuner.spaces.tf import load

    tf, rng = load(), np.random.default_rng(0)
    images = rng.uniform(low, high, (3, 20, 17, 2)).astype(np.float32)
    noisy = images + (high - low) * 0.1 * rng.normal(size=images.shape).astype(np.float32)
    expected = {"ssim": tf.image.ssim(images, noisy, high - low), "psnr": tf.image.psnr(images, noisy, high - low)}
    for name, values in expected.items():
        each = find_metric(name).each(images, noisy)
        np.testing.assert_allclose(each, values.numpy(), rtol=2e-4)
    with pytest.raises(ConfigError, match="11x11"):
        find_metric("ssim").score(images[:, :9], noisy[:, :9])


def test_the_auc_of_a_reconstruction_error() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)), np.arange(60) % 3 == 0
    output = x + rng.normal(size=x.shape) * np.where(y, 0.7, 0.5)[:, None]
    errors = np.square(x - output).mean(axis=1)
    metric, alone = find_metric("anomaly-auc"), np.arange(60)
    assert metric.score(y, output, x=x, groups=alone) == pytest.approx(roc_auc_score(y, errors))
    assert metric.score(y, errors[:, None], x=x, groups=alone) == pytest.approx(roc_auc_score(y, errors))
    recording = np.arange(60) // 4 * 3 + np.arange(60) % 3  # 4 samples of the same label each, or fewer
    kinds = np.unique(recording)
    means = [errors[recording == kind].mean() for kind in kinds]
    expected = roc_auc_score([y[recording == kind][0] for kind in kinds], means)
    assert metric.score(y, output, x=x, groups=recording) == pytest.approx(expected)
    with pytest.raises(DataError, match="labels 0"):
        metric.score(np.arange(60), output, x=x, groups=alone)
    with pytest.raises(ConfigError, match="or one score"):
        metric.score(y, output[:, :3], x=x, groups=alone)


# --- choice ---------------------------------------------------------------------------------------------------------
