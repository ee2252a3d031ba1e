"""TensorFlow Lite's ``benchmark_model``: its flags, how to read its report, and the meaning of its failures.

The formats are those of ``tensorflow/lite/tools/benchmark`` (README, ``benchmark_model.cc``,
``benchmark_tflite_model.cc``), from "Average inference timings" of 2019 to the p5, median and p95 of 2024. All times
are in microseconds.
"""

import dataclasses
import re
from typing import Any

from litetuner.objectives.runner.intervals import median
from litetuner.spaces.errors import BuildFailed, HostError, LitetunerError, Lost

# Value of the option ``delegate``: the flags for it. With gpu, nnapi and hexagon, the operators that the delegate
# does not run are run by XNNPACK, as in an application; this is the default of the tool.
FLAGS = {
    "xnnpack": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true",),
    "nnapi": ("--use_nnapi=true",),
    "hexagon": ("--use_hexagon=true",),
    "none": ("--use_xnnpack=false",),
}
NUMBER = r"-?[0-9.]+(?:e[+-]?[0-9]+)?"
STATS = re.compile(rf"\bcount=(?P<count>[0-9]+) (?P<rest>(?:\w+=(?:{NUMBER}|nan) ?)+)", re.ASCII)
TIMINGS = re.compile(r"inference timings in us: (.*)", re.IGNORECASE)
TIMING = re.compile(rf"(Init|First inference|Warmup(?: \(avg\))?|Inference(?: \(avg\))?|no stats): ({NUMBER})")
MEMORY = re.compile(rf"emory footprint(?P<delta> delta)?[^:]*: init=(?P<init>{NUMBER}) overall=(?P<overall>{NUMBER})")
REPLACING = re.compile(
    r"Replacing (?P<taken>[0-9]+)(?: out of (?P<all>[0-9]+))? node\(s\) with delegate \((?P<name>[^)]*)\) node, "
    r"yielding (?P<partitions>[0-9]+) partitions"
)
APPLIED = re.compile(
    r"Explicitly applied (?P<name>\w+) delegate, and the model graph will be (?P<how>completely|partially)"
    r"(?:.{1,40}w/ (?P<kernels>[0-9]+) delegate kernels)?"
)
UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: (.*)")
SIGNALS = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 139: "SIGSEGV"}
CANNOT_START = re.compile(
    r"CANNOT LINK EXECUTABLE|not executable|Exec format error|cannot execute|has text relocations|syntax error"
)
NO_DELEGATE = re.compile(
    r"(GPU|NNAPI|Hexagon|XNNPACK) (?:acceleration|delegate) is (?:unsupported|not supported)|"
    r"Could not create (GPU|NNAPI|Hexagon|XNNPACK) delegate",
    re.IGNORECASE,
)
FILES_FAULT = re.compile(
    r"Failed to apply \w+ delegate|Failed to (?:mmap|load|initialize|build|construct|allocate|invoke)|Benchmarking failed|"
    r"failed to prepare|failed to invoke|Didn't find op|unresolved custom op|Disallowed CPU fallback",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Report:
    """One run of the tool. ``average_us``, ``least_us``, ``most_us`` and ``count`` exclude the warm-up."""

    init_us: float
    first_us: float
    average_us: float
    least_us: float  # in whole microseconds, because the tool rounds down
    most_us: float
    count: int
    percentiles_us: dict[str, float]  # p5, median, p95; empty before 2024
    peak_bytes: int | None  # memory of the process, relative to the start of the tool
    replaced: tuple[dict[str, Any], ...]  # name of the delegate, delegated operators, all operators, partitions
    applied: tuple[dict[str, Any], ...]  # name of the delegate, completely or partially, number of its kernels
    says: tuple[str, ...]  # the lines about the runtime and delegates, as printed


def read_report(text: str) -> Report:
    """Read the output of a successful run. Raises ``HostError`` if its format is unknown."""
    timings = [dict(TIMING.findall(found[1])) for found in TIMINGS.finditer(text)]
    stats = list(STATS.finditer(text))
    if not timings or not stats:
        raise HostError(
            "the tool printed no timings that are known. Is it benchmark_model of tensorflow/lite/tools/benchmark? "
            f"It ends with: {text.strip()[-300:]}"
        )
    told = {name.removesuffix(" (avg)"): float(value) for name, value in timings[-1].items()}
    warm, run = _numbers(stats[0]), _numbers(stats[-1])
    init, average = told.get("Init"), told.get("Inference", told.get("no stats"))
    if init is None or average is None or run["min"] <= 0:
        raise HostError(f"benchmark_model's timings are not complete: {timings[-1]}, {run}")
    memory = MEMORY.search(text)
    peak = float(memory["overall"]) if memory and memory["delta"] else -1.0
    return Report(
        init_us=init,
        first_us=told.get("First inference", warm["first"]),
        average_us=average,
        least_us=run["min"],
        most_us=run["max"],
        count=int(run["count"]),
        percentiles_us={name: run[name] for name in ("p5", "median", "p95") if name in run},
        peak_bytes=round(peak * 2**20) if peak > 0 else None,
        replaced=tuple(_replaced(found) for found in REPLACING.finditer(text)),
        applied=tuple(found.groupdict() for found in APPLIED.finditer(text)),
        says=tuple(_plain(line) for line in text.splitlines() if "TensorFlow Lite" in line or "delegate" in line)[:20],
    )


def _numbers(found: re.Match[str]) -> dict[str, float]:
    """The numbers in a line of statistics. If the count is 1, the line has only ``curr``, which is used for all."""
    values = {name: float(value) for name, value in (part.split("=") for part in found["rest"].split())}
    only = values.get("curr", 0.0)
    return {"count": float(found["count"]), "first": only, "min": only, "max": only, "avg": only} | values


def _replaced(found: re.Match[str]) -> dict[str, Any]:
    return {
        "delegate": found["name"],
        "taken": int(found["taken"]),
        "operators": None if found["all"] is None else int(found["all"]),
        "partitions": int(found["partitions"]),
    }


def _plain(line: str) -> str:
    return re.sub(r"^(?:[A-Z]+: )+", "", line.strip())[:200]


def check_delegate(report: Report, delegate: str, about: str) -> None:
    """Raise ``BuildFailed`` or ``HostError`` if the requested accelerator ran no operators, so that the CPU was timed.

    Nothing is checked for XNNPACK and the plain kernels, because they run on the CPU.
    """
    if delegate in ("xnnpack", "none"):
        return
    took = [part for part in report.replaced if _is(part["delegate"], delegate)]
    if any(part["taken"] for part in took) or any(_is(part["name"], delegate) for part in report.applied):
        return
    if took or any("will not be" in line for line in report.says):
        raise BuildFailed(f"{about}: the {delegate} delegate took none of its operators, so it would be the CPU's time")
    raise HostError(
        f"{about}: benchmark_model does not say that the {delegate} delegate was applied, so the CPU was timed. "
        f"Was the tool built with it, and does the device have it? It says: {'; '.join(report.says) or 'nothing'}"
    )


def _is(name: str, delegate: str) -> bool:
    return name.lower().removeprefix("tflite").startswith(delegate)


def delegates_of(report: Report, delegate: str, names: list[str]) -> dict[str, Any]:
    """Which operators were delegated, in the format of ``delegates.read_delegates``.

    ``names`` are the file's operators. The tool does not report which operators were not delegated, nor why.
    """
    requested = [] if delegate == "none" else [delegate]
    mine = [part for part in report.replaced if _is(part["delegate"], delegate)]
    whole = [part for part in report.applied if _is(part["name"], delegate)]
    taken: int | None = sum(part["taken"] for part in mine)
    partitions: int | None = sum(part["partitions"] for part in mine)
    if not mine and whole:
        complete = whole[0]["how"] == "completely"
        kernels = whole[0]["kernels"]
        taken, partitions = (len(names), 1) if complete else (None, int(kernels) if kernels else None)
    operators = len(names) or max((part["operators"] or 0 for part in mine), default=0)
    left = None if taken is None else max(operators - taken, 0)
    why = "benchmark_model does not say which operators these are, nor why"
    rest: dict[str, Any] = {"operator": "OPERATORS", "count": left, "indices": [], "why": why}
    fallback = [rest] if requested and left else []
    found: dict[str, Any] = {"requested": requested, "operators": operators, "delegated": taken}
    found |= {"partitions": partitions, "fallback": fallback, "lines": list(report.says)}
    return found | {"quantize": names.count("QUANTIZE"), "dequantize": names.count("DEQUANTIZE")}


def explain_failure(code: int, text: str, about: str, abis: str) -> LitetunerError | None:
    """The error for an exit code and output of the tool; ``None`` if it succeeded. ``abis`` are the device's ABIs."""
    unknown, missing, words = UNKNOWN_FLAGS.search(text), NO_DELEGATE.search(text), _complaint(text)
    kind: type[LitetunerError] = HostError
    if unknown:
        said = f"this benchmark_model does not know {unknown[1].strip()[:200]}. Use a newer one, "
        said += "built with that delegate."
    elif missing:
        said = f"the device or the tool has no such delegate ({missing[0]}). Choose another by ?delegate=."
    elif code == 0:
        return None
    elif code in SIGNALS:
        kind, said = BuildFailed, f"the runtime crashed with {SIGNALS[code]}, as it would crash an application: {words}"
    elif code in (137, 143):
        kind, said = Lost, f"benchmark_model was killed (code {code}). Often that means that memory ran out. {words}"
    elif code in (126, 127) or CANNOT_START.search(text):
        said = f"benchmark_model does not run there: {words}. The device runs {abis or 'an unknown ABI'}; "
        said += "name a binary for it, such as android_aarch64_benchmark_model."
    elif FILES_FAULT.search(text):
        kind, said = BuildFailed, words
    else:
        said = f"benchmark_model ended with code {code}: {words}"
    return kind(f"{about}: {said}")


def _complaint(text: str) -> str:
    """The lines that report an error, or else the end of the text; at most 500 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    bad = [line for line in lines if re.search(r"\bERROR\b|rror:|[Ff]ail|CANNOT|not executable|not found", line)]
    return " ".join(bad or lines[-3:])[-500:] or "it said nothing"


def summary_of(reports: list[Report]) -> dict[str, Any]:
    """Statistics over several runs of one file (mostly medians), for ``Measurement.extra``."""
    found: dict[str, Any] = {
        "load_us": median([each.init_us for each in reports]),
        "first_invoke_us": median([each.first_us for each in reports]),
        "average_us": median([each.average_us for each in reports]),
        "most_us": max(each.most_us for each in reports),
        "invokes": sum(each.count for each in reports),
        "processes": len(reports),
    }
    for name in ("p5", "median", "p95"):
        values = [each.percentiles_us[name] for each in reports if name in each.percentiles_us]
        found |= {f"{name}_us": median(values)} if values else {}
    peaks = [each.peak_bytes for each in reports if each.peak_bytes is not None]
    return found | {"peak_rss_bytes": max(peaks) if peaks else None}
