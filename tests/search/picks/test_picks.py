"""The picks: extremes of the front, and the robust file of several targets. The best has a test of its own."""

import dataclasses

from litetuner.search.config.budgets import Budget
from litetuner.search.picks.best import BestRule, find_best
from litetuner.search.picks.picks import picks, robust
from litetuner.search.trial import Trial
from tests.search.test_front import OBJECTIVES, on_two_targets, trial

DROP = Budget("max-drop", "drop", 0.01, "at most", "1%")
RULE = BestRule((DROP,), False, True, OBJECTIVES[0], "compressed_bytes", "latency_us:host")


def chosen(trials: list[Trial], targets: tuple[str, ...] = ("host",), limited: bool = True) -> dict[str, int]:
    best = find_best(trials, RULE if limited else dataclasses.replace(RULE, metric_budgets=()), lambda one, other: None)
    found = picks(trials, OBJECTIVES, best, size="compressed_bytes", targets=targets)
    return {name: item.number for name, item in found.items()}


def test_picks() -> None:
    trials = [trial(0, 0.95, 30, 30), trial(1, 0.90, 10, 40), trial(2, 0.93, 20, 20)]
    assert chosen(trials) == {"best": 1, "accurate": 0, "balanced": 2, "smallest": 1, "fastest": 2}
    assert chosen(trials, limited=False)["best"] == 0
    assert chosen([]) == {}


def test_the_robust_pick_of_two_targets() -> None:
    """What is decent on both is on neither front, and is the robust one."""
    trials = on_two_targets()
    del trials[3].measurements["latency_ratio:pi"]
    assert robust(trials, OBJECTIVES, ("host", "pi")) == trials[2]
    assert chosen(trials, ("host", "pi"))["robust"] == 2
    assert "robust" not in chosen(trials)
    assert robust([trials[3]], OBJECTIVES, ("host", "pi")) is None
