"""What ``tune`` refuses: models and data that only Python can give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import litetuner
from litetuner import ConfigError, DataError, ModelError, RunError


@pytest.mark.parametrize(
    ("model", "data", "error", "part"),
    [
        (7, {}, ModelError, "int is neither a path"),
        ("m.keras", [1, 2], DataError, "list cannot be used. Give a path"),
        ("m.keras", {"x_train": np.array([None])}, DataError, "Python objects"),
        ("m.keras", {"x_train": [[1, 2], [3]]}, DataError, "x_train"),
        ("m.keras", {"x_train": np.zeros(3)}, ModelError, "does not exist"),
    ],
)
def test_inputs_that_are_none(
    model: object, data: object, error: type[Exception], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=part):
        litetuner.tune(model, data)


def test_models_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from litetuner.spaces import tf

    tf.load()
    import keras

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="never built"):
        litetuner.tune(keras.Sequential([keras.layers.Dense(3)]), "d.npz")


def test_a_misspelt_argument(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tune: there is no key 'max_dropp' \(did you mean 'max_drop'"):
        litetuner.tune("m.keras", "d.npz", max_dropp="1%")


def test_inputs_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(RunError, match="cannot write runs/inputs"):
        litetuner.tune("m.keras", {"x_train": np.zeros(3)})
