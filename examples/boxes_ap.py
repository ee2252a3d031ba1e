"""Compress a detector of one object, scored by the average precision at an overlap (IoU) of 0.5.

python boxes_ap.py [--trials N]
"""

from __future__ import annotations

import argparse

import numpy as np

import litetuner


def average_precision(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """AP at IoU 0.5; labels and outputs (n, 5) are x1, y1, x2, y2 and whether there is an object."""
    low, high = np.maximum(y_true[:, :2], y_pred[:, :2]), np.minimum(y_true[:, 2:4], y_pred[:, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    both = sum(np.prod(np.maximum(box[:, 2:4] - box[:, :2], 0), axis=1) for box in (y_true, y_pred))
    hits = (shared / np.maximum(both - shared, 1e-9) >= 0.5) & (y_true[:, 4] > 0)
    ranked = hits[np.argsort(-y_pred[:, 4], kind="stable")]
    precision = ranked.cumsum() / np.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / max(1, (y_true[:, 4] > 0).sum()))


average_precision.bounded = True  # in [0, 1]: a drop of 1% is one point


def make_data() -> dict[str, np.ndarray]:
    """Images of noise, half of them with a bright rectangle."""
    rng, found = np.random.default_rng(0), {}
    for split, count in (("train", 1500), ("search", 300), ("test", 300)):
        x, y = 0.3 * rng.random((count, 16, 16, 1)), np.zeros((count, 5))
        for image, label in zip(x[::2], y[::2], strict=True):
            left, top = rng.integers(0, 9, 2)
            width, height = rng.integers(4, 8, 2)
            image[top : top + height, left : left + width] += 0.6
            label[:] = left / 16, top / 16, (left + width) / 16, (top + height) / 16, 1
        found[f"x_{split}"], found[f"y_{split}"] = x.astype("float32"), y.astype("float32")
    return found


def train_model(data: dict[str, np.ndarray], epochs: int = 15) -> object:
    """Train a small convolutional network; the search trains with its compiled loss, mse."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(5)(x), name="detector")
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    model.fit(data["x_train"], data["y_train"], epochs=epochs, batch_size=32, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    data = make_data()
    run = litetuner.tune(
        train_model(data),
        data,
        metric="boxes_ap:average_precision",
        max_drop="3%",
        out="runs/boxes_ap",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, {best['metric']:.3f} average precision")
    print(run.export("exported/boxes_ap", force=True))


if __name__ == "__main__":
    main()
