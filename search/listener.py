"""The interface for watching a search: a subclass overrides only the methods that it needs."""

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
    """A trial in flight: ``job`` is the kind of job that it waits for (``train``), ``None`` if it waits for no job.

    ``since`` is when the trial started, in seconds of ``time.monotonic``. ``queued``: the job has not started yet,
    because all slots or the target are busy.
    """

    number: int
    label: str
    job: str | None
    since: float
    queued: bool = False

    @property
    def words(self) -> str:
        """Number, label and activity: ``12 int8 (scoring)``, ``13 int8 (queued for timing)``."""
        doing = ("queued for " if self.queued else "") + DOING.get(self.job or "", "")
        return f"{self.number} {self.label}" + (f" ({doing})" if doing else "")


DOING = {"train": "training", "convert": "converting", "score": "scoring", "time": "timing"}


class Listener:
    """Receives the events of a search; what the methods return is ignored."""

    def opened(self, folder: RunFolder, config: Config) -> None:
        """The run folder is open and locked."""

    def advised(self, sentence: str) -> None:
        """Something that the user should know before compute is used."""

    def doing(self, what: str) -> None:
        """What the search does now, in words."""

    def running(self, trials: Sequence[RunningTrial]) -> None:
        """What each trial in flight does now. Called when this has changed, which is checked every 0.2 s."""

    def inspected(self, inspection: Inspection) -> None:
        """The model and the data were read and checked; this session has not evaluated any candidate yet."""

    def told(self, trial: Trial, trials: list[Trial], seconds_left: float) -> None:
        """A trial has ended; ``trials`` are all trials of the run so far."""

    def interrupted(self, what: str) -> None:
        """A signal asks the search to end; ``what`` says what is finished first. Called from a separate thread."""
        self.doing(what)

    def stopping(self, reason: str) -> None:
        """The loop ends; ``reason`` says why."""
