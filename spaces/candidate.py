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
    """Steps in the order in which they are done. Hashable; JSON both ways; equal candidates have equal keys."""

    steps: tuple[Step, ...]

    def of_stage(self, *stages: Stage) -> tuple[Step, ...]:
        """The steps of some stages, in order."""
        return tuple(step for step in self.steps if step.stage in stages)

    @functools.cached_property
    def prefix(self) -> Candidate:
        """What is trained: the RESHAPE and TRAIN steps. Candidates of one prefix share its checkpoint."""
        return Candidate(self.of_stage(Stage.RESHAPE, Stage.TRAIN))

    @functools.cached_property
    def beginnings(self) -> frozenset[str]:
        """The keys of what is trained and of all that it is built on, step by step."""
        steps = self.prefix.steps
        return frozenset(Candidate(steps[:count]).key for count in range(1, len(steps) + 1))

    @property
    def deployment(self) -> tuple[Step, ...]:
        """What is done to the trained model: the CONVERT and REWRITE steps."""
        return self.of_stage(Stage.CONVERT, Stage.REWRITE)

    @property
    def is_baseline(self) -> bool:
        """Is it the float conversion and nothing else, not even slimmed?"""
        return len(self.steps) == 1 and self.steps[0].role is Role.FLOAT

    @property
    def probed(self) -> Candidate:
        """What an untrained probe is built of: the steps that say something untrained."""
        return Candidate(tuple(step for step in self.steps if step.in_probe))

    @property
    def label(self) -> str:
        """Short name such as ``prune 70% + cluster 32 + QAT int8``; what it leaves out is in ``details``.

        Left out are slimming, which every candidate ends with, fine-tuning after reshaping, which always follows, and the
        float file that a quantizer starts from.
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
        """6 hex digits that stand beside the label: equal labels may belong to different candidates."""
        return self.key[:6]

    @property
    def details(self) -> list[str]:
        """What the label leaves out: rounding, inputs and outputs, calibration, skipped layers, differing precisions."""
        return [line for step in self.steps for line in step.details()]

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits that equal candidates share and others do not."""
        return digest([step.to_json() for step in self.steps])

    def to_json(self) -> list[dict[str, Any]]:
        return [step.to_json() for step in self.steps]

    @staticmethod
    def from_json(record: Sequence[dict[str, Any]]) -> Candidate:
        """The candidate that ``to_json`` described. Raises ``Refused`` for unknown steps and knobs, ``RecordError``."""
        return Candidate(tuple(map(_step, decode(tuple[dict[str, Any], ...], record))))


def _step(record: dict[str, Any]) -> Step:
    """Steps never change, and a run has few different ones: each is made once. Its JSON tells 1 from 1.0 and from true."""
    try:
        text = json.dumps(record)
    except (ValueError, RecursionError):  # too long a number, too deep: ``step_from_json`` says so
        return step_from_json(record, STEPS)
    return _step_of(text)


@functools.lru_cache(maxsize=10_000)
def _step_of(text: str) -> Step:
    return step_from_json(json.loads(text), STEPS)


def digest(value: Any) -> str:
    """16 hex digits of a JSON value: the key of candidates, jobs and cached results."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
