"""A tiny trained model with its data, real throughout: 6x6 images with a bright band at one of three heights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from litetuner.cli import run as cli
from litetuner.search.runtime.executors import EXECUTORS
from tests.api.here import Here

CLASSES = 3


def band_arrays() -> dict[str, np.ndarray]:
    """300 train, 150 search and 150 test samples (n, 6, 6, 1) with labels 0 to 2."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, 600)
    x = rng.normal(scale=0.4, size=(600, 6, 6, 1)).astype(np.float32)
    for index, label in enumerate(y):
        x[index, 2 * label : 2 * label + 2] += 1.2
    cuts = {"train": slice(0, 300), "search": slice(300, 450), "test": slice(450, 600)}
    return {f"{axis}_{split}": values[cut] for split, cut in cuts.items() for axis, values in (("x", x), ("y", y))}


def band_model() -> object:
    """An untrained Keras 3 classifier of 1,299 parameters."""
    from litetuner.spaces import tf

    tf.load()
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input((6, 6, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.Conv2D(16, 3, activation="relu", name="deep"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(CLASSES, activation="softmax", name="band"),
        ],
        name="tiny",
    )


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    return band_arrays()


@pytest.fixture(scope="session")
def trained(arrays: dict[str, np.ndarray]) -> object:
    """The model, trained for a second."""
    model = band_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])  # type: ignore[attr-defined]
    model.fit(arrays["x_train"], arrays["y_train"], batch_size=16, epochs=15, verbose=0)  # type: ignore[attr-defined]
    return model


@pytest.fixture(scope="session")
def model_file(trained: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "tiny.keras"
    trained.save(path)  # type: ignore[attr-defined]
    return path


@pytest.fixture(scope="session")
def data_file(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Searches with a real inspection, sees that it is refused with exit code 2 and nothing else; gives the message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EXECUTORS, "here", Here)

    def search(model: object, data: object, *more: str) -> str:
        capfd.readouterr()
        simple = ["--executor", "here", "--target", "fake", "--trials", "3"]
        code = cli(["search", "--model", str(model), "--data", str(data), *simple, *more])
        out, err = capfd.readouterr()
        assert code == 2, err
        assert out == "" and "Traceback" not in err
        message = err.strip().splitlines()[-1]
        assert message.startswith("error: ")
        assert not list((tmp_path / "runs").glob("*")), "a refused search leaves no run folder behind"
        return message

    return search
