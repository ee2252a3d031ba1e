"""Compress a .tflite whose model Keras cannot rebuild: it is written in TensorFlow operations, with a training loop of its own.

python tflite_only.py [--trials N]

Nothing is trained in the search: zeros, clusters and 4-bit weights are solved for layer by layer, and whole channels are removed.
The script trains the model and writes ``digits.tflite``. Replace both by a float .tflite and data of yours.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import litetuner

MODEL = Path("digits.tflite")
TECHNIQUES = {"pruning": "prune", "clustering": "cluster", "4-bit weights": "int4", "channels": "channels"}


def make_data() -> dict[str, np.ndarray]:
    """Give 8x8 images of digits, in [0, 1], as train, search and test splits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x, y = (images[order].reshape(-1, 8, 8, 1) / 16).astype("float32"), labels[order]
    rows = {"train": slice(0, 1100), "search": slice(1100, 1500), "test": slice(1500, None)}
    return {f"{axis}_{split}": values[part] for split, part in rows.items() for axis, values in (("x", x), ("y", y))}


def train_file(data: dict[str, np.ndarray], steps: int = 600) -> None:
    """Train convolutions with normalized kernels and a gate for each channel, and convert them."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shapes = {"first": (3, 3, 1, 16), "second": (3, 3, 16, 32), "gate": (32, 32), "last": (32, 10)}
    module = tf.Module()
    module.weights = {
        name: tf.Variable(rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype("float32"), name=name)
        for name, shape in shapes.items()
    }
    module.scale = tf.Variable(tf.fill([2], 3.0), name="scale")

    def logits(x: Any) -> Any:
        for number, name in enumerate(("first", "second")):
            kernel = module.scale[number] * tf.nn.l2_normalize(module.weights[name], axis=(0, 1, 2))
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1 + number, padding="SAME"))
        pooled = tf.reduce_mean(x, axis=(1, 2))
        return tf.matmul(pooled * tf.sigmoid(tf.matmul(pooled, module.weights["gate"])), module.weights["last"])

    @tf.function
    def step(x: Any, y: Any, rate: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(x)))
        variables = module.trainable_variables
        for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * tf.clip_by_norm(slope, 1.0))

    for number in range(steps):
        rows = rng.integers(0, len(data["x_train"]), 64)
        step(data["x_train"][rows], data["y_train"][rows], tf.constant(0.3 * (1 - number / steps), tf.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")])
    def serve(x: Any) -> Any:
        return tf.nn.softmax(logits(x))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    MODEL.write_bytes(converter.convert())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    data = make_data()
    train_file(data)
    run = litetuner.tune(
        MODEL,
        data,
        max_drop="3%",
        out="runs/tflite_only",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    trials = run.trials_dataframe()
    for name, word in TECHNIQUES.items():
        with_it = trials[trials["label"].str.contains(word) & trials["compressed_bytes"].notna()]
        smallest = with_it.nsmallest(1, "compressed_bytes").to_dict("records")
        said = [
            f"{row['label']}, {row['compressed_bytes']:.0f} bytes, accuracy {row['metric']:.3f}" for row in smallest
        ]
        print(f"{name}: {len(with_it)} files; the smallest is {said[0] if said else 'none'}")
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, accuracy {best['metric']:.3f}")
    print(run.export("exported/tflite_only", force=True))


if __name__ == "__main__":
    main()
