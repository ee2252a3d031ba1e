"""Keras to ``.tflite``: one conversion for tf_keras and Keras 3 models, with a batch size of 1 and layer names kept.

With a fixed batch size the graph has no shape arithmetic. Every deployment here runs one sample at a time.
"""

import re
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from litetuner.spaces.context import Context
from litetuner.spaces.data.named_arrays import all_finite, parts
from litetuner.spaces.errors import BuildFailed, Refused
from litetuner.spaces.models.signature import call, input_tensors, output_tensors
from litetuner.spaces.models.tflite_layers import with_names
from litetuner.spaces.tf import load, quiet_stdout
from litetuner.spaces.tflite.schema import pack_model, read_model

_LONGEST = 240  # maximum characters shown of a converter error


def _serving(model: Any) -> Any:
    """The concrete function for inference with a batch size of 1."""
    tf = load()
    names = [tensor.name for tensor in output_tensors(model)]
    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tf.as_dtype(tensor.dtype), name=tensor.name)
        for tensor in input_tensors(model)
    ]
    serve = tf.function(lambda *x: dict(zip(names, call(model, x), strict=True)), input_signature=specs)
    return serve.get_concrete_function()


def _converter(model: Any, serving: Any) -> Any:
    """A ``tf.lite.TFLiteConverter`` with built-in operators only.

    The graph is frozen directly. This gives the same operators as a conversion through a SavedModel in a tenth of the
    time (ResNet8: 0.2 s instead of 2.9 s). Only models with recurrent tf_keras layers are converted through a
    SavedModel, because there the converter fuses an LSTM into one operator.
    """
    tf = load()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serving], getattr(model, "trackable", model))
    library = serving.graph.as_graph_def().library.function
    converter.experimental_lower_to_saved_model = any("api_implements" in function.attr for function in library)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _loops(serving: Any) -> bool:
    """True if the file will contain a loop: a recurrent layer that is neither unrolled nor a fused tf_keras LSTM."""
    graph = serving.graph.as_graph_def()
    open_functions = [f.node_def for f in graph.library.function if b"lstm" not in f.attr["api_implements"].s]
    return any(node.op in ("While", "StatelessWhile") for nodes in [graph.node, *open_functions] for node in nodes)


def io_names(model: Any) -> tuple[list[str], list[str]]:
    """The names of the inputs and of the outputs in the file's signature (the user's layer names), in the file's order.

    The converted function returns its outputs as a dict, and TensorFlow sorts the keys of a dict.
    """
    inputs, outputs = ([tensor.name for tensor in side(model)] for side in (input_tensors, output_tensors))
    return inputs, outputs if getattr(model, "file", None) else sorted(outputs)


def convert(model: Any, configure: Callable[[Any, Any], None], *, integer: bool = False) -> bytes:
    """Convert a model to ``.tflite``; ``configure(converter, tf)`` sets the quantization of the converter.

    ``integer`` is true for full integer quantization, which is rejected for models with a loop. Equal models and
    settings give equal bytes. Raises ``BuildFailed`` with the converter's reason in one line.
    """
    if getattr(model, "file", None) is not None:
        return _as_it_is(model, configure)
    tf = load()
    with quiet_stdout():
        try:
            serving = _serving(model)
            if integer and _loops(serving):
                raise BuildFailed(
                    "the model has a loop (a recurrent layer), and full integer quantization of loops crashes the converter. "
                    "float16, dynamic and unroll=True work; so does a tf_keras LSTM."
                )
            converter = _converter(model, serving)
            configure(converter, tf)
            file = bytes(converter.convert())
        except (BuildFailed, Refused):
            raise
        except Exception as error:  # the converter raises many types: ConverterError, ValueError, RuntimeError...
            raise BuildFailed(f"the converter rejects the model: {first_meaningful_line(str(error))}") from error
    return with_signature(file, *io_names(model))


def _as_it_is(model: Any, configure: Callable[[Any, Any], None]) -> bytes:
    """The file of a model that is a ``.tflite`` already. Raises ``Refused`` for any conversion other than float32."""
    settings = types.SimpleNamespace(target_spec=types.SimpleNamespace())
    configure(settings, load())
    if len(vars(settings)) > 1 or vars(settings.target_spec):
        raise Refused("a .tflite cannot be converted again: only litert-quantizer's techniques (ptq) work on it")
    return with_signature(with_names(bytes(model.file)), *io_names(model))


def with_signature(file: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The file with a ``serving_default`` signature, which files from frozen graphs lack; unchanged if it has one."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(file)
    if model.signatureDefs:
        return file
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.subgraphIndex = 0
    signature.inputs = [_tensor_map(schema, *pair) for pair in zip(inputs, graph.inputs, strict=True)]
    signature.outputs = [_tensor_map(schema, *pair) for pair in zip(outputs, graph.outputs, strict=True)]
    model.signatureDefs = [signature]
    return pack_model(model)


def _tensor_map(schema: Any, name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(index)
    return entry


def representative(model: Any, context: Context) -> Callable[[], Iterator[list[np.ndarray]]]:
    """The representative dataset for the converter: the calibration samples one by one, in the model's input types."""
    samples = context.calibration
    if not len(samples):
        raise Refused(
            "full integer quantization needs calibration samples, and there is no training data to take them from"
        )
    check_finite(samples)
    dtypes = [load().as_dtype(tensor.dtype).as_numpy_dtype for tensor in input_tensors(model)]

    def generate() -> Iterator[list[np.ndarray]]:
        for index in range(len(samples)):
            row = parts(samples[index : index + 1])
            yield [np.asarray(part, dtype=dtype) for part, dtype in zip(row, dtypes, strict=True)]

    return generate


def check_finite(samples: np.ndarray) -> None:
    """Raise ``BuildFailed`` if the calibration samples contain NaN or infinity."""
    if not all_finite(samples):
        raise BuildFailed(
            "the calibration samples hold NaN or infinity, so no ranges can be measured on them. Check the data."
        )


def first_meaningful_line(text: str) -> str:
    """The message of a long MLIR error in one line, without source locations and graph dump."""
    text = _without_locations(text)
    unknown = sorted(set(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", text)))
    if unknown:
        return f"TensorFlow Lite has no operator {', '.join(unknown)}; replace the layer that needs it, or cut the model there"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["(no message)"]
    wanted = next((line for line in lines if "error:" in line), lines[0])
    line = re.sub(r"<unknown>:\d+:|\S*:\d+:\d+:", "", wanted.split("error:", 1)[-1]).strip(" :") or lines[0]
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _without_locations(text: str) -> str:
    """``text`` without the ``loc(...)`` parts of MLIR, which may contain nested parentheses."""
    kept: list[str] = []
    position = 0
    while (start := text.find("loc(", position)) >= 0:
        kept.append(text[position:start])
        depth, end = 0, start + 3
        while end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
            if depth == 0:
                break
        position = end
    return "".join([*kept, text[position:]])
