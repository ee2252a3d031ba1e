"""The forecast of a search: how much is done, and how long it will take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from litetuner.search.clock import counted
from litetuner.search.config.config import Config
from litetuner.search.config.units import format_seconds
from litetuner.search.trial import Trial

RECENT = 12  # trials whose pace predicts the rest
BAR = 24  # characters


@dataclasses.dataclass(frozen=True)
class Forecast:
    """``share`` of the search is done (0 to 1), ``seconds_left`` remain before the finals; ``None`` without a limit."""

    scored: int
    counted: int
    wanted: int | None
    share: float | None
    seconds_left: float | None
    estimated: bool  # from the pace of the last trials

    @property
    def words(self) -> str:
        """``23 scored of 30 trials, about 4 min 10 s left``."""
        wanted = f"{self.counted} of {self.wanted} trials" if self.wanted is not None else f"{self.counted} trials"
        found = f"{wanted}, {self.scored} scored"
        if self.seconds_left:
            found += f" · {'about ' if self.estimated else ''}{format_seconds(self.seconds_left)} left"
        return found

    @property
    def bar(self) -> str:
        """A bar of 24 characters with the share in percent; empty without a limit."""
        if self.share is None:
            return ""
        full = round(BAR * self.share)
        return f"{'━' * full}{'╌' * (BAR - full)} {self.share:4.0%}"


def find_forecast(
    trials: Sequence[Trial], config: Config, elapsed: float, budget_left: float | None = None
) -> Forecast:
    """The forecast after ``elapsed`` seconds of the run; time or trials, whichever ends it first.

    ``budget_left`` are the seconds that the time budget leaves, ``None`` without one. Future trials are assumed to be as
    slow as the last dozen.
    """
    done = counted(list(trials))
    shares: list[float] = []
    left: list[tuple[float, bool]] = []
    if budget_left is not None and math.isfinite(budget_left):
        budget_left = max(0.0, budget_left)
        whole = elapsed + budget_left
        shares.append(elapsed / whole if whole else 1.0)
        left.append((budget_left, False))
    if config.trials is not None:
        shares.append(min(1.0, done / config.trials))
        pace = _pace(trials)
        if pace is not None:
            left.append((max(0, config.trials - done) * pace, True))
    soonest = min(left, default=None)
    return Forecast(
        scored=sum(1 for trial in trials if trial.state.scored and trial.duplicate_of is None),
        counted=done,
        wanted=config.trials,
        share=max(shares, default=None),
        seconds_left=None if soonest is None else soonest[0],
        estimated=soonest is not None and soonest[1],
    )


def _pace(trials: Sequence[Trial]) -> float | None:
    """Seconds of a trial, over the last dozen that counted."""
    own = [trial for trial in trials if trial.duplicate_of is None and str(trial.state) != "LOST"]
    recent = own[-RECENT - 1 :]
    if len(recent) < 2:
        return None
    return (recent[-1].seconds_since_start - recent[0].seconds_since_start) / (len(recent) - 1)
