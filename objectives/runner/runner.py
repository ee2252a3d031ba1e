"""Measure the latency of a ``.tflite`` file. This stand-alone script runs here and, unchanged, on remote boards.

It needs Python, numpy, ai-edge-litert, and the other files of the runner (``FILES``) in the same folder, which may have
any name. ``python -P runner.py FILE [--baseline BASE]`` prints one JSON document and exits with code 0. If it fails, it
prints ``{"schema_version": 1, "error": {"stage", "file", "message"}}`` and exits with code 1.

- The process is pinned to one core per thread: the least busy of the fastest cores. It requests a high priority, and
  reports if it got it.
- Each invoke is timed separately. A block has at least ``block_ms`` and ``BLOCK_INVOKES`` invokes. Its value is the
  minimum, because other work on the machine can only add time. Long invokes during which the process lost the core do
  not count, and the block continues until it has enough other invokes.
- **Every block has its own interpreter.** The latency changes by 1 to 2 % with the positions of weights and tensors in
  memory. Repetitions with one interpreter do not show this. With new interpreters, the interval includes this
  variation, and the median averages over it.
- The latency is the median of the block minima. Its interval is the distribution-free interval from order statistics,
  which needs six blocks for 95 %. Blocks are added until the interval is within the tolerance or the time is up.
- Blocks of the baseline and of the candidate alternate. The ratio (baseline / candidate) comes from neighboring blocks,
  in which a drift of the machine cancels out, or from both medians, whichever has the narrower interval.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__" and "litetuner" not in sys.modules:
    # Run as a script: the other files are in the same folder, and are imported by their names in litetuner.
    for _name in ("litetuner", "litetuner.objectives", "litetuner.objectives.runner"):
        sys.modules[_name] = types.ModuleType(_name)
        sys.modules[_name].__path__ = [str(Path(__file__).resolve().parent)]

from litetuner.objectives.runner import machine
from litetuner.objectives.runner.energy import POWERCAP, measure_energy
from litetuner.objectives.runner.engine import WITHOUT, delegate_names, warm_runtime
from litetuner.objectives.runner.error import RunnerError
from litetuner.objectives.runner.intervals import DRIFT_LIMIT, SPREAD_LIMIT, drift, ratio_of, reach, spread
from litetuner.objectives.runner.subject import Subject

# These files are copied together, into a folder with any name.
FILES = ("runner.py", "engine.py", "error.py", "machine.py", "intervals.py", "subject.py", "delegates.py", "energy.py")
SCHEMA_VERSION = 1
# Limits of a stable run: the share of the pinned cores' time that other processes and the hypervisor used.
OTHERS_LIMIT, STOLEN_LIMIT = 0.25, 0.05
OTHER_CORES_LIMIT = 0.75  # busy share of the other cores, which share caches, memory and perhaps execution units


def run_blocks(subjects: Sequence[Subject], options: argparse.Namespace) -> float:
    """Time blocks of all subjects in turn until the intervals are within the tolerance or the time is up.

    Returns the seconds that this took.
    """
    share = max(options.max_seconds * 0.8 / (options.blocks * len(subjects)), options.block_ms / 1000)
    start = time.perf_counter()
    for subject in subjects:
        subject.preview_model()
    for subject in subjects:
        subject.warm(options.warmup_seconds, max(options.max_seconds * 0.1, options.warmup_seconds))
    gc.collect()
    gc.disable()
    try:
        while True:
            # The order alternates (A B, then B A), so that a drift of the machine affects both equally.
            for subject in subjects if len(subjects[0].blocks_us) % 2 == 0 else subjects[::-1]:
                subject.block(options.block_ms / 1000, share)
            gone, count = time.perf_counter() - start, len(subjects[0].blocks_us)
            done = count >= options.blocks and _reach_of(subjects) <= options.tolerance
            if done or gone * (1 + 1 / count) > options.max_seconds:
                return gone
    finally:
        gc.enable()


def _reach_of(subjects: Sequence[Subject]) -> float:
    return reach(*(subject.blocks_us for subject in subjects))


def find_instability(subjects: Sequence[Subject], about: dict[str, Any]) -> list[str]:
    """Reasons not to trust the measurements; empty for a stable run. ``about`` is the environment of the run."""
    blocks, options = subjects[0].blocks_us, subjects[0].options
    width, scatter, trend = _reach_of(subjects), spread(blocks), drift(blocks)
    disturbed = sum(subject.disturbed for subject in subjects)
    others, stolen, near = about["others_on_core"], about["stolen_by_hypervisor"], about["others_on_other_cores"]
    hot, load = about["throttled"] or 0, about["load_average_after"]
    checks = [
        (len(blocks) < options.blocks, f"blocks: only {len(blocks)} of {options.blocks} in {options.max_seconds:g} s"),
        (width > options.tolerance, f"interval: half width {width:.2%}, wanted {options.tolerance:.2%}"),
        (scatter > SPREAD_LIMIT, f"spread: the middle half of the blocks spans {scatter:.1%}"),
        (abs(trend) > DRIFT_LIMIT, f"drift: {trend:+.1%} from first to last blocks (throttling, or a busier machine)"),
        (hot > 0, f"throttled: heat slowed the core down {hot} times"),
        (disturbed > 0, f"preempted: {disturbed} blocks had no invoke that kept the core"),
        (others > OTHERS_LIMIT, f"busy: others took {others:.0%} of the core"),
        (near > OTHER_CORES_LIMIT, f"busy: the other cores worked {near:.0%} of the time (load average {load})"),
        (stolen > STOLEN_LIMIT, f"stolen: the hypervisor took {stolen:.0%} of the core"),
    ]
    return [reason for true, reason in checks if true]


def watch_run(
    subjects: Sequence[Subject], options: argparse.Namespace, cores: tuple[int, ...] | None
) -> dict[str, Any]:
    """Time the subjects, and record the load of the machine: shares of core time, lost time slices, throttling."""
    times, hot = machine.core_times(), machine.throttle_count(cores)
    own, lost = time.process_time(), machine.lost_slices()
    seconds = run_blocks(subjects, options)
    own, lost, after = time.process_time() - own, machine.lost_slices() - lost, machine.core_times()
    busy = {core: after[core][0] - times[core][0] for core in times if core in after}
    stolen = {core: after[core][1] - times[core][1] for core in busy}
    pinned = [core for core in cores or () if core in busy]
    near = [core for core in busy if core not in pinned] if pinned else []
    others = (sum(busy[core] - stolen[core] for core in pinned) - own) / seconds if pinned else 0.0
    now = machine.throttle_count(cores)
    return {
        "seconds": round(seconds, 3),
        "others_on_core": round(max(others, 0.0), 3),
        "others_on_other_cores": round(sum(busy[core] for core in near) / seconds / max(len(near), 1), 3),
        "stolen_by_hypervisor": round(sum(stolen[core] for core in pinned) / seconds, 3),
        "lost_time_slices": lost if machine.COUNTS_LOST_SLICES else None,
        "throttled": None if hot is None or now is None else now - hot,
    }


def check_options(options: argparse.Namespace) -> None:
    """Raise ``RunnerError`` for invalid options or combinations of options, and if ai-edge-litert is not installed."""
    if min(options.threads, options.blocks, options.block_ms, options.max_seconds, options.tolerance) <= 0:
        raise RunnerError("usage", "", "threads, blocks, block-ms, max-seconds and tolerance must be above 0")
    if options.accelerator and (options.delegate or options.no_xnnpack):
        message = "an accelerator chooses its delegates itself: leave --delegate and --no-xnnpack out"
        raise RunnerError("usage", "", message)
    if not all("=" in item for item in options.delegate_option):
        raise RunnerError("usage", "", "--delegate-option wants NAME=VALUE")
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise RunnerError("runtime", "", f"{sys.executable} has no ai-edge-litert: pip install ai-edge-litert")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all measurements and return the document, which is printed as JSON."""
    check_options(options)
    load_before = machine.load_average()
    cores = machine.choose_cores(options.core, options.threads)
    priority = "not asked for" if options.no_priority else machine.raise_priority()
    paths = [options.file, options.baseline] if options.baseline else [options.file]
    subjects = [Subject(path, options) for path in paths]
    warm_runtime()
    about = machine.describe_machine(cores)
    watched = watch_run(subjects, options, cores)
    seconds = watched.pop("seconds")
    about |= {"frequency_mhz_after": machine.clock_of(cores)["frequency_mhz"]}
    about |= {"threads": options.threads, "priority": priority}
    about |= {"delegate": "+".join(delegate_names(options)) or "none"} | watched
    about |= {"load_average_before": load_before, "load_average_after": machine.load_average()}
    reasons = find_instability(subjects, about)
    this, base = subjects[0].summary(), subjects[1].summary() if options.baseline else None
    ratio = base and ratio_of(base["latency_us"]["blocks"], this["latency_us"]["blocks"])
    energy: dict[str, Any] = {"absent": "not asked for"}
    if not options.no_energy:
        energy = measure_energy(subjects[0].engine.invoke, options.powercap)
    found = {"schema_version": SCHEMA_VERSION, **this, "baseline": base, "ratio": ratio, "seconds": seconds}
    return found | {"energy_uj": energy, "stable": not reasons, "instability": reasons, "environment": about}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner.py", description="Time a .tflite file and print JSON.")
    parser.add_argument("file")
    parser.add_argument("--baseline", help="timed in turn with FILE; the ratio is baseline / FILE")
    parser.add_argument("--core", default="auto", help="auto, none, or core numbers such as 2 or 2,3")
    parser.add_argument("--parent", type=int, help="end when this process, which must be the parent, ends")
    parser.add_argument("--delegate", help="a delegate's shared library; it chooses before XNNPACK does")
    parser.add_argument("--delegate-option", action="append", default=[], metavar="NAME=VALUE", help="for the library")
    compiled = "LiteRT's compiled model instead of its interpreter"
    parser.add_argument("--accelerator", choices=sorted(WITHOUT), help=compiled)
    parser.add_argument("--powercap", default=POWERCAP, help="where the energy counters are, default %(default)s")
    for flag in ("--no-xnnpack", "--no-priority", "--no-energy"):
        parser.add_argument(flag, action="store_true")
    numbers = {"threads": 1, "blocks": 6, "block-ms": 50.0, "max-seconds": 10.0, "warmup-seconds": 0.2, "seed": 0}
    for name, default in (numbers | {"tolerance": 0.01}).items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default {default}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.parent is not None:
        machine.die_with(options.parent)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries must not be part of the document
    try:
        document = measure(options)
    except RunnerError as error:
        document = {"schema_version": SCHEMA_VERSION, "error": vars(error) | {"message": str(error)}}
    output.write(json.dumps(document) + "\n")
    output.close()
    return 1 if "error" in document else 0


if __name__ == "__main__":
    sys.exit(main())
