"""Predictions of a ``.tflite`` with LiteRT, the runtime that applications use."""

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np

from litetuner.spaces.data.arrays import chunks, new_array, release
from litetuner.spaces.data.named_arrays import pack, unpack
from litetuner.spaces.errors import BuildFailed, DataError
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.interpreter import as_input, real_values, signature_names

CHUNK_SAMPLES = 256  # samples that are converted to the input type at once, so that the whole data are never copied

# Operators that keep a state from one invoke to the next.
STATEFUL = {f"{way}DIRECTIONAL_SEQUENCE_{kind}" for way in ("UNI", "BI") for kind in ("LSTM", "RNN")}
STATEFUL |= {"LSTM", "SVDF", "RNN", "VAR_HANDLE"}


def predict(file: Path | str | bytes, x: np.ndarray, threads: int = 1, output: str | None = None) -> np.ndarray:
    """Run ``x`` (n, *sample) through a ``.tflite``, sample by sample, and return float32 outputs (n, *output).

    For several inputs, ``x`` is a structured array with the names of the file's signature as fields. If the file has
    several outputs, the one named ``output`` is returned, or all of them as a structured array if ``output`` is
    ``None``.

    There is one interpreter with one thread for each of ``threads``: an invoke releases the GIL, and on a CPU larger
    batches are not faster than a batch of 1. XNNPACK is applied, which is the default of the runtime. Inputs with a
    scale are quantized as ``round(x / scale) + zero_point``, with halves rounded to even as in XNNPACK, and clipped to
    the type. Outputs with a scale are dequantized. Other integer outputs are converted to float32 without scaling.

    Raises ``BuildFailed`` if the file cannot be loaded, has other inputs or outputs, needs another shape, fails in an
    invoke, gives NaN or infinity, or gives the same output for all samples although the samples differ.
    """
    if len(x) == 0:
        raise DataError("there are no samples to predict: the split is empty")
    content = file if isinstance(file, bytes) else read_file(file)
    stop = Event()
    bounds = np.linspace(0, len(x), max(1, min(threads, len(x))) + 1).astype(int)
    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        spans = itertools.pairwise(bounds)
        outputs = _Outputs(len(x))
        parts = [pool.submit(_run, content, x[low:high], stop, output, outputs, int(low)) for low, high in spans]
        for part in parts:  # if one part fails, stop the others
            part.add_done_callback(lambda done: stop.set() if done.exception() else None)
        try:
            for part in parts:
                part.result()
        finally:
            stop.set()
    _check_outputs(outputs.values, x)
    return outputs.values


class _Outputs:
    """The outputs of ``count`` samples, which several threads fill. Large outputs are stored in a file."""

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, Lock()
        self._values: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        """The outputs (n, ...); several outputs are the fields of a structured array."""
        if self._values is None:
            raise ValueError("nothing was predicted")
        return self._values

    def put(self, start: int, found: Mapping[str, np.ndarray]) -> None:
        """Store the outputs (b, ...), by name, of the b samples from index ``start``."""
        rows = next(iter(found.values())) if len(found) == 1 else pack(found)
        with self._lock:
            if self._values is None:
                self._values = new_array((self._count, *rows.shape[1:]), rows.dtype)
        self._values[start : start + len(rows)] = rows


def read_file(file: Path | str) -> bytes:
    """The bytes of a ``.tflite``. Raises ``BuildFailed`` if it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BuildFailed(f"cannot read {file}: {error.strerror}") from error


def load_interpreter(content: bytes) -> Any:
    """A LiteRT interpreter with one thread, before tensor allocation. Raises ``BuildFailed`` if it cannot be loaded."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Interpreter(model_content=content, num_threads=1)
    except (ValueError, RuntimeError) as error:
        raise BuildFailed(f"the runtime does not load the file: {_first_line(error)}") from error


