"""Inspecting a model: outputs are read as it was trained, so that its score is that of Keras; losses are tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litetuner.objectives.metrics.choice import find_metric
from litetuner.objectives.scoring.scorer import describe_metric
from litetuner.spaces.building.contexts import make_context
from litetuner.spaces.building.inspect import inspect
from litetuner.spaces.building.jobs import InspectJob, InspectResult
from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.job import Limits
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.models.decision import OutputSettings
from litetuner.spaces.store import Store
from litetuner.spaces.tf import load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)


def dense(units: int, activation: str | None, loss: Any, weights: np.ndarray, bias: np.ndarray) -> Any:
    load()
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(units, activation=activation)])
    model.compile("sgd", loss)
    model.set_weights([weights, bias])
    return model


def inspected(
    folder: Path, model: Any, arrays: dict[str, np.ndarray], metric: str, monkeypatch: pytest.MonkeyPatch, **asked: Any
) -> tuple[InspectResult, Workspace, InspectJob]:
    monkeypatch.setattr("litetuner.spaces.building.inspect.seconds_per_epoch", lambda *_: 1.0)
    model.save(folder / "m.keras")
    np.savez(folder / "d.npz", **arrays)  # type: ignore[arg-type]
    sources = Sources(str(folder / "m.keras"), str(folder / "d.npz"))
    workspace = Workspace(folder, Store(folder / "blobs"), Store(folder / "artifacts"), sources)
    job = InspectJob(
        environment=Environment({}, "", ""),
        limits=Limits(60.0, 1 << 32),
        model_content="m",
        data_content="d",
        metric=metric,
        outputs=asked.pop("outputs", OutputSettings()),
        loss=asked.pop("loss", None),
        class_weights=asked.pop("class_weights", None),
        fit=asked.pop("fit", None),
        preprocess=None,
        custom_objects=None,
        seed=0,
        batch_size=8,
        calibration=8,
    )
    return inspect(job, describe_metric(metric), workspace), workspace, job


def score(found: InspectResult, workspace: Workspace, metric: str) -> tuple[float, np.ndarray, np.ndarray]:
    """The metric of the user's own model, its outputs and the labels on the search split."""
    y = np.asarray(workspace.split(found.data, "search")[1])
    outputs = workspace.array(str(found.original))
    return find_metric(metric, found.data.decision).score(y, outputs), outputs, y


def test_a_linear_unit_trained_with_mse_has_the_threshold_between_0_and_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = (X[:, 0] + 0.3 * RNG.normal(size=300) > 0).astype(np.int64)
    weights = np.linalg.lstsq(np.c_[X, np.ones(300)], y, rcond=None)[0].astype(np.float32)
    model = dense(1, None, "mse", weights[:6, None], weights[6:])
    arrays = {"x_train": X[:150], "y_train": y[:150], "x_search": X[150:], "y_search": y[150:]}
    found, workspace, _ = inspected(tmp_path, model, arrays, "accuracy", monkeypatch)
    assert found.data.decision is not None
    assert found.data.decision.words == "binary, threshold 0.5, from the compiled loss mse"
    assert found.loss is not None and found.loss.name == "mean_squared_error"
    value, outputs, labels = score(found, workspace, "accuracy")
    at_half, at_zero = ((outputs[:, 0] > limit) == labels for limit in (0.5, 0.0))
    assert value == at_half.mean() > at_zero.mean() + 0.2 and found.doubts == ()


def test_one_vs_rest_sigmoids_are_ranked_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.special import softmax
    from sklearn.metrics import roc_auc_score

    weights = RNG.normal(size=(6, 4)).astype(np.float32)
    y = np.eye(4)[(X @ weights + RNG.normal(0, 1, (300, 4))).argmax(axis=1)]
    model = dense(4, "sigmoid", "binary_crossentropy", weights, np.full(4, -1.0, np.float32))
    arrays = {"x_train": X[:100], "y_train": y[:100], "x_search": X[100:], "y_search": y[100:]}
    found, workspace, _ = inspected(tmp_path, model, arrays, "roc-auc", monkeypatch)
    value, outputs, labels = score(found, workspace, "roc-auc")
    rows = np.eye(4)[labels]
    assert value == pytest.approx(roc_auc_score(rows, outputs, average="macro"), abs=1e-9)
    assert abs(value - roc_auc_score(rows, softmax(outputs, axis=1), average="macro")) > 1e-3
    assert found.loss is not None and (found.loss.name, found.loss.one_hot) == ("binary_crossentropy", 4)


