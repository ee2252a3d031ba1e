"""A trial: one candidate's life, from being asked for to its measurements."""

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
    COMPLETE = "COMPLETE"  # scored, within the budgets
    INFEASIBLE = "INFEASIBLE"  # scored, a budget broken
    PRUNED = "PRUNED"  # stopped by a gate, which is named
    INVALID = "INVALID"  # refused by the rules
    FAILED = "FAILED"  # fails again if repeated
    LOST = "LOST"  # the machine's fault; asked again

    @property
    def scored(self) -> bool:
        return self in (State.COMPLETE, State.INFEASIBLE)


class Choice(TypedDict):
    """What is read of one choice in ``Trial.params``."""

    chosen: Any
    value: NotRequired[int | str]
    distribution: NotRequired[str]


@dataclasses.dataclass(frozen=True)
class Trial(Record):
    """What is written to ``trials/0007/trial.json`` before Optuna is told.

    ``measurements`` holds, where they were measured: ``metric``, ``drop`` (points or relative, in the metric's worse
    direction), ``file_bytes``, ``compressed_bytes``, ``latency_us:<target>``, ``latency_ratio:<target>`` (baseline / this)
    and after the finals ``test_metric`` and ``test_drop``; of the file ``arena_bytes`` (peak tensor arena), ``memory_bytes``
    (arena and weights), ``macs`` and ``energy_estimate_uj``; where a target tells it, ``peak_rss_bytes:<target>``,
    ``energy_uj:<target>``, ``sram_bytes:<target>``, ``flash_bytes:<target>``, ``arena_bytes:<target>`` and
    ``metric:<target>``. ``constraints`` are ``(value - limit) / limit`` by budget name.
    Those above 0 are broken. Where a gate stopped the trial, ``probe.<name>`` hold the upper bounds, and
    ``untrained.<name>`` what an untrained copy measured. ``origin`` is baseline, or one of the proposal strategies.
    """

    number: int
    candidate: Candidate
    state: State
    origin: str
    seed: int
    measurements: dict[str, Measurement] = dataclasses.field(default_factory=dict)
    constraints: dict[str, float] = dataclasses.field(default_factory=dict)
    gate: str | None = None
    reason: str | None = None  # why PRUNED, INVALID, FAILED or LOST, in words
    waits_for: str | None = None  # the target that went away: LOST, and asked again when it answers
    duplicate_of: int | None = None  # the trial whose answer this one repeats, or whose file has the same bytes
    # By choice: chosen; Optuna's value, distribution.
    params: dict[str, Annotated[dict[str, Any], Choice]] = dataclasses.field(default_factory=dict)
    artifact: str | None = None  # path below the run folder
    sha256: str | None = None
    each: str | None = None  # blob of the metric's per-sample values on the search split
    structure: str | None = None  # what the latency belongs to: operators, shapes and types, without values
    operators: dict[str, int] = dataclasses.field(default_factory=dict)
    # Types of the file's inputs and outputs.
    io_types: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    invariants: tuple[dict[str, Any], ...] = ()  # per layer: layer, property, asked, found
    misfits: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # the baseline's: target, and why it cannot run there
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # per kind of job: train, convert, score, time
    seconds_since_start: float = 0.0
    environment: Environment | None = None  # the versions and the machine it was measured with

    @property
    def is_baseline(self) -> bool:
        """Is it the original, converted as it is, which all others are compared with?"""
        return self.candidate.is_baseline

    def value(self, name: str) -> float | None:
        """A measurement's value, ``None`` where it was not measured."""
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
    """The baseline's trial, once it is scored: trial 0, unless that one was lost."""
    return next((trial for trial in trials if trial.state.scored and (trial.number == 0 or trial.is_baseline)), None)
