"""Compress a classifier whose data are a folder of TFRecord files and a Keras PyDataset: data="module:function".

python streamed_data.py [--trials N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import litetuner

RECORDS = Path(__file__).parent / "runs" / "digits_tfrecord"
TRAIN, SEARCH, TEST = slice(0, 1100), slice(1100, 1450), slice(1450, 1797)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Load images (n, 8, 8, 1) in [0, 1] and their classes, shuffled."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return (found.images[order, ..., None] / 16).astype("float32"), found.target[order]


def write_records(files: int = 4) -> None:
    """Write the train split as TFRecord files, a sample each record."""
    import tensorflow as tf

    RECORDS.mkdir(parents=True, exist_ok=True)
    x, y = digits()
    x, y = x[TRAIN], y[TRAIN]
    for number in range(files):
        with tf.io.TFRecordWriter(str(RECORDS / f"{number}.tfrecord")) as writer:
            for image, label in zip(x[number::files], y[number::files], strict=True):
                feature = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def read_records() -> Any:
    """The TFRecord files as a dataset of (image, label)."""
    import tensorflow as tf

    known = {"image": tf.io.FixedLenFeature((), tf.string), "label": tf.io.FixedLenFeature((), tf.int64)}

    def parse(record: Any) -> tuple[Any, Any]:
        found = tf.io.parse_single_example(record, known)
        return tf.reshape(tf.io.decode_raw(found["image"], tf.float32), (8, 8, 1)), found["label"]

    return tf.data.TFRecordDataset(sorted(map(str, RECORDS.glob("*.tfrecord")))).map(parse)


def batches(rows: slice) -> Any:
    """A split as a PyDataset, as it is given to `model.fit`: batches (images, labels) by number."""
    import keras

    x, y = digits()
    x, y = x[rows], y[rows]

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-len(x) // 32)

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = slice(32 * number, 32 * number + 32)
            return x[chosen], y[chosen]

    return Batches()


def from_batches(given: Any) -> Any:
    """A PyDataset as a `tf.data.Dataset` of batches, each read once."""
    import tensorflow as tf

    types = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in given[0])
    return tf.data.Dataset.from_generator(lambda: (given[k] for k in range(len(given))), output_signature=types)


def splits() -> dict[str, Any]:
    """What data="streamed_data:splits" calls: a dataset for each split."""
    return {"train": read_records(), "search": from_batches(batches(SEARCH)), "test": from_batches(batches(TEST))}


def train_model(epochs: int = 8) -> Any:
    """Train a small convolutional network on the TFRecord files."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [keras.Input((8, 8, 1)), layers.Conv2D(16, 3, activation="relu"), layers.Flatten()]
    model = keras.Sequential([*parts, layers.Dense(10, activation="softmax")], name="digits")
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(read_records().shuffle(1100, seed=0).batch(32), epochs=epochs, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    write_records()
    run = litetuner.tune(
        train_model(),
        "streamed_data:splits",
        max_drop="1%",
        out="runs/streamed_data",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, accuracy {best['metric']:.3f}")
    print(run.export("exported/streamed_data", force=True))


if __name__ == "__main__":
    main()
