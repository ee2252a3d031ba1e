"""Predictions of a ``.tflite`` under the runtime that ships it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.spaces.artifact import read_artifact
from litetuner.spaces.errors import BuildFailed, DataError

CHUNK_SAMPLES = 256  # converted to the file's input type at a time, so that the data are never copied as a whole
QUANTIZED = ("int8", "uint8", "int16")

# Operators that remember from one invoke to the next.
STATEFUL = {"UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "SVDF", "RNN", "VAR_HANDLE"} | {
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN",
}


def predict(
    file: Path | str | bytes, x: np.ndarray, threads: int = 1, limit_seconds: float | None = None
) -> np.ndarray:
    """Run ``x`` (n, *sample) through a ``.tflite``, sample by sample, and return float32 outputs (n, *output).

    One interpreter of one thread for each of ``threads`` (a call releases the GIL; batches are no faster than batch 1 on
    a CPU). XNNPACK is applied as the runtime does by default. Where the file takes integers by a scale, inputs are
    quantized as ``round(x / scale) + zero_point``, halves to even as XNNPACK rounds, clipped to the type; such outputs
    are turned back into real numbers. Other integer outputs come as they are, in float32.

    Raises ``BuildFailed`` when the file cannot be loaded, has several inputs or outputs, takes another shape, fails in a
    call, gives NaN or infinity, gives the same output for all of several differing samples, or needs more than
    ``limit_seconds``.
    """
    if len(x) == 0:
        raise DataError("there are no samples to predict: the split is empty")
    content = file if isinstance(file, bytes) else read_file(file)
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    stop = threading.Event()
    bounds = np.linspace(0, len(x), max(1, min(threads, len(x))) + 1).astype(int)
    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        parts = [
            pool.submit(_predict_part, content, x[low:high], deadline, stop) for low, high in itertools.pairwise(bounds)
        ]
        try:
            outputs = np.concatenate([part.result() for part in parts])
        finally:
            stop.set()
    _check_outputs(outputs, x)
    return outputs


def read_file(file: Path | str) -> bytes:
    """The bytes of a ``.tflite``. Raises ``BuildFailed`` when it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BuildFailed(f"cannot read {file}: {error.strerror}") from error


def load_interpreter(content: bytes) -> Any:
    """A LiteRT interpreter of one thread, tensors not yet allocated. Raises ``BuildFailed`` for what is no ``.tflite``."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Interpreter(model_content=content, num_threads=1)
    except (ValueError, RuntimeError) as error:
        raise BuildFailed(f"the runtime does not load the file: {_first_line(error)}") from error


def quantize(x: np.ndarray, dtype: np.dtype, scale: float, zero_point: int) -> np.ndarray:
    """Real numbers as integers of a type: ``round(x / scale) + zero_point``, halves to even, clipped.

    In float32 and by the reciprocal of the scale, as XNNPACK does it: on inputs that lie half-way between two integers this
    gave what the runtime gives in 256 of 256 cases, a division in 243, halves away from zero in 205.
    """
    limits = np.iinfo(dtype)
    reciprocal = np.float32(1) / np.float32(scale)
    steps = np.rint(np.asarray(x, np.float32) * reciprocal) + np.float32(zero_point)
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _predict_part(content: bytes, x: np.ndarray, deadline: float | None, stop: threading.Event) -> np.ndarray:
    try:
        return _run(content, x, deadline, stop)
    except BaseException:
        stop.set()  # the other parts need not go on
        raise


def _run(content: bytes, x: np.ndarray, deadline: float | None, stop: threading.Event) -> np.ndarray:
    interpreter = load_interpreter(content)
    source, target = _allocate(interpreter, x.shape[1:])
    raw = np.empty((len(x), *target["shape"][1:]), target["dtype"])
    source_index, target_index = source["index"], target["index"]
    remembers = bool(STATEFUL & set(read_artifact(content).operators))
    for start in range(0, len(x), CHUNK_SAMPLES):
        chunk = _as_input(x[start : start + CHUNK_SAMPLES], source)
        for offset in range(len(chunk)):
            interpreter.set_tensor(source_index, chunk[offset : offset + 1])
            if remembers:  # or a sample would begin in the state that the one before left
                interpreter.reset_all_variables()
            try:
                interpreter.invoke()
            except RuntimeError as error:
                raise BuildFailed(f"the runtime fails on sample {start + offset}: {_first_line(error)}") from error
            raw[start + offset] = interpreter.get_tensor(target_index)[0]
            if deadline is not None and time.monotonic() > deadline:
                raise BuildFailed(
                    f"predictions took too long: {start + offset + 1} of {len(x)} samples were done when the limit was reached"
                )
            if stop.is_set():  # another part has failed, which is what is raised
                return raw[:0]
    scale, zero_point = target["quantization"]
    if raw.dtype.name in QUANTIZED and scale > 0:
        return (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return raw.astype(np.float32, copy=False)


def _allocate(interpreter: Any, sample_shape: tuple[int, ...]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Allocate for one sample; the details of the single input and output."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BuildFailed(f"the file has {len(inputs)} inputs and {len(outputs)} outputs; one of each can be scored")
    wanted = (1, *sample_shape)
    signature = inputs[0]["shape_signature"]
    if len(signature) != len(wanted) or any(a not in (-1, b) for a, b in zip(signature[1:], wanted[1:], strict=True)):
        raise BuildFailed(
            f"the file takes samples of shape {tuple(map(int, signature[1:]))}, the data have {sample_shape}"
        )
    try:
        if tuple(inputs[0]["shape"]) != wanted:
            interpreter.resize_tensor_input(inputs[0]["index"], wanted)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BuildFailed(f"the runtime cannot prepare the file: {_first_line(error)}") from error
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if len(target["shape"]) == 0 or target["shape"][0] != 1:
        raise BuildFailed(
            f"the file's output has shape {tuple(map(int, target['shape']))} for one sample; its first axis must be 1"
        )
    return source, target


def _as_input(x: np.ndarray, source: Mapping[str, Any]) -> np.ndarray:
    """A chunk of samples in the type of the file's input."""
    dtype = np.dtype(source["dtype"])
    scale, zero_point = source["quantization"]
    if dtype.name in QUANTIZED and scale > 0:
        return quantize(x, dtype, scale, zero_point)
    return np.ascontiguousarray(x, dtype)


def _check_outputs(outputs: np.ndarray, x: np.ndarray) -> None:
    finite = np.isfinite(outputs)
    if not finite.all():
        bad = ~finite.reshape(len(outputs), -1).all(axis=1)
        raise BuildFailed(
            f"the outputs hold NaN or infinity in {bad.sum()} of {len(bad)} samples, first in {int(bad.argmax())}"
        )
    if len(outputs) > 1 and (outputs == outputs[0]).all() and not (x == x[0]).all():
        raise BuildFailed(
            f"the output is the same for all {len(outputs)} samples: the file has lost what the model had learnt"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
