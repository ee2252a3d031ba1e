"""Small real flatbuffers."""

from __future__ import annotations

from typing import Any


def tflite(tag: str, kind: str = "int8") -> bytes:
    """A flatbuffer of one input and one output, without operators; ``tag`` makes it different from others."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int]) -> Any:
        found = schema.TensorT()
        found.name, found.shape = name.encode(), shape
        found.type = schema.TensorType.INT8 if kind == "int8" else schema.TensorType.FLOAT32
        if kind == "int8":
            found.quantization = schema.QuantizationParametersT()
            found.quantization.scale, found.quantization.zeroPoint = [0.00390625], [-128]
        return found

    graph = schema.SubGraphT()
    graph.tensors = [tensor("image", [1, 32, 32, 3]), tensor("probabilities", [1, 10])]
    graph.inputs, graph.outputs, graph.operators = [0], [1], []
    model = schema.ModelT()
    model.version, model.description, model.subgraphs = 3, tag.encode(), [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
