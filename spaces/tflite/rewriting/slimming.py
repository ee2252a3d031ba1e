"""Lossless slimming: a ``.tflite`` without unused data.

What goes: names of tensors and subgraphs (inputs, outputs and signatures keep theirs), minimum and maximum of quantized
tensors, shape signatures that repeat the shape, the converter's own metadata, empty and duplicate buffers. What stays is
written once, however often it is used, in the order that compresses best. Nothing that a kernel reads is touched: this is
verified on the file itself, and by running it.
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.tflite.macs import file_macs
from litetuner.spaces.tflite.rewriting.deduplication import SharingBuilder
from litetuner.spaces.tflite.running import reference_digests, run
from litetuner.spaces.tflite.schema import IDENTIFIER, as_list, read_model, tensors_of

ALIGNMENT = 16  # bytes; the schema's force_align of buffers
SAMPLES = 8  # real inputs that the slimmed file must give the same outputs for
REFERENCE_MACS = 50_000_000  # above this many multiplications the reference kernels take seconds a sample
SEVERAL_LAYOUTS_BYTES = 1_000_000  # of stored weights: zlib needs seconds for a megabyte of mostly zeros
_CONVERTER_METADATA = (b"min_runtime_version", b"CONVERSION_METADATA")


@dataclasses.dataclass(frozen=True)
class Slimmed:
    """A file after slimming. Where ``applied`` is false, ``file`` is the original and ``reason`` says why."""

    file: bytes
    applied: bool
    reason: str


def slim(
    file: bytes, samples: np.ndarray | None = None, keep_names: bool = False, share_bias_scales: bool = False
) -> Slimmed:
    """Slim a finished file; the same bytes again for one that is slim.

    ``samples`` (n, *sample) are real inputs; the first 8 are used, seeded random ones without any. ``keep_names`` leaves
    the names of tensors and subgraphs. ``share_bias_scales`` lets a bias by channel point to its weight's scales: kernels on a
    CPU compute them from input and weight and never read them, but a delegate for a GPU or another accelerator may.
    Raises ``BuildFailed`` when the file itself cannot be read or run.
    """
    model = read_model(file)
    if share_bias_scales:
        _share_bias_scales(model)
    before = _content(model, keep_names)
    packed = {each: _compressed_bytes(each) for each in layouts(file, keep_names, share_bias_scales)}
    smallest = min(packed, key=lambda each: (packed[each], len(each)))
    if _content(read_model(smallest), keep_names) != before:
        return Slimmed(file, False, "the slimmed file would not hold the same operators, weights and scales")
    if packed[smallest] > _compressed_bytes(file):
        return Slimmed(file, False, "the compressed file would be larger")
    reason = _differs(file, smallest, samples)
    return Slimmed(file, False, reason) if reason else Slimmed(smallest, True, "")


def repacked(file: bytes) -> bytes:
    """The stripped file in its smallest layout. It is not run: for operators that only another runtime has."""
    before = _content(read_model(file), keep_names=False)
    smallest = min(layouts(file, keep_names=False), key=len)
    return smallest if _content(read_model(smallest), keep_names=False) == before else file


def _differs(file: bytes, slimmed: bytes, samples: np.ndarray | None) -> str:
    """Why the slimmed file does not compute the same, or an empty string."""
    chosen = None if samples is None else samples[:SAMPLES]
    ours, theirs = run(slimmed, chosen), run(file, chosen)
    if not ours.identical(theirs):
        return "its outputs are not bit-identical"
    if ours.plan != theirs.plan:
        return "the runtime would execute it by another plan"
    if file_macs(read_model(file)) > REFERENCE_MACS:
        return ""
    expected, found = reference_digests([file, slimmed], None if chosen is None else chosen[:1])
    # without a result for the original there is nothing to compare: not all operators have a reference kernel
    return "reference kernels give other outputs" if expected is not None and found != expected else ""


def layouts(file: bytes, keep_names: bool, share_bias_scales: bool = False) -> Iterator[bytes]:
    """The stripped file in each of the layouts, of which the one is kept that compresses best."""
    model = read_model(file)
    if share_bias_scales:
        _share_bias_scales(model)
    _strip(model, keep_names)
    _vectorize(model)
    kinds: dict[int, int] = {}
    for tensor in tensors_of(model):
        kinds.setdefault(tensor.buffer, tensor.type)
    data = [
        _Data(kinds.get(index, -1), index, buffer.data)
        for index, buffer in enumerate(model.buffers)
        if buffer.data is not None
    ]
    quantizations = [tensor.quantization for tensor in tensors_of(model) if tensor.quantization is not None]
    by_channel = [item.scale for item in quantizations if item.scale is not None and len(item.scale) > 1]
    stored = sum(item.bytes.size for item in data)
    for order, scales_last in _LAYOUTS if stored < SEVERAL_LAYOUTS_BYTES else _LAYOUTS[:1]:
        builder = SharingBuilder(len(file))
        ahead = [(item.bytes, ALIGNMENT) for item in sorted(data, key=order)]
        scales = [(scale, 4) for scale in by_channel]
        for vector, alignment in ahead + scales if scales_last else scales + ahead:
            builder.CreateNumpyVector(vector, alignment)
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        yield bytes(builder.Output())


@dataclasses.dataclass(frozen=True)
class _Data:
    """One buffer: the type of the tensor that uses it first, its index, its bytes."""

    kind: int
    index: int
    bytes: np.ndarray


# Order of the buffers (from the end of the file), and whether scales by channel lie before them. Bytes of one kind side by
# side share their Huffman codes; which layout wins differs by file, by some tenths of a percent.
_LAYOUTS: tuple[tuple[Callable[[_Data], tuple[int, ...]], bool], ...] = (
    (lambda data: (-data.kind, data.bytes.size, data.index), False),  # narrow types last
    (lambda data: (data.kind, -data.bytes.size, data.index), False),  # narrow types first
    (lambda data: (data.kind, -data.bytes.size, data.index), True),
)


def _strip(model: Any, keep_names: bool) -> None:
    """Remove, in place, what no kernel and no user reads, and renumber the buffers in the order of their use."""
    model.description = None
    model.metadata = [item for item in model.metadata or [] if item.name not in _CONVERTER_METADATA] or None
    for graph in model.subgraphs:
        ports = {*as_list(graph.inputs), *as_list(graph.outputs)}
        if not keep_names:
            graph.name = None
        for index, tensor in enumerate(graph.tensors):
            if index not in ports and not keep_names:
                tensor.name = None
            if tensor.shapeSignature is not None and as_list(tensor.shapeSignature) == as_list(tensor.shape):
                tensor.shapeSignature = None
            quantization = tensor.quantization
            if quantization is not None:
                quantization.min = quantization.max = None
                if quantization.scale is None and quantization.zeroPoint is None and quantization.details is None:
                    tensor.quantization = None
    _renumber_buffers(model)


def _share_bias_scales(model: Any) -> None:
    """Give each bias by channel the scales of its weight, in place."""
    from ai_edge_litert.schema_py_generated import TensorType

    for graph in model.subgraphs:
        for operator in graph.operators:
            inputs = as_list(operator.inputs)
            if len(inputs) < 3 or min(inputs[1:3]) < 0:
                continue
            weight, bias = (graph.tensors[index] for index in inputs[1:3])
            sizes = [len(as_list(None if t.quantization is None else t.quantization.scale)) for t in (weight, bias)]
            if bias.type == TensorType.INT32 and sizes[0] == sizes[1] > 1:
                bias.quantization.scale = weight.quantization.scale


def _renumber_buffers(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    old, kept = model.buffers, [schema.BufferT()]  # buffer 0 is the empty one
    by_content: dict[bytes, int] = {}

    def new_index(index: int) -> int:
        content = b"" if old[index].data is None else bytes(old[index].data)
        if not content:
            return 0
        if content not in by_content:
            by_content[content] = len(kept)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(content, np.uint8)
            kept.append(buffer)
        return by_content[content]

    for holder in [*tensors_of(model), *(model.metadata or [])]:
        holder.buffer = new_index(holder.buffer)
    if model.metadataBuffer is not None:
        model.metadataBuffer = [new_index(index) for index in model.metadataBuffer]
    model.buffers = kept


def _vectorize(item: Any) -> Any:
    """Lists of whole numbers as int32 arrays, in place: only arrays pass through ``CreateNumpyVector`` and are shared."""
    if isinstance(item, list):
        if all(isinstance(value, int | np.integer) for value in item):
            return np.asarray(item, np.int32)
        return [_vectorize(value) for value in item]
    if hasattr(item, "__dict__"):
        for name, value in vars(item).items():
            if isinstance(value, list) or hasattr(value, "__dict__"):
                setattr(item, name, _vectorize(value))
    return item


def _content(model: Any, keep_names: bool) -> Any:
    """All that a kernel, a delegate or a user reads of a model, comparable with ``==``; numbering of buffers left out."""
    codes = [_plain(code) for code in model.operatorCodes or []]
    data = [b"" if buffer.data is None else bytes(buffer.data) for buffer in model.buffers]
    graphs = []
    for graph in model.subgraphs:
        ports = {*as_list(graph.inputs), *as_list(graph.outputs)}
        tensors = []
        for index, tensor in enumerate(graph.tensors):
            quantization = tensor.quantization
            kept = None if quantization is None else _plain(quantization, ("min", "max"))
            empty = quantization is None or all(
                part is None for part in (quantization.scale, quantization.zeroPoint, quantization.details)
            )
            tensors.append(
                (
                    _plain(tensor, ("buffer", "quantization", "name", "shapeSignature")),
                    None if empty else kept,
                    as_list(tensor.shapeSignature) or as_list(tensor.shape),
                    data[tensor.buffer],
                    tensor.name if keep_names or index in ports else None,
                )
            )
        operators = [(codes[operator.opcodeIndex], _plain(operator, ("opcodeIndex",))) for operator in graph.operators]
        graphs.append(
            (tensors, operators, as_list(graph.inputs), as_list(graph.outputs), graph.name if keep_names else None)
        )
    metadata = [(item.name, data[item.buffer]) for item in model.metadata or [] if item.name not in _CONVERTER_METADATA]
    rest = [_plain(part) for part in (model.signatureDefs, model.externalBufferGroups, model.externalBuffers)]
    return model.version, graphs, metadata, rest


def _plain(item: Any, leave_out: Sequence[str] = ()) -> Any:
    """Part of the object model as comparable Python values."""
    if isinstance(item, np.ndarray):
        return (item.dtype.str, item.tobytes()) if item.dtype != np.int32 else item.tolist()
    if isinstance(item, list):
        return [_plain(value) for value in item]
    if hasattr(item, "__dict__"):
        return {name: _plain(value) for name, value in vars(item).items() if name not in leave_out}
    return item


def _compressed_bytes(file: bytes) -> int:
    return len(zlib.compress(file, 9))
