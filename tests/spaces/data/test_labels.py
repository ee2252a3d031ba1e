"""Labels: every form that is taken, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from litetuner.spaces.data.preparation import open_split
from litetuner.spaces.store import Store
from tests.spaces.data.prepared import images, labels, npz, prepare, refused


@pytest.mark.parametrize("form", ["numbers", "column", "one-hot", "floats", "bytes"])
def test_class_labels_in_any_form_become_numbers(tmp_path: Path, form: str) -> None:
    y = labels(60)
    given = {
        "numbers": y,
        "column": y[:, None],
        "one-hot": np.eye(3)[y],
        "floats": y.astype(float),
        "bytes": y.astype("u1"),
    }
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=given[form]), tmp_path)
    found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[1]
    assert found.dtype == np.int64 and found.ndim == 1 and sorted(set(found)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("y", "parts"),
    [
        (labels(60) + 1, ("from 1 to 3", "subtract 1", "y_train[2] = 3")),
        (labels(60) - 1, ("from -1 to 1",)),
        (np.array(["cat", "dog"] * 30), ("'cat'", "class numbers")),
        (labels(60) + 0.5, ("y_train[0] is 0.5", "--metric mae")),
        (np.full((60, 3), 1 / 3), ("not one-hot",)),
        (np.eye(4)[labels(60)], ("4 columns", "3 classes")),
        (np.zeros((60, 2, 2)), ("(60, 2, 2)",)),
        (np.where(np.arange(60) == 7, np.nan, 0.0), ("NaN", "y_train[7]")),
    ],
)
def test_class_labels_that_cannot_be_are_refused(tmp_path: Path, y: np.ndarray, parts: tuple[str, ...]) -> None:
    refused(npz(tmp_path, x_train=images(60), y_train=y), tmp_path, *parts)


def test_binary_and_regression_labels(tmp_path: Path) -> None:
    facts = prepare(npz(tmp_path, x_train=images(60), y_train=labels(60, 2)), tmp_path, output_shape=(None, 1))
    assert facts.classes == 2
    for y, output, shape in (
        (np.linspace(0, 1, 60), (None, 1), ()),
        (np.zeros((60, 1)), (None, 1), ()),
        (np.zeros((60, 2)), (None, 2), (2,)),
    ):
        source = npz(tmp_path, x_train=images(60), y_train=y)
        facts = prepare(source, tmp_path, output_shape=output, task="regression")
        found = open_split(Store(tmp_path / "data"), facts.arrays, "train")[1]
        assert facts.classes is None and found.dtype == np.float32 and found.shape[1:] == shape
    refused(source, tmp_path, "the model gives (3,)", task="regression")
    refused(source, tmp_path, "class labels are numbers (n, 4, 4)", "--metric mae", output_shape=(None, 4, 4, 1))


def test_masks_are_stored_as_class_numbers_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litetuner.spaces.data.arrays.CHUNK_BYTES", 64)  # four masks
    masks = np.random.default_rng(1).integers(0, 2, (30, 4, 4), np.uint8)
    source = npz(tmp_path, x_train=images(30), y_train=masks, x_search=images(9, 1), y_search=masks[:9])
    info = prepare(source, tmp_path, output_shape=(None, 4, 4, 3))
    x, y = open_split(Store(tmp_path / "data"), info.arrays, "search")
    place = {sample.tobytes(): number for number, sample in enumerate(images(9, 1))}
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, masks[[place[np.asarray(sample, np.uint8).tobytes()] for sample in x]])
    assert any("the train split has no sample of 1 of the 3 classes (2)" in note for note in info.notes)


def test_absent_classes_are_noted(tmp_path: Path) -> None:
    given = {"x_train": images(60), "y_train": labels(60), "x_search": images(4, 1), "y_search": np.array([0, 0, 1, 1])}
    assert any(
        "search split has no sample of 1 of the 3" in note for note in prepare(npz(tmp_path, **given), tmp_path).notes
    )
