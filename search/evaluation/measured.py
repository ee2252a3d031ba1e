"""The measurements of a candidate so far. Each stage returns a new object; ``Stopped`` keeps it after a failure."""

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
    """The measurements of a candidate so far.

    ``finished`` is the candidate's own file. ``each`` is the blob of its metric's per-sample values. By target name,
    ``unanswered`` says why a target did not answer, and ``misfits`` why a target cannot run the baseline.
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
    """Raised when a candidate is stopped: ``cause`` is the reason, ``measured`` has the measurements so far."""

    def __init__(self, cause: Gate | CandidateError, measured: Measured) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.measured = measured


@contextlib.contextmanager
def keeping(measured: Measured) -> Iterator[None]:
    """Turn a ``Gate`` or ``CandidateError`` into ``Stopped`` with ``measured``, including a gate's own measurements."""
    try:
        yield
    except Gate as gate:
        raise Stopped(gate, measured.adding(gate.measurements)) from gate
    except CandidateError as error:
        raise Stopped(error, measured) from error
