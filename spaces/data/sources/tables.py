"""Data from a CSV or Parquet table with a row for each sample and a label column, read in parts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.data.raw import SYNONYMS, Arrays, RawData, Samples
from litetuner.spaces.data.sources.columns import MixedColumn
from litetuner.spaces.errors import DataError, nearest

SUFFIXES = (".csv", ".parquet")
SPLIT = "split"  # optional column with the split of each row
PART_BYTES = 1 << 24  # of a part of a table in memory, at 8 bytes per value


def read_table(path: Path, label: str | None, scratch: Path | None = None) -> RawData:
    """Read a table: ``label`` is the label column, ``split`` the optional split column, all others are the samples.

    Samples (n, columns) keep the order of the columns. A split is train, search or test. Text labels are numbered in
    alphabetical order. The arrays are unnamed files in ``scratch`` (``None``: the system's temporary folder). Raises
    ``DataError`` for a table that cannot be read, an unknown column, and columns that are not numeric.
    """
    found = _Table(str(path), label, scratch)
    for part in _parts(path):
        found.add(part)
        if found.mixed:  # numbers at first, text later: all labels are text
            return _as_text(path, label, scratch)
    return found.data()


def table_data(source: str, table: Any, label: str | None, scratch: Path | None = None) -> RawData:
    """Read a pandas table like a file in ``read_table``. Raises ``DataError``."""
    found = _Table(source, label, scratch)
    found.add(table.set_axis([str(name) for name in table.columns], axis=1))
    return found.data()


def check_label(source: str, label: str | None, columns: Sequence[str]) -> None:
    """Raise ``DataError`` if a table has no such label column."""
    if label not in columns:
        what = "Which column is the label? Say it with --label" if label is None else f"There is no column {label!r}"
        hint = "" if label is None else nearest(label, columns)
        raise DataError(f"{source}: {what}{hint}. It has: {', '.join(columns[:20])}{', ...' if columns[20:] else ''}.")


def _as_text(path: Path, label: str | None, scratch: Path | None) -> RawData:
    found = _Table(str(path), label, scratch)
    for part in _parts(path, text=label):
        found.add(part)
    return found.data()


def _parts(path: Path, text: str | None = None) -> Iterator[Any]:
    """Read a file as a sequence of pandas tables; the column ``text`` is kept as text. Raises ``DataError``."""
    try:
        if path.suffix.lower() == ".csv":
            import pandas

            columns = pandas.read_csv(path, nrows=0).columns
            types = {} if text is None else {text: str}
            yield from pandas.read_csv(path, chunksize=_rows(len(columns)), dtype=types)
        else:
            import pyarrow.parquet

            file = pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20)  # without it a long column is read completely
            rows = _rows(len(file.schema_arrow.names))
            for group in range(file.num_row_groups):  # a single call for all groups would keep the read ones in memory
                for batch in file.iter_batches(rows, row_groups=[group], use_threads=False):
                    yield batch.to_pandas()
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet needs the package pyarrow: pip install 'litetuner[parquet]'; or give a CSV."
        ) from error
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error


def _rows(columns: int) -> int:
    return max(1, PART_BYTES // (8 * max(1, columns)))


class _Table:
    """Collects a table part by part and returns its splits."""

    def __init__(self, source: str, label: str | None, scratch: Path | None) -> None:
        self.source, self.label, self.scratch = source, label, scratch
        self.mixed = False  # True if some labels are numbers and some are text
        self._columns: dict[str, tuple[MixedColumn, MixedColumn]] = {}  # split -> samples and labels
        self._inputs = 0
        self._names: dict[str, int] = {}  # text labels, numbered in order of appearance
        self._numbers = False
        self._empty = 0

    def add(self, table: Any) -> None:
        """Add the rows of a pandas table. Raises ``DataError``."""
        import pandas

        if not len(table):
            return
        check_label(self.source, self.label, list(table.columns))
        y = table[self.label]
        if pandas.api.types.is_numeric_dtype(y):
            self._numbers, labels = True, y.to_numpy()
        else:
            self._empty += int(y.isna().sum())
            labels = np.array([self._names.setdefault(name, len(self._names)) for name in y.astype(str)])
        self.mixed = self._numbers and bool(self._names)
        x = self._features(table)
        for split, rows in _splits(self.source, table).items():
            if split not in self._columns:
                self._columns[split] = tuple(MixedColumn(self.source, self.scratch) for _ in "xy")  # type: ignore[assignment]
            for column, values in zip(self._columns[split], (x, labels), strict=True):
                column.append(values[rows])

    def _features(self, table: Any) -> np.ndarray:
        import pandas

        features = table.drop(columns=[self.label, SPLIT], errors="ignore")
        text = [name for name in features if not pandas.api.types.is_numeric_dtype(features[name])]
        if text:
            example = str(features[text[0]].iloc[0])[:40]
            raise DataError(
                f"{self.source}: the column {text[0]!r} holds text, such as {example!r}. Encode it as numbers as your training "
                "did, or give --data module:function."
            )
        self._inputs = features.shape[1]
        flags = [name for name in features if pandas.api.types.is_bool_dtype(features[name])]
        features = features.astype(dict.fromkeys(flags, np.uint8))
        values: np.ndarray = features.to_numpy()
        return features.to_numpy(np.float64, na_value=np.nan) if values.dtype == object else values

    def data(self) -> RawData:
        """The splits of all rows. Raises ``DataError`` if there are none, or text labels are missing."""
        if not self._columns:
            raise DataError(f"{self.source} has no rows.")
        if self._empty:
            raise DataError(
                f"{self.source}: the column {self.label!r} has {self._empty} empty cells. Remove those rows."
            )
        names = tuple(sorted(self._names)) or None
        position = {name: number for number, name in enumerate(names or ())}
        numbers = np.array([position[name] for name in self._names])
        renumbered = numbers.__getitem__ if names else None
        found: dict[str, tuple[Samples, Arrays | None]] = {
            split: (self._columns[split][0].array(), self._columns[split][1].array(renumbered))
            for split in ("train", "search", "test")
            if split in self._columns
        }
        said = f"{Path(self.source).name}: {self._inputs} columns are the input, {self.label} is the label"
        return RawData(found, names, (said,))


def _splits(source: str, table: object) -> dict[str, np.ndarray]:
    """The rows of each split; all rows are train if there is no split column."""
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
