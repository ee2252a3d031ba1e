"""Data from CSV and Parquet tables."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from litetuner.spaces.data.sources import tables
from litetuner.spaces.data.sources.choice import read_source
from litetuner.spaces.data.sources.tables import read_table
from litetuner.spaces.errors import DataError
from litetuner.spaces.info import TensorInfo

TABLE = pandas.DataFrame(
    {
        "width": [1.5, 2.5, 3.5, 4.5],
        "kind": ["oak", "elm", "oak", "ash"],
        "height": [1, 2, 3, 4],
        "split": ["train", "val", "train", "test"],
    }
)


def csv(folder: Path, table: pandas.DataFrame = TABLE, name: str = "trees.csv") -> Path:
    table.to_csv(folder / name, index=False)
    return folder / name


def test_columns_are_the_input_and_text_labels_are_numbered_by_name(tmp_path: Path) -> None:
    inputs = [TensorInfo("input", (None, 2), "float32")]
    found = read_source(str(csv(tmp_path)), inputs, label="kind")
    assert found.class_names == ("ash", "elm", "oak")
    shown = {split: (x[:].tolist(), np.asarray(y).tolist()) for split, (x, y) in found.splits.items()}
    assert shown == {
        "train": ([[1.5, 1], [3.5, 3]], [2, 2]),
        "search": ([[2.5, 2]], [1]),
        "test": ([[4.5, 4]], [0]),
    }
    assert found.notes == ("trees.csv: 2 columns are the input, kind is the label",)


def test_without_a_column_of_splits_all_rows_are_train_and_numbers_stay(tmp_path: Path) -> None:
    found = read_table(csv(tmp_path, TABLE.drop(columns=["split", "kind"]), "T.CSV"), "height")
    x, y = found.splits["train"]
    assert list(found.splits) == ["train"] and found.class_names is None
    assert x[:].tolist() == [[1.5], [2.5], [3.5], [4.5]] and np.asarray(y).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("table", "label", "parts"),
    [
        (TABLE, None, ("Which column is the label", "--label", "width, kind, height")),
        (TABLE, "hight", ("no column 'hight'", "did you mean 'height'")),
        (TABLE, "width", ("'kind' holds text, such as 'oak'", "module:function")),
        (TABLE.assign(split="dev2"), "kind", ("'split' has 'dev2'",)),
        (TABLE.assign(kind=["oak", None, "elm", "ash"]), "kind", ("'kind' has 1 empty cells",)),
    ],
)
def test_tables_that_cannot_be_used_are_refused(
    tmp_path: Path, table: pandas.DataFrame, label: str | None, parts: tuple[str, ...]
) -> None:
    with pytest.raises(DataError) as stop:
        read_table(csv(tmp_path, table), label)
    for part in (str(tmp_path / "trees.csv"), *parts):
        assert part in str(stop.value)


@pytest.mark.parametrize("name", ["broken.csv", "broken.parquet"])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR\n1,2\n1,2,3")
    with pytest.raises(DataError, match=rf"{name}.*(cannot be read as a table|pyarrow)"):
        read_table(tmp_path / name, "kind")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trees.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'litetuner\[parquet\]'"):
        read_table(tmp_path / "trees.parquet", "kind")


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="Parquet needs pyarrow")
def test_parquet_gives_the_same_as_csv(tmp_path: Path) -> None:
    TABLE.to_parquet(tmp_path / "trees.parquet")
    one, other = read_table(tmp_path / "trees.parquet", "kind"), read_table(csv(tmp_path), "kind")
    for split, (x, y) in one.splits.items():
        assert np.array_equal(x[:], other.splits[split][0][:]) and np.array_equal(y, other.splits[split][1])


def test_a_table_is_read_in_parts_of_other_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers first and fractions, text labels and flags later give the same as the whole table at once."""
    rows = 60
    table = pandas.DataFrame(
        {
            "count": np.arange(rows),
            "late": [float(row) + 0.5 * (row > 40) for row in range(rows)],
            "flag": np.arange(rows) % 3 == 0,
            "kind": [str(row % 5) if row < 30 else "ab"[row % 2] for row in range(rows)],
            "split": np.where(np.arange(rows) % 4 == 3, "dev", "train"),
        }
    )
    table["late"] = table["late"].map(lambda value: int(value) if value == int(value) else value).astype(object)
    whole = read_table(csv(tmp_path, table), "kind")
    monkeypatch.setattr(tables, "PART_BYTES", 7 * 8 * 5)  # of 7 rows
    parts = read_table(tmp_path / "trees.csv", "kind")
    assert whole.class_names == parts.class_names == ("0", "1", "2", "3", "4", "a", "b")
    for split, (x, y) in whole.splits.items():
        assert isinstance(parts.splits[split][0], np.memmap)
        assert np.array_equal(x[:], parts.splits[split][0][:]) and x[:].dtype == parts.splits[split][0][:].dtype
        assert np.array_equal(y, parts.splits[split][1])
    assert sum(len(x) for x, _ in parts.splits.values()) == rows


def test_parquet_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"a": np.arange(50.0), "b": np.arange(50), "y": np.arange(50) % 3})
    table.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "PART_BYTES", 4 * 8 * 3)
    x, y = read_table(tmp_path / "t.parquet", "y").splits["train"]
    assert np.array_equal(x[:], table[["a", "b"]].to_numpy()) and np.array_equal(y, table["y"])
