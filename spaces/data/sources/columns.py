"""Arrays that grow row by row in an unnamed file, so that only a part of them is in memory."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from litetuner.spaces.data.arrays import chunks
from litetuner.spaces.errors import DataError
from litetuner.spaces.store import cannot_write


class Column:
    """One array (n, ...), appended to a file in ``scratch`` (``None``: the system's temporary folder).

    ``name`` is its source.
    """

    def __init__(self, name: str, scratch: Path | None) -> None:
        self.name, self.count, self.bytes = name, 0, 0
        self._type: tuple[np.dtype, tuple[int, ...]] | None = None
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 (lives as long as the array)

    def append(self, rows: np.ndarray) -> None:
        """Append rows (b, ...) of one shape and type. Raises ``DataError``, or ``HostError`` if writing fails."""
        found = (rows.dtype, rows.shape[1:])
        self._type = self._type or found
        if rows.dtype.kind not in "biuf":
            raise DataError(f"{self.name} has elements of type {rows.dtype}; they must be numbers")
        if found != self._type:
            raise DataError(
                f"{self.name}: the dataset's samples differ in shape ({self._type[1]} and {found[1]}). Resize or pad them."
            )
        try:
            self._file.write(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise cannot_write(Path(tempfile.gettempdir()), error) from error
        self.count += len(rows)
        self.bytes += rows.nbytes

    def array(self) -> np.ndarray:
        """All rows, memory-mapped. Raises ``DataError`` if there are none."""
        if self._type is None:
            raise DataError(f"{self.name}: a dataset is empty")
        self._file.flush()
        dtype, shape = self._type
        if self.bytes == 0:
            return np.empty((self.count, *shape), dtype)
        return np.memmap(self._file, dtype, "r", shape=(self.count, *shape))


class MixedColumn:
    """A column whose rows may have different types, as in tables; the result has a type that can hold all."""

    def __init__(self, name: str, scratch: Path | None) -> None:
        self._name, self._scratch = name, scratch
        self._parts: list[Column] = []
        self._last: np.dtype | None = None

    def append(self, rows: np.ndarray) -> None:
        """Append rows (b, ...) of any numeric type; a new part begins if the current type cannot hold them."""
        joint = rows.dtype if self._last is None else np.result_type(self._last, rows.dtype)
        if self._last is None or joint != self._last:  # NumPy takes None for float64
            self._parts.append(Column(self._name, self._scratch))
            self._last = joint
        self._parts[-1].append(rows.astype(joint, copy=False))

    def array(self, changed: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """All rows, memory-mapped; ``changed`` transforms each part."""
        parts = [column.array() for column in self._parts]
        if len(parts) == 1 and changed is None:
            return parts[0]
        dtype, whole = parts[-1].dtype, Column(self._name, self._scratch)
        for part in parts:
            for rows in chunks(part):
                whole.append(rows.astype(dtype) if changed is None else changed(rows))
        return whole.array()
