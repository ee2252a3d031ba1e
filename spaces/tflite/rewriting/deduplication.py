"""A flatbuffer builder that writes each distinct vector, string and table only once."""

from typing import Any

import flatbuffers
import numpy as np


class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Remembers the offsets of everything it has written, and reuses them for equal content.

    In a flatbuffer, several tables can point to the same vector, string or table. The fields of a table are collected
    until the table ends, to find out if an equal table was written before. They are then written in the order of their
    width, which needs less padding. What is created first comes last in the file: create vectors before the tables to
    choose their order.
    """

    def __init__(self, initial_bytes: int) -> None:
        super().__init__(max(initial_bytes, 1024))
        self._written: dict[tuple[Any, ...], int] = {}
        self._fields: list[tuple[int, Any, Any]] = []
        self._slots = 0

    def CreateNumpyVector(self, x: np.ndarray, alignment: int = 1) -> int:  # noqa: N802
        """Write a vector, or reuse an equal one, which keeps its alignment."""
        content = x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes()
        key = ("vector", x.dtype.kind, x.itemsize, content)
        if key not in self._written:
            self.StartVector(x.itemsize, x.size, max(alignment, x.dtype.alignment))
            self.head -= len(content)
            self.Bytes[self.head : self.head + len(content)] = content
            self._written[key] = self.EndVector()
        return self._written[key]

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802
        """Write a string, or reuse an equal one."""
        key = ("string", s.encode(encoding, errors) if isinstance(s, str) else bytes(s))
        if key not in self._written:
            self._written[key] = super().CreateString(s, encoding, errors)
        return self._written[key]

    def StartObject(self, numfields: int) -> None:  # noqa: N802
        """Begin a table; its fields are collected until ``EndObject``."""
        self.assertNotNested()
        self.nested = True
        self._fields = []
        self._slots = numfields

    def PrependSlot(self, flags: Any, o: int, x: Any, d: Any) -> None:  # noqa: N802
        """Collect a scalar field, unless it has the default value."""
        if x != d:
            self._fields.append((o, flags, x))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802
        """Collect a reference field, unless it has the default value."""
        if x != d:
            self._fields.append((o, None, x))

    def EndObject(self) -> int:  # noqa: N802
        """Write the table, or reuse an equal one."""
        self.assertNested()
        fields = tuple((slot, flags.__name__ if flags else "offset", value) for slot, flags, value in self._fields)
        key = ("table", self._slots, fields)
        if key not in self._written:
            self.current_vtable = [0] * self._slots
            self.objectEnd = self.Offset()
            for slot, flags, value in sorted(self._fields, key=lambda field: field[1].bytewidth if field[1] else 4):
                if flags is None:
                    self.PrependUOffsetTRelative(value)
                else:
                    self.Prepend(flags, value)
                self.Slot(slot)
            self._written[key] = self.WriteVtable()
        self.nested = False
        return self._written[key]
