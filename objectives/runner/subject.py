"""One file whose latency is measured. Part of the runner (``runner.FILES``)."""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.runner.engine import open_engine
from litetuner.objectives.runner.error import RunnerError
from litetuner.objectives.runner.intervals import median, median_interval
from litetuner.objectives.runner.machine import lost_slices, read_text

BLOCK_INVOKES = 15  # measured: with fewer invokes, the minimum of a 7 ms model varies by one percent
WARM_INVOKES = 10
LONG_INVOKE_NS = 1_000_000  # invokes at least this long are checked for lost time slices


class PeakMemory:
    """Measures how far the peak of resident memory of this process rises above its value when this object was created.

    Works only on Linux with write access to ``clear_refs``; otherwise ``bytes()`` is ``None``.
    """

    def __init__(self) -> None:
        self.start: int | None = None
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak (VmHWM) to the memory that is resident now
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


class Subject:
    """One file whose latency is measured, with all its measurements, in nanoseconds unless a name has another unit."""

    def __init__(self, path: str, options: argparse.Namespace) -> None:
        self.path, self.options = path, options
        self.blocks_us: list[float] = []  # the minimum of each block
        lists: tuple[list[int], ...] = ([], [], [])
        self.invokes, self.loads, self.firsts = lists
        # The number of blocks in which every invoke lost the core at least once; the time of one invoke.
        self.disturbed, self.typical = 0, 0
        self.engine: Any = None
        self.delegates: dict[str, Any] = {}
        self.peak_rss_bytes: int | None = None
        self.content = self._read()
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    def _read(self) -> bytes:
        try:
            content = Path(self.path).read_bytes()
        except OSError as error:
            raise RunnerError("read", self.path, f"cannot read {self.path}: {error.strerror}") from error
        if not content:
            raise RunnerError("read", self.path, f"{self.path} is empty")
        return content

    def renew(self) -> None:
        """Create a new engine, set its inputs, and invoke it three times. Raises ``RunnerError`` if an invoke fails."""
        start = time.perf_counter_ns()
        fresh = open_engine(self.content, self.path, self.options)
        self.loads.append(time.perf_counter_ns() - start)
        fresh.fill(np.random.default_rng(self.options.seed))
        try:
            spans = []
            for _ in range(3):
                start = time.perf_counter_ns()
                fresh.invoke()
                spans.append(time.perf_counter_ns() - start)
        except (ValueError, RuntimeError) as error:
            raise RunnerError("invoke", self.path, f"{self.path}: invoke fails: {error}") from error
        self.firsts.append(spans[0])
        self.typical = spans[-1]
        self.engine = fresh

    def preview_model(self) -> None:
        """Create the first engine, and record its delegates and how much it raises the peak of memory."""
        watch = PeakMemory()
        self.content = self._read()
        self.renew()
        self.peak_rss_bytes = watch.bytes()
        self.delegates = self.engine.delegates()

    def warm(self, seconds: float, limit: float) -> None:
        """Invoke for at least ``seconds`` and ``WARM_INVOKES`` times, but start no invoke after ``limit`` seconds."""
        start, count = time.perf_counter(), 0
        while (gone := time.perf_counter() - start) < limit and (gone < seconds or count < WARM_INVOKES):
            self.engine.invoke()
            count += 1

    def block(self, seconds: float, limit: float) -> None:
        """Time one block: at least ``seconds`` and ``BLOCK_INVOKES`` undisturbed invokes, at most ``limit`` seconds."""
        # If loading takes longer than the block, keep the interpreter.
        if self.loads[-1] + self.firsts[-1] < max(seconds * 1e9, BLOCK_INVOKES * self.typical):
            self.renew()
        invoke, clock = self.engine.invoke, time.perf_counter_ns
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
        """The file's part of the document. Load time and first invoke are medians over all interpreters."""
        blocks, found = self.blocks_us, median_interval(self.blocks_us)
        p50, p90, p99 = np.percentile(np.asarray(self.invokes), [50, 90, 99]) / 1000
        interval, coverage = (None, None) if found is None else (list(found[0]), round(found[1], 4))
        latency = {"value": median(blocks), "interval": interval, "coverage": coverage, "blocks": blocks}
        latency |= {"p50": float(p50), "p90": float(p90), "p99": float(p99), "invokes": len(self.invokes)}
        latency |= {"load_us": median(self.loads) / 1000, "first_invoke_us": median(self.firsts) / 1000}
        latency |= {"interpreters": len(self.loads), "disturbed_blocks": self.disturbed}
        about = {"file": self.path, "sha256": self.sha256, "bytes": len(self.content), "latency_us": latency}
        return about | {"delegates": self.delegates, "peak_rss_bytes": self.peak_rss_bytes}
