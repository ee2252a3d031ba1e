"""The artifact: the properties of a finished ``.tflite``, read from the file itself."""

import collections
import dataclasses
import hashlib
import json
import zlib
from typing import Any

import numpy as np

from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tflite.schema import as_list, ints, operator_name, read_model, rejects_damage, text, type_name

KNOWN_CUSTOM = frozenset({"aeq.hadamard_rotation"})  # custom operators that are built into LiteRT


@dataclasses.dataclass(frozen=True)
class Artifact:
    """The properties of a file, read from its content; ``dataclasses.asdict`` converts them to JSON values.

    ``compressed_bytes`` is the compressed size, ``len(zlib.compress(file, 9))``. ``operators`` is the number of
    operators by name, over all subgraphs. ``structure`` is a digest of the operators with their options and
    connections, tensor shapes and types, the kind of scales (per tensor or per channel, and if kernels do not support
    them) and the size of sparse encodings. It contains neither weight values nor names. Files with the same structure
    have the same latency if delegates run the same operators of them (``FinishResult.ref``).
    """

    sha256: str
    file_bytes: int
    compressed_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    structure: str


@rejects_damage
def read_artifact(file: bytes) -> Artifact:
    """Read the properties of a finished file.

    Raises ``BuildFailed`` for an unreadable file, and for operators that the LiteRT runtime does not have: custom
    operators and those that need TensorFlow's Flex delegate. The message names all of them.
    """
    model = read_model(file)
    names = [operator_name(code) for code in model.operatorCodes or []]
    _refuse_foreign({name for name, custom in names if custom})
    counts = collections.Counter(names[op.opcodeIndex][0] for graph in model.subgraphs for op in graph.operators)
    graph = model.subgraphs[0]
    inputs = tuple(_tensor_info(graph.tensors[index]) for index in ints(graph.inputs))
    outputs = tuple(_tensor_info(graph.tensors[index]) for index in ints(graph.outputs))
    structure = _structure(model, names)
    return Artifact(
        sha256=hashlib.sha256(file).hexdigest(),
        file_bytes=len(file),
        compressed_bytes=len(zlib.compress(file, 9)),
        inputs=inputs,
        outputs=outputs,
        operators=dict(sorted(counts.items())),
        structure=structure,
    )


def _refuse_foreign(custom: set[str]) -> None:
    flex = sorted(name for name in custom if name.startswith("Flex"))
    others = sorted(custom - set(flex) - KNOWN_CUSTOM)
    if flex:
        raise BuildFailed(
            f"the file needs TensorFlow's Flex delegate for {', '.join(flex)}, which the LiteRT runtime does not have. "
            "Replace these operations in the model by ones with built-in operators."
        )
    if others:
        raise BuildFailed(
            f"the file holds custom operators that the LiteRT runtime does not know: {', '.join(others)}. "
            "Replace them in the model by built-in ones."
        )


def _tensor_info(tensor: Any) -> TensorInfo:
    quantization = tensor.quantization
    scales = [] if quantization is None else as_list(quantization.scale)
    zeros = [] if quantization is None else ints(quantization.zeroPoint)
    signature = ints(tensor.shapeSignature)
    return TensorInfo(
        name=text(tensor.name),
        dtype=type_name(tensor.type),
        shape=tuple(signature or ints(tensor.shape)),
        scale=float(scales[0]) if scales else 0.0,
        zero_point=zeros[0] if zeros else 0,
    )


def _structure(model: Any, names: list[tuple[str, bool]]) -> str:
    """Hex digest of everything that determines latency.

    Tensors are numbered in the order in which operators use them, because their order in a file is arbitrary.
    """
    record = []
    for graph in model.subgraphs:
        numbers: dict[int, int] = {}
        tensors: list[Any] = []
        wiring = []

        def number(
            index: int, numbers: dict[int, int] = numbers, tensors: list[Any] = tensors, graph: Any = graph
        ) -> int:
            if index < 0:
                return -1
            if index not in numbers:
                numbers[index] = len(numbers)
                tensors.append(_tensor(model, graph.tensors[index]))
            return numbers[index]

        inputs = [number(index) for index in ints(graph.inputs)]
        for operator in graph.operators:
            wiring.append(
                [
                    names[operator.opcodeIndex][0],
                    [number(index) for index in ints(operator.inputs)],
                    [number(index) for index in ints(operator.outputs)],
                    _options(operator.builtinOptions),
                    _options(operator.builtinOptions2),
                    _options(operator.customOptions),
                ]
            )
        record.append([inputs, [number(index) for index in ints(graph.outputs)], wiring, tensors])
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _tensor(model: Any, tensor: Any) -> list[Any]:
    """Shape, type and kind of one tensor, and the values of integer constants without a scale (axes, shapes)."""
    data = model.buffers[tensor.buffer].data
    quantization = tensor.quantization
    scales = 0 if quantization is None else len(as_list(quantization.scale))
    kind = type_name(tensor.type)
    argument = data is not None and not scales and kind in ("int32", "int64")
    stored = None if tensor.sparsity is None or data is None else len(data)
    return [
        kind,
        ints(tensor.shape),
        ints(tensor.shapeSignature) or ints(tensor.shape),
        data is not None,
        bool(tensor.isVariable),
        min(scales, 2),  # no scale, per tensor, per channel: these use different kernels
        None if quantization is None else _options(quantization.details, leave_out=("scales", "zeroPoints")),
        stored,  # the time of a sparse kernel depends on the number of stored values
        bytes(data).hex() if argument else None,
        *_unusual_scales(tensor),
    ]


def _unusual_scales(tensor: Any) -> list[str]:
    """Names of the properties that fast kernels do not support.

    These are scales that are not positive normal numbers, and per-channel scales with a zero point other than 0.
    """
    quantization = tensor.quantization
    if quantization is None:
        return []
    scales = np.asarray(as_list(quantization.scale), np.float32)
    unusual = bool((~np.isfinite(scales) | (scales < np.finfo(np.float32).tiny)).any())
    shifted = len(scales) > 1 and any(ints(quantization.zeroPoint))
    return ["unusual scale"] * unusual + ["shifted channels"] * shifted


def _options(options: Any, leave_out: tuple[str, ...] = ()) -> Any:
    """Options in the schema's object model as JSON values."""
    if options is None:
        return None
    if isinstance(options, bytes):
        return options.hex()
    if isinstance(options, list | tuple | np.ndarray):
        return [_options(item) for item in options]
    if isinstance(options, np.generic):
        return options.item()
    if hasattr(options, "__dict__"):
        values = {name: _options(value) for name, value in vars(options).items() if name not in leave_out}
        return [type(options).__name__, values]
    return options
