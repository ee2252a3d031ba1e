"""One file under the clock. Part of the runner (``runner.FILES``)."""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.runner_error import RunnerError
from litetuner.objectives.runner_machine import lost_slices
from litetuner.objectives.runner_numbers import median, median_interval

BLOCK_INVOKES = 15  # measured: with fewer, the minimum of a 7 ms model still moves by a percent
WARM_INVOKES = 10
LONG_INVOKE_NS = 1_000_000  # from here on each invoke is checked for lost time slices


def random_input(details: dict[str, Any], rng: np.random.Generator, file: str) -> np.ndarray:
    """A valid input tensor: floats in [0, 1), quantized integers over their range, other integers 0 (they may be indices)."""
    shape, dtype = tuple(int(n) for n in details["shape"]), np.dtype(details["dtype"])
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        limits, wide = np.iinfo(dtype), dtype.itemsize <= 2 and bool(details["quantization"][0])
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True) if wide else np.zeros(shape, dtype)
    raise RunnerError("input", file, f"no random value can be made for input {details['name']!r} of type {dtype}")


class Subject:
    """One file under the clock, with all that was seen of it, in nanoseconds where no unit is named."""

    def __init__(self, path: str, options: argparse.Namespace) -> None:
        self.path, self.options = path, options
        self.blocks_us: list[float] = []  # block minima
        lists: tuple[list[int], ...] = ([], [], [])
        self.invokes, self.loads, self.firsts = lists
        self.disturbed, self.typical = 0, 0  # blocks without a single invoke that kept the core; time of one invoke
        self.interpreter: Any = None
        try:
            self.content = Path(path).read_bytes()
        except OSError as error:
            raise RunnerError("read", path, f"cannot read {path}: {error.strerror}") from error
        if not self.content:
            raise RunnerError("read", path, f"{path} is empty")
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    def renew(self) -> None:
        """A fresh interpreter with its inputs set, invoked three times."""
        from ai_edge_litert import interpreter as litert

        kind = litert.OpResolverType
        resolver = kind.BUILTIN_WITHOUT_DEFAULT_DELEGATES if self.options.no_xnnpack else kind.AUTO
        settings = {"num_threads": self.options.threads, "experimental_op_resolver_type": resolver}
        stage, start = "load", time.perf_counter_ns()
        try:
            fresh = litert.Interpreter(model_content=self.content, **settings)
            stage = "allocate"
            fresh.allocate_tensors()
            self.loads.append(time.perf_counter_ns() - start)
            stage, rng = "input", np.random.default_rng(self.options.seed)
            for details in fresh.get_input_details():
                fresh.set_tensor(details["index"], random_input(details, rng, self.path))
            stage, start = "invoke", time.perf_counter_ns()
            fresh.invoke()
            self.firsts.append(time.perf_counter_ns() - start)
            for _ in range(2):
                start = time.perf_counter_ns()
                fresh.invoke()
                self.typical = time.perf_counter_ns() - start
        except (ValueError, RuntimeError) as error:
            raise RunnerError(stage, self.path, f"{self.path}: {stage} fails: {error}") from error
        self.interpreter = fresh

    def warm(self, seconds: float, limit: float) -> None:
        """Invoke for ``seconds`` and ``WARM_INVOKES`` times, but never longer than ``limit`` seconds."""
        start, count = time.perf_counter(), 0
        while (gone := time.perf_counter() - start) < limit and (gone < seconds or count < WARM_INVOKES):
            self.interpreter.invoke()
            count += 1

    def block(self, seconds: float, limit: float) -> None:
        """Time one block: at least ``seconds`` and ``BLOCK_INVOKES`` undisturbed invokes, but not above ``limit`` seconds."""
        # A new interpreter is not worth it where loading takes longer than the block.
        if self.loads[-1] + self.firsts[-1] < max(seconds * 1e9, BLOCK_INVOKES * self.typical):
            self.renew()
        invoke, clock = self.interpreter.invoke, time.perf_counter_ns
        watch = self.typical >= LONG_INVOKE_NS
        all_ns: list[int] = []
        clean_ns: list[int] = []
        lost, begin = lost_slices() if watch else 0, clock()
        end, enough, at_most = begin, begin + int(seconds * 1e9), begin + int(limit * 1e9)
        while end < at_most and (end < enough or len(clean_ns) < BLOCK_INVOKES):
            start = clock()
            invoke()
            end = clock()
            all_ns.append(end - start)
            before, lost = lost, lost_slices() if watch else 0
            if lost == before:
                clean_ns.append(end - start)
        self.disturbed += not clean_ns
        self.blocks_us.append(min(clean_ns or all_ns) / 1000)
        self.invokes.extend(all_ns)

    def summary(self) -> dict[str, Any]:
        """The file's part of the document. Load and first invoke are medians over the interpreters of this process."""
        blocks, found = self.blocks_us, median_interval(self.blocks_us)
        p50, p90, p99 = np.percentile(np.asarray(self.invokes), [50, 90, 99]) / 1000
        interval, coverage = (None, None) if found is None else (list(found[0]), round(found[1], 4))
        latency = {"value": median(blocks), "interval": interval, "coverage": coverage, "blocks": blocks}
        latency |= {"p50": float(p50), "p90": float(p90), "p99": float(p99), "invokes": len(self.invokes)}
        latency |= {"load_us": median(self.loads) / 1000, "first_invoke_us": median(self.firsts) / 1000}
        latency |= {"interpreters": len(self.loads), "disturbed_blocks": self.disturbed}
        return {"file": self.path, "sha256": self.sha256, "bytes": len(self.content), "latency_us": latency}
