"""Text that travels inside a ``.tflite``, read back: nothing in the product needs to."""

from __future__ import annotations

from litetuner.spaces.tflite.schema import read_model


def read_metadata(file: bytes, name: str) -> bytes | None:
    """The content of a metadata buffer, ``None`` where the file has none of that name."""
    model = read_model(file)
    found = [item for item in model.metadata or [] if item.name == name.encode()]
    return bytes(model.buffers[found[0].buffer].data) if found else None
