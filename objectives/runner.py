"""Time a ``.tflite`` file: a script that stands alone, so that the same file runs here and on a board far away.

It needs Python, numpy and ai-edge-litert, and imports nothing of litetuner: ``python -P runner.py FILE [--baseline BASE]``
prints one JSON document and exits with 0, or ``{"schema_version": 1, "error": {"stage", "file", "message"}}`` and 1.

- One core is pinned, the least busy of the fastest; the process asks for a high priority and says whether it got it.
- Each invoke is timed alone. A block holds at least ``block_ms`` and ``BLOCK_INVOKES`` invokes, and its value is its
  minimum: what a machine does beside us only ever adds time. Long invokes that lost the core on their way are left out,
  and the block goes on until it has enough others.
- **Every block has an interpreter of its own.** Where weights and tensors happen to lie in memory moves a latency by 1 to
  2 %, which no repetition on one interpreter shows; over fresh ones the interval shows it and the median averages it.
- The value is the median of the block minima, its interval the distribution-free one from order statistics (six blocks for
  95 %); blocks are added until it is within the tolerance or the time is spent.
- Blocks of the baseline stand between the candidate's. The ratio (baseline / candidate) comes from neighbouring blocks, in
  which a drift of the machine cancels, or from the two values, whichever has the narrower interval.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # Windows: lost time slices go uncounted there
    resource = None  # type: ignore[assignment]

SCHEMA_VERSION = 1
BLOCK_INVOKES = 15  # measured: with fewer, the minimum of a 7 ms model still moves by a percent
WARM_INVOKES = 10
SPREAD_LIMIT = 0.04  # quartile distance of the block minima, relative to their median
DRIFT_LIMIT = 0.03  # last third of the blocks against the first
OTHERS_LIMIT, STOLEN_LIMIT = 0.25, 0.05  # shares of the pinned core's time that others and the hypervisor took
LONG_INVOKE_NS = 1_000_000  # from here on each invoke is checked for lost time slices
FLAGS = "avx avx2 fma f16c avx_vnni avx512f avx512bw avx512_vnni avx512_bf16 amx_int8 asimd asimdhp asimddp i8mm bf16 sve sve2"


class RunnerError(Exception):
    """The file cannot be timed. ``stage`` is one of usage, runtime, read, load, allocate, input, invoke."""

    def __init__(self, stage: str, file: str, message: str) -> None:
        super().__init__(message)
        self.stage, self.file = stage, file


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def median_interval(values: Sequence[float], level: float = 0.95) -> tuple[tuple[float, float], float] | None:
    """The narrowest order-statistics interval of the median that reaches ``level``, and its real coverage.

    With fewer than six values none does, and the whole range is given with what it reaches; ``None`` for a single value.
    """
    ordered, n = sorted(values), len(values)
    if n < 2:
        return None
    tail, skip = 0.5**n, 0
    while skip + 1 < n // 2 and 1 - 2 * (wider := tail + math.comb(n, skip + 1) * 0.5**n) >= level:
        tail, skip = wider, skip + 1
    return (ordered[skip], ordered[n - 1 - skip]), 1 - 2 * tail


def half_width(values: Sequence[float]) -> float:
    """Half the interval's width relative to the median; infinite where there is none."""
    found = median_interval(values)
    return math.inf if found is None else (found[0][1] - found[0][0]) / 2 / median(values)


def ratio_of(base: Sequence[float], this: Sequence[float]) -> dict[str, Any]:
    """Baseline / candidate from neighbouring blocks or from the two medians, whichever interval is narrower."""
    pairs = [b / t for b, t in zip(base, this, strict=True)]
    value, found, method = median(pairs), median_interval(pairs), "pairs"
    interval = None if found is None else list(found[0])
    if interval and (reach := math.hypot(half_width(base), half_width(this))) < half_width(pairs):
        value, method = median(base) / median(this), "values"
        interval = [value * (1 - reach), value * (1 + reach)]
    return {"value": value, "interval": interval, "method": method, "pairs": len(pairs)}