def test_weights_losses_and_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.eye(6, 3, dtype=np.float32)
    y = X[:, :3].argmax(axis=1)
    model = dense(3, "softmax", "categorical_crossentropy", weights, np.zeros(3, np.float32))
    arrays = {"x_train": X[:200], "y_train": np.eye(3)[y[:200]], "w_train": np.arange(200) % 4 + 1.0}
    arrays |= {"x_search": X[200:], "y_search": np.eye(3)[y[200:]]}
    asked = {"loss": "categorical_crossentropy", "class_weights": "0=2"}
    found, workspace, job = inspected(tmp_path, model, arrays, "accuracy", monkeypatch, **asked)
    assert found.loss is not None and found.loss.one_hot == 3 and found.loss.source == "as --loss says"
    context = make_context(workspace, workspace.inspected(found.inspected), job)
    given = {sample.tobytes(): weight for sample, weight in zip(X[:200], arrays["w_train"], strict=True)}
    expected = [
        given[x.tobytes()] * (2.0 if label == 0 else 1.0)
        for x, label in zip(context.x_train, context.y_train, strict=True)
    ]
    assert context.w_train is not None and context.w_train.tolist() == expected
    with pytest.raises(ConfigError, match="no training loss fits"):
        inspected(tmp_path, model, arrays, "accuracy", monkeypatch, loss="math:dist")


def test_an_own_metric_gets_labels_of_any_kind_and_an_unknown_loss_is_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def triplet(y_true: Any, y_pred: Any) -> Any:
        return y_pred[:, :1]

    (tmp_path / "own_of_inspect.py").write_text("def same(y_true, y_pred, groups): return (y_true == 'cat').mean()\n")
    monkeypatch.chdir(tmp_path)
    model = dense(3, None, triplet, np.eye(6, 3, dtype=np.float32), np.zeros(3, np.float32))
    names = np.array(["cat", "dog"] * 150)
    arrays = {"x_train": X[:100], "y_train": names[:100], "x_search": X[100:200], "y_search": names[100:200]}
    arrays |= {"x_test": X[200:], "y_test": names[200:], "g_search": np.arange(100) // 5, "g_test": names[200:]}
    found, workspace, _ = inspected(tmp_path, model, arrays, "own_of_inspect:same", monkeypatch)
    assert found.loss is None and "no training loss fits" in str(found.model.bridge_refusal)
    assert "compiled with triplet" in str(found.model.bridge_refusal)
    assert "give --loss, or --fit" in str(found.model.bridge_refusal)
    assert set(workspace.split(found.data, "search")[1]) == {"cat", "dog"}
    assert found.data.extras == ("g_search", "g_test") and found.data.decision is not None


def test_a_loop_of_the_users_needs_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import tensorflow as tf

def triplets(model, dataset, epochs, callbacks, seed):
    def loss(y, z):
        near = tf.cast(y[:, None] == y[None], z.dtype)
        return tf.reduce_mean((2 * near - 1) * tf.reduce_sum((z[:, None] - z[None]) ** 2, axis=-1))
    model.compile(model.optimizer, loss)
    model.fit(dataset, epochs=epochs, callbacks=callbacks, verbose=0)

def same(y_true, y_pred):
    return (y_true == 1).mean()
"""
    (tmp_path / "own_loop_of_inspect.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    model = dense(3, None, None, np.eye(6, 3, dtype=np.float32), np.zeros(3, np.float32))
    arrays = {"x_train": X[:100], "y_train": np.arange(100) % 2, "x_search": X[100:], "y_search": np.arange(200) % 2}
    own = "own_loop_of_inspect:same"
    found, workspace, job = inspected(tmp_path, model, arrays, own, monkeypatch, fit="own_loop_of_inspect:triplets")
    assert found.loss is None and found.loop is not None and found.loop.tunes and found.model.bridge_refusal is None
    assert make_context(workspace, workspace.inspected(found.inspected), job).loop is not None
    with pytest.raises(ConfigError, match="is called with"):
        inspected(tmp_path, model, arrays, own, monkeypatch, fit=own)
