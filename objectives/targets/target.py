"""A target: a machine or device on which the latency of a ``.tflite`` is measured."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_type_hints

import numpy as np

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.options import parse_options
from litetuner.spaces.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
Document = dict[str, Any]  # the result of a timing, in the format that the runner prints
ADDRESS = {"option": False}  # metadata of a field that is not an option after the question mark


@dataclasses.dataclass(frozen=True)
class Timing:
    """The result of one timing: the file's latency, the baseline's latency at the same time, and their ratio.

    A value is ``None`` if the target cannot provide it. ``others`` are other measurements of the file by kind:
    ``sram_bytes``, ``flash_bytes``, ``arena_bytes`` and so on. ``misfit`` says why the target cannot run the file, or
    cannot run all of it; empty if it can.
    """

    latency_us: Measurement | None
    baseline_us: Measurement | None
    ratio: float | None  # baseline / this: above 1 means faster than the baseline
    others: Mapping[str, Measurement] = dataclasses.field(default_factory=dict)
    misfit: str = ""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Outputs as real numbers (n, *output), and how they were computed, for the environment of a measurement."""

    outputs: np.ndarray
    about: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check of a target. ``fails`` means that nothing can be timed until ``remedy`` is done."""

    about: str
    status: Literal["works", "note", "fails"]
    text: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Target:
    """Subclasses set ``name`` and define ``time`` and ``check``; one file each in ``objectives/targets``.

    ``name`` is the kind of target. The user's text for a target starts with it: ``name[:rest][?option=value&...]``. The
    fields of the dataclass are its options, except those with the metadata ``ADDRESS``. A subclass validates its fields
    in ``__post_init__`` (``ConfigError``), so that the values of an existing target are safe to use in commands.
    """

    name: ClassVar[str]
    alone: ClassVar[bool] = True  # works without another machine or tool, so that the contract test can run it
    by_content: ClassVar[bool] = False  # true if measurements depend on the weight values, not only on the structure
    settings: ClassVar[Mapping[str, Any]] = {}  # configuration keys that its files need; defaults for the user's config
    budgets: ClassVar[tuple[str, ...]] = ("latency_us",)  # the measurements that budgets may bound
    objective: ClassVar[str | None] = "latency_us"  # the measurement that is minimized if this is the first target
    memory_measurement: ClassVar[str | None] = None  # the measurement that ``max-memory`` bounds on this target
    # True if the device stores a converted file in flash. The target always reports ``flash_bytes`` then.
    stores_another: ClassVar[bool] = False
    said: ClassVar[str] = ""  # what the user should know about its measurements before a search
    samples: ClassVar[int] = 0  # number of samples of the search split that it also runs (``predict``)

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """Create the target from the user's text: ``rest`` is the part between the kind's colon and the question mark.

        Raises ``ConfigError``. Kinds with an address (``ssh``, ``adb``) override this method. They parse ``rest`` and
        call ``cls(**address, **cls.parse(options))``.
        """
        if rest:
            raise ConfigError(f"target: {cls.name!r} takes nothing after its name but ?options, not {rest!r}.")
        return cls(**cls.parse(options))

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> dict[str, Any]:
        """Convert option texts to the types of the fields. Raises ``ConfigError`` for unknown options or bad values."""
        kinds = get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls) if field.metadata.get("option", True)]
        return parse_options(f"target {cls.name}", options, {name: kinds[name] for name in known})

    @property
    def default_name(self) -> str:
        """The name of the target if the user does not give one (``pi=ssh://...``)."""
        return self.name

    @property
    def on_this_machine(self) -> bool:
        """True if the latency is measured on this machine. All other processes of litetuner are suspended meanwhile."""
        return True

    def describe(self) -> dict[str, Any]:
        """The kind and the fields as JSON values. Targets with equal descriptions may share measurements."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": self.name} | {key: str(it) if isinstance(it, Path) else it for key, it in values.items()}

    def error(self, text: str) -> ConfigError:
        """A ``ConfigError`` for a field with an invalid value."""
        return ConfigError(f"target {self.name}: {text}")

    def unsupported_operators(self) -> frozenset[str]:
        """TFLite operators without a kernel on the target. Candidates with such an operator are rejected early."""
        return frozenset()

    def check(self) -> list[Finding]:
        """What works, what fails and how to fix it, for ``litetuner doctor``. Failures are findings, not exceptions."""
        raise NotImplementedError(f"{type(self).__name__} defines no check()")

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """Measure ``file`` in alternation with ``baseline``.

        Raises ``BuildFailed`` (the file is the cause), ``TargetLost`` (the target is not available, even after
        retries), ``Lost`` (one run was lost) or ``HostError`` (the target lacks something; the message says what to
        install).
        """
        raise NotImplementedError(f"{type(self).__name__} defines no time()")

    def predict(self, file: bytes, x: np.ndarray, output: str | None) -> Prediction:
        """The outputs for samples ``x`` (n, *sample), for targets that set ``samples``. Raises the same as ``time``."""
        raise NotImplementedError(f"{type(self).__name__} defines no predict()")

    def exported(self, file: bytes) -> dict[str, bytes]:
        """Additional files for the export of a ``.tflite`` to this target, by name suffix. Raises as ``time`` does."""
        return {}


def steady_document(run: Callable[[], Document]) -> Document:
    """The document of a run. An unstable run is repeated once, and the more stable one is kept.

    ``attempts`` in the document is the number of runs.
    """
    first = run()
    if first["stable"]:
        return first | {"attempts": 1}
    return min(first, run(), key=_unsteadiness) | {"attempts": 2}


def timing_of(target: str, document: Document) -> Timing:
    """The measurements of a document with a baseline; ``target`` is the kind of the target."""
    this, base = (_measurement(target, part, document) for part in (document, document["baseline"]))
    return Timing(this, base, document["ratio"]["value"])


def _measurement(target: str, part: Document, document: Document) -> Measurement:
    found = dict(part["latency_us"])
    value, interval, blocks = found.pop("value"), found.pop("interval"), found.pop("blocks")
    about = {name: document[name] for name in ("stable", "instability", "attempts", "ratio")}
    about |= {name: part[name] for name in ("sha256", "delegates", "peak_rss_bytes", "energy_uj") if name in part}
    environment = {"target": target} | document["environment"]
    return Measurement(value, "us", environment, interval and tuple(interval), tuple(blocks), found | about)


def _unsteadiness(document: Document) -> tuple[bool, float]:
    """Sort key: stable runs first, then the relative interval width of the ratio (of the latency without a ratio)."""
    found = document["ratio"] or document["latency_us"]
    low, high = found["interval"] or (0.0, math.inf)
    return (not document["stable"], (high - low) / found["value"])
