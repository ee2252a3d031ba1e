"""Time a ``.tflite`` file: a script that stands alone, so that the same file runs here and on a board far away.

It needs Python, numpy and ai-edge-litert, and of litetuner only its own parts (``FILES``), which lie in the same folder,
whatever that is called: ``python -P runner.py FILE [--baseline BASE]`` prints one JSON document and exits with 0, or
``{"schema_version": 1, "error": {"stage", "file", "message"}}`` and 1.

- One core is pinned, the least busy of the fastest; the process asks for a high priority and says whether it got it.
- Each invoke is timed alone. A block holds at least ``block_ms`` and ``BLOCK_INVOKES`` invokes, and its value is its
  minimum: what a machine does beside us only ever adds time. Long invokes that lost the core on their way are left out,
  and the block goes on until it has enough others.
- **Every block has an interpreter of its own.** Where weights and tensors happen to lie in memory moves a latency by 1 to
  2 %, which no repetition on one interpreter shows; over fresh ones the interval shows it and the median averages it.
- The value is the median of the block minima, its interval the distribution-free one from order statistics (six blocks for
  95 %); blocks are added until it is within the tolerance or the time is spent.
- Blocks of the baseline stand between the candidate's. The ratio (baseline / candidate) comes from neighboring blocks, in
  which a drift of the machine cancels, or from the two values, whichever has the narrower interval.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import math
import os
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__" and "litetuner" not in sys.modules:
    # A script: its parts lie beside it, wherever that is, and go by the names that they have inside of litetuner.
    for _name in ("litetuner", "litetuner.objectives", "litetuner.objectives.runner"):
        sys.modules[_name] = types.ModuleType(_name)
        sys.modules[_name].__path__ = [str(Path(__file__).resolve().parent)]

from litetuner.objectives.runner.energy import POWERCAP, measure_energy
from litetuner.objectives.runner.engine import WITHOUT, delegate_names, warm_runtime
from litetuner.objectives.runner.error import RunnerError
from litetuner.objectives.runner.intervals import half_width, median, ratio_of
from litetuner.objectives.runner.machine import (
    COUNTS_LOST_SLICES,
    choose_cores,
    clock_of,
    core_times,
    describe_machine,
    die_with,
    load_average,
    lost_slices,
    raise_priority,
    throttle_count,
)
from litetuner.objectives.runner.subject import Subject

FILES = (
    "runner.py",
    "engine.py",
    "error.py",
    "machine.py",
    "memory.py",
    "intervals.py",
    "subject.py",
    "delegates.py",
    "energy.py",
)  # they travel together, into a folder of any name
SCHEMA_VERSION = 1
SPREAD_LIMIT = 0.04  # quartile distance of the block minima, relative to their median
DRIFT_LIMIT = 0.03  # last third of the blocks against the first
OTHERS_LIMIT, STOLEN_LIMIT = 0.25, 0.05  # shares of the pinned core's time that others and the hypervisor took
NEIGHBOURS_LIMIT = 0.75  # share of the other cores' time: they share caches, memory and perhaps the core's units


def run_blocks(subjects: Sequence[Subject], options: argparse.Namespace) -> float:
    """Blocks of all subjects in turn until the intervals are within the tolerance or the time is spent; returns seconds."""
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
            # A B, then B A: a drift of the machine hits both alike.
            for subject in subjects if len(subjects[0].blocks_us) % 2 == 0 else subjects[::-1]:
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


def find_instability(subjects: Sequence[Subject], about: dict[str, Any]) -> list[str]:
    """Why the numbers should not be trusted, in words; empty for a steady run. ``about`` is the environment of the run."""
    blocks, options = subjects[0].blocks_us, subjects[0].options
    reach, third = reach_of(subjects), max(len(blocks) // 3, 1)
    spread = float(np.subtract(*np.percentile(blocks, [75, 25]))) / median(blocks)
    drift = median(blocks[-third:]) / median(blocks[:third]) - 1
    disturbed = sum(subject.disturbed for subject in subjects)
    others, stolen, near = about["others_on_core"], about["stolen_by_hypervisor"], about["others_on_other_cores"]
    hot, load = about["throttled"] or 0, about["load_average_after"]
    checks = [
        (len(blocks) < options.blocks, f"blocks: only {len(blocks)} of {options.blocks} in {options.max_seconds:g} s"),
        (reach > options.tolerance, f"interval: half width {reach:.2%}, wanted {options.tolerance:.2%}"),
        (spread > SPREAD_LIMIT, f"spread: the middle half of the blocks spans {spread:.1%}"),
        (abs(drift) > DRIFT_LIMIT, f"drift: {drift:+.1%} from first to last blocks (throttling, or a busier machine)"),
        (hot > 0, f"throttled: heat slowed the core down {hot} times"),
        (disturbed > 0, f"preempted: {disturbed} blocks had no invoke that kept the core"),
        (others > OTHERS_LIMIT, f"busy: others took {others:.0%} of the core"),
        (near > NEIGHBOURS_LIMIT, f"busy: the other cores worked {near:.0%} of the time (load average {load})"),
        (stolen > STOLEN_LIMIT, f"stolen: the hypervisor took {stolen:.0%} of the core"),
    ]
    return [reason for true, reason in checks if true]


def watch_run(
    subjects: Sequence[Subject], options: argparse.Namespace, cores: tuple[int, ...] | None
) -> dict[str, Any]:
    """Time the subjects, and say what else happened on the machine meanwhile: shares of core time, lost slices, heat."""
    times, own, lost, hot = core_times(), time.process_time(), lost_slices(), throttle_count(cores)
    seconds = run_blocks(subjects, options)
    own, lost, after = time.process_time() - own, lost_slices() - lost, core_times()
    busy = {core: after[core][0] - times[core][0] for core in times if core in after}
    stolen = {core: after[core][1] - times[core][1] for core in busy}
    pinned = [core for core in cores or () if core in busy]
    near = [core for core in busy if core not in pinned] if pinned else []
    others = (sum(busy[core] - stolen[core] for core in pinned) - own) / seconds if pinned else 0.0
    now = throttle_count(cores)
    return {
        "seconds": round(seconds, 3),
        "others_on_core": round(max(others, 0.0), 3),
        "others_on_other_cores": round(sum(busy[core] for core in near) / seconds / max(len(near), 1), 3),
        "stolen_by_hypervisor": round(sum(stolen[core] for core in pinned) / seconds, 3),
        "lost_time_slices": lost if COUNTS_LOST_SLICES else None,
        "throttled": None if hot is None or now is None else now - hot,
    }


def check_options(options: argparse.Namespace) -> None:
    """Raise ``RunnerError`` for options that make no sense, alone or together."""
    if min(options.threads, options.blocks, options.block_ms, options.max_seconds, options.tolerance) <= 0:
        raise RunnerError("usage", "", "threads, blocks, block-ms, max-seconds and tolerance must be above 0")
    if options.accelerator and (options.delegate or options.no_xnnpack):
        raise RunnerError(
            "usage", "", "an accelerator chooses its delegates itself: leave --delegate and --no-xnnpack out"
        )
    if not all("=" in item for item in options.delegate_option):
        raise RunnerError("usage", "", "--delegate-option wants NAME=VALUE")
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise RunnerError("runtime", "", f"{sys.executable} has no ai-edge-litert: pip install ai-edge-litert")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The document of a run."""
    check_options(options)
    load_before = load_average()
    cores = choose_cores(options.core, options.threads)
    priority = "not asked for" if options.no_priority else raise_priority()
    paths = [options.file, options.baseline] if options.baseline else [options.file]
    subjects = [Subject(path, options) for path in paths]
    warm_runtime()
    machine = describe_machine(cores)
    about = watch_run(subjects, options, cores)
    seconds = about.pop("seconds")
    machine |= {
        "frequency_mhz_after": clock_of(cores)["frequency_mhz"],
        "threads": options.threads,
        "priority": priority,
    }
    machine |= {"delegate": "+".join(delegate_names(options)) or "none"} | about
    machine |= {"load_average_before": load_before, "load_average_after": load_average()}
    reasons = find_instability(subjects, machine)
    this, base = subjects[0].summary(), subjects[1].summary() if options.baseline else None
    ratio = base and ratio_of(base["latency_us"]["blocks"], this["latency_us"]["blocks"])
    energy = (
        {"absent": "not asked for"}
        if options.no_energy
        else measure_energy(subjects[0].engine.invoke, options.powercap)
    )
    found = {"schema_version": SCHEMA_VERSION, **this, "baseline": base, "ratio": ratio, "seconds": seconds}
    return found | {"energy_uj": energy, "stable": not reasons, "instability": reasons, "environment": machine}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner.py", description="Time a .tflite file and print JSON.")
    parser.add_argument("file")
    parser.add_argument("--baseline", help="timed in turn with FILE; the ratio is baseline / FILE")
    parser.add_argument("--core", default="auto", help="auto, none, or core numbers such as 2 or 2,3")
    parser.add_argument("--parent", type=int, help="end when this process, which must be the parent, ends")
    parser.add_argument("--delegate", help="a delegate's shared library; it chooses before XNNPACK does")
    parser.add_argument("--delegate-option", action="append", default=[], metavar="NAME=VALUE", help="for the library")
    parser.add_argument(
        "--accelerator", choices=sorted(WITHOUT), help="LiteRT's compiled model instead of its interpreter"
    )
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
