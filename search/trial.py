"""A trial: one candidate with its state, its measurements, and all else that its record keeps."""

import dataclasses
import enum
from collections.abc import Iterable
from typing import Annotated, Any, NotRequired, TypedDict

from litetuner.objectives.measurement import Measurement
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.record import Record

FORMAT_VERSION = 2


class State(enum.StrEnum):
    COMPLETE = "COMPLETE"  # scored, within all budgets
    INFEASIBLE = "INFEASIBLE"  # scored, but breaks a budget, or does not suit a target or the profile
    PRUNED = "PRUNED"  # stopped by a gate (``Trial.gate``)
    INVALID = "INVALID"  # rejected by the rules, a target or the profile
    FAILED = "FAILED"  # would fail again
    LOST = "LOST"  # the machine or a target was at fault; asked again

    @property
    def scored(self) -> bool:
        return self in (State.COMPLETE, State.INFEASIBLE)


class Choice(TypedDict):
    """The fields that are read from one choice in ``Trial.params``."""

    chosen: Any
    value: NotRequired[int | str]
    distribution: NotRequired[str]


@dataclasses.dataclass(frozen=True)
class Trial(Record):
    """The record of a trial, which is written to ``trials/0007/trial.json`` before Optuna is told.

    ``measurements`` holds those that were measured: ``metric``, ``drop`` (in points or relative, above 0 if worse than
    the baseline), ``file_bytes``, ``compressed_bytes``, ``latency_us:<target>``, ``latency_ratio:<target>`` (baseline /
    this), and after the finals ``test_metric`` and ``test_drop``. Computed from the file: ``arena_bytes`` (peak tensor
    arena), ``memory_bytes`` (arena and weights), ``macs`` and ``energy_estimate_uj``. If a target reports them:
    ``peak_rss_bytes:<target>``, ``energy_uj:<target>``, ``sram_bytes:<target>``, ``flash_bytes:<target>``,
    ``arena_bytes:<target>`` and ``metric:<target>``. ``probe.<name>`` is the upper bound that a gate judged when it
    stopped the trial. ``untrained.<name>`` was measured on an untrained copy.

    ``constraints`` holds ``(value - limit) / limit`` by budget name; above 0, the budget is broken. A target or a
    profile that the file does not suit, and ``dominated``, also have a value above 0. ``origin`` is ``baseline``,
    ``earlier`` (from another run), or a proposal strategy.
    """

    number: int
    candidate: Candidate
    state: State
    origin: str
    seed: int
    measurements: dict[str, Measurement] = dataclasses.field(default_factory=dict)
    constraints: dict[str, float] = dataclasses.field(default_factory=dict)
    gate: str | None = None
    reason: str | None = None  # in words: why it is PRUNED, INVALID, FAILED, LOST or unsuitable
    waits_for: str | None = None  # name of the target that went away: the trial is LOST, and asked again later
    duplicate_of: int | None = None  # the trial whose result this one repeats, or whose file has the same bytes
    # By name of the choice: the chosen option, Optuna's value, and its distribution.
    params: dict[str, Annotated[dict[str, Any], Choice]] = dataclasses.field(default_factory=dict)
    artifact: str | None = None  # path below the run folder
    sha256: str | None = None
    each: str | None = None  # blob of the metric's per-sample values on the search split
    structure: str | None = None  # operators, shapes, types, no values; equal structures share a latency
    operators: dict[str, int] = dataclasses.field(default_factory=dict)
    # Types of the file's inputs and outputs.
    io_types: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    invariants: tuple[dict[str, Any], ...] = ()  # keys: layer, property, requested, verified, ok
    # Of the baseline only: why it cannot run on a target, by target name.
    misfits: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # by kind of job: train, convert, score, time
    seconds_since_start: float = 0.0
    environment: Environment | None = None  # the package versions and the machine of the measurements

    @property
    def is_baseline(self) -> bool:
        """True for the baseline, which is the float conversion alone. All other trials are compared with it."""
        return self.candidate.is_baseline

    def value(self, name: str) -> float | None:
        """The value of a measurement; ``None`` if it was not measured."""
        found = self.measurements.get(name)
        return None if found is None else found.value

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {
            "format_version": FORMAT_VERSION,
            "label": self.candidate.label,
            "key": self.candidate.key,
            "details": self.candidate.details,
        }


def find_baseline(trials: Iterable[Trial]) -> Trial | None:
    """The trial of the baseline, ``None`` until it is scored. It is trial 0, unless that trial was lost."""
    return next((trial for trial in trials if trial.state.scored and (trial.number == 0 or trial.is_baseline)), None)
