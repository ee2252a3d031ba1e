"""Every metric keeps the contract; the user's own ones too."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics import METRICS
from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.metrics.decisions import class_scores, decide
from litetuner.objectives.metrics.metric import Metric
from litetuner.spaces.errors import ConfigError, DataError

Case = tuple[np.ndarray, np.ndarray]  # labels, perfect predictions


def cases(task: str) -> dict[str, Case]:
    rng = np.random.default_rng(0)
    if task == "regression":
        y, several = rng.normal(size=300).astype(np.float32), rng.normal(size=(300, 3)).astype(np.float32)
        return {"one": (y, y[:, None].copy()), "several": (several, several.copy())}
    many, two = rng.integers(0, 8, 300), rng.integers(0, 2, 300)
    return {
        "probabilities": (many, np.eye(8, dtype=np.float32)[many] * 0.93 + 0.00875),
        "logits": (many, np.eye(8, dtype=np.float32)[many] * 20 - 5),
        "two columns": (two, np.eye(2, dtype=np.float32)[two]),
        "sigmoid": (two, np.where(two, 0.8, 0.1).astype(np.float32)[:, None]),
        "binary logits": (two, np.where(two, 3.0, -4.0).astype(np.float32)[:, None]),
    }


def every_case() -> list[Any]:
    return [
        pytest.param(kind(), *case, id=f"{name}-{label}")
        for name, kind in METRICS.items()
        for label, case in cases(kind.task).items()
        if not (name == "top-5" and case[1].shape[1] < 6)
    ]


def test_the_promised_metrics_exist() -> None:
    promised = {"accuracy", "balanced-accuracy", "top-5", "macro-f1", "roc-auc", "mae", "rmse", "r2"}
    assert promised <= set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = find_metric(name)
    assert metric.name == name and metric.direction in ("maximize", "minimize") and isinstance(metric.bounded, bool)
    assert metric.task in ("classification", "regression") and metric.default_loss
    assert metric == find_metric(name) and dataclasses.is_dataclass(metric)


@pytest.mark.parametrize(("metric", "y", "perfect"), every_case())
def test_contract(metric: Metric, y: np.ndarray, perfect: np.ndarray) -> None:
    before = y.copy(), perfect.copy()
    y.setflags(write=False)
    perfect.setflags(write=False)
    best = metric.score(y, perfect)
    assert best == pytest.approx({"maximize": 1.0, "minimize": 0.0}[metric.direction], abs=1e-6)
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
    assert find_metric("accuracy").score(y, scores) == 0.5
    assert find_metric("balanced-accuracy").score(y, scores) == pytest.approx((1 / 3 + 1) / 2)
    assert find_metric("macro-f1").score(y, scores) == pytest.approx((0.5 + 0.5) / 2)
    assert find_metric("roc-auc").score(y, scores) == pytest.approx(2 / 3)
    numbers, predicted = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [6.0]])
    assert find_metric("mae").score(numbers, predicted) == 1.0
    assert find_metric("rmse").score(numbers, predicted) == pytest.approx(3**0.5)
    assert find_metric("r2").score(numbers, predicted) == pytest.approx(1 - 9 / 2)


def test_balanced_accuracy_is_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 4, 200), rng.normal(size=(200, 4))
    found = find_metric("balanced-accuracy").score(y, scores)
    assert found == pytest.approx(balanced_accuracy_score(y, scores.argmax(axis=1)))


def test_top5_counts_ties_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 20, 400), rng.integers(0, 4, (400, 20)) / 4  # many ties, as int8 outputs have
    metric = METRICS["top-5"]()
    each = metric.each(y, scores)
    assert each is not None and each.mean() == pytest.approx(metric.score(y, scores))
    with pytest.raises(ConfigError, match="at least 6 classes"):
        metric.score(y[:3], scores[:3, :5])


def test_auc_of_quantized_probabilities_and_of_absent_classes() -> None:
    rng = np.random.default_rng(0)
    y, logits = rng.integers(0, 4, 500), rng.normal(size=(500, 4))
    logits[np.arange(500), y] += 1
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    metric = find_metric("roc-auc")
    assert metric.score(y, logits) == pytest.approx(metric.score(y, exact), abs=1e-9)  # softmax is found to be missing
    assert metric.score(y, np.rint(exact * 256) / 256) == pytest.approx(metric.score(y, exact), abs=2e-3)
    some = y < 3
    assert 0.5 < metric.score(y[some], exact[some]) < 1
    with pytest.raises(DataError, match="two classes"):
        metric.score(y[y == 1], exact[y == 1])


def test_binary_outputs_are_told_from_logits() -> None:
    assert decide(np.array([[0.4], [0.6]])).tolist() == [0, 1]
    assert decide(np.array([[-1.0], [0.6], [0.2]])).tolist() == [0, 1, 1]
    assert decide(np.array([[1.003], [0.4]])).tolist() == [1, 0]  # an integer output that passes 1 by its scale
    assert decide(np.array([0.4, 0.6])).tolist() == [0, 1]
    assert decide(np.array([[0.2, 0.7, 0.1]])).tolist() == [1]
    assert class_scores(np.array([[0.4], [0.6]])).shape == (2, 2)
    assert decide(np.eye(3)[None].repeat(2, axis=0)).tolist() == [[0, 1, 2]] * 2  # a class at every place


# --- choice ---------------------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        find_metric("acuracy")
    with pytest.raises(ConfigError, match=r"no metric 'zzz'\. Known: accuracy"):
        find_metric("zzz")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    name = f"user_metric_{os.getpid()}"

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
        sys.dont_write_bytecode = True
        return f"{name}:f"

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop(name, None)


def test_a_function_of_the_user_with_defaults_and_attributes(user: Any) -> None:
    spec = user("def f(y, p): return (p.argmax(1) == y).mean()\n")
    metric = find_metric(spec)
    assert (metric.name, metric.direction, metric.bounded, metric.task) == (spec, "maximize", False, "classification")
    assert metric.default_loss == "classification"
    assert metric.score(np.array([0, 1]), np.eye(2)) == 1.0 and metric.each(np.array([0]), np.eye(1)) is None
    spec = user("def f(y, p): return abs(y - p[:, 0]).max()\nf.direction, f.task = 'minimize', 'regression'\n")
    metric = find_metric(spec)
    assert (metric.direction, metric.task, metric.default_loss) == ("minimize", "regression", "mean_squared_error")
    assert metric.score(np.array([1.0, 2.0]), np.array([[1.0], [5.0]])) == 3.0


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def f(y, p): return 1\nf.direction = 'up'\n", "'maximize' or 'minimize'"),
        ("def f(y, p): return 1\nf.bounded = 'yes'\n", "it must be bool"),
        ("g = 1\n", "no function 'f'"),
        ("def f(y): return 1\n", "TypeError"),
        ("def f(y, p): return None\n", "must take"),
        ("def f(y, p): return float('nan')\n", "returned nan"),
        ("def f(y, p): return 2\nf.bounded = True\n", "within [0, 1]"),
    ],
)
def test_functions_that_cannot_be_used_are_refused(user: Any, source: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_metric(user(source)).score(np.array([0, 1]), np.eye(2))
    assert part in str(caught.value)
