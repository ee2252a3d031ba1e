"""Models of tables with numeric inputs and one or several labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import own, scores
from tasks.images import compiled
from tasks.task import Made, seed, split, task, trained


def scaled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A data set of scikit-learn in random order, with columns scaled to mean 0 and variance 1."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    order = np.random.default_rng(4).permutation(len(found.target))
    x = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    return x[order].astype("float32"), found.target[order]


def dense(inputs: int, inner: Any, last: Any) -> Any:
    import keras

    return keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(32, activation=inner), keras.layers.Dense(*last)]
    )


@task("regression", scores.r2, metric="r2")
def diabetes() -> Made:
    seed()
    x, y = scaled("diabetes")
    return trained(compiled(dense(10, "relu", (1,)), "mse", rate=1e-2), split(x, (y / 100).astype("float32")), 20)


@task("binary, sigmoid", scores.mean_auc, metric="roc-auc")
def cancer() -> Made:
    seed()
    x, y = scaled("breast_cancer")
    return trained(compiled(dense(30, "selu", (1, "sigmoid")), "binary_crossentropy"), split(x, y), 6)


@task("classes, Normalization inside", scores.log_loss, metric="log-loss")
def wine() -> Made:
    import keras
    from sklearn.datasets import load_wine

    rng = seed()
    found = load_wine()
    rows = rng.choice(len(found.target), 700)
    x = (found.data[rows] * rng.normal(1, 0.1, (700, 13))).astype("float32")
    layers = keras.layers
    model = keras.Sequential([keras.Input((13,)), layers.Normalization(), layers.Dense(24, activation="tanh")])
    model.add(layers.Dense(3, activation="softmax"))
    model.layers[0].adapt(x[:400])
    return trained(compiled(model, "sparse_categorical_crossentropy", rate=1e-2), split(x, found.target[rows]), 8)


@task("binary by mse, no activation", scores.at_half, metric="accuracy")
def linear_mse() -> Made:
    seed()
    x, y = scaled("breast_cancer")
    return trained(compiled(dense(30, "relu", (1,)), "mse"), split(x, y.astype("float32")), 10)


@task("binary by hinge", scores.at_zero, metric="accuracy")
def hinge() -> Made:
    seed()
    x, y = scaled("breast_cancer")
    return trained(compiled(dense(30, "relu", (1,)), "hinge"), split(x, y), 10)


@task("one against the rest, sigmoids", lambda y, p, x: scores.mean_auc(y, p, x), metric="roc-auc")
def one_vs_rest() -> Made:
    rng = seed()
    weights, y = rng.normal(size=(6, 20)) / 2, rng.integers(0, 6, 1500)
    x = rng.uniform(0.1, 2.5, (1500, 1)) * (weights[y] + rng.normal(0, 0.7, (1500, 20)))
    model = compiled(dense(20, "elu", (6, "sigmoid")), "binary_crossentropy")
    return trained(model, split(x.astype("float32"), np.eye(6, dtype="float32")[y]), 8)


@task("several labels at once", scores.macro_f1, metric="macro-f1")
def multi_label() -> Made:
    rng = seed()
    x = rng.normal(size=(1500, 16)).astype("float32")
    y = (x @ rng.normal(size=(16, 5)) + rng.normal(0, 1, (1500, 5)) > 1).astype("float32")
    return trained(compiled(dense(16, "relu", (5, "sigmoid")), "binary_crossentropy"), split(x, y), 8)


@task("counts by Poisson", scores.rmse, metric="rmse")
def counts() -> Made:
    rng = seed()
    x = rng.normal(size=(1500, 8)).astype("float32")
    y = rng.poisson(np.exp(x[:, :3].sum(axis=1) / 2)).astype("float32")
    return trained(compiled(dense(8, "softplus", (1, "exponential")), "poisson"), split(x, y), 8)


@task(
    "quantile regression",
    lambda y, p, x: own.pinball_score(y, p),
    metric="tasks.own:pinball_score",
    loss="tasks.own:pinball",
)
def quantile() -> Made:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return own.pinball(y_true, y_pred)

    rng = seed()
    x = rng.normal(size=(1500, 6)).astype("float32")
    y = (x[:, 0] + np.abs(x[:, 1]) * rng.exponential(1, 1500)).astype("float32")
    return trained(compiled(dense(6, "relu", (1,)), loss), split(x, y), 8)


@task("weights of samples", scores.mae, metric="mae")
def weighted() -> Made:
    rng = seed()
    x = rng.normal(size=(1200, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] + x[:, 2]).astype("float32")
    weights = rng.uniform(0.2, 2, 1200).astype("float32")
    data = split(x, y, w=weights)
    return trained(compiled(dense(6, "swish", (1,)), "mae", rate=1e-2), data, 8, sample_weight=data["w_train"])
