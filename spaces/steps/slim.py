"""Lossless slimming, the last step of every candidate except the baseline."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from litetuner.spaces.choices import Choices
from litetuner.spaces.constraints import SpaceConstraints
from litetuner.spaces.context import Context
from litetuner.spaces.step import Role, Rule, Stage, Step, knob
from litetuner.spaces.tflite.rewriting.slimming import slim


def _last(steps: tuple[Step, ...], around: SpaceConstraints) -> Iterable[str]:
    if not isinstance(steps[-1], Slim):
        yield "slim must come last: it removes the names that other rewrites need"


@dataclasses.dataclass(frozen=True)
class Slim(Step):
    """Removes unused data of a ``.tflite``; outputs stay bit-identical.

    If that cannot be shown for a file, it is returned unchanged, since the candidate is valid either way;
    ``litetuner.spaces.tflite.rewriting.slimming.slim`` gives the reason.
    """

    name = "slim"
    stage = Stage.REWRITE
    order = 100
    role = Role.SLIM
    rules = (Rule("slimming", "slimming removes names", _last),)
    takes_tflite = True
    removes_names = True

    keep_names: bool = knob(False, help="keep the names of tensors and subgraphs, which profilers and editors show")

    def label(self) -> str:
        """Empty, since every candidate is slimmed."""
        return ""

    def details(self) -> list[str]:
        return ["slim: the names of tensors are kept"] if self.keep_names else []

    @classmethod
    def suggest(cls, choices: Choices, before: tuple[Step, ...]) -> tuple[Step, ...]:
        """Nothing: the space adds it to every candidate."""
        return ()

    def apply(self, subject: Any, context: Context) -> bytes:
        """The slimmed file, or the unchanged file. Raises ``BuildFailed`` if the file cannot be read or run."""
        return self.apply_with_notes(subject, context)[0]

    def apply_with_notes(self, subject: Any, context: Context) -> tuple[bytes, list[str]]:
        """``apply``, plus a note on how many bytes were removed, or why none were."""
        slimmed = slim(subject, context.calibration, self.keep_names)
        saved = len(subject) - len(slimmed.file)
        if slimmed.applied:
            return slimmed.file, [f"slimming removed {saved:,} bytes, outputs bit-identical on real data"]
        return slimmed.file, [f"not slimmed: {slimmed.reason}"]
