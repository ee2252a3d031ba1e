"""The seconds of a trial by stage, in words: work that another trial had done already took none, and is said to be its."""

from __future__ import annotations

import json
from collections.abc import Sequence

from litetuner.reports.text.formatting import clean
from litetuner.search.config.units import format_seconds
from litetuner.search.trial import Trial
from litetuner.spaces.step import Stage

NOTHING = 0.05  # seconds that are shown as 0.0 s
DONE = {"train": "trained", "time": "timed"}


def stage_words(trials: Sequence[Trial]) -> list[list[tuple[str, str]]]:
    """For each trial its stages with ``40 s``, ``trained in trial 3``, or ``from the cache`` where no trial shown did it."""
    first: dict[tuple[str, str], int] = {}
    for trial in trials:
        for kind in DONE:
            if trial.seconds.get(kind, 0.0) >= NOTHING and (key := _work(trial, kind)):
                first.setdefault((kind, key), trial.number)
    return [_of(trial, first) for trial in trials]


def _of(trial: Trial, first: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    found = []
    for kind, value in trial.seconds.items():
        text = format_seconds(value)
        if kind in DONE and value < NOTHING and (key := _work(trial, kind)):
            other = first.get((kind, key))
            text = "from the cache" if other in (None, trial.number) else f"{DONE[kind]} in trial {other}"
        found.append((clean(kind, 40), text))
    return found


def _work(trial: Trial, kind: str) -> str:
    """What a stage worked on: equal for trials that share it, empty where there was nothing to do."""
    if kind == "time":  # latency belongs to a structure and its types
        return trial.structure or ""
    steps = [step for step in trial.candidate.steps if step.stage in (Stage.RESHAPE, Stage.TRAIN)]
    trained = any(step.stage is Stage.TRAIN for step in steps)
    return json.dumps([step.to_json() for step in steps], sort_keys=True) if trained else ""
