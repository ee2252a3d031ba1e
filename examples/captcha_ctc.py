"""Compress a reader of four digits, trained with CTC and scored by the words that are right.

python captcha_ctc.py [--trials N]
"""

from __future__ import annotations

import argparse

import numpy as np

import litetuner


def words(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of samples whose best path, without repeats and blanks (class 10), is the label."""
    right = 0
    for label, path in zip(y_true, y_pred.argmax(axis=-1), strict=True):
        read = [c for k, c in enumerate(path) if c != 10 and (k == 0 or path[k - 1] != c)]
        right += read == list(label)
    return right / len(y_true)


words.bounded = True  # in [0, 1]: a drop of 1% is one point


def ctc(y_true: object, y_pred: object) -> object:
    """The loss of each sample, for --loss: labels (n, 4), outputs (n, 16, 11) after a softmax."""
    import tensorflow as tf

    count = tf.shape(y_pred)[0]
    lengths = {"label_length": tf.fill([count], 4), "logit_length": tf.fill([count], 16)}
    logits = tf.math.log(y_pred + 1e-7)
    return tf.nn.ctc_loss(tf.cast(y_true, tf.int32), logits, **lengths, logits_time_major=False, blank_index=10)


def make_data() -> dict[str, np.ndarray]:
    """Draw four of scikit-learn's handwritten digits side by side."""
    from sklearn.datasets import load_digits

    digits, rng = load_digits(), np.random.default_rng(0)
    chosen = rng.integers(0, len(digits.images), (1400, 4))
    x = np.concatenate([np.pad(digits.images[chosen[:, k]], ((0, 0), (0, 0), (2, 2))) for k in range(4)], axis=2)
    x = (x / 16).transpose(0, 2, 1)[..., None].astype("float32")  # (n, 48 columns, 8 rows, 1)
    y = digits.target[chosen]
    parts = {"train": slice(0, 1000), "search": slice(1000, 1200), "test": slice(1200, 1400)}
    return {f"{axis}_{split}": values[rows] for split, rows in parts.items() for axis, values in (("x", x), ("y", y))}


def train_model(data: dict[str, np.ndarray], epochs: int = 12) -> object:
    """Train a small convolutional network that names a digit, or none, at each of 16 positions."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((48, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D((3, 2))(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.Reshape((16, 128))(x)
    x = layers.Conv1D(48, 5, padding="same", activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(11, activation="softmax")(x), name="captcha")

    def loss(y_true: object, y_pred: object) -> object:
        return ctc(y_true, y_pred)

    model.compile(keras.optimizers.Adam(4e-3), loss)
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
        metric="captcha_ctc:words",
        loss="captcha_ctc:ctc",
        max_drop="3%",
        out="runs/captcha_ctc",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, {best['metric']:.3f} of the words are right")
    print(run.export("exported/captcha_ctc", force=True))


if __name__ == "__main__":
    main()
