"""Lossless slimming, the last step of every candidate but the baseline."""

from __future__ import annotations

import dataclasses
from typing import Any

from litetuner.spaces.context import Context
from litetuner.spaces.step import Stage, Step, knob
from litetuner.spaces.tflite.slimming import slim


@dataclasses.dataclass(frozen=True)
class Slim(Step):
    """Removes the bytes that a ``.tflite`` carries for nothing; outputs stay bit-identical.

    A file on which that cannot be shown is returned as it was, since the candidate is valid either way;
    ``litetuner.spaces.tflite.slimming.slim`` gives the reason.
    """

    name = "slim"
    stage = Stage.REWRITE

    keep_names: bool = knob(False, help="keep the names of tensors and subgraphs, which profilers and editors show")

    def label(self) -> str:
        """Empty, since every candidate is slimmed; ``names`` where they are kept."""
        return "names" if self.keep_names else ""

    def apply(self, subject: Any, context: Context) -> bytes:
        """The slimmed file, or the same file. Raises ``BuildFailed`` when the file cannot be read or run."""
        return slim(subject, context.calibration, self.keep_names).file
