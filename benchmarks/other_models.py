"""Builds and trains three more models for search_efficiency.py, of other kinds than the two models of the examples.

    python benchmarks/other_models.py FOLDER [--images cifar10.npz]

``table``: an MLP on a table of 64 columns and 10 classes (scikit-learn's ``make_classification``). ``sensor``: a Conv1D
network on six channels of synthetic motion data with 128 readings and 6 activities. ``mobilenet``: depthwise-separable
blocks with shortcuts on 32x32 images; needs ``--images``. Each is written to FOLDER/NAME.keras and FOLDER/NAME.npz.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SPLITS = (("train", 0.7), ("search", 0.2), ("test", 0.1))
SAMPLES = 10_000  # maximum number of samples in each split of the written data
SEED = 0


def table() -> tuple[Any, dict[str, np.ndarray], int]:
    from keras import Input, Sequential, layers
    from sklearn.datasets import make_classification

    given = {"n_features": 64, "n_informative": 24, "n_redundant": 16, "n_classes": 10, "n_clusters_per_class": 3}
    x, y = make_classification(12_000, class_sep=1.6, flip_y=0.02, random_state=SEED, **given)
    dense = [layers.Dense(units, "relu") for units in (192, 128, 64)]
    return Sequential([Input((64,)), *dense, layers.Dense(10, "softmax")]), split(x, y), 12


def sensor() -> tuple[Any, dict[str, np.ndarray], int]:
    from keras import Input, Sequential, layers

    random = np.random.default_rng(SEED)
    activities = random.integers(0, 6, 8_000)
    time = np.arange(128) / 50
    # Each activity has its own frequency and strength on each channel. Samples differ in speed and phase, and sensors
    # are noisy.
    rhythm, strength = random.uniform(0.5, 6, (6, 6)), random.uniform(0.3, 1.5, (6, 6))
    speed, phase = random.normal(1, 0.12, (8_000, 1, 1)), random.uniform(0, 2 * np.pi, (8_000, 1, 6))
    angle = 2 * np.pi * rhythm[activities][:, None] * speed * time[None, :, None] + phase
    x = strength[activities][:, None] * np.sin(angle) + random.normal(0, 2.2, (8_000, 128, 6))
    body = []
    for filters, stride in ((32, 2), (64, 2), (64, 1), (96, 2)):
        body += [layers.Conv1D(filters, 5, stride, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    ends = [layers.GlobalAveragePooling1D(), layers.Dense(6, "softmax")]
    return Sequential([Input((128, 6)), *body, *ends]), split(x, activities), 8


def mobilenet(images: Path) -> tuple[Any, dict[str, np.ndarray], int]:
    from keras import Input, Model, layers

    def normalized(x: Any, active: bool = True) -> Any:
        x = layers.BatchNormalization()(x)
        return layers.ReLU(6.0)(x) if active else x

    image = Input((32, 32, 3))
    x = normalized(layers.Conv2D(16, 3, 2, "same", use_bias=False)(layers.Rescaling(1 / 127.5, -1.0)(image)))
    for filters, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        before = x
        x = normalized(layers.Conv2D(3 * x.shape[-1], 1, use_bias=False)(x))
        x = normalized(layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x))
        x = normalized(layers.Conv2D(filters, 1, use_bias=False)(x), active=False)
        x = layers.Add()([before, x]) if before.shape == x.shape else x
    x = layers.GlobalAveragePooling2D()(normalized(layers.Conv2D(128, 1, use_bias=False)(x)))
    with np.load(images) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    return Model(image, layers.Dense(10, "softmax")(x)), data, 8


def split(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    ends = np.cumsum([round(share * len(x)) for _, share in SPLITS])[:-1]
    parts = zip(SPLITS, np.split(x.astype(np.float32), ends), np.split(y.astype(np.int64), ends), strict=True)
    return {f"{kind}_{name}": part for (name, _), *pair in parts for kind, part in zip("xy", pair, strict=True)}


def main() -> None:
    import keras

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    makers = {"table": table, "sensor": sensor}
    if options.images:
        makers["mobilenet"] = lambda: mobilenet(options.images)
    for name, make in makers.items():
        keras.utils.set_random_seed(SEED)
        model, data, epochs = make()
        steps = epochs * -(-len(data["x_train"]) // 64)
        rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(data["x_train"], data["y_train"], batch_size=64, epochs=epochs, verbose=0)
        _, accuracy = model.evaluate(data["x_search"], data["y_search"], verbose=0)
        model.save(options.folder / f"{name}.keras")
        np.savez(options.folder / f"{name}.npz", **{part: values[:SAMPLES] for part, values in data.items()})
        print(f"{name}: {model.count_params()} parameters, accuracy {accuracy:.4f} on the search split", flush=True)


if __name__ == "__main__":
    main()
