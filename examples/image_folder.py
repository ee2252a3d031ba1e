"""Compress an image classifier; the images are in class folders, and the model needs preprocessing.

python image_folder.py [--trials N]

The script draws images (squares, discs and crosses) into ``shapes/<class>/*.png``. Replace them with your own images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import litetuner

CLASSES = ("cross", "disc", "square")  # folders are numbered by name
FOLDER = Path("shapes")


def scale(x: np.ndarray) -> np.ndarray:
    """Scale pixels from 0..255 to -1..1, as in the training of this model."""
    return x.astype("float32") / 127.5 - 1


def draw(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a bright shape on a dark, noisy background: (24, 24, 3), 0 to 255."""
    (row, column), radius = rng.integers(8, 16, 2), rng.integers(4, 7)
    down, right = np.abs(np.mgrid[:24, :24] - np.array([row, column])[:, None, None])
    inside = {
        "cross": (np.minimum(down, right) < 2) & (np.maximum(down, right) < radius),
        "disc": down**2 + right**2 < radius**2,
        "square": np.maximum(down, right) < radius,
    }[kind]
    image = rng.integers(0, 90, (24, 24, 3)) + 150 * inside[..., None]
    return image.astype("uint8")


def write_images(count: int = 200) -> None:
    """Write ``count`` images of every class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind in CLASSES:
        (FOLDER / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(draw(kind, rng)).save(FOLDER / kind / f"{number:04}.png")


def train_model() -> object:
    """Train a small convolutional network on the images in the folder."""
    import keras
    from PIL import Image

    keras.utils.set_random_seed(0)
    files = [(path, label) for label, kind in enumerate(CLASSES) for path in sorted((FOLDER / kind).glob("*.png"))]
    x = scale(np.stack([np.asarray(Image.open(path)) for path, _ in files]))
    y = np.array([label for _, label in files])
    layers = keras.layers
    inputs = keras.Input((24, 24, 3))
    hidden = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    hidden = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(hidden))
    model = keras.Model(inputs, layers.Dense(len(CLASSES), activation="softmax")(hidden), name="shapes")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=8, batch_size=32, verbose=0)
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, help="stop after this many trials; default: after five minutes")
    limits = vars(arguments.parse_args())

    if not FOLDER.exists():
        write_images()
    run = litetuner.tune(
        train_model(),
        FOLDER,
        preprocess="image_folder:scale",
        max_drop="2%",
        out="runs/image_folder",
        **(limits if limits["trials"] else {"time_budget": "5m"}),
    )
    best = run.best()
    if best is None:
        print(f"nothing fits the budgets; see {run.path}/report.html for the budgets to relax")
        return
    print(f"{best['label']}: {best['compressed_bytes']} bytes compressed, accuracy {best['metric']:.3f}")
    print(run.export("exported/image_folder", force=True))


if __name__ == "__main__":
    main()
