"""Data from a table: CSV or Parquet, a row for each sample, with a column of labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.data.raw import SYNONYMS, RawData
from litetuner.spaces.errors import DataError, nearest

SUFFIXES = (".csv", ".parquet")
SPLIT = "split"  # the column that names the split of each row, where there is one


def read_table(path: Path, label: str | None) -> RawData:
    """The columns as samples (n, columns) in their order, but ``label``, the labels, and ``split``: train, search or test.

    Labels that are text are numbered in the order of their names. Raises ``DataError`` for a table that cannot be read, an
    unknown column, and columns that are no numbers.
    """
    import pandas

    try:
        table = pandas.read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs the package pyarrow: pip install 'litetuner[parquet]'; or give a CSV."
        ) from error
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error
    return table_data(str(path), table, label)


def table_data(source: str, table: Any, label: str | None) -> RawData:
    """A table of pandas as ``read_table`` reads it from a file. Raises ``DataError``."""
    import pandas

    if not len(table):
        raise DataError(f"{source} has no rows.")
    columns = [str(name) for name in table.columns]
    table = table.set_axis(columns, axis=1)
    check_label(source, label, columns)
    splits, y, notes, names = _splits(source, table), table[label], [], None
    if not pandas.api.types.is_numeric_dtype(y):
        if y.isna().any():
            raise DataError(f"{source}: the column {label!r} has {int(y.isna().sum())} empty cells. Remove those rows.")
        names = tuple(sorted(map(str, y.unique())))
        y = y.astype(str).map({name: number for number, name in enumerate(names)})
    features = table.drop(columns=[label, SPLIT], errors="ignore")
    text = [name for name in features if not pandas.api.types.is_numeric_dtype(features[name])]
    if text:
        raise DataError(
            f"{source}: the column {text[0]!r} holds text, such as {str(features[text[0]].iloc[0])[:40]!r}. Encode it as numbers "
            "as your training did, or give --data module:function."
        )
    notes.append(f"{Path(source).name}: {features.shape[1]} columns are the input, {label} is the label")
    x, labels = features.to_numpy(), y.to_numpy()
    return RawData({split: (x[rows], labels[rows]) for split, rows in splits.items()}, names, tuple(notes))


def check_label(source: str, label: str | None, columns: Sequence[str]) -> None:
    """Raise ``DataError`` where a table has no such column of labels."""
    if label not in columns:
        what = "Which column is the label? Say it with --label" if label is None else f"There is no column {label!r}"
        hint = "" if label is None else nearest(label, columns)
        raise DataError(f"{source}: {what}{hint}. It has: {', '.join(columns[:20])}{', ...' if columns[20:] else ''}.")


def _splits(source: str, table: object) -> dict[str, np.ndarray]:
    """The rows of each split; all are train where no column says otherwise."""
    given = getattr(table, SPLIT, None)
    if given is None:
        return {"train": np.arange(len(table))}  # type: ignore[arg-type]
    named = given.astype(str).replace(SYNONYMS)
    unknown = sorted(set(named) - {"train", "search", "test"})
    if unknown:
        raise DataError(
            f"{source}: the column {SPLIT!r} has {unknown[0]!r}; it must be train, search (or val) or test."
        )
    return {name: np.flatnonzero(named == name) for name in ("train", "search", "test") if (named == name).any()}
