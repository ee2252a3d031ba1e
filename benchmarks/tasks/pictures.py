"""Models whose outputs are images, keypoints or boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks import own, scores
from tasks.images import compiled, digits
from tasks.task import Made, seed, split, task, trained


def disks(count: int, size: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noisy images (n, size, size, 3) of a disk, the disk's mask (n, size, size), and its center and radius (n, 3)."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:size, :size]
    center, radius = rng.uniform(4, size - 4, (count, 2)), rng.uniform(2, 4, count)
    apart = (rows - center[:, :1, None]) ** 2 + (columns - center[:, 1:, None]) ** 2
    inside = apart < radius[:, None, None] ** 2
    x = rng.uniform(0, 0.6, (count, size, size, 3)) + inside[..., None] * rng.uniform(0.1, 0.4, (count, 1, 1, 3))
    return x.astype("float32"), inside, np.c_[center, radius].astype("float32")


def unet(classes: int, activation: str | None) -> Any:
    import keras

    layers = keras.layers

    def conv(h: Any, width: int) -> Any:
        return layers.Conv2D(width, 3, padding="same", activation="relu")(h)

    inputs = keras.Input((16, 16, 3))
    fine = conv(inputs, 8)
    coarse = conv(layers.MaxPooling2D()(fine), 16)
    up = layers.Conv2DTranspose(8, 2, strides=2, padding="same")(coarse)
    h = conv(layers.Concatenate()([up, fine]), 8)
    return keras.Model(inputs, layers.Conv2D(classes, 1, activation=activation)(h))


@task("segmentation, mask", scores.mean_iou, metric="mean-iou")
def mask() -> Made:
    seed()
    x, inside, _ = disks(500)
    model = compiled(unet(1, "sigmoid"), "binary_crossentropy")
    return trained(model, split(x, inside[..., None].astype("float32")), 5)


@task("segmentation, classes of places", scores.per_place, keras_metric="accuracy", metric="accuracy")
def regions() -> Made:
    seed()
    x, inside, place = disks(500)
    y = inside * np.where(place[:, 0] > 8, 2, 1)[:, None, None]
    return trained(compiled(unet(3, "softmax"), "sparse_categorical_crossentropy", ["accuracy"]), split(x, y), 5)


@task("keypoints", scores.mae, keras_metric="mae", metric="mae")
def keypoints() -> Made:
    import keras

    seed()
    layers, (x, _, place) = keras.layers, disks(600)
    parts = [keras.Input((16, 16, 3)), layers.Conv2D(12, 3, strides=2, activation="relu")]
    parts += [layers.Conv2D(16, 3, strides=2, activation="relu"), layers.Flatten(), layers.Dense(2)]
    model = compiled(keras.Sequential(parts), keras.losses.Huber(), ["mae"])
    return trained(model, split(x, place[:, :2] / 16), 8)


@task("detection head", lambda y, p, x: own.boxes(y, p), metric="tasks.own:boxes", loss="mse")
def boxes() -> Made:
    """A detection head with 4x4 cells, each with a confidence and a box."""
    import keras

    seed()
    layers, (x, _, place) = keras.layers, disks(800)
    y = np.zeros((800, 16, 5), "float32")
    cell = (place[:, 0] // 4 * 4 + place[:, 1] // 4).astype(int)
    corners = np.c_[place[:, :2] - place[:, 2:], place[:, :2] + place[:, 2:]] / 16
    y[np.arange(800), cell] = np.c_[np.ones(800), corners]
    inputs = keras.Input((16, 16, 3))
    h = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    h = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(h)
    h = layers.Reshape((16, 5))(layers.Conv2D(5, 3, padding="same")(h))
    return trained(compiled(keras.Model(inputs, h), "mse", rate=5e-3), split(x, y), 12)


@task("super-resolution", scores.psnr, metric="psnr")
def super_resolution() -> Made:
    import keras

    seed()
    layers, (x, _) = keras.layers, digits(0.0)
    inputs = keras.Input((4, 4, 1))
    h = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    h = layers.Conv2DTranspose(8, 2, strides=2, activation="relu")(h)
    h = layers.Conv2D(1, 3, padding="same")(h) + layers.UpSampling2D(interpolation="bilinear")(inputs)
    small = x.reshape(-1, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    return trained(compiled(keras.Model(inputs, h), "mse"), split(small, x.clip(0, 1)), 8)


@task("anomalies by an autoencoder", own.anomalies, metric="tasks.own:anomalies")
def anomalies() -> Made:
    """An autoencoder trained on the digits 0 to 7.

    Labels are 1 for the digits 8 and 9. The train split has no labels.
    """
    import keras

    seed()
    layers, (x, y) = keras.layers, digits(0.05)
    odd = y > 7
    data = split(x[odd], np.ones(odd.sum(), "int64"))
    fine = split(x[~odd], np.zeros((~odd).sum(), "int64"))
    both = {key: np.concatenate([data[key], fine[key]]) for key in data if "train" not in key}
    parts = [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(12, activation="relu"), layers.Dense(64)]
    model = compiled(keras.Sequential([*parts, layers.Reshape((8, 8, 1))]), "mse")
    model.fit(fine["x_train"], fine["x_train"], epochs=12, verbose=0)
    return Made(model, both | {"x_train": fine["x_train"]})
