"""Named metadata buffers inside a ``.tflite``: text that is part of the file and that no kernel reads."""

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.rewriting.deduplication import SharingBuilder
from litetuner.spaces.tflite.running import run
from litetuner.spaces.tflite.schema import IDENTIFIER, read_model

ALIGNMENT = 16  # bytes; ``force_align`` of buffers in the schema


def add_metadata(file: bytes, name: str, content: bytes) -> bytes:
    """The file with a metadata buffer of this name; an existing buffer of the same name is replaced.

    Raises ``BuildFailed`` if the file cannot be read, or if its outputs would not stay bit-identical.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(file)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = name.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [item for item in model.metadata or [] if item.name != entry.name] + [entry]
    builder = SharingBuilder(len(file) + len(content) + 1024)
    for item in reversed(model.buffers):  # aligned, before the tables; what is written last comes first in the file
        if item.data is not None:
            builder.CreateNumpyVector(item.data, ALIGNMENT)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    written = bytes(builder.Output())
    before, after = run(file, None), run(written, None)
    if not after.identical(before) or after.plan != before.plan:
        raise BuildFailed("the file with metadata would not compute the same; export it without --metadata.")
    return written
