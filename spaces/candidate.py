"""A candidate: an ordered tuple of steps, which is one way to compress the model."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from litetuner.spaces.jobs.record import decode
from litetuner.spaces.step import Role, Stage, Step, step_from_json
from litetuner.spaces.steps import STEPS


@dataclasses.dataclass(frozen=True)
class Candidate:
    """The steps in execution order. Hashable, converts to and from JSON; equal candidates have equal keys."""

    steps: tuple[Step, ...]

    def of_stage(self, *stages: Stage) -> tuple[Step, ...]:
        """The steps of the given stages, in order."""
        return tuple(step for step in self.steps if step.stage in stages)

    @functools.cached_property
    def prefix(self) -> Candidate:
        """The trained part: the RESHAPE and TRAIN steps. Candidates with the same prefix share its checkpoint."""
        return Candidate(self.of_stage(Stage.RESHAPE, Stage.TRAIN))

    @functools.cached_property
    def beginnings(self) -> frozenset[str]:
        """The keys of the trained part after its first step, after its second step, and so on."""
        steps = self.prefix.steps
        return frozenset(Candidate(steps[:count]).key for count in range(1, len(steps) + 1))

    @property
    def deployment(self) -> tuple[Step, ...]:
        """The steps after training: the CONVERT and REWRITE steps."""
        return self.of_stage(Stage.CONVERT, Stage.REWRITE)

    @property
    def is_baseline(self) -> bool:
        """True if the candidate is only the float conversion, without slimming."""
        return len(self.steps) == 1 and self.steps[0].role is Role.FLOAT

    @property
    def probed(self) -> Candidate:
        """The candidate of an untrained probe: only the steps that have an effect without training (``in_probe``)."""
        return Candidate(tuple(step for step in self.steps if step.in_probe))

    @property
    def label(self) -> str:
        """Short name such as ``prune 70% + cluster 32 + QAT int8``; ``details`` lists what it omits.

        The label omits slimming (every candidate ends with it), fine-tuning after a RESHAPE step (it always follows),
        and the float conversion before a quantizer.
        """
        reshaped = bool(self.of_stage(Stage.RESHAPE))
        quantized = any(step.precision("") is not None for step in self.of_stage(Stage.REWRITE))
        hidden = {Role.FINE_TUNE} if reshaped else set()
        hidden |= {Role.FLOAT} if quantized else set()
        shown = [step for step in self.steps if step.role not in hidden]
        parts: list[str] = []
        joining: list[Step] = []
        for step in shown:
            if step.label_with("") is not None:
                joining.append(step)
                continue
            text = step.label()
            if text and step.stage >= Stage.CONVERT:
                while joining:
                    text = joining.pop().label_with(text) or text
            parts += [text] if text else []
        return " + ".join([*parts, *(step.label() for step in joining)]) or "unchanged"

    @property
    def id(self) -> str:
        """The first 6 hex digits of the key, shown next to the label: different candidates may have equal labels."""
        return self.key[:6]

    @property
    def details(self) -> list[str]:
        """Settings that the label omits: rounding, inputs, outputs, calibration, skipped layers, other precisions."""
        return [line for step in self.steps for line in step.details()]

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits. Equal candidates have the same key, different candidates have different keys."""
        return digest([step.to_json() for step in self.steps])

    def to_json(self) -> list[dict[str, Any]]:
        return [step.to_json() for step in self.steps]

    @staticmethod
    def from_json(record: Sequence[dict[str, Any]]) -> Candidate:
        """The candidate for the JSON of ``to_json``. Raises ``Refused`` for unknown steps or knobs, ``RecordError``."""
        return Candidate(tuple(map(_step, decode(tuple[dict[str, Any], ...], record))))


def _step(record: dict[str, Any]) -> Step:
    """The step of a record, from a cache.

    Steps are immutable and a run has few different ones. The cache key is JSON text, which distinguishes 1, 1.0 and
    true.
    """
    try:
        text = json.dumps(record)
    except (ValueError, RecursionError):  # number too long or nesting too deep: ``step_from_json`` says so
        return step_from_json(record, STEPS)
    return _step_of(text)


@functools.lru_cache(maxsize=10_000)
def _step_of(text: str) -> Step:
    return step_from_json(json.loads(text), STEPS)


def digest(value: Any) -> str:
    """16 hex digits of the sha256 of a JSON value: the key of candidates, jobs and cached results."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
