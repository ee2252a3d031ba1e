"""Judging a trial by today's budgets: what a gate stopped comes back when the budgets would let it through."""

from __future__ import annotations

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.criteria import Criteria, judged
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate


def budget(limit: float) -> Criteria:
    return Criteria((Budget("max-compressed-size", "compressed_bytes", limit, "at most", f"{limit:.0f}B"),))


def trial(state: State, name: str, value: float, gate: str | None = None) -> Trial:
    return Trial(3, Candidate(()), state, "sampler", 0, {name: Measurement(value, "B", {"test": True})}, gate=gate)


@pytest.mark.parametrize(
    ("limit", "state"), [(90.0, State.INFEASIBLE), (100.0, State.COMPLETE), (200.0, State.COMPLETE)]
)
def test_scored_trials_follow_the_budgets(limit: float, state: State) -> None:
    assert judged(trial(State.COMPLETE, "compressed_bytes", 100), budget(limit)).state is state


@pytest.mark.parametrize("gate", ["probe", "rung", "latency"])
def test_a_gate_holds_as_long_as_its_budget_does(gate: str) -> None:
    name = "compressed_bytes" if gate == "latency" else "probe.compressed_bytes"
    stopped = trial(State.PRUNED, name, 100, gate)
    held = judged(stopped, budget(80))
    assert held.state is State.PRUNED and held.constraints == {"max-compressed-size": pytest.approx(0.25)}
    freed = judged(stopped, budget(120))
    assert freed.state is State.LOST and freed.reason and gate in freed.reason


def test_failures_stay_failures() -> None:
    failed = trial(State.FAILED, "compressed_bytes", 100)
    assert judged(failed, budget(1000)) == failed
