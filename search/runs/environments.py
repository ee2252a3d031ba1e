"""Finds trials that were measured with other versions or on another machine, so that reports can warn about them."""

from collections.abc import Iterable

from litetuner.search.trial import Trial
from litetuner.spaces.jobs.environment import Environment


def other_environments(trials: Iterable[Trial], usual: Environment) -> dict[str, list[int]]:
    """The numbers of trials whose environment is not ``usual``, by difference: ``tensorflow 2.19.0, not 2.20.0``."""
    found: dict[str, list[int]] = {}
    for trial in trials:
        if trial.environment not in (None, usual):
            found.setdefault(_difference(trial.environment, usual), []).append(trial.number)
    return found


def _difference(one: Environment, usual: Environment) -> str:
    versions = [
        f"{name} {one.versions.get(name, 'none')}, not {usual.versions.get(name, 'none')}"
        for name in sorted(one.versions | usual.versions)
        if one.versions.get(name) != usual.versions.get(name)
    ]
    hardware = ((one.machine, usual.machine), (one.processor, usual.processor))
    return "; ".join([*versions, *(f"{mine}, not {other}" for mine, other in hardware if mine != other)])
