"""What is known of a candidate so far; it grows by making new values, and survives a failure inside ``Stopped``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

from litetuner.objectives.measurement import Measurement
from litetuner.search.evaluation.gates import Gate
from litetuner.spaces.building.jobs import FinishResult
from litetuner.spaces.errors import CandidateError
from litetuner.spaces.jobs.job import Kind


@dataclasses.dataclass(frozen=True)
class Measured:
    """``finished`` is the candidate's own file, ``each`` the blob of its metric's per-sample values, ``unanswered`` why
    each target that was away did not answer, ``misfits`` why each target cannot run the baseline.
    """

    measurements: Mapping[str, Measurement] = dataclasses.field(default_factory=dict)
    seconds: Mapping[Kind, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unanswered: Mapping[str, str] = dataclasses.field(default_factory=dict)
    misfits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    finished: FinishResult | None = None
    each: str | None = None

    def adding(self, measurements: Mapping[str, Measurement]) -> Measured:
        return dataclasses.replace(self, measurements={**self.measurements, **measurements})

    def noting(self, *notes: str) -> Measured:
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def after(self, kind: Kind, seconds: float) -> Measured:
        return dataclasses.replace(self, seconds={**self.seconds, kind: self.seconds.get(kind, 0.0) + seconds})

    def without(self, target: str, reason: str) -> Measured:
        return dataclasses.replace(self, unanswered={**self.unanswered, target: reason})


class Stopped(Exception):
    """A candidate is stopped: the reason, and the measurements so far."""

    def __init__(self, cause: Gate | CandidateError, measured: Measured) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.measured = measured


@contextlib.contextmanager
def keeping(measured: Measured) -> Iterator[None]:
    """What is raised inside becomes ``Stopped`` with what was measured, a gate's own measurements included."""
    try:
        yield
    except Gate as gate:
        raise Stopped(gate, measured.adding(gate.measurements)) from gate
    except CandidateError as error:
        raise Stopped(error, measured) from error
