"""Lossless slimming: a ``.tflite`` without unused data.

Slimming removes the names of tensors and subgraphs (inputs, outputs and signatures keep theirs), minimum and maximum of
quantized tensors, shape signatures that are equal to the shape, the converter's own metadata, and empty or duplicate
buffers. Everything else is written once, even if it is used several times, in the order that compresses best. Data that
kernels read do not change. This is verified by comparing the contents of both files, and by running both.
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

ALIGNMENT = 16  # bytes; ``force_align`` of buffers in the schema
SAMPLES = 8  # number of real inputs for which both files must give the same outputs
REFERENCE_MACS = 50_000_000  # above this many MACs, the reference kernels take seconds per sample
# Only files with fewer bytes of constants are tried in several layouts: zlib takes seconds for 1 MB of mostly zeros.
SEVERAL_LAYOUTS_BYTES = 1_000_000
_CONVERTER_METADATA = (b"min_runtime_version", b"CONVERSION_METADATA")


@dataclasses.dataclass(frozen=True)
class Slimmed:
    """The result of slimming. If ``applied`` is false, ``file`` is the unchanged file and ``reason`` says why."""

    file: bytes
    applied: bool
    reason: str


def slim(
    file: bytes, samples: np.ndarray | None = None, keep_names: bool = False, share_bias_scales: bool = False
) -> Slimmed:
    """Slim a finished file. Slimming an already slimmed file gives the same bytes.

    ``samples`` (n, *sample) are real inputs, of which the first 8 are used; ``None`` uses seeded random inputs.
    ``keep_names`` keeps the names of tensors and subgraphs. ``share_bias_scales`` replaces the scales of a per-channel
    quantized bias by those of its weight. CPU kernels compute the bias scales from input and weight and never read
    them, but a delegate for a GPU or another accelerator may read them. Raises ``BuildFailed`` if the file cannot be
    read or run.
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
    """The file without unused data, in its smallest layout. It is not run, because LiteRT may lack its operators."""
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
    # Not all operators have a reference kernel: without a result for the unchanged file there is nothing to compare.
    return "reference kernels give other outputs" if expected is not None and found != expected else ""


def layouts(file: bytes, keep_names: bool, share_bias_scales: bool = False) -> Iterator[bytes]:
    """The file without unused data, in each of the layouts. The caller keeps the smallest one."""
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
    """One buffer: ``kind`` is the type of the first tensor that uses it, -1 for none."""

    kind: int
    index: int
    bytes: np.ndarray


# The order of the buffers (from the end of the file), and if per-channel scales come before them in the file.
# Neighboring bytes of one type share their Huffman codes. The best layout depends on the file; it gains a few 0.1 %.
_LAYOUTS: tuple[tuple[Callable[[_Data], tuple[int, ...]], bool], ...] = (
    (lambda data: (-data.kind, data.bytes.size, data.index), False),  # narrow types last
    (lambda data: (data.kind, -data.bytes.size, data.index), False),  # narrow types first
    (lambda data: (data.kind, -data.bytes.size, data.index), True),
)


def _strip(model: Any, keep_names: bool) -> None:
    """Remove, in place, data that no kernel and no user reads, and number the buffers in the order of first use."""
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
    """Replace the scales of each per-channel quantized bias by those of its weight, in place."""
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

    old, kept = model.buffers, [schema.BufferT()]  # buffer 0 must be empty
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
    """Convert lists of integers to int32 arrays, in place, since ``SharingBuilder`` shares only vectors from arrays."""
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
    """Everything that a kernel, a delegate or a user reads, without buffer numbers; comparable with ``==``."""
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
    """A part of the object model as Python values that can be compared with ``==``."""
    if isinstance(item, np.ndarray):
        return (item.dtype.str, item.tobytes()) if item.dtype != np.int32 else item.tolist()
    if isinstance(item, list):
        return [_plain(value) for value in item]
    if hasattr(item, "__dict__"):
        return {name: _plain(value) for name, value in vars(item).items() if name not in leave_out}
    return item


def _compressed_bytes(file: bytes) -> int:
    return len(zlib.compress(file, 9))
