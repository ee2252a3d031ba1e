"""The demo's inputs: scikit-learn's digits and a small convolutional classifier, trained with a fixed seed.

    python -m litetuner.demo FOLDER

writes ``digits.npz`` and ``digits.keras``; TensorFlow is loaded only in that process.
"""

import io
import os
import sys
from pathlib import Path

import numpy as np

from litetuner.spaces.store import write_atomic

SEED = 7
EPOCHS = 25


def digits_arrays() -> dict[str, np.ndarray]:
    """1,797 handwritten digits of 8x8 pixels (Alpaydin and Kaynak 1998, UCI), in [0, 1], split by seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images[..., None] / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(x))
    x, y = x[order], y[order]
    splits = {"train": slice(0, 997), "search": slice(997, 1397), "test": slice(1397, None)}
    return {f"{kind}_{name}": values[part] for name, part in splits.items() for kind, values in (("x", x), ("y", y))}


def digits_model() -> object:
    """An untrained classifier with ordinary and depthwise convolutions, batch norm and a dense head: 24,282 parameters."""
    import keras
    from keras import layers

    def block(x: object, filters: int, name: str, stride: int = 1) -> object:
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs = layers.Input((8, 8, 1), name="image")
    x = block(inputs, 16, "stem")
    x = block(x, 32, "wide", stride=2)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_norm")(x)
    x = layers.ReLU(name="depthwise_relu")(x)
    x = block(x, 56, "deep", stride=2)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(x), name="digits")


def make_inputs(folder: Path) -> tuple[Path, Path]:
    """Write data and trained model into a folder; returns the paths (model, data). Existing files are kept."""
    model_path, data_path = folder / "digits.keras", folder / "digits.npz"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = digits_arrays()
    if not data_path.exists():
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        write_atomic(data_path, content.getvalue())
    if not model_path.exists():
        import keras

        keras.utils.set_random_seed(SEED)
        model = digits_model()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])  # type: ignore[attr-defined]
        model.fit(arrays["x_train"], arrays["y_train"], batch_size=32, epochs=EPOCHS, verbose=0)  # type: ignore[attr-defined]
        temporary = folder / "unfinished.keras"
        model.save(temporary)  # type: ignore[attr-defined]
        write_atomic(model_path, temporary.read_bytes())
        temporary.unlink()
    return model_path, data_path


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    make_inputs(Path(sys.argv[1]))
