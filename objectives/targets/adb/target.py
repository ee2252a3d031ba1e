"""An Android device, accessed with the system's ``adb`` and a ``benchmark_model`` that the user provides."""

import contextlib
import dataclasses
import math
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litetuner.objectives.runner.intervals import reach
from litetuner.objectives.targets import tiny_model
from litetuner.objectives.targets.adb import device as adb_device
from litetuner.objectives.targets.adb.benchmark_model import FLAGS, Report, check_delegate, explain_failure, read_report
from litetuner.objectives.targets.adb.client import AdbClient
from litetuner.objectives.targets.adb.timing import Run, document_of
from litetuner.objectives.targets.connection import PAUSES_SECONDS, Dropped, retry
from litetuner.objectives.targets.options import check_path
from litetuner.objectives.targets.python_target import timed_sha256
from litetuner.objectives.targets.target import ADDRESS, Finding, Target, Timing, steady_document, timing_of
from litetuner.spaces.errors import BuildFailed, CandidateError, HostError, Lost

SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.:\]-]{0,127}")
MASK = re.compile(r"[0-9a-f]{1,16}")
BLOCKS = 6  # a 95 % interval of the median needs at least six blocks
INVOKES = 15  # minimum number of invokes in a block, as in the runner of the host
PUSH_BYTES_A_SECOND = 100_000  # a slower copy is aborted
PUSH_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adb(Target):
    """``adb[:serial]?benchmark=/path/benchmark_model``: tool and files are copied under their sha256, verified there.

    A block is one process of the tool. Its value is the shortest invoke of this process. Blocks of the file and of the
    baseline alternate. Latency, interval and ratio are computed from the blocks as on the host. ``cpus`` is a
    hexadecimal mask for ``taskset`` (``f0``: cores 4 to 7). ``block_seconds`` is the duration of the invokes of a
    block, and ``warmup_seconds`` that of the invokes before them. If the connection drops, it is retried three times;
    then ``TargetLost`` is raised.
    """

    name: ClassVar[str] = "adb"
    alone: ClassVar[bool] = False
    serial: str | None = dataclasses.field(default=None, metadata=ADDRESS)
    benchmark: Path | None = None
    delegate: str = "xnnpack"
    cpus: str = ""
    fixed_performance: bool = True
    tolerance: float = 0.01
    max_seconds: float = 20.0
    block_seconds: float = 0.5
    warmup_seconds: float = 0.2
    timeout_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.serial is not None and not SERIAL.fullmatch(self.serial):
            raise self.error(f"{self.serial[:80]!r} is no serial as `adb devices` prints them.")
        if self.benchmark is None:
            raise self.error("name the benchmark_model for the device: adb?benchmark=/path/to/it")
        check_path("target adb: benchmark", str(self.benchmark))
        if self.delegate not in FLAGS:
            raise self.error(f"delegate is one of {', '.join(FLAGS)}, not {self.delegate[:80]!r}.")
        if self.cpus and not MASK.fullmatch(self.cpus):
            raise self.error(f"cpus is a mask in hexadecimal such as f0 (cores 4 to 7), not {self.cpus[:80]!r}.")
        for name in ("tolerance", "max_seconds", "block_seconds", "warmup_seconds", "timeout_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise self.error(f"{name} must be above 0, not {getattr(self, name)!r}.")

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """See ``Target.from_spec``; ``rest`` is the serial, or nothing for the only device."""
        return cls(serial=rest or None, **cls.parse(options))

    @property
    def default_name(self) -> str:
        """The serial, with dashes instead of characters that a name cannot have."""
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", self.serial).strip("-") if self.serial else self.name

    @property
    def on_this_machine(self) -> bool:
        return False

    def check(self) -> list[Finding]:
        """See ``Target.check``: checks adb, the device and the tool, and times a tiny model from end to end."""
        try:
            client = AdbClient(self.serial).find()
            about = adb_device.describe(client)
        except (Dropped, HostError) as error:
            remedy = f"Is it plugged in, with USB debugging on? By hand: {AdbClient(self.serial).by_hand()}"
            return [Finding("connection", "fails", str(error), remedy if isinstance(error, Dropped) else "")]
        device = f"{client.serial}: {about['device']}, {about['cpu']}, Android {about['android']} ({about['abis']})"
        found = [Finding("connection", "works", device)]
        with tempfile.TemporaryDirectory() as folder:
            try:
                document = self._once(tiny_model.write(Path(folder)), None, 1)
            except (Dropped, HostError, CandidateError) as error:
                return [*found, Finding("timing", "fails", str(error))]
        latency, conditions = document["latency_us"], document["environment"]
        text = f"a tiny model takes {latency['value']:.3g} us, timed in {document['seconds']:.1f} s by benchmark_model "
        found.append(Finding("timing", "works", f"{text}({self.delegate})"))
        if conditions["fixed_performance"] != "on":
            text = f"fixed-performance mode is {conditions['fixed_performance']}, so the clock follows load and heat"
            found.append(Finding("clock", "note", text))
        if not document["stable"]:
            remedy = "Let it cool, close what runs there, take it off the charger."
            found.append(Finding("steadiness", "note", "; ".join(document["instability"]), remedy))
        return found

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """See ``Target.time``. The ratio's interval and how it was computed are in ``latency_us.extra["ratio"]``."""
        return timing_of(self.name, steady_document(lambda: self._retry(lambda: self._once(file, baseline, threads))))

    def _retry(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return retry(work, PAUSES_SECONDS, self.serial or self.name, AdbClient(self.serial).by_hand())

    def _once(self, file: Path, baseline: Path | None, threads: int) -> dict[str, Any]:
        """Copy missing files, time the files in alternation, and check that the requested files were timed."""
        tool = self.benchmark
        if tool is None or not tool.is_file():
            raise HostError(f"target adb: there is no benchmark_model at {tool}. Name one: adb?benchmark=/path/to/it")
        start = time.monotonic()
        client = AdbClient(self.serial).find()
        runs = [Run(path, timed_sha256(path)) for path in (file, baseline) if path is not None]
        sources = {f"{run.sha256}.tflite": run.path for run in runs} | {f"benchmark_model-{timed_sha256(tool)}": tool}
        self._place(client, sources)
        about = adb_device.describe(client)
        as_it_is = contextlib.nullcontext("off, as asked")
        with client.fixed_performance() if self.fixed_performance else as_it_is as mode:
            self._alternate(client, runs, list(sources)[-1], threads, about["abis"])
        after = adb_device.describe(client)
        if wrong := adb_device.wrong_files(client, sources):
            raise Lost(f"adb: {client.serial}: {', '.join(wrong)} changed while it was timed. Does something else run?")
        about |= {"host": client.serial, "threads": threads, "delegate": self.delegate, "cpus": self.cpus or None}
        about |= {"runtime": "benchmark_model", "runtime_version": list(sources)[-1][-64:-52]}
        about |= {"fixed_performance": mode, "runtime_says": list(runs[0].reports[0].says)}
        about |= {"thermal_status_after": after["thermal_status"], "load_average_after": after["load_average"]}
        limits = {"tolerance": self.tolerance, "blocks": BLOCKS, "max_seconds": self.max_seconds}
        return document_of(runs, about, self.delegate, limits, time.monotonic() - start)

    def _place(self, client: AdbClient, sources: Mapping[str, Path]) -> None:
        """Copy every missing file to the device; files are named by their hash."""
        for name in adb_device.wrong_files(client, sources):
            incoming = f"{adb_device.FOLDER}/in-{secrets.token_hex(8)}"
            timeout = PUSH_SECONDS + sources[name].stat().st_size / PUSH_BYTES_A_SECOND
            try:
                client.push(sources[name], incoming, timeout)
            except HostError:
                client.shell(f"rm -f {incoming}")
                raise
            adb_device.accept(client, incoming, name)

    def _alternate(self, client: AdbClient, runs: list[Run], tool: str, threads: int, abis: str) -> None:
        """Time blocks of all files in turn until the intervals are within the tolerance or the time is up."""
        start = time.monotonic()
        while True:
            for run in runs:
                run.reports.append(self._block(client, run, tool, threads, abis, baseline=run is not runs[0]))
            gone, count = time.monotonic() - start, len(runs[0].reports)
            done = count >= BLOCKS and reach(*(run.blocks_us for run in runs)) <= self.tolerance
            if done or gone * (1 + 1 / count) > self.max_seconds:
                return

    def _block(self, client: AdbClient, run: Run, tool: str, threads: int, abis: str, baseline: bool) -> Report:
        words = [f"--graph={adb_device.FOLDER}/{run.sha256}.tflite", f"--num_threads={int(threads)}"]
        words += ["--warmup_runs=1", f"--warmup_min_secs={self.warmup_seconds:.3f}", f"--num_runs={INVOKES}"]
        share = max(self.max_seconds * 0.8 / (BLOCKS * 2), self.block_seconds)
        words += [f"--min_secs={self.block_seconds:.3f}", f"--max_secs={share:.3f}"]
        argv = [*(["taskset", self.cpus] if self.cpus else []), f"{adb_device.FOLDER}/{tool}", *words]
        about = f"adb: {client.serial}: {run.path}"
        begin = time.monotonic()
        try:
            code, text = client.shell(" ".join([*argv, *FLAGS[self.delegate]]), self.timeout_seconds)
        except Dropped as error:
            if time.monotonic() - begin >= self.timeout_seconds:
                raise Lost(f"{about} took more than {self.timeout_seconds:g} s and was stopped.") from error
            raise
        try:
            if failure := explain_failure(code, text, about, abis):
                raise failure
            report = read_report(text)
            check_delegate(report, self.delegate, about)
        except BuildFailed as error:
            if baseline:  # no candidate can be timed without the baseline
                raise HostError(f"the baseline cannot be timed there: {error}") from error
            raise
        return report
