"""Models, data and functions as Python objects: what becomes of each form, without TensorFlow."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from litetuner.inputs import as_data_source, as_keys, as_values
from litetuner.spaces.errors import ConfigError, DataError

X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.arange(6) % 2
FRAME = pandas.DataFrame(X, columns=list("abcd")).assign(kind=["no", "yes"] * 3)


class Spec:
    def __init__(self, shape: tuple[int | None, ...]) -> None:
        self.shape = Shape(shape)


class Shape(tuple[Any, ...]):
    @property
    def rank(self) -> int:
        return len(self)

    def as_list(self) -> list[Any]:
        return list(self)


class Dataset:
    """What is asked of a ``tf.data.Dataset``; a real one is read by the notebook of ``test_notebook.py``."""

    def __init__(self, elements: list[tuple[np.ndarray, np.ndarray]], *shapes: tuple[int | None, ...]) -> None:
        self.elements, self.element_spec = elements, tuple(Spec(shape) for shape in shapes)

    def as_numpy_iterator(self) -> Any:
        return iter(self.elements)

    def cardinality(self) -> int:
        return len(self.elements)


def held(source: str) -> dict[str, np.ndarray]:
    with np.load(source) as archive:
        return dict(archive)


def test_every_form_of_data_becomes_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = Dataset(list(zip(X, Y, strict=True)), (4,), ())
    batches = Dataset([(X[:4], Y[:4]), (X[4:], Y[4:])], (None, 4), (None,))
    same = [
        {"x_train": X, "y_train": Y},
        {"x_train": X.tolist(), "y_train": Y.tolist()},
        (X, Y),
        {"train": (X, Y)},
        (FRAME[list("abcd")], pandas.Series(Y)),
        FRAME,
        rows,
        batches,
        {"train": batches},
    ]
    for data in same:
        arrays = held(as_data_source(data, {"": (None, 4)}, label="kind"))
        assert sorted(arrays) == ["x_train", "y_train"], data
        assert np.array_equal(arrays["x_train"], X) and np.array_equal(arrays["y_train"], Y), data
    assert sorted(held(as_data_source(((X, Y), (X, Y))))) == ["x_test", "x_train", "y_test", "y_train"]
    named = held(as_data_source(({"left": X, "right": X}, Y)))
    assert sorted(named) == ["x_train:left", "x_train:right", "y_train"]
    assert list(held(as_data_source(X))) == ["x_train"]
    assert as_data_source(tmp_path / "a.npz") == str(tmp_path / "a.npz") and as_data_source("a:b") == "a:b"
    assert not list((tmp_path / "runs" / "inputs").glob(".*")), "nothing is left half written"


def test_equal_arrays_are_kept_once_and_others_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_data_source((X, Y)) == as_data_source({"y_train": Y.copy(), "x_train": X.copy()})
    assert as_data_source((X, Y)) != as_data_source((X + 1, Y))
    assert as_data_source((X, Y)) != as_data_source((X.astype(np.float64), Y))


def test_whether_a_dataset_is_batched_is_told_by_the_model_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layer = {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 4]}}
    with zipfile.ZipFile("m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
    one_hot = np.eye(2, dtype=np.float32)[Y]
    single = Dataset(list(zip(X, one_hot, strict=True)), (4,), (2,))
    found = held(as_values("m.keras", single, {})["data"])
    assert found["x_train"].shape == (6, 4) and found["y_train"].shape == (6, 2)


def test_functions_become_names_and_other_keys_stay() -> None:
    values = as_values(lambda: None, lambda: (X, Y), {"metric": lambda a, b: 1.0, "loss": "mse", "max_drop": "1%"})
    assert [values[key].partition(":")[0] for key in ("model", "data", "metric")] == ["python_function"] * 3
    assert values["loss"] == "mse" and values["max_drop"] == "1%"


def test_a_dict_of_custom_layers_becomes_a_name_and_a_wrong_one_is_told_at_once() -> None:
    found = as_keys({"custom_objects": {"Scale": (int, float)}, "seed": 1})
    assert found["custom_objects"].startswith("python_function:custom_objects_") and found["seed"] == 1
    assert as_keys({"custom_objects": "mine:objects"}) == {"custom_objects": "mine:objects"}
    for wrong in ({"Scale": "mine:Scale"}, {1: int}, {"Scale": (int, int, int)}):
        with pytest.raises(ConfigError, match=r"custom_objects: .* must be a class, a function, or a pair"):
            as_keys({"custom_objects": wrong})


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ([1, 2], "list cannot be used. Give a path"),
        ({}, "empty dict"),
        ({"x_tain": X}, "did you mean 'x_train'"),
        ((X, Y, Y), "It must be a dict of arrays"),
        (FRAME.rename(columns={"kind": "sort"}), "There is no column 'kind'"),
        (FRAME.assign(a="text"), "holds text"),
        ((np.array([None, "a"]), Y[:2]), "Python objects"),
    ],
)
def test_data_that_cannot_be_used(data: Any, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((DataError, ConfigError), match=part.replace("(", r"\(")):
        as_data_source(data, label="kind")