def read_text(path: str) -> str | None:
    """A small file of the kernel, ``None`` where this machine has none or keeps it to itself."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def core_times() -> dict[int, tuple[float, float]]:
    """Seconds (busy, stolen by the hypervisor) of each core since boot; empty where there is no /proc/stat."""
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    found = {}
    for line in (read_text("/proc/stat") or "").splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name[3:].isdigit():
            user, nice, system, _idle, _wait, irq, soft, steal = (int(n) / tick for n in numbers[:8])
            found[int(name[3:])] = (user + nice + system + irq + soft + steal, steal)
    return found


def choose_cores(asked: str, threads: int) -> tuple[int, ...] | None:
    """Pin the process to the least busy of the fastest cores, as many as threads. ``None``: not pinned."""
    if asked == "none" or not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    chosen = tuple(int(part) for part in asked.split(",") if part.isdecimal())
    if asked == "auto":
        speed = {c: int(read_text(f"/sys/devices/system/cpu/cpu{c}/cpu_capacity") or 0) for c in allowed}
        before = core_times()
        time.sleep(0.1)
        busy = {core: now - before[core][0] for core, (now, _) in core_times().items() if core in before}
        # Of equally idle cores the last one: the first ones often serve the interrupts.
        ranked = sorted(allowed, key=lambda core: (-speed[core], busy.get(core, 0.0), -core))
        chosen = tuple(sorted(ranked[:threads]))
    elif not chosen or not set(chosen) <= set(allowed):
        raise RunnerError("usage", "", f"core {asked!r} is not among the allowed cores {allowed}")
    os.sched_setaffinity(0, chosen)
    return chosen


def raise_priority() -> str:
    """Ask for the highest niceness and say what became of it: a user's process may not, and is timed as it is."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        # A session has a scheduling group of its own, inside of which alone the niceness of a process counts.
        if os.getsid(0) == os.getpid() and os.path.exists("/proc/self/autogroup"):
            Path("/proc/self/autogroup").write_text("-20")
    except (OSError, AttributeError) as error:
        return f"not raised: {error}"
    return "niceness -20"


def die_with(parent: int) -> None:
    """End when the parent ends, also while stopped (Linux). Exits at once if it is gone already."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(f"runner: the process {parent} that asked for this timing is gone")


def load_average() -> list[float] | None:
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def lost_slices() -> int:
    """How often the scheduler took the core away from this process; 0 where the system does not count it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0


def cpu_info(field: str) -> str | None:
    lines = (line.partition(":") for line in (read_text("/proc/cpuinfo") or "").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == field), None)


def clock_of(cores: tuple[int, ...] | None) -> dict[str, Any]:
    """Governor and frequency of the first pinned core, ``None`` where the kernel does not tell."""
    folder, mhz = f"/sys/devices/system/cpu/cpu{(cores or (0,))[0]}/cpufreq", cpu_info("cpu MHz")
    khz = read_text(f"{folder}/scaling_cur_freq") or (float(mhz) * 1000 if mhz else None)
    return {"governor": read_text(f"{folder}/scaling_governor"), "frequency_mhz": khz and float(khz) / 1000}


def describe_machine(cores: tuple[int, ...] | None) -> dict[str, Any]:
    """What a reader must know to judge a latency: processor, settings, versions."""
    flags = (cpu_info("flags") or cpu_info("Features") or "").split()
    name = cpu_info("model name") or read_text("/proc/device-tree/model") or platform.processor() or platform.machine()
    found: dict[str, Any] = {"cpu": name, "cpu_flags": [flag for flag in FLAGS.split() if flag in flags]}
    found |= {"cores": os.cpu_count(), "pinned_cores": list(cores) if cores else None}
    found |= {"runtime": "ai-edge-litert", "runtime_version": importlib.metadata.version("ai-edge-litert")}
    found |= {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform()}
    return found | {"os": platform.system(), "machine": platform.machine()} | clock_of(cores)


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


def run_blocks(subjects: Sequence[Subject], options: argparse.Namespace) -> float:
    """Blocks of all subjects in turn until the intervals are within the tolerance or the time is spent; returns seconds."""
    share = max(options.max_seconds * 0.8 / (options.blocks * len(subjects)), options.block_ms / 1000)
    start = time.perf_counter()
    for subject in subjects:
        subject.renew()
        subject.warm(options.warmup_seconds, max(options.max_seconds * 0.1, options.warmup_seconds))
    gc.collect()
    gc.disable()
    try:
        while True:
            for subject in subjects:
                subject.block(options.block_ms / 1000, share)
            gone, count = time.perf_counter() - start, len(subjects[0].blocks_us)
            done = count >= options.blocks and reach_of(subjects) <= options.tolerance
            if done or gone * (1 + 1 / count) > options.max_seconds:
                return gone
    finally:
        gc.enable()


def reach_of(subjects: Sequence[Subject]) -> float:
    """The wider of the relative half widths of the candidate's value and of the ratio."""
    reach = half_width(subjects[0].blocks_us)
    if len(subjects) == 1 or math.isinf(reach):
        return reach
    found = ratio_of(subjects[1].blocks_us, subjects[0].blocks_us)
    return max(reach, (found["interval"][1] - found["interval"][0]) / 2 / found["value"])


