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
Document = dict[str, Any]  # of a timing, as the runner prints it
ADDRESS = {"option": False}  # metadata of a field that the user does not set after the question mark


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one timing returns: the file's latency, the baseline's measured in the same minutes, and their ratio.

    ``None`` is what a target cannot tell. ``others`` are what else it tells of the file, by kind: ``sram_bytes``,
    ``flash_bytes``, ``arena_bytes`` and so on. ``misfit`` says why the target cannot run the file, or not all of it; empty
    where it can.
    """

    latency_us: Measurement | None
    baseline_us: Measurement | None
    ratio: float | None  # baseline / this: above 1 means faster than the baseline
    others: Mapping[str, Measurement] = dataclasses.field(default_factory=dict)
    misfit: str = ""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Real outputs (n, *output), and how they were made: for the environment of a measurement."""

    outputs: np.ndarray
    about: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check of a target: ``fails`` means that nothing can be timed until ``remedy`` is done."""

    about: str
    status: Literal["works", "note", "fails"]
    text: str
    remedy: str = ""


@dataclasses.dataclass(frozen=True)
class Target:
    """Subclasses set ``name`` and define ``time`` and ``check``; one file each in ``objectives/targets``.

    ``name`` is the kind, which is also how the text of such a target begins: ``name[:rest][?option=value&...]``. The fields of
    the dataclass are its options, except those with the metadata ``ADDRESS``. A subclass validates its fields in
    ``__post_init__`` (``ConfigError``), so that a target that exists can be used in a command.
    """

    name: ClassVar[str]
    alone: ClassVar[bool] = True  # works without another machine, so that the contract test can run it
    by_content: ClassVar[bool] = False  # do numbers depend on the values of weights, not only on the structure?
    settings: ClassVar[
        Mapping[str, Any]
    ] = {}  # configuration keys that files for it need, where the user leaves them out
    budgets: ClassVar[tuple[str, ...]] = ("latency_us",)  # what budgets may bound there
    objective: ClassVar[str | None] = "latency_us"  # what is minimized on the first target
    memory_measurement: ClassVar[str | None] = None  # what ``max-memory`` bounds, where it is the target
    stores_another: ClassVar[bool] = (
        False  # is the file in its flash another one, whose ``flash_bytes`` it always tells?
    )
    said: ClassVar[str] = ""  # what a user should know of its numbers before a search
    samples: ClassVar[int] = 0  # of the search split that it also runs (``predict``)

    @classmethod
    def from_spec(cls, rest: str, options: Mapping[str, str]) -> Self:
        """The target that a user's text describes: ``rest`` is the part between the colon of the kind and the question mark.

        Raises ``ConfigError``. A kind with an address (``ssh``, ``adb``) overrides this, takes ``rest`` apart and calls
        ``cls(**address, **cls.parse(options))``.
        """
        if rest:
            raise ConfigError(f"target: {cls.name!r} takes nothing after its name but ?options, not {rest!r}.")
        return cls(**cls.parse(options))

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> dict[str, Any]:
        """Option texts as values of the fields' types. Raises ``ConfigError`` for an unknown option or a bad value."""
        kinds = get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls) if field.metadata.get("option", True)]
        return parse_options(f"target {cls.name}", options, {name: kinds[name] for name in known})

    @property
    def default_name(self) -> str:
        """The name of the target if the user does not give one (``pi=ssh://...``)."""
        return self.name

    @property
    def on_this_machine(self) -> bool:
        """Is the latency measured here? Then everything else of ours is suspended meanwhile."""
        return True

    def describe(self) -> dict[str, Any]:
        """Kind and fields as JSON: two targets with equal descriptions may share a measurement."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": self.name} | {key: str(it) if isinstance(it, Path) else it for key, it in values.items()}

    def error(self, text: str) -> ConfigError:
        """For a field with a bad value."""
        return ConfigError(f"target {self.name}: {text}")

    def unsupported_operators(self) -> frozenset[str]:
        """Names of TFLite operators without a kernel there; a candidate that has one is refused before any work."""
        return frozenset()

    def check(self) -> list[Finding]:
        """What works, what does not, and what to do about it; for ``litetuner doctor``. Raises nothing of its own."""
        raise NotImplementedError(f"{type(self).__name__} defines no check()")

    def time(self, file: Path, baseline: Path, threads: int = 1) -> Timing:
        """Measure ``file`` with ``baseline`` interleaved.

        Raises ``BuildFailed`` (the file's fault), ``TargetLost`` (the target went away, also after retries), ``Lost`` (one
        run was lost) or ``HostError`` (the target lacks something; the message says what to install).
        """
        raise NotImplementedError(f"{type(self).__name__} defines no time()")

    def predict(self, file: bytes, x: np.ndarray, output: str | None) -> Prediction:
        """The outputs for samples ``x`` (n, *sample), of targets that set ``samples``. Raises as ``time``."""
        raise NotImplementedError(f"{type(self).__name__} defines no predict()")

    def exported(self, file: bytes) -> dict[str, bytes]:
        """Files that belong to the export of a ``.tflite`` for this target, by the end of their names. Raises as ``time``."""
        return {}


def steady_document(run: Callable[[], Document]) -> Document:
    """The document of a run; an unstable run is repeated once, and the steadier one is kept. ``attempts`` counts the runs."""
    first = run()
    if first["stable"]:
        return first | {"attempts": 1}
    return min(first, run(), key=_unsteadiness) | {"attempts": 2}


def timing_of(target: str, document: Document) -> Timing:
    """The numbers of a document with a baseline, measured on the kind of target that ``target`` names."""
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
    """Stable runs first, then by the relative width of the ratio's interval, or of the value's if there is no ratio."""
    found = document["ratio"] or document["latency_us"]
    low, high = found["interval"] or (0.0, math.inf)
    return (not document["stable"], (high - low) / found["value"])
