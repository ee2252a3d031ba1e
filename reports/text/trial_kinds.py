"""What a trial is called in lists: its state, or that it is the baseline, on the front, or a repetition."""

from __future__ import annotations

from collections.abc import Container

from litetuner.search.trial import Trial

ORDER = ("baseline", "front", "complete", "infeasible", "pruned", "invalid", "failed", "lost", "repeated")


def kind(trial: Trial, front: Container[int]) -> str:
    """One of ``ORDER``; ``front`` holds the numbers of the front's trials."""
    if trial.duplicate_of is not None:
        return "repeated"
    if trial.number in front:
        return "front"
    if trial.number == 0 and trial.state.scored:
        return "baseline"
    return str(trial.state).lower()
