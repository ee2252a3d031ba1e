"""The memory that a file needs at run time: the peak of the process above that of the bare runtime. Part of the runner.

Linux only: elsewhere, and without access to ``clear_refs``, there is no peak.
"""

from __future__ import annotations

from pathlib import Path

from litetuner.objectives.runner.machine import read_text


def one_addition() -> bytes:
    """A ``.tflite`` that adds eight numbers to themselves."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    code.version = 1
    operator.inputs, operator.outputs = [0, 0], [1]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph.tensors = [schema.TensorT(), schema.TensorT()]
    for tensor in graph.tensors:
        tensor.shape = [1, 8]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [code], [schema.BufferT()], [graph]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class PeakMemory:
    """Watches the process from its making: ``bytes()`` is the peak of resident memory since then above what it was then."""

    def __init__(self) -> None:
        self.start: int | None = None
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak (VmHWM) starts again from what is resident now
        except OSError:
            return
        self.start = _status("VmRSS")

    def bytes(self) -> int | None:
        peak = _status("VmHWM")
        return None if self.start is None or peak is None else max(peak - self.start, 0)


def _status(field: str) -> int | None:
    for line in (read_text("/proc/self/status") or "").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None