def find_instability(subjects: Sequence[Subject], others: float, stolen: float) -> list[str]:
    """Why the numbers should not be trusted, in words; empty for a steady run."""
    blocks, options = subjects[0].blocks_us, subjects[0].options
    reach, third = reach_of(subjects), max(len(blocks) // 3, 1)
    spread = float(np.subtract(*np.percentile(blocks, [75, 25]))) / median(blocks)
    drift = median(blocks[-third:]) / median(blocks[:third]) - 1
    disturbed = sum(subject.disturbed for subject in subjects)
    checks = [
        (len(blocks) < options.blocks, f"blocks: only {len(blocks)} of {options.blocks} in {options.max_seconds:g} s"),
        (reach > options.tolerance, f"interval: half width {reach:.2%}, wanted {options.tolerance:.2%}"),
        (spread > SPREAD_LIMIT, f"spread: the middle half of the blocks spans {spread:.1%}"),
        (abs(drift) > DRIFT_LIMIT, f"drift: {drift:+.1%} from first to last blocks (throttling, or a busier machine)"),
        (disturbed > 0, f"preempted: {disturbed} blocks had no invoke that kept the core"),
        (others > OTHERS_LIMIT, f"busy: others took {others:.0%} of the core"),
        (stolen > STOLEN_LIMIT, f"stolen: the hypervisor took {stolen:.0%} of the core"),
    ]
    return [reason for true, reason in checks if true]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The document of a run."""
    if min(options.threads, options.blocks, options.block_ms, options.max_seconds, options.tolerance) <= 0:
        raise RunnerError("usage", "", "threads, blocks, block-ms, max-seconds and tolerance must be above 0")
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise RunnerError("runtime", "", f"{sys.executable} has no ai-edge-litert: pip install ai-edge-litert")
    load_before = load_average()
    cores = choose_cores(options.core, options.threads)
    priority = "not asked for" if options.no_priority else raise_priority()
    paths = [options.file, options.baseline] if options.baseline else [options.file]
    subjects = [Subject(path, options) for path in paths]
    machine = describe_machine(cores)
    times, own, lost = core_times(), time.process_time(), lost_slices()
    seconds = run_blocks(subjects, options)
    own, lost = time.process_time() - own, lost_slices() - lost
    after = core_times()
    watched = [core for core in cores or () if core in times and core in after]
    busy, stolen = (sum(after[c][i] - times[c][i] for c in watched) / seconds for i in (0, 1))
    others = max(busy - stolen - own / seconds, 0.0) if watched else 0.0
    reasons = find_instability(subjects, others, stolen)
    this, base = subjects[0].summary(), subjects[1].summary() if options.baseline else None
    machine |= {"frequency_mhz_after": clock_of(cores)["frequency_mhz"]}
    machine |= {"threads": options.threads, "priority": priority}
    machine |= {"delegate": "none" if options.no_xnnpack else "xnnpack", "lost_time_slices": lost if resource else None}
    machine |= {"others_on_core": round(others, 3), "stolen_by_hypervisor": round(stolen, 3)}
    machine |= {"load_average_before": load_before, "load_average_after": load_average()}
    ratio = base and ratio_of(base["latency_us"]["blocks"], this["latency_us"]["blocks"])
    found = {"schema_version": SCHEMA_VERSION, **this, "baseline": base, "ratio": ratio, "seconds": round(seconds, 3)}
    return found | {"stable": not reasons, "instability": reasons, "environment": machine}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner.py", description="Time a .tflite file and print JSON.")
    parser.add_argument("file")
    parser.add_argument("--baseline", help="timed in turn with FILE; the ratio is baseline / FILE")
    parser.add_argument("--core", default="auto", help="auto, none, or core numbers such as 2 or 2,3")
    parser.add_argument("--parent", type=int, help="end when this process, which must be the parent, ends")
    for flag in ("--no-xnnpack", "--no-priority"):
        parser.add_argument(flag, action="store_true")
    numbers = {"threads": 1, "blocks": 6, "block-ms": 50.0, "max-seconds": 10.0, "warmup-seconds": 0.2, "seed": 0}
    for name, default in (numbers | {"tolerance": 0.01}).items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default {default}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.parent is not None:
        die_with(options.parent)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand in the document
    try:
        document = measure(options)
    except RunnerError as error:
        document = {"schema_version": SCHEMA_VERSION, "error": vars(error) | {"message": str(error)}}
    output.write(json.dumps(document) + "\n")
    output.close()
    return 1 if "error" in document else 0


if __name__ == "__main__":
    sys.exit(main())
