"""Bad data: a clear error with the right exit code, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def shape_that_does_not_fit(arrays: dict[str, np.ndarray]) -> None:
    for split in ("train", "search", "test"):
        arrays[f"x_{split}"] = np.zeros((len(arrays[f"x_{split}"]), 8, 8, 1), np.float32)


def label_outside(arrays: dict[str, np.ndarray]) -> None:
    arrays["y_search"] = arrays["y_search"].copy()
    arrays["y_search"][7] = 3


def not_a_number(arrays: dict[str, np.ndarray]) -> None:
    arrays["x_train"] = arrays["x_train"].copy()
    arrays["x_train"][5, 0, 0, 0] = np.nan


def infinity(arrays: dict[str, np.ndarray]) -> None:
    arrays["x_test"] = arrays["x_test"].copy()
    arrays["x_test"][9, 1, 1, 0] = np.inf


def empty_split(arrays: dict[str, np.ndarray]) -> None:
    arrays["x_search"], arrays["y_search"] = arrays["x_search"][:0], arrays["y_search"][:0]


def objects(arrays: dict[str, np.ndarray]) -> None:
    arrays["x_train"] = np.array([None] * 300, dtype=object)


def unequal_lengths(arrays: dict[str, np.ndarray]) -> None:
    arrays["y_train"] = arrays["y_train"][:-1]


def no_labels(arrays: dict[str, np.ndarray]) -> None:
    del arrays["y_search"]


def misspelt_key(arrays: dict[str, np.ndarray]) -> None:
    arrays["x_vall"] = arrays.pop("x_search")


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (shape_that_does_not_fit, ("x_train", "(8, 8, 1)", "the model takes (6, 6, 1)", "--preprocess")),
        (label_outside, ("y_search[7] = 3", "3 classes (0 to 2)", "the model of these data")),
        (not_a_number, ("x_train[5]", "NaN or infinite", "Remove")),
        (infinity, ("x_test[9]", "NaN or infinite", "Remove")),
        (empty_split, ("the search split is empty", "leave x_search and y_search out")),
        (objects, ("x_train", "Python objects", "arrays of numbers")),
        (unequal_lengths, ("300 samples", "299 labels")),
        (no_labels, ("has x_search but no y_search",)),
        (misspelt_key, ("'x_vall'", "Known keys")),
    ],
)
def test_data_that_cannot_be_used(
    refused: Callable[..., str],
    spoil: Callable[[dict[str, np.ndarray]], None],
    parts: tuple[str, ...],
    tmp_path: Path,
    model_file: Path,
    arrays: dict[str, np.ndarray],
) -> None:
    spoilt = dict(arrays)
    spoil(spoilt)
    path = tmp_path / "spoilt.npz"
    np.savez(path, **spoilt)  # type: ignore[arg-type]
    message = refused(model_file, path)
    for part in parts:
        assert part in message
    with pytest.raises(litetuner_errors(), match=r"."):
        tune_here(model_file, path)


def litetuner_errors() -> type[Exception]:
    import litetuner

    return litetuner.DataError


def tune_here(model: Path, data: Path) -> object:
    """The same in Python: the same error, as an exception that says what it is about."""
    import litetuner

    return litetuner.tune(model, data, executor="here", target="fake", trials=3)


@pytest.mark.parametrize("content", ["text", "truncated"])
def test_what_is_no_npz(
    refused: Callable[..., str], content: str, tmp_path: Path, model_file: Path, data_file: Path
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"hello" if content == "text" else data_file.read_bytes()[:5000])
    message = refused(model_file, path)
    assert str(path) in message and "incomplete" in message and "np.savez" in message


def test_data_that_do_not_exist(refused: Callable[..., str], model_file: Path, data_file: Path) -> None:
    assert "did you mean 'data.npz'" in refused(model_file, data_file.with_name("dta.npz"))
    assert "data is empty" in refused(model_file, "")


def test_an_image_that_does_not_decode(refused: Callable[..., str], tmp_path: Path, model_file: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abc":
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(0, 255, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    broken = tmp_path / "images" / "b" / "3.png"
    broken.write_bytes(broken.read_bytes()[:40])
    message = refused(model_file, tmp_path / "images")
    assert str(broken) in message and "does not decode" in message and "Remove or replace" in message


def test_preprocessing_whose_result_does_not_fit_is_named(
    refused: Callable[..., str],
    tmp_path: Path,
    model_file: Path,
    data_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cut_short.py").write_text("def half(x):\n    return x[:, :3]\n")
    message = refused(model_file, data_file, "--preprocess", "cut_short:half")
    assert "x_train after --preprocess cut_short:half has samples of shape (3, 6, 1)" in message