def _run(content: bytes, x: np.ndarray, stop: Event, output: str | None, outputs: _Outputs, first: int) -> None:
    """Run samples (b, *sample) until ``stop`` is set; ``first`` is the index of the first one among all samples."""
    interpreter = load_interpreter(content)
    sources, targets = _allocate(interpreter, {name: part.shape[1:] for name, part in unpack(x).items()}, output)
    remembers = bool(STATEFUL & set(read_artifact(content).operators))
    for start in range(0, len(x), CHUNK_SAMPLES):
        release(x)
        chunk = unpack(x[start : start + CHUNK_SAMPLES])
        feeds = [(source["index"], as_input(chunk[name], source)) for name, source in sources.items()]
        count = len(feeds[0][1])
        raw = {name: np.empty((count, *target["shape"][1:]), target["dtype"]) for name, target in targets.items()}
        for offset in range(count):
            for index, values in feeds:
                interpreter.set_tensor(index, values[offset : offset + 1])
            if remembers:  # otherwise a sample would start with the state of the previous sample
                interpreter.reset_all_variables()
            try:
                interpreter.invoke()
            except RuntimeError as error:
                raise BuildFailed(f"the runtime fails on sample {start + offset}: {_first_line(error)}") from error
            for name, target in targets.items():
                raw[name][offset] = interpreter.get_tensor(target["index"])[0]
            if stop.is_set():  # another part has failed, and its exception is raised
                return
        outputs.put(first + start, {name: real_values(values, targets[name]) for name, values in raw.items()})


Ports = dict[str, Mapping[str, Any]]


def _allocate(interpreter: Any, shapes: Mapping[str, tuple[int, ...]], output: str | None) -> tuple[Ports, Ports]:
    """Allocate tensors for one sample. Returns the details of the inputs and of the requested outputs, by name."""
    inputs = _inputs(interpreter, list(shapes))
    try:
        for name, detail in inputs.items():
            wanted, signature = (1, *shapes[name]), detail["shape_signature"]
            if len(signature) != len(wanted) or any(
                a not in (-1, b) for a, b in zip(signature[1:], wanted[1:], strict=True)
            ):
                raise BuildFailed(
                    f"the file takes samples of shape {tuple(map(int, signature[1:]))}{' for ' + name if name else ''}, "
                    f"the data have {shapes[name]}"
                )
            if tuple(detail["shape"]) != wanted:
                interpreter.resize_tensor_input(detail["index"], wanted)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BuildFailed(f"the runtime cannot prepare the file: {_first_line(error)}") from error
    sources = _inputs(interpreter, list(shapes))  # read again, because sizes may have changed
    targets = _outputs(interpreter, output)
    for target in targets.values():
        if len(target["shape"]) == 0 or target["shape"][0] != 1:
            shape = tuple(map(int, target["shape"]))
            raise BuildFailed(f"the file's output has shape {shape} for one sample; its first axis must be 1")
    return sources, targets


def _inputs(interpreter: Any, names: list[str]) -> Ports:
    details = interpreter.get_input_details()
    if len(details) != len(names):
        raise BuildFailed(f"the file has {len(details)} inputs, the data have {len(names)}")
    if len(details) == 1:
        return {names[0]: details[0]}
    found = _named(interpreter, details, "inputs")
    missing = [name for name in names if name not in found]
    if missing:
        raise BuildFailed(f"the file has no input {missing[0]!r}; it has {', '.join(found)}")
    return {name: found[name] for name in names}


def _outputs(interpreter: Any, output: str | None) -> Ports:
    details = interpreter.get_output_details()
    if len(details) == 1:
        return {"": details[0]}
    found = _named(interpreter, details, "outputs")
    if output is None:
        return found
    if output not in found:
        raise BuildFailed(f"the file has no output {output!r}; it has {', '.join(found)}")
    return {output: found[output]}


def _named(interpreter: Any, details: list[Mapping[str, Any]], side: str) -> Ports:
    """The details of inputs or outputs by their names in the file's signature."""
    names = signature_names(interpreter)
    if names is None:
        count = len(interpreter.get_signature_list())
        raise BuildFailed(f"the file has several {side} and {count} signatures to name them; it needs one")
    by_index = names[0] if side == "inputs" else names[1]
    return dict(sorted(((by_index[detail["index"]], detail) for detail in details), key=lambda pair: pair[0]))


def _check_outputs(outputs: np.ndarray, x: np.ndarray) -> None:
    parts = unpack(outputs)
    for name, values in parts.items():
        bad = np.concatenate([~np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in chunks(values)])
        if bad.any():
            where = f"the output {name!r} holds" if name else "the outputs hold"
            first = int(bad.argmax())
            raise BuildFailed(f"{where} NaN or infinity in {bad.sum()} of {len(bad)} samples, first in {first}")
    if len(outputs) > 1 and all(_constant(values) for values in parts.values()) and not _constant(x):
        same = f"the output is the same for all {len(outputs)} samples"
        raise BuildFailed(f"{same}: the file does not compute what the model does")


def _constant(values: np.ndarray) -> bool:
    return all((part == values[0]).all() for part in chunks(values))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
