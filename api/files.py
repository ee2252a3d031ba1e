"""Functions for any ``.tflite``: ``measure`` times it on a target, ``slim`` removes unused data from it."""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from litetuner.spaces.errors import ConfigError

if TYPE_CHECKING:
    from litetuner.objectives.targets.target import Target


def measure(
    file: Path | str,
    *,
    baseline: Path | str | None = None,
    target: str = "host",
    threads: int = 1,
    delegate: Path | str | None = None,
    accelerator: str | None = None,
    xnnpack: bool = True,
) -> dict[str, Any]:
    """Measure latency and memory of a ``.tflite`` in a fresh process on one core of a target, as a search does.

    ``baseline`` is another file, which is measured in alternation to get a ratio. ``threads`` is the number of threads
    of the runtime. ``target`` is ``host``, ``ssh://user@host[:port]``, ``adb[:serial]`` or another target that
    ``litetuner doctor`` accepts. ``delegate`` is the path of a delegate's library. ``accelerator`` is an accelerator of
    LiteRT (gpu, npu, cpu). ``xnnpack=False`` measures the runtime's own kernels. Returns the document that
    ``litetuner measure --json`` prints (``latency_us``: ``value`` and a 95 % ``interval`` in microseconds).

    Raises ``ConfigError`` if a file is not a ``.tflite``, ``HostError`` if the target does not work, ``BuildFailed`` if
    the file does not run.
    """
    from litetuner.objectives.files.costs import file_costs
    from litetuner.objectives.targets.choice import find_target

    if threads < 1:
        raise ConfigError(f"measure: threads must be at least 1 (got {threads}).")
    path, other = Path(file), None if baseline is None else Path(baseline)
    for each in (path, other):
        if each is not None:
            check_tflite(each, "measure")
    options = [f"delegate={quote(str(Path(delegate).absolute()))}"] if delegate else []
    options += [f"accelerator={accelerator}"] if accelerator else []
    options += [] if xnnpack else ["xnnpack=off"]
    text = target + ("&" if "?" in target else "?") * bool(options) + "&".join(options)
    costs = {name: each.to_json() for name, each in file_costs(path.read_bytes()).items()}
    return _measure(find_target(text).target, path, other, threads) | {"costs": costs}


def check_tflite(path: Path, what: str) -> None:
    """Raise ``ConfigError`` if the file does not exist or is not a ``.tflite``."""
    if not path.is_file():
        raise ConfigError(f"{what}: {path} does not exist.")
    with path.open("rb") as content:
        if content.read(8)[4:8] != b"TFL3":
            raise ConfigError(f"{what}: {path} is not a .tflite file. Give one, for example from `litetuner export`.")


def _measure(target: Target, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
    """The document of the runner. For a target without a runner it has the same keys (``None``: not measured)."""
    from litetuner.objectives.targets.python_target import PythonTarget

    if isinstance(target, PythonTarget):
        return target.measure(file, baseline, threads)
    timing = target.time(file, baseline or file, threads)
    told = {"others": {name: each.to_json() for name, each in timing.others.items()}, "misfit": timing.misfit}
    latency = timing.latency_us
    if latency is None:
        return {"schema_version": 1, "file": str(file), "baseline": None, "latency_us": None, "instability": []} | told
    extra = {"p50": None, "p90": None, "p99": None, "instability": [], "ratio": None} | latency.extra
    ratio = (extra["ratio"] or {"value": timing.ratio, "interval": None}) if baseline else None
    about = {name: extra.get(name) for name in ("delegates", "peak_rss_bytes", "energy_uj", "instability")}
    found = {"schema_version": 1, "file": str(file), "baseline": None}
    found |= {"environment": latency.environment, "ratio": ratio}
    part = {"value": latency.value, "interval": latency.interval, "blocks": latency.samples}
    return found | told | about | {"latency_us": part | {name: extra[name] for name in ("p50", "p90", "p99")}}


@dataclasses.dataclass(frozen=True)
class SlimmedFile:
    """The result of ``slim``. ``path`` is the new file, ``None`` if it could not be verified; ``reason`` says why.

    Sizes are (before, after) in bytes.
    """

    path: Path | None
    reason: str
    file_bytes: tuple[int, int]
    compressed_bytes: tuple[int, int]


def slim(
    source: Path | str, out: Path | str, *, keep_names: bool = False, share_bias_scales: bool = False
) -> SlimmedFile:
    """Write a smaller copy of the ``.tflite`` ``source`` to ``out``.

    Both files are run to verify bit-identical outputs. ``keep_names`` keeps the names of tensors, for debugging.
    ``share_bias_scales`` also drops the scales of biases, which only accelerators may read. Nothing is written if the
    outputs cannot be verified. Raises ``ConfigError`` if ``source`` is not a ``.tflite``, ``BuildFailed`` if it does
    not run.
    """
    from litetuner.spaces.store import write_atomic
    from litetuner.spaces.tflite.rewriting.slimming import slim as slim_file

    check_tflite(Path(source), "slim")
    before = Path(source).read_bytes()
    slimmed = slim_file(before, keep_names=keep_names, share_bias_scales=share_bias_scales)
    pair = (before, slimmed.file)
    compressed = (len(zlib.compress(pair[0], 9)), len(zlib.compress(pair[1], 9)))
    if slimmed.applied:
        write_atomic(Path(out), slimmed.file)
    written = Path(out) if slimmed.applied else None
    return SlimmedFile(written, slimmed.reason, (len(pair[0]), len(pair[1])), compressed)
