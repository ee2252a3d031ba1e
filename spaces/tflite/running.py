"""Run a ``.tflite`` on a few samples, to compare two files that must give the same outputs."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from litetuner.spaces.data.named_arrays import is_packed
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.jobs.safe_path import python_command, python_environment
from litetuner.spaces.tflite.interpreter import as_input, execution_plan, signature_names

SYNTHETIC_SAMPLES = 4
REFERENCE_SECONDS = 60.0
_CHILD = "from litetuner.spaces.tflite.running import _answer; _answer()"


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The raw outputs of all samples, and the operators of the execution plan, delegates included."""

    values: tuple[np.ndarray, ...]
    plan: tuple[str, ...]

    def identical(self, other: Outputs) -> bool:
        """True if all outputs are bit-identical, NaN included."""
        return len(self.values) == len(other.values) and all(
            ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
            for ours, theirs in zip(self.values, other.values, strict=True)
        )

    def difference(self, other: Outputs) -> float:
        """The largest difference relative to the largest output; infinite if shapes differ or a value is not finite."""
        if [value.shape for value in self.values] != [value.shape for value in other.values]:
            return float("inf")
        pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(self.values, other.values, strict=True)]
        largest = max((float(np.abs(a).max()) for a, _ in pairs if a.size), default=0.0)
        apart = max((float(np.abs(a - b).max()) for a, b in pairs if a.size), default=0.0)
        if not np.isfinite(apart) or not np.isfinite(largest):
            return float("inf")
        return apart / largest if largest else apart


def run(file: bytes, samples: np.ndarray | None, reference: bool = False) -> Outputs:
    """Run a file on one sample at a time with one thread; ``reference`` uses the reference kernels without delegates.

    ``samples`` (n, *sample) are real numbers, which are quantized with the scale of the input; for several inputs they
    are a structured array. Without samples, or if the file has several inputs and no names for them, seeded random
    inputs are used. Raises ``BuildFailed`` with the runtime's reason if the file does not load or run. A damaged file
    can crash the process, so call this in a process that may crash.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    try:
        interpreter = Interpreter(model_content=file, num_threads=1, experimental_op_resolver_type=resolver)
        inputs = interpreter.get_input_details()
        feeds = _feeds(interpreter, inputs, samples)
        if len(inputs) == 1 and feeds and feeds[0][0].shape != tuple(inputs[0]["shape"]):
            interpreter.resize_tensor_input(inputs[0]["index"], feeds[0][0].shape)
        interpreter.allocate_tensors()
        values = []
        for feed in feeds:
            for detail, value in zip(inputs, feed, strict=True):
                interpreter.set_tensor(detail["index"], value)
            interpreter.invoke()
            values += [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]
        plan = execution_plan(interpreter)
    except (ValueError, RuntimeError) as error:
        raise BuildFailed(f"the runtime does not run the file: {str(error).strip().splitlines()[0]}") from error
    return Outputs(tuple(values), plan)


def reference_digests(files: Sequence[bytes], samples: np.ndarray | None) -> list[str | None]:
    """A hex digest of each file's outputs on the reference kernels without delegates; ``None`` if a file does not run.

    The files run in a child process, because these kernels abort the process for some valid files (LiteRT 2.3, int8
    SOFTMAX). If a file crashes the child, or the child reaches its limit of 60 s, this file and all files after it get
    ``None``.
    """
    sent = io.BytesIO()
    arrays = {f"file{index}": np.frombuffer(file, np.uint8) for index, file in enumerate(files)}
    np.savez(sent, **arrays, **({} if samples is None else {"samples": samples}))  # type: ignore[arg-type]
    try:
        answered = subprocess.run(
            python_command("-c", _CHILD),
            env=python_environment(),
            input=sent.getvalue(),
            capture_output=True,
            timeout=REFERENCE_SECONDS,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired as late:
        answered = late.stdout or b""
    digests: list[str | None] = [line if line != "-" else None for line in answered.decode().split()]
    return digests + [None] * (len(files) - len(digests))


def _answer() -> None:
    """The child process of ``reference_digests``: prints one line for each file as soon as it has run."""
    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    samples = given.get("samples")
    for index in range(sum(name.startswith("file") for name in given.files)):
        try:
            values = run(given[f"file{index}"].tobytes(), samples, reference=True).values
            line = hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
        except BuildFailed:
            line = "-"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _feeds(interpreter: Any, inputs: list[dict[str, Any]], samples: np.ndarray | None) -> list[list[np.ndarray]]:
    if samples is not None and len(samples) and len(inputs) == 1 and not is_packed(samples):
        return [[as_input(np.asarray(sample)[None], inputs[0])] for sample in samples]
    names = signature_names(interpreter)
    if samples is not None and len(samples) and is_packed(samples) and names is not None:
        named = [(names[0][detail["index"]], detail) for detail in inputs]
        return [[as_input(samples[i : i + 1][name], detail) for name, detail in named] for i in range(len(samples))]
    rng = np.random.default_rng(0)
    return [[_random(rng, detail) for detail in inputs] for _ in range(SYNTHETIC_SAMPLES)]


def _random(rng: np.random.Generator, detail: dict[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=shape).astype(dtype)
    if detail["quantization"][0]:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, size=shape, endpoint=True).astype(dtype)
    # These integers may be indices into a table of unknown length: use only its first two rows.
    return rng.integers(0, 2, size=shape).astype(dtype)
