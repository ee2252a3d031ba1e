"""Read the stored bytes of a tensor as a dense NumPy array (also of int4 and sparse tensors), and store new values."""

from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.tflite.schema import ints, tensors_of

_NUMBERS = frozenset(  # types that have the same name in NumPy
    ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
_SUB_BYTE = {"int4": (4, True), "int2": (2, True), "uint4": (4, False)}  # by type: bits, signed


def dense_values(tensor: Any, dtype: str, data: np.ndarray) -> np.ndarray:
    """The values of a constant tensor in its shape. Types below 8 bits, such as int4, are returned as int8.

    ``tensor`` is the schema's ``TensorT``, ``data`` the bytes of its buffer. Raises ``BuildFailed`` for types that are
    not numeric, and if the size of the buffer does not match the shape.
    """
    shape = tuple(ints(tensor.shape))
    stored = np.asarray(data, np.uint8)
    if dtype in _SUB_BYTE:
        values = _unpack(stored, *_SUB_BYTE[dtype])
    elif dtype in _NUMBERS and stored.size % np.dtype(dtype).itemsize == 0:
        values = stored.view(np.dtype(dtype).newbyteorder("<"))
    else:
        raise BuildFailed(f"a constant of type {dtype} with {stored.size} bytes has no numbers that could be read")
    if tensor.sparsity is not None:
        return _densify(tensor.sparsity, shape, values)
    size = int(np.prod(shape, dtype=np.int64))
    spare = 8 // _SUB_BYTE[dtype][0] - 1 if dtype in _SUB_BYTE else 0  # unused values in the last byte
    if not size <= values.size <= size + spare:
        raise BuildFailed(f"a constant of shape {list(shape)} needs {size} values and the file holds {values.size}")
    return values[:size].reshape(shape)


def _unpack(stored: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Unpack several values per byte, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = ((stored[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1).astype(np.int8)
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values).astype(np.int8) if signed else values


def _densify(sparsity: Any, shape: tuple[int, ...], values: np.ndarray) -> np.ndarray:
    """Convert TensorFlow Lite's sparse encoding (schema.fbs, ``SparsityParameters``) to a dense array.

    The encoding is a tree. Its levels are in traversal order, and each is dense or compressed (CSR). A level beyond the
    tensor's rank is a position inside a block of the dimension that ``blockMap`` names.
    """
    order = ints(sparsity.traversalOrder)
    block_map = ints(sparsity.blockMap)
    at: dict[int, np.ndarray] = {}  # level: the coordinate of every node
    node = np.zeros(1, np.int64)
    sizes: dict[int, int] = {}
    for level, metadata in zip(order, sparsity.dimMetadata, strict=True):
        if metadata.format == 0:
            sizes[level] = int(metadata.denseSize)
            counts = np.full(node.size, sizes[level])
            coordinate = np.tile(np.arange(sizes[level]), node.size)
            node = np.repeat(node, counts) * sizes[level] + coordinate
        else:
            segments = np.asarray(metadata.arraySegments.values, np.int64)
            indices = np.asarray(metadata.arrayIndices.values, np.int64)
            starts, counts = segments[node], segments[node + 1] - segments[node]
            within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            node = np.repeat(starts, counts) + within
            coordinate = indices[node]
        at = {known: np.repeat(earlier, counts) for known, earlier in at.items()} | {level: coordinate}
    place = [at[axis] for axis in range(len(shape))]
    for block, axis in enumerate(block_map):
        level = len(shape) + block
        place[axis] = place[axis] * sizes[level] + at[level]
    if values.size < node.size:
        raise BuildFailed(f"a sparse constant needs {node.size} values and the file holds {values.size}")
    # Blocks may extend beyond the shape: what is outside is padding.
    inside = np.all([place[axis] < size for axis, size in enumerate(shape)], axis=0)
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinate[inside] for coordinate in place)] = values[node[inside]]
    return dense


def store_values(model: Any, tensor: Any, values: np.ndarray) -> None:
    """Replace the values of a constant tensor in place; keep its shape, and any buffer that other tensors also use."""
    from ai_edge_litert import schema_py_generated as schema

    if not tensor.buffer or sum(each.buffer == tensor.buffer for each in tensors_of(model)) > 1:
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)
