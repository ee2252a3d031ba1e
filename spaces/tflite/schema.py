"""Reading and writing a ``.tflite`` file as the object model of the schema, and the names of its types and operators.

All other modules read files with ``read_model``. TensorFlow is not needed.
"""

import functools
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from litetuner.spaces.errors import BuildFailed

IDENTIFIER = b"TFL3"
P = ParamSpec("P")
R = TypeVar("R")


def rejects_damage(read: Callable[Concatenate[bytes, P], R]) -> Callable[Concatenate[bytes, P], R]:
    """Decorator for functions that read files: any error that a damaged file causes is raised as ``BuildFailed``."""

    @functools.wraps(read)
    def checked(file: bytes, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(file, *args, **kwargs)
        except (
            struct.error,
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            TypeError,
            ValueError,
        ) as error:
            raise BuildFailed(
                f"the .tflite of {len(file)} bytes is truncated or damaged: {error}. Convert it again."
            ) from error

    return checked


@rejects_damage
def read_model(file: bytes) -> Any:
    """The file as the schema's object model (``ModelT``). Raises ``BuildFailed`` if it is no readable ``.tflite``."""
    from ai_edge_litert.tools import flatbuffer_utils

    if len(file) < 8:
        raise BuildFailed(f"the .tflite has {len(file)} bytes: the conversion wrote nothing. See its log.")
    if file[4:8] != IDENTIFIER:
        raise BuildFailed(f"this is not a .tflite: bytes 4 to 8 are {file[4:8]!r}, expected {IDENTIFIER!r}")
    model = flatbuffer_utils.read_model_from_bytearray(bytes(file))
    _as_arrays(model)
    if not model.subgraphs or any(graph.tensors is None or graph.operators is None for graph in model.subgraphs):
        raise BuildFailed("the .tflite holds no graph: the model is empty, or the file is damaged. Convert it again.")
    _check_references(model)
    return model


def _check_references(model: Any) -> None:
    """Raise ``ValueError`` for an index of a tensor, operator code or buffer that does not exist in the file."""
    buffers, codes = len(model.buffers or []), len(model.operatorCodes or [])
    for graph in model.subgraphs:
        tensors = len(graph.tensors)
        used = [*ints(graph.inputs), *ints(graph.outputs)]
        optional = [index for op in graph.operators for index in (*ints(op.inputs), *ints(op.outputs))]
        for what, indices, low, count in (
            ("tensor", used, 0, tensors),
            ("tensor", optional, -1, tensors),
            ("operator code", [op.opcodeIndex for op in graph.operators], 0, codes),
            ("buffer", [tensor.buffer for tensor in graph.tensors], 0, buffers),
        ):
            wrong = [index for index in indices if not low <= index < count]
            if wrong:
                raise ValueError(f"there is no {what} {wrong[0]}, the file has {count}")


def _as_arrays(model: Any) -> None:
    """Convert ``bytes`` to arrays, in place. Data outside the flatbuffer (litert-quantizer) is read as ``bytes``."""
    for buffer in model.buffers or []:
        if isinstance(buffer.data, bytes):
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    for graph in model.subgraphs or []:
        for operator in graph.operators or []:
            if isinstance(operator.customOptions, bytes):
                operator.customOptions = np.frombuffer(operator.customOptions, np.uint8)


@functools.cache
def _names(enum: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enum)).items() if isinstance(value, int)}


def type_name(tensor_type: int) -> str:
    """The name of a tensor type, such as ``int8``, ``int4`` or ``float32``."""
    return _names("TensorType").get(tensor_type, f"type{tensor_type}").lower()


def operator_name(code: Any) -> tuple[str, bool]:
    """The name of an operator code, and true if it is a custom operator (the name is then its custom name)."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names("BuiltinOperator").get(number, f"BUILTIN_{number}")
    if name == "CUSTOM":
        return (code.customCode or b"unnamed").decode(errors="replace"), True
    return name, False


def text(name: bytes | str | None) -> str:
    """A name in the flatbuffer as text; empty if there is none."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name or ""


def pack_model(model: Any) -> bytes:
    """The file of an object model.

    Byte vectors are aligned to 16 bytes, which the schema requires and the generated Python code does not do.
    """
    import flatbuffers

    class AligningBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
            content = x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes()
            self.StartVector(x.itemsize, x.size, 16 if x.itemsize == 1 else x.dtype.alignment)
            self.head -= len(content)
            self.Bytes[self.head : self.head + len(content)] = content
            return int(self.EndVector())

    builder = AligningBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def tensors_of(model: Any) -> Iterator[Any]:
    """All tensors of all subgraphs, in order."""
    for graph in model.subgraphs:
        yield from graph.tensors


def as_list(values: Any) -> list[Any]:
    """A vector of the schema as a list; empty if the file has none."""
    return [] if values is None else list(values)


def ints(values: Any) -> list[int]:
    """A vector of the schema as a list of integers."""
    return [int(value) for value in as_list(values)]


def element_count(tensor: Any) -> int:
    """The number of values of a tensor; dimensions of unknown size (-1) count as 1."""
    return math.prod(max(size, 0) if size != -1 else 1 for size in ints(tensor.shape))
