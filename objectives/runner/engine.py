"""What executes a file: LiteRT's interpreter with its delegates, or a compiled model on an accelerator. Part of the runner."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from litetuner.objectives.runner.delegates import XNNPACK, Node, read_delegates, summarise_nodes
from litetuner.objectives.runner.error import RunnerError
from litetuner.objectives.runner.memory import one_addition

# Accelerators, and what LiteRT writes when it goes on without the accelerator that was asked for.
WITHOUT: dict[str, tuple[str, ...]] = {
    "cpu": (),
    "gpu": ("No adapters found", "Failed to initialize", "GPU accelerator could not be loaded"),
    "npu": ("No compiler plugin found", "NPU accelerator could not be loaded"),
}


class Engine:
    """A loaded file with its memory allocated. Raises ``RunnerError`` with the stage that failed."""

    invoke: Callable[[], Any]

    def fill(self, rng: np.random.Generator) -> None:
        """Give every input a valid random value."""
        raise NotImplementedError

    def delegates(self) -> dict[str, Any]:
        """See ``delegates.read_delegates``."""
        raise NotImplementedError


def open_engine(content: bytes, path: str, options: argparse.Namespace) -> Engine:
    """The engine that the options ask for. Nothing else is taken instead where it is not there."""
    return CompiledEngine(content, path, options) if options.accelerator else InterpreterEngine(content, path, options)


def warm_runtime() -> None:
    """Run a model of one addition, so that what libraries allocate once (5 MB) is counted as no file's memory or load time."""
    plain = argparse.Namespace(threads=1, delegate=None, delegate_option=[], no_xnnpack=False, accelerator=None)
    engine = open_engine(one_addition(), "one addition", plain)
    engine.fill(np.random.default_rng(0))
    engine.invoke()
    engine.delegates()


def delegate_names(options: argparse.Namespace) -> list[str]:
    """The delegates in the order in which they are applied; empty for the runtime's own kernels."""
    if options.accelerator:
        return [options.accelerator]
    return ([options.delegate] if options.delegate else []) + ([] if options.no_xnnpack else [XNNPACK])


class InterpreterEngine(Engine):
    """LiteRT's interpreter. The library's delegate chooses first, XNNPACK from what is left, as in an application."""

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
            message = (
                f"the delegate {library} cannot be used: {str(error).strip()}. It must be a shared library for this "
            )
            message += (
                "machine with tflite_plugin_create_delegate and tflite_plugin_destroy_delegate, and find its device."
            )
            raise RunnerError("delegate", library, message) from error

    def fill(self, rng: np.random.Generator) -> None:
        for details in self.interpreter.get_input_details():
            value = random_input(
                details["name"], details["shape"], details["dtype"], bool(details["quantization"][0]), rng, self.path
            )
            with _stage("input", self.path):
                self.interpreter.set_tensor(details["index"], value)

    def delegates(self) -> dict[str, Any]:
        before = len(self._make(True, None)._get_ops_details())
        return read_delegates(self.interpreter, before, delegate_names(self.options))


class CompiledEngine(Engine):
    """LiteRT's ``CompiledModel``, which knows GPUs and NPUs; the processor takes the operators that they leave."""

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
        """Raise when LiteRT wrote that it goes on without what was asked for."""
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
        """A compiled model only says whether all of it is accelerated: what is not known is ``None``."""
        from ai_edge_litert import interpreter as litert

        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        nodes: list[Node] = litert.Interpreter(
            model_content=self.content, experimental_op_resolver_type=plain
        )._get_ops_details()
        found = summarise_nodes(nodes, [], []) | {"requested": [self.name], "partitions": None}
        return found | {"delegated": len(nodes) if self.model.is_fully_accelerated() else None, "fallback": None}


def random_input(name: str, shape: Any, kind: Any, quantized: bool, rng: np.random.Generator, file: str) -> np.ndarray:
    """A valid input tensor: floats in [0, 1), quantized integers over their range, other integers 0 (they may be indices)."""
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
    """What libraries write to standard error inside; it is passed on afterwards."""
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
