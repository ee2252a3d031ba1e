"""Upper bounds before training: margins that are learnt, and the gates that stop what is not worth it."""

from __future__ import annotations

from pathlib import Path

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.evaluation.upper_bounds import (
    UNTRAINED,
    dominating,
    failed_peers,
    margin,
)
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.runs.folder import RunFolder
from litetuner.search.trial import State, Trial
from tests.search.fakes import fake_search
from tests.search.made_up import PRUNED, told, trial

BOUNDS = POLICY.upper_bounds
MADE = {"made": "up"}
DROP = Budget("max-drop", "drop", 0.02, "at most", "2%")


def probed(number: int, drop: float, before: dict[str, float], after: float = 500.0, **choices: object) -> Trial:
    """A trained trial whose untrained copy measured ``before``."""
    state = State.INFEASIBLE if drop > DROP.limit else State.COMPLETE
    found = trial(number, drop, after, state=state, interval=(drop - 0.005, drop + 0.005), **PRUNED | choices)
    found.measurements.update({UNTRAINED + name: Measurement(value, "1", MADE) for name, value in before.items()})
    return found


def test_the_margin_is_learnt_from_the_probes_errors() -> None:
    trials = [probed(k, 0.0, {"compressed_bytes": 500.0}, 500.0 - k) for k in range(1, BOUNDS.enough_errors + 1)]
    assert margin("compressed_bytes", told(*trials[:-1])) == BOUNDS.usual_margins["compressed_bytes"]
    assert margin("compressed_bytes", told(*trials)) == pytest.approx(BOUNDS.caution * BOUNDS.enough_errors / 500)
    larger = [probed(k, 0.0, {"compressed_bytes": 500.0}, 510.0) for k in range(1, BOUNDS.enough_errors + 1)]
    assert margin("compressed_bytes", told(*larger)) == BOUNDS.least_margin, "never less"
    assert margin("latency_us:host", History()) == BOUNDS.latency_margin
    assert margin("memory_bytes", History()) == 0.0, "an arena does not depend on values"


def test_only_a_file_that_lost_nothing_dominates_what_is_not_trained_yet() -> None:
    bounds = {"compressed_bytes": 400.0, "latency_us:host": 40.0}
    lossless = trial(1, 0.0, 390.0, **PRUNED)
    assert dominating(bounds, told(lossless)) is lossless
    assert dominating(bounds, told(trial(1, 0.001, 390.0, **PRUNED))) is None, "training might lose less"
    assert dominating(bounds, told(trial(1, 0.0, 410.0, **PRUNED))) is None, "it may become smaller"
    assert dominating({"compressed_bytes": 400.0}, told(lossless)) is None, "its latency is not known"
    assert dominating(bounds, History()) is None


def test_peers_that_had_it_easier_and_failed_speak_against_a_candidate() -> None:
    before = {"compressed_bytes": 500.0, "metric": 0.5}
    failed = [probed(k, 0.1, before, **{"prune.sparsity": 0.3 + k / 10}) for k in range(1, BOUNDS.failed_peers + 1)]
    candidate = trial(9, 0.0, **PRUNED | {"prune.sparsity": 0.8}).candidate
    worse = {"compressed_bytes": Measurement(450.0, "B", MADE), "metric": Measurement(0.4, "accuracy", MADE)}
    assert failed_peers(candidate, worse, (DROP,), told(*failed)) == failed
    assert not failed_peers(candidate, worse, (DROP,), told(*failed[1:])), "too few"
    good = probed(BOUNDS.failed_peers, 0.021, before, **{"prune.sparsity": 0.6})
    assert not failed_peers(candidate, worse, (DROP,), told(*failed[1:], good, failed[0])), (
        "within its interval one passed"
    )
    for name, value in (("metric", 0.6), ("compressed_bytes", 600.0)):
        better = worse | {name: Measurement(value, "1", MADE)}
        assert not failed_peers(candidate, better, (DROP,), told(*failed)), f"its {name} is better than theirs was"
    longer = trial(9, 0.0, **PRUNED | {"epochs": 4.0}).candidate
    assert not failed_peers(longer, worse, (DROP,), told(*failed)), "it is trained for longer"
    other = trial(9, 0.0, **PRUNED | {"cluster": "linear", "cluster.count": 16}).candidate
    assert not failed_peers(other, worse, (DROP,), told(*failed)), "it is another kind of candidate"


def test_what_a_gate_stopped_is_asked_again_when_the_budgets_let_it_through(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fake_search(path, trials=60, max_compressed_size="20kB", max_drop="1%")
    stopped = [item for item in RunFolder(path).trials() if item.state is State.PRUNED]
    assert stopped and {item.gate for item in stopped} <= {"probe", "dominated", "untrained", "rung"}
    fake_search(path, trials=70, max_compressed_size="400kB", max_drop="20%")
    now = RunFolder(path).trials()
    by_budgets = {item.candidate.key for item in stopped if item.gate != "dominated"}
    answered = {item.candidate.key: item for item in now if item.state is not State.LOST}
    for key in by_budgets:
        assert answered[key].state.scored or answered[key].gate == "dominated", "no budget is in the way any more"
