"""Image models, most of them classifiers of scikit-learn's handwritten digits, with inputs in forms that users have."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import own, scores
from tasks.task import Made, seed, split, task, trained


def digits(noise: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 8, 8, 1) with values in about [0, 1] and added noise, and their classes (n,)."""
    from sklearn.datasets import load_digits

    rng, found = np.random.default_rng(0), load_digits()
    order = rng.permutation(len(found.target))
    x = found.images[order, ..., None] / 16 + rng.normal(0, noise, (len(order), 8, 8, 1))
    return x.astype("float32"), found.target[order]


def compiled(model: Any, loss: Any, metrics: list[Any] | None = None, rate: float = 3e-3) -> Any:
    import keras

    model.compile(keras.optimizers.Adam(rate), loss, metrics=metrics or [])
    return model


@task("classifier, softmax", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def digits_cnn() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits()
    parts = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(16, 3, activation="relu")]
    model = keras.Sequential([*parts, layers.Flatten(), layers.Dropout(0.2), layers.Dense(10, activation="softmax")])
    return trained(compiled(model, "sparse_categorical_crossentropy", ["accuracy"]), split(x, y), 6)


@task("classifier, logits and one-hot labels", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def onehot_logits() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits(0.3)
    parts = [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(48, activation="relu"), layers.Dense(10)]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = compiled(keras.Sequential(parts), loss, ["accuracy"])
    return trained(model, split(x, np.eye(10, dtype="float32")[y]), 8)


@task("camera bytes, Rescaling inside", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def camera_bytes() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits(0.1)
    parts = [keras.Input((8, 8, 1), dtype="uint8"), layers.Rescaling(1 / 255.0), layers.Conv2D(16, 3, strides=2)]
    parts += [
        layers.BatchNormalization(momentum=0.8),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
    model = compiled(keras.Sequential(parts), "sparse_categorical_crossentropy", ["accuracy"])
    return trained(model, split((x * 255).clip(0, 255).astype("uint8"), y), 8)


@task("depthwise separable network", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def separable() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits()
    inputs = keras.Input((8, 8, 1))
    h = layers.ReLU(6.0)(
        layers.BatchNormalization(momentum=0.8)(layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs))
    )
    for width, stride in ((32, 2), (32, 1), (64, 2)):
        h = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(h)
        h = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(h))
        h = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(layers.Conv2D(width, 1, use_bias=False)(h)))
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(h))
    model = compiled(keras.Model(inputs, outputs), "sparse_categorical_crossentropy", ["accuracy"])
    return trained(model, split(x, y), 10)


@task("residual network of free size", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def residual() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits()
    inputs = keras.Input((None, None, 1))
    h = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    for _ in range(2):
        shortcut = h
        h = layers.Conv2D(16, 3, padding="same", activation="relu")(h)
        h = layers.ReLU()(layers.Conv2D(16, 3, padding="same")(h) + shortcut)
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalMaxPooling2D()(h))
    model = compiled(keras.Model(inputs, outputs), "sparse_categorical_crossentropy", ["accuracy"])
    return trained(model, split(x, y), 5)


@task("mixed_float16 training", scores.accuracy, metric="accuracy")
def mixed_float16() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        parts = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu"), layers.Flatten()]
        model = keras.Sequential([*parts, layers.Dense(10), layers.Activation("softmax", dtype="float32")])
        return trained(compiled(model, "sparse_categorical_crossentropy", ["accuracy"]), split(x, y), 6)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@task("300 classes, top 5", scores.top5, metric="top-5")
def many_classes() -> Made:
    import keras

    rng = seed()
    layers, centers = keras.layers, rng.normal(size=(300, 24))
    y = rng.integers(0, 300, 4000)
    x = (centers[y] + rng.normal(0, 0.7, (4000, 24))).astype("float32")
    model = keras.Sequential([keras.Input((24,)), layers.Dense(64, activation="gelu"), layers.Dense(300)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return trained(compiled(model, loss, rate=5e-3), split(x, y), 8)


@task(
    "embedding, nearest neighbor",
    lambda y, p, x: own.retrieval(y, p),
    metric="tasks.own:retrieval",
    loss="tasks.own:pairs",
)
def embedding() -> Made:
    import keras

    def loss(y_true: Any, y_pred: Any) -> Any:
        return own.pairs(y_true, y_pred)

    seed()
    layers, (x, y) = keras.layers, digits()
    parts = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(24, 3, activation="relu")]
    model = keras.Sequential([*parts, layers.Flatten(), layers.Dense(12)])
    return trained(compiled(model, loss), split(x, y), 6)


@task("binary, class weights", scores.balanced, metric="balanced-accuracy", class_weights="balanced")
def rare_digit() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits(0.3)
    parts = [keras.Input((8, 8, 1)), layers.Conv2D(12, 3, activation="relu"), layers.Flatten()]
    model = compiled(keras.Sequential([*parts, layers.Dense(1, activation="sigmoid")]), "binary_crossentropy")
    return trained(model, split(x, (y == 8).astype("int64")), 8, class_weight={0: 0.55, 1: 5.0})


@task(
    "subclassed model",
    scores.accuracy,
    metric="accuracy",
    model="tasks.images:subclassed_model",
    refusal="subclassed model",
)
def subclassed() -> Made:
    """A model that cannot be saved without its class. The search gets a function that builds it, and trains nothing."""
    return Made(subclassed_model(), split(*digits()))


def subclassed_model() -> Any:
    import keras

    class Net(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.inner = keras.layers.Flatten(), keras.layers.Dense(32, activation="relu")
            self.head = keras.layers.Dense(10, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.head(self.inner(self.flat(x)))

    seed()
    x, y = digits()
    model = compiled(Net(), "sparse_categorical_crossentropy")
    return trained(model, split(x, y), 6).model
