"""The exception of the runner. Part of the runner (``runner.FILES``)."""

from __future__ import annotations


class RunnerError(Exception):
    """The file's latency cannot be measured.

    ``stage`` is one of usage, runtime, read, delegate, load, allocate, input, invoke.
    """

    def __init__(self, stage: str, file: str, message: str) -> None:
        super().__init__(message)
        self.stage, self.file = stage, file
