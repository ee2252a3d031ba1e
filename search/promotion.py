"""Promotion: what was trained for a short time and stands well is trained for longer. Rungs for several objectives.

Optuna's own pruning knows one objective. Here a rung is a length of training, each of its candidates is a file that could
ship, and one goes up when its best hope is on the front: its size and latency, which training does not change, with
the lower end of its paired loss, less what longer trainings have been seen to bring back.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from litetuner.search.plan import Proposal
from litetuner.search.told import Told
from litetuner.search.trial import Trial
from litetuner.spaces.space import Scripted, Space

USUAL_SHARE = 0.3  # of a loss that the next length of training brings back, before this run has shown its own
USUAL_WEIGHT = 3  # promotions that this belief counts as
SMALL = 1e-3  # a smaller loss says nothing of shares
MENDABLE = ("max-drop", "min-metric")  # budgets that a longer training may yet keep


def promotion(space: Space, told: Told) -> Proposal | None:
    """The trial whose longer training promises the most hypervolume per second, or ``None`` when none promises any."""
    growth = told.growth
    if growth is None or not space.train:
        return None
    share = brought_back(told.trials)
    promising: list[tuple[float, int, Trial, float]] = []
    for trial in told.trials:
        longer = _longer(trial, space.epochs)
        drop = trial.measurements.get("drop")
        if longer is None or drop is None:
            continue
        known = told.longer.get((trial.number, longer))
        if known is not None and told.knows(known.key):
            continue
        low = drop.value if drop.interval is None else drop.interval[0]
        costs = growth.costs(trial, low - share * max(0.0, drop.value))
        gain = 0.0 if costs is None else growth.gain(costs)
        if gain > 0:
            seconds = max(1.0, sum(trial.seconds.values()) * longer / trial.params["epochs"]["chosen"])
            promising.append((gain / seconds, -trial.number, trial, longer))
    for _, _, trial, longer in sorted(promising, key=lambda item: item[:2], reverse=True):
        script = Scripted({name: entry["chosen"] for name, entry in trial.params.items()} | {"epochs": longer})
        candidate = told.longer[trial.number, longer] = space.suggest(script)
        if not told.knows(candidate.key):
            return Proposal(script, candidate, "promotion")
    return None


def brought_back(trials: Sequence[Trial]) -> float:
    """The share of a loss that the next length of training brings back: the median of this run's promotions and a belief."""
    shorter: dict[tuple[tuple[str, str], ...], float] = {}
    found = [USUAL_SHARE] * USUAL_WEIGHT
    for trial in trials:
        drop = trial.value("drop")
        if drop is None or "epochs" not in trial.params or trial.duplicate_of is not None:
            continue
        alike = tuple(sorted((name, str(entry["chosen"])) for name, entry in trial.params.items() if name != "epochs"))
        before = shorter.get(alike)
        if trial.origin == "promotion" and before is not None and before > SMALL:
            found.append(min(1.0, max(0.0, (before - drop) / before)))
        shorter[alike] = drop
    return statistics.median(found)


def _longer(trial: Trial, lengths: Sequence[float]) -> float | None:
    """The next length of training for a scored trial that was trained."""
    if not trial.state.scored or trial.duplicate_of is not None or "epochs" not in trial.params:
        return None
    if any(value > 0 for name, value in trial.constraints.items() if name not in MENDABLE):
        return None
    now = trial.params["epochs"]["chosen"]
    return next((length for length in lengths if length > now), None)
