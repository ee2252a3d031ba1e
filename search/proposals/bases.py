"""Bases: the models whose layers are treated.

These are the unchanged model, and the trained or channel-pruned models of files on the Pareto front.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.estimates.estimates import (
    UNTRAINED,
    ChangedEstimator,
    Estimator,
    base_of,
    estimator_of,
    untrained_estimator,
)
from litetuner.search.proposals.neighbors import TrainedChoices
from litetuner.search.proposals.proposal import choices_of
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import NO
from litetuner.spaces.reconstruction.allocation.statistics import Statistics
from litetuner.spaces.space import Space
from litetuner.spaces.step import Stage
from litetuner.spaces.steps import steps_of

_CUTTING = tuple(kind.name for kind in steps_of(Stage.REWRITE) if kind.changes_shapes)
UNTRAINED_CHOICES: Mapping[str, Any] = {"train": NO} | dict.fromkeys(_CUTTING, NO)


@dataclasses.dataclass(frozen=True)
class Base:
    """The steps before the layer treatments, the choices that lead to them, and an estimator for treated files."""

    candidate: Candidate
    choices: Mapping[str, Any]
    estimator: Estimator | ChangedEstimator


def bases(history: History, space: Space, layers: Statistics) -> Iterator[Base]:
    """The unchanged model, then the bases of up to ``trained_bases`` of the newest files on the Pareto front."""
    yield Base(UNTRAINED, UNTRAINED_CHOICES, untrained_estimator(history, layers))
    newest = {
        base_of(trial.candidate): trial for trial in history.front if trial.params and trial.state is State.COMPLETE
    }
    for base, trial in sorted(newest.items(), key=lambda item: -item[1].number)[: POLICY.samplers.trained_bases]:
        found = estimator_of(base, history, layers) if base.steps else None
        if found is not None:
            yield Base(base, _choices(history, space, trial), found)


def _choices(history: History, space: Space, trial: Trial) -> dict[str, Any]:
    trained = history.view(TrainedChoices).names(space, trial)
    chosen = choices_of(trial).items()
    return {name: value for name, value in chosen if name in trained or name.partition(".")[0] in _CUTTING}
