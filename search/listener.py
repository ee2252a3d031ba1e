"""Who watches a search: every method may be left as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from litetuner.search.trial import Trial

if TYPE_CHECKING:
    from litetuner.search.config.config import Config
    from litetuner.search.runs.folder import RunFolder
    from litetuner.search.runs.records import Inspection


@dataclasses.dataclass(frozen=True)
class RunningTrial:
    """A trial in flight: the kind of job that it waits for (``train``), and since when, in seconds of ``time.monotonic``.

    ``queued``: that job has not begun, since all slots, or the target, are busy.
    """

    number: int
    label: str
    job: str | None
    since: float
    queued: bool = False

    @property
    def words(self) -> str:
        """``12 int8 (scoring)``, ``13 int8 (queued for timing)``."""
        doing = ("queued for " if self.queued else "") + DOING.get(self.job or "", "")
        return f"{self.number} {self.label}" + (f" ({doing})" if doing else "")


DOING = {"train": "training", "convert": "converting", "score": "scoring", "time": "timing"}


class Listener:
    """Told of what happens, in this order. The loop does not wait for an answer."""

    def opened(self, folder: RunFolder, config: Config) -> None:
        """The run folder is open, and locked."""

    def advised(self, sentence: str) -> None:
        """Something that the user should know before compute is used."""

    def doing(self, what: str) -> None:
        """What is being done now, in words."""

    def running(self, trials: Sequence[RunningTrial]) -> None:
        """What each trial in flight does now: told when it has changed, at most once a second."""

    def inspected(self, inspection: Inspection) -> None:
        """Model and data were read and checked; no compute has been used on candidates."""

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        """A trial has ended; ``trials`` are all so far."""

    def interrupted(self, what: str) -> None:
        """A signal asks for the end: what is finished before it, in words. Told from a thread of its own."""
        self.doing(what)

    def stopping(self, reason: str) -> None:
        """The loop ends, and why."""
