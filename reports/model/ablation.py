"""What each step of the winner contributes: the winner without that step, measured in the finals or found among the trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.step import Role, Stage, Step
from litetuner.spaces.steps import step_for

if TYPE_CHECKING:
    from litetuner.reports.model.view import View

FITTING = ("epochs", "learning_rate", "distill")  # how a step was trained, not what it does


@dataclasses.dataclass(frozen=True)
class Contribution:
    """The winner without the step named ``without``: ``label`` is what that is, ``trial`` its number where it was a trial.

    ``same_training``: were epochs, learning rate and distillation the winner's?
    """

    without: str
    label: str
    metric: float | None
    size_bytes: float | None
    latency_us: float | None
    trial: int | None = None
    same_training: bool = True


def find_ablation(view: View) -> tuple[Contribution, ...]:
    """One for each step of the best that was, or could be, left out: of the finals where they did so, else of the trials."""
    if view.best_trial is None:
        return ()
    recorded = ((view.record.folder.read("finals") or {}).get("ablation") or {}).get("steps") or ()
    if recorded:
        return tuple(_recorded(item, view.size_measurement) for item in recorded)
    return among_trials(view.best_trial, view.record.trials, view.size_measurement, f"latency_us:{view.target}")


def _recorded(item: Mapping[str, Any], size: str) -> Contribution:
    def value(name: str) -> float | None:
        found = item.get(name)
        return float(found) if isinstance(found, int | float) else None

    number = item.get("trial")
    return Contribution(
        without=clean(item.get("without", ""), 60),
        label=clean(item.get("label", ""), 160),
        metric=value("metric"),
        size_bytes=value(size),
        latency_us=value("latency_us"),
        trial=number if isinstance(number, int) else None,
    )


def among_trials(best: Trial, trials: Sequence[Trial], size: str, latency: str) -> tuple[Contribution, ...]:
    """A scored trial for each step of ``best`` that is ``best`` without it; steps for which there is none are left out.

    Steps that follow another's result (``preserve_sparsity`` once nothing is sparse) count as the same. Without its
    conversion a candidate is converted to float32. Of several the one that was trained most alike is taken.
    """
    found = []
    scored = [trial for trial in trials if trial.state.scored and trial.duplicate_of is None and trial is not best]
    for at, step in enumerate(best.candidate.steps):
        if step.role in (Role.SLIM, Role.FLOAT):
            continue
        wanted = _without(best.candidate, at)
        matches = [trial for trial in scored if _does(trial.candidate) == wanted]
        if matches:
            chosen = max(matches, key=lambda trial: (_alike(trial.candidate, best.candidate), -trial.number))
            found.append(
                Contribution(
                    without=step.name,
                    label=chosen.candidate.label,
                    metric=chosen.value("metric"),
                    size_bytes=chosen.value(size),
                    latency_us=chosen.value(latency),
                    trial=chosen.number,
                    same_training=_training(chosen.candidate) <= _training(best.candidate),
                )
            )
    return tuple(found)


def _without(candidate: Candidate, at: int) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    rest = [step for place, step in enumerate(candidate.steps) if place != at]
    done = _does(Candidate(tuple(rest)))
    if candidate.steps[at].stage is Stage.CONVERT:
        place = len(candidate.of_stage(Stage.RESHAPE, Stage.TRAIN))
        done.insert(place, (step_for(Role.FLOAT).name, frozenset()))
    return done


def _does(candidate: Candidate) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    """What a candidate does, step by step, without how long it was trained and what only follows from other steps."""
    return [(step.name, _knobs(step)) for step in candidate.steps if step.role is not Role.SLIM]


def _knobs(step: Step) -> frozenset[tuple[str, str]]:
    left_out = {name for name in step.knobs() if name in FITTING or name.startswith("preserve_")}
    return frozenset((name, repr(value)) for name, value in step.knobs().items() if name not in left_out)


def _training(candidate: Candidate) -> set[tuple[str, str, str]]:
    return {
        (step.name, name, repr(value))
        for step in candidate.steps
        for name, value in step.knobs().items()
        if name in FITTING
    }


def _alike(one: Candidate, other: Candidate) -> int:
    return len(_training(one) & _training(other))
