"""Models with several inputs or outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import scores
from tasks.images import compiled, digits
from tasks.task import Made, seed, split, task, trained


@task("recommender, users and items", scores.mae, keras_metric="mae", metric="mae")
def recommender() -> Made:
    import keras

    rng = seed()
    layers = keras.layers
    users, items = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    user, item = rng.integers(0, 60, 3000), rng.integers(0, 40, 3000)
    rating = np.sum(users[user] * items[item], axis=1) + rng.normal(0, 0.1, 3000)
    inputs = [keras.Input((1,), dtype="int32", name=name) for name in ("user", "item")]
    rows = [layers.Flatten()(layers.Embedding(count, 8)(each)) for count, each in zip((60, 40), inputs, strict=True)]
    h = layers.Dense(16, activation="relu")(layers.Concatenate()([*rows, layers.Multiply()(rows)]))
    model = compiled(keras.Model(inputs, layers.Dense(1)(h)), "mse", ["mae"], 1e-2)
    x = {"user": user[:, None].astype("int32"), "item": item[:, None].astype("int32")}
    return trained(model, split(x, rating.astype("float32")), 8)


@task("siamese, two images", scores.at_half, keras_metric="accuracy", metric="accuracy")
def siamese() -> Made:
    import keras

    rng = seed()
    layers, (x, y) = keras.layers, digits(0.1)
    other = rng.permutation(len(y))
    same = rng.random(len(y)) < 0.5
    by_class = {number: np.flatnonzero(y == number) for number in range(10)}
    other = np.where(same, [rng.choice(by_class[number]) for number in y], other)
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu"), layers.Flatten(), layers.Dense(16)],
        name="encoder",
    )
    left, right = keras.Input((8, 8, 1), name="left"), keras.Input((8, 8, 1), name="right")
    apart = encoder(left) - encoder(right)
    outputs = layers.Dense(1, activation="sigmoid")(layers.Dense(16, activation="relu")(apart * apart))
    model = compiled(keras.Model([left, right], outputs), "binary_crossentropy", ["accuracy"])
    return trained(model, split({"left": x, "right": x[other]}, (y == y[other]).astype("int64")), 8)


@task("two outputs", lambda y, p, x: scores.accuracy(y["digit"], p["digit"], x), metric="accuracy@digit")
def two_outputs() -> Made:
    import keras

    seed()
    layers, (x, y) = keras.layers, digits()
    inputs = keras.Input((8, 8, 1))
    h = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(inputs))
    h = layers.Dense(32, activation="relu")(h)
    outputs = {"digit": layers.Dense(10, activation="softmax", name="digit")(h), "ink": layers.Dense(1, name="ink")(h)}
    model: Any = keras.Model(inputs, outputs)
    losses = {"digit": "sparse_categorical_crossentropy", "ink": "mse"}
    model.compile(keras.optimizers.Adam(3e-3), losses, loss_weights={"digit": 1.0, "ink": 0.5})
    return trained(model, split(x, {"digit": y, "ink": x.mean(axis=(1, 2, 3)) * 4}), 8)


@task("image and table", scores.accuracy, keras_metric="accuracy", metric="accuracy")
def image_and_table() -> Made:
    import keras

    rng = seed()
    layers, (x, y) = keras.layers, digits(0.4)
    table = np.c_[y % 2, rng.normal(size=(len(y), 3))].astype("float32")
    image, meta = keras.Input((8, 8, 1), name="image"), keras.Input((4,), name="meta")
    h = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(image))
    h = layers.Concatenate()([layers.Dense(24, activation="relu")(h), layers.Dense(8, activation="relu")(meta)])
    model = keras.Model([image, meta], layers.Dense(10, activation="softmax")(h))
    model = compiled(model, "sparse_categorical_crossentropy", ["accuracy"])
    return trained(model, split({"image": x, "meta": table}, y), 6)
