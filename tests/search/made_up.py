"""Trials made up by hand, over a small space: for tests of what is asked next."""

from __future__ import annotations

import dataclasses

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget, violations
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.proposals.proposal import RecordedChoices, Spaces
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.info import LayerInfo, ModelInfo
from litetuner.spaces.rules import SpaceConstraints
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.steps import STEPS

OBJECTIVES = (
    Objective("metric", "maximize"),
    Objective("compressed_bytes", "minimize"),
    Objective("latency_us:host", "minimize"),
)
LAYERS = tuple(LayerInfo(f"conv{k}", "Conv2D", 1000, (3, 3, 8, 16), (None, 8, 8, 16), {}) for k in range(4))
MODEL = ModelInfo("m", "0" * 64, "keras", (None, 8, 8, 3), (None, 10), "float32", 4000, LAYERS, "softmax")
SPACE = Space(SpaceConstraints(MODEL, True), tuple(layer.name for layer in LAYERS), epochs=(1.0, 2.0, 4.0))
SPACES = Spaces(SPACE, SPACE)


def trial(
    number: int,
    drop: float,
    size: float = 500.0,
    origin: str = "sampler",
    state: State = State.COMPLETE,
    interval: tuple[float, float] | None = None,
    **choices: object,
) -> Trial:
    """A trial whose candidate follows from ``choices``; number 0 is the baseline."""
    measured = {"metric": 0.9 - drop, "drop": drop, "compressed_bytes": size, "latency_us:host": size / 10}
    found = {name: Measurement(value, "1", {"made": "up"}) for name, value in measured.items()}
    found["drop"] = dataclasses.replace(found["drop"], interval=interval)
    seen = RecordedChoices(ScriptedChoices(choices))
    candidate = SPACE.suggest(seen) if number else Candidate((STEPS["float32"](),))
    params = {name: {"chosen": value} for name, value in seen.chosen.items()}
    return Trial(number, candidate, state, origin, 0, measurements=found, params=params, seconds={"train": 10.0})


def judged(made: Trial, *budgets: Budget) -> Trial:
    """A scored trial with the constraints and the state that the budgets give it."""
    broken = violations(budgets, made.measurements)
    state = State.INFEASIBLE if any(value > 0 for value in broken.values()) else State.COMPLETE
    return dataclasses.replace(made, constraints=broken, state=state)


def told(*trials: Trial, budgets: tuple[Budget, ...] = ()) -> History:
    return History((trial(0, 0.0, 1000.0, "baseline"), *trials), OBJECTIVES, budgets)


def max_drop(limit: float) -> Budget:
    return Budget("max-drop", "drop", limit, "at most", f"{limit:.0%}")


def min_metric(limit: float) -> Budget:
    return Budget("min-metric", "metric", limit, "at least", str(limit))


PRUNED = {"train": "yes", "epochs": 1.0, "prune": "constant", "prune.sparsity": 0.5, "deploy": "int8"}
