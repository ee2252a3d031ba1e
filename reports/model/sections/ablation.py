"""The contribution of each step of the best trial: the best without that step, from the finals or among the trials."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for

TRAINING = ("epochs", "learning_rate", "distill")  # knobs that say how a step was trained, not what it does


@dataclasses.dataclass(frozen=True)
class WithoutStep:
    """The best candidate without the step named ``without``. ``trial`` is its number if it was a trial of the search.

    ``same_training`` is true if epochs, learning rate and distillation are those of the best. ``metric_change`` is this
    metric minus the best's. ``size_change`` and ``latency_change`` are relative to the best (0.1: 10 % more).
    """

    without: str
    label: str
    metric: float | None
    size_bytes: float | None
    latency_us: float | None
    trial: int | None = None
    same_training: bool = True
    metric_change: float | None = None
    size_change: float | None = None
    latency_change: float | None = None


@dataclasses.dataclass(frozen=True)
class Ablation:
    """The best, and the best without one of its steps, for each step for which this is known."""

    best: WithoutStep
    steps: tuple[WithoutStep, ...]


def find_ablation(record: RunRecord, best: Trial | None) -> Ablation | None:
    """The ablation that the finals measured, else one from the trials; ``None`` if there is nothing to show."""
    if best is None:
        return None
    size, latency = record.config.size_measurement, f"latency_us:{record.config.targets[0]}"
    recorded = ((record.folder.read("finals") or {}).get("ablation") or {}).get("steps") or ()
    found = tuple(_recorded(item, size) for item in recorded) or among_trials(best, record.trials, size, latency)
    if not found:
        return None
    own = _measured("", best, size, latency)
    return Ablation(own, tuple(_against(own, item) for item in found))


def _measured(without: str, trial: Trial, size: str, latency: str, same_training: bool = True) -> WithoutStep:
    metric, sized, timed = (trial.value(name) for name in ("metric", size, latency))
    return WithoutStep(without, trial.candidate.label, metric, sized, timed, trial.number, same_training)


def _against(best: WithoutStep, item: WithoutStep) -> WithoutStep:
    def relative(value: float | None, own: float | None) -> float | None:
        return None if value is None or not own else value / own - 1

    known = item.metric is not None and best.metric is not None
    return dataclasses.replace(
        item,
        metric_change=(item.metric or 0.0) - (best.metric or 0.0) if known else None,
        size_change=relative(item.size_bytes, best.size_bytes),
        latency_change=relative(item.latency_us, best.latency_us),
    )


def _recorded(item: Mapping[str, Any], size: str) -> WithoutStep:
    without, label = clean(item["without"], 60), clean(item["label"], 160)
    metric, sized, timed = (item.get(name) for name in ("metric", size, "latency_us"))
    return WithoutStep(without, label, metric, sized, timed, item.get("trial"))


def among_trials(best: Trial, trials: Sequence[Trial], size: str, latency: str) -> tuple[WithoutStep, ...]:
    """For each step of ``best``, a scored trial that is ``best`` without this step.

    Steps without such a trial are left out. Knobs ``preserve_*`` are ignored in this comparison, because they only
    follow from other steps. If the conversion step is left out, the candidate is converted to float32. Of several
    trials, the one with the most similar training is used.
    """
    found, own = [], _training(best.candidate)
    scored = [trial for trial in trials if trial.state.scored and trial.duplicate_of is None and trial is not best]
    for at, step in enumerate(best.candidate.steps):
        if step.role in (Role.SLIM, Role.FLOAT):
            continue
        wanted = _without(best.candidate, at)
        matches = [trial for trial in scored if _does(trial.candidate) == wanted]
        if matches:
            chosen = max(matches, key=lambda trial: (len(_training(trial.candidate) & own), -trial.number))
            found.append(_measured(step.name, chosen, size, latency, _training(chosen.candidate) <= own))
    return tuple(found)


def _without(candidate: Candidate, at: int) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    rest = [step for place, step in enumerate(candidate.steps) if place != at]
    done = _does(Candidate(tuple(rest)))
    if candidate.steps[at].stage is Stage.CONVERT:
        place = len(candidate.of_stage(Stage.RESHAPE, Stage.TRAIN))
        done.insert(place, (step_for(Role.FLOAT).name, frozenset()))
    return done


def _does(candidate: Candidate) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    """The steps of a candidate with their knobs, without those of training and those that follow from other steps."""
    return [(step.name, _knobs(step)) for step in candidate.steps if step.role is not Role.SLIM]


def _knobs(step: Step) -> frozenset[tuple[str, str]]:
    left_out = {name for name in step.knobs() if name in TRAINING or name.startswith("preserve_")}
    return frozenset((name, repr(value)) for name, value in step.knobs().items() if name not in left_out)


def _training(candidate: Candidate) -> set[tuple[str, str, str]]:
    return {
        (step.name, name, repr(value))
        for step in candidate.steps
        for name, value in step.knobs().items()
        if name in TRAINING
    }
