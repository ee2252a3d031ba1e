"""Compress a network of embeddings, scored by the nearest neighbor of each sample.

python embedding_retrieval.py [--trials N]
"""

from __future__ import annotations

import argparse

import numpy as np

import litetuner


def retrieval_at_1(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of samples whose nearest neighbor among the others, by cosine, has the same label."""
    unit = y_pred / np.maximum(np.linalg.norm(y_pred, axis=1, keepdims=True), 1e-9)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    return float((y_true[similarity.argmax(axis=1)] == y_true).mean())


retrieval_at_1.bounded = True  # in [0, 1]: a drop of 1% is one point


def contrastive(y_true: object, y_pred: object) -> object:
    """Supervised contrastive loss of each sample of a batch, for --loss (Khosla et al. 2020, arXiv:2004.11362)."""
    import tensorflow as tf

    unit = tf.math.l2_normalize(y_pred, axis=1)
    alone = 1 - tf.eye(tf.shape(unit)[0])
    logits = tf.matmul(unit, unit, transpose_b=True) / 0.2 - 1e9 * (1 - alone)
    same = tf.cast(tf.equal(y_true[:, None], y_true[None]), tf.float32) * alone
    return -tf.reduce_sum(same * tf.nn.log_softmax(logits), axis=1) / (tf.reduce_sum(same, axis=1) + 1e-9)


def make_data() -> dict[str, np.ndarray]:
    """Scikit-learn's handwritten digits; an embedding is good if digits of one class are near each other."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8, 1).astype("float32")
    parts = {"train": slice(0, 1000), "search": slice(1000, 1400), "test": slice(1400, None)}
    return {f"{axis}_{split}": values[rows] for split, rows in parts.items() for axis, values in (("x", x), ("y", y))}


def train_model(data: dict[str, np.ndarray], epochs: int = 10) -> object:
    """Train a small convolutional network that gives 16 numbers."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(16)(layers.Flatten()(x)), name="embedding")
    model.compile(keras.optimizers.Adam(3e-3), contrastive)
    model.fit(data["x_train"], data["y_train"], epochs=epochs, batch_size=64, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    data = make_data()
    run = litetuner.tune(
        train_model(data),
        data,
        metric="embedding_retrieval:retrieval_at_1",
        loss="embedding_retrieval:contrastive",
        max_drop="3%",
        out="runs/embedding_retrieval",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(
        f"{best['label']}: {best['compressed_bytes']} bytes compressed, {best['metric']:.3f} of the neighbors have the same label"
    )
    print(run.export("exported/embedding_retrieval", force=True))


if __name__ == "__main__":
    main()
