"""Engines, which execute a file: LiteRT's interpreter with delegates, or a compiled model. Part of the runner."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.objectives.runner.delegates import XNNPACK, list_nodes, read_delegates, summarize_nodes
from litetuner.objectives.runner.error import RunnerError

# Accelerators, and the messages of LiteRT when it continues without the requested one.
WITHOUT: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "gpu": ("No adapters found", "Failed to initialize", "GPU accelerator could not be loaded"),
    "npu": ("No compiler plugin found", "NPU accelerator could not be loaded"),
}


def open_engine(content: bytes, path: str, options: argparse.Namespace) -> InterpreterEngine | CompiledEngine:
    """Load a file and allocate its memory, as the options request. Raises ``RunnerError``; there is no fallback."""
    return CompiledEngine(content, path, options) if options.accelerator else InterpreterEngine(content, path, options)


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


def warm_runtime() -> None:
    """Run a model with one addition, so that one-time allocations of libraries (5 MB) do not count for a timed file."""
    plain = argparse.Namespace(threads=1, delegate=None, delegate_option=[], no_xnnpack=False, accelerator=None)
    engine = open_engine(one_addition(), "one addition", plain)
    engine.fill(np.random.default_rng(0))
    engine.invoke()
    engine.delegates()


def delegate_names(options: argparse.Namespace) -> list[str]:
    """The names of the delegates in the order in which they are applied; empty for the runtime's own kernels."""
    if options.accelerator:
        return [options.accelerator]
    return ([options.delegate] if options.delegate else []) + ([] if options.no_xnnpack else [XNNPACK])


class InterpreterEngine:
    """LiteRT's interpreter. The delegate library is applied first, then XNNPACK, as in an application."""

    def __init__(self, content: bytes, path: str, options: argparse.Namespace) -> None:
        self.content, self.path, self.options = content, path, options
        delegates = [self._load_library()] if options.delegate else None
        with _stage("load", path):
            self.interpreter = self._make(options.no_xnnpack, delegates)
        with _stage("allocate", path):
            self.interpreter.allocate_tensors()
        self.invoke = self.interpreter.invoke

    def _make(self, plain: bool, delegates: list[Any] | None) -> Any:
        from ai_edge_litert import interpreter as litert

        kind = litert.OpResolverType
        return litert.Interpreter(
            model_content=self.content,
            num_threads=self.options.threads,
            experimental_delegates=delegates,
            experimental_op_resolver_type=kind.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else kind.AUTO,
        )

    def _load_library(self) -> Any:
        from ai_edge_litert import interpreter as litert

        library, settings = self.options.delegate, dict(item.split("=", 1) for item in self.options.delegate_option)
        try:
            return litert.load_delegate(library, settings)
        except (OSError, ValueError, AttributeError) as error:
            message = f"the delegate {library} cannot be used: {str(error).strip()}. It must be a shared library for "
            message += "this machine with tflite_plugin_create_delegate and tflite_plugin_destroy_delegate, and find "
            message += "its device."
            raise RunnerError("delegate", library, message) from error

    def fill(self, rng: np.random.Generator) -> None:
        """Give every input a valid random value."""
        for details in self.interpreter.get_input_details():
            quantized = bool(details["quantization"][0])
            value = random_input(details["name"], details["shape"], details["dtype"], quantized, rng, self.path)
            with _stage("input", self.path):
                self.interpreter.set_tensor(details["index"], value)

    def delegates(self) -> dict[str, Any]:
        """See ``delegates.read_delegates``."""
        before = len(list_nodes(self._make(True, None)))
        return read_delegates(self.interpreter, before, delegate_names(self.options))


class CompiledEngine:
    """LiteRT's ``CompiledModel``, which uses GPUs and NPUs; the CPU runs the remaining operators."""

    def __init__(self, content: bytes, path: str, options: argparse.Namespace) -> None:
        from ai_edge_litert import compiled_model as litert

        self.content, self.path, self.name = content, path, options.accelerator
        kind = litert.HardwareAccelerator
        wanted = kind.CPU if self.name == "cpu" else getattr(kind, self.name.upper()) | kind.CPU
        cpu = litert.CpuOptions(num_threads=options.threads)
        with _native_messages() as messages:
            try:
                settings = litert.Options(hardware_accelerators=wanted, cpu_options=cpu)
                self.model = litert.CompiledModel.from_buffer(content, options=settings)
            except (RuntimeError, ValueError) as error:
                self._refuse(messages())
                raise RunnerError("load", path, f"{path}: LiteRT cannot compile it for {self.name}: {error}") from error
            self._refuse(messages())
        self.inputs, outputs = self.model.create_input_buffers(0), self.model.create_output_buffers(0)
        self.invoke = lambda: self.model.run_by_index(0, self.inputs, outputs)

    def _refuse(self, messages: str) -> None:
        """Raise ``RunnerError`` if LiteRT's messages say that it continues without the requested accelerator."""
        said = next((line.strip() for line in messages.splitlines() for sign in WITHOUT[self.name] if sign in line), "")
        if said:
            message = f"this machine has no {self.name.upper()} that LiteRT can use ({said})."
            message += " Leave --accelerator out to time the CPU."
            raise RunnerError("delegate", self.path, message)

    def fill(self, rng: np.random.Generator) -> None:
        signature = self.model.get_signature_by_index(0)
        details = self.model.get_input_tensor_details(signature["key"])
        for name, buffer in zip(signature["inputs"], self.inputs, strict=True):
            value = random_input(name, details[name]["shape"], details[name]["dtype"], True, rng, self.path)
            with _stage("input", self.path):
                buffer.write(value)

    def delegates(self) -> dict[str, Any]:
        """A compiled model reports only if all of it is accelerated. Unknown values are ``None``."""
        from ai_edge_litert import interpreter as litert

        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        nodes = list_nodes(litert.Interpreter(model_content=self.content, experimental_op_resolver_type=plain))
        found = summarize_nodes(nodes, [], []) | {"requested": [self.name], "partitions": None}
        return found | {"delegated": len(nodes) if self.model.is_fully_accelerated() else None, "fallback": None}


def random_input(name: str, shape: Any, kind: Any, quantized: bool, rng: np.random.Generator, file: str) -> np.ndarray:
    """A valid input tensor: random floats in [0, 1), booleans, or quantized integers over their range.

    Other integers are 0, because they may be indices. Raises ``RunnerError`` for other types.
    """
    sizes, dtype = tuple(max(int(n), 1) for n in shape), np.dtype(kind)
    if dtype.kind == "f":
        return rng.random(sizes).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, sizes).astype(dtype)
    if dtype.kind in "iu":
        limits, wide = np.iinfo(dtype), dtype.itemsize <= 2 and quantized
        return rng.integers(limits.min, limits.max, sizes, dtype, endpoint=True) if wide else np.zeros(sizes, dtype)
    raise RunnerError("input", file, f"no random value can be made for input {name!r} of type {dtype}")


@contextlib.contextmanager
def _stage(stage: str, path: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise RunnerError(stage, path, f"{path}: {stage} fails: {error}") from error


@contextlib.contextmanager
def _native_messages() -> Iterator[Callable[[], str]]:
    """Capture what libraries write to standard error within this context. It is forwarded afterwards."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: _content(file)
        finally:
            os.dup2(kept, 2)
            os.write(2, _content(file).encode())
            os.close(kept)


def _content(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
