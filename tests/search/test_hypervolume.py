from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.front import Objective
from litetuner.search.hypervolume import hypervolume, volume_over_time
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate

OBJECTIVES = (Objective("metric", "maximize"), Objective("size", "minimize"), Objective("us", "minimize"))


def trial(number: int, drop: float, size: float, us: float, state: State = State.COMPLETE) -> Trial:
    measured = {"metric": 0.9 - drop, "drop": drop, "size": size, "us": us}
    found = {name: Measurement(value, "1", {"made": "up"}) for name, value in measured.items()}
    return Trial(number, Candidate(()), state, "sampler", 0, measurements=found, seconds_since_start=10.0 * number)


def test_by_hand() -> None:
    assert hypervolume(np.array([[0.5, 0.5]]), [1, 1]) == 0.25
    assert hypervolume(np.array([[0.5, 0.0], [0.0, 0.5], [0.6, 0.6]]), [1, 1]) == 0.75
    assert hypervolume(np.array([[0.5, 0.5, 0.5]]), [1, 1, 1]) == 0.125
    assert hypervolume(np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), [1, 1, 1]) == 0.0
    assert hypervolume(np.empty((0, 3)), [1, 1, 1]) == 0.0
    assert hypervolume(np.array([[0.25], [0.5]]), [1]) == 0.75


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_against_moocore(objectives: int, seed: int) -> None:
    moocore = pytest.importorskip("moocore", reason="moocore is not installed")
    rng = np.random.default_rng(seed)
    points = np.round(rng.random((40, objectives)) * 1.2, 2)  # ties, and points outside
    expected = float(moocore.hypervolume(points, ref=np.ones(objectives)))
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_it_is_the_same_on_every_processor() -> None:
    """To the last bit, whichever kernels OpenBLAS takes: gains are small differences of volumes."""
    code = """if True:
        import numpy as np
        from litetuner.search.hypervolume import hypervolume
        for seed in range(20):
            print(hypervolume(np.random.default_rng(seed).random((60, 3)), np.ones(3)).hex())
    """
    told = {
        subprocess.run([sys.executable, "-c", code], env=os.environ | kernels, capture_output=True).stdout
        for kernels in ({}, {"OPENBLAS_CORETYPE": "Prescott"})
    }
    assert len(told) == 1
    assert told.pop().count(b"0x") == 20


@pytest.mark.parametrize("costs", [np.ones((3, 2)), np.array([[np.nan, 0, 0]]), np.ones(3)])
def test_what_does_not_fit_is_refused(costs: np.ndarray) -> None:
    with pytest.raises(ValueError):
        hypervolume(costs, [1, 1, 1])


def test_over_time_agrees_with_moocore_at_every_step_and_counts_only_what_is_within_the_budgets() -> None:
    moocore = pytest.importorskip("moocore", reason="moocore is not installed")
    rng = np.random.default_rng(0)
    baseline = trial(0, 0.0, 1000.0, 200.0)
    told = [baseline] + [
        trial(k, float(d * 0.02), float(s * 1000), float(u * 200), State.INFEASIBLE if k % 5 == 0 else State.COMPLETE)
        for k, (d, s, u) in enumerate(rng.random((60, 3)), 1)
    ]
    told.append(dataclasses.replace(trial(70, -1.0, 1.0, 1.0), duplicate_of=3))
    found = volume_over_time(told[::-1], OBJECTIVES, baseline, allowed=0.02)
    assert found[0].value == 0.0 and found[0].trial == 0
    values = [volume.value for volume in found]
    assert values == sorted(values) and [v.seconds for v in found] == sorted(v.seconds for v in found)
    for volume in found[1:]:
        known = [t for t in told if t.number <= volume.trial and t.state is State.COMPLETE and t.duplicate_of is None]
        rows = [((t.value("drop") or 0) / 0.02, t.value("size") or 0, t.value("us") or 0) for t in known]
        points = np.array([[drop, *np.maximum(0, 1 + np.log2([size / 1000, us / 200]) / 5)] for drop, size, us in rows])
        assert volume.value == pytest.approx(float(moocore.hypervolume(points, ref=np.ones(3))), rel=1e-9)
    assert {70, 5, 10}.isdisjoint(volume.trial for volume in found)


def test_what_was_not_measured_counts_nothing() -> None:
    baseline = trial(0, 0.0, 1000.0, 200.0)
    bare = dataclasses.replace(trial(1, 0.0, 10.0, 10.0), measurements={})
    assert [v.value for v in volume_over_time([baseline, bare], OBJECTIVES, baseline)] == [0.0]


def test_over_time_stays_within_1_where_files_are_better_than_the_baseline() -> None:
    baseline = trial(0, 0.0, 1000.0, 200.0)
    found = volume_over_time([baseline, trial(1, -0.05, 1.0, 1.0)], OBJECTIVES, baseline, allowed=0.02)
    assert found[-1].value == pytest.approx(1.0)
