"""A baseline that a target cannot run, such as a float file on an NPU: it is infeasible, and everything else goes on."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.fake import Fake
from litetuner.objectives.targets.target import Timing
from litetuner.reports.model.result import build_result
from litetuner.search.criteria import Criteria, judged
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.hypervolume import Growth, by_octaves
from litetuner.search.policy import POLICY
from litetuner.search.runs.optuna_trials import told_values
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.steps.float32 import Float32
from litetuner.spaces.steps.int8 import Int8
from tests.search.fakes import fake_search

OBJECTIVES = (
    Objective("metric", "maximize"),
    Objective("file_bytes", "minimize"),
    Objective("latency_us:u55", "minimize"),
)
CRITERIA = Criteria(needed=("metric", "file_bytes", "latency_us:u55"), targets=("u55",))


def measured(**values: float) -> dict[str, Measurement]:
    return {name.replace("__", ":"): Measurement(value, "", {"test": True}) for name, value in values.items()}


@pytest.fixture
def baseline() -> Trial:
    values = measured(metric=0.9, drop=0.0, file_bytes=400.0)
    misfits = {"u55": "Vela leaves 4 Conv2D to the CPU, so the time is unknown"}
    return Trial(0, Candidate((Float32(),)), State.COMPLETE, "baseline", 0, values, misfits=misfits)


def int8(number: int, us: float) -> Trial:
    values = measured(metric=0.9, drop=0.0, file_bytes=100.0, latency_us__u55=us)
    return Trial(number, Candidate((Int8(),)), State.COMPLETE, "recipe", 0, values)


def test_it_is_infeasible_for_a_stated_reason_and_told_without_values(baseline: Trial) -> None:
    found = judged(baseline, CRITERIA)
    assert found.state is State.INFEASIBLE and found.constraints == {"target u55": 1.0}
    assert found.reason == "u55: Vela leaves 4 Conv2D to the CPU, so the time is unknown"
    assert told_values(found, OBJECTIVES) is None, "0.0 us is never told"
    assert Trial.from_json(found.to_json()) == found
    assert judged(found, dataclasses.replace(CRITERIA, needed=("metric",), targets=("host",))).state is State.COMPLETE


def test_another_trial_without_its_time_is_asked_again(baseline: Trial) -> None:
    lacking = dataclasses.replace(baseline, misfits={})
    assert judged(lacking, CRITERIA).state is State.LOST
    with pytest.raises(ValueError, match="scored without latency_us:u55"):
        told_values(lacking, OBJECTIVES)


def test_the_first_time_that_is_known_is_the_reference_of_the_hypervolume(baseline: Trial) -> None:
    history = History([judged(baseline, CRITERIA)], OBJECTIVES)
    history.add(int8(1, 200.0))
    assert history.growth is not None
    expected = (0.0, by_octaves(0.25), by_octaves(1 / POLICY.hypervolume.reference_factor))
    assert history.growth.costs(int8(2, 200.0).value) == pytest.approx(expected)
    assert history.growth.value == pytest.approx((1 - expected[1]) * (1 - expected[2]))
    history.add(int8(3, 100.0))
    assert history.gains[2] > 0
    copied = Growth(OBJECTIVES, baseline)
    copied.add(int8(4, 800.0))
    assert history.growth.costs(int8(2, 200.0).value) == pytest.approx(expected), "a growth keeps its own reference"


def test_a_search_goes_on_after_an_unfit_baseline_a_crash_and_a_misfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target like an NPU's compiler: no time of the baseline, one file that it crashes on, one with a CPU operator."""
    timed, calls = Fake.time, itertools.count()

    def time(self: Fake, file: Path, baseline: Path, threads: int = 1) -> Timing:
        flash = {"flash_bytes": Measurement(float(len(file.read_bytes())), "B", {"estimate": "a compiler"})}
        if file.read_bytes() == baseline.read_bytes():
            return Timing(None, None, None, flash, "it leaves 4 Conv2D to the CPU")
        number = next(calls)
        if number == 1:
            raise BuildFailed("the compiler crashed with SIGSEGV")
        if number == 2:
            return Timing(None, None, None, flash, "it leaves 1 Cumsum to the CPU")
        return Timing(timed(self, file, baseline, threads).latency_us, None, None, flash)

    monkeypatch.setattr(Fake, "time", time)
    monkeypatch.setattr(Fake, "by_content", True)
    monkeypatch.setattr(Fake, "budgets", ("latency_us", "flash_bytes"))
    record = fake_search(tmp_path / "run", trials=14, max_flash="fake=90kB").record
    assert record.baseline is not None and record.baseline.state is State.INFEASIBLE
    assert record.baseline.misfits == {"fake": "it leaves 4 Conv2D to the CPU"}
    assert record.baseline.value("latency_us:fake") is None and "target fake" in record.baseline.constraints
    failed = [trial for trial in record.trials if trial.state is State.FAILED]
    assert [trial.reason for trial in failed] == ["the compiler crashed with SIGSEGV"]
    (refused,) = (trial for trial in record.trials if trial.gate == "target fake")
    assert refused.state is State.INVALID and "1 Cumsum" in (refused.reason or "")
    assert record.front and all(trial.value("latency_us:fake") for trial in record.front)
    assert all(trial.value("latency_ratio:fake") is None for trial in record.trials)
    result = build_result(record)
    assert result.best is not None and not math.isnan(result.best.latency_us["fake"] or math.nan)
    again = fake_search(tmp_path / "run", trials=16, max_flash="fake=90kB").record
    assert len(again.trials) == 16 and again.baseline is not None and again.baseline.number == 0, "it resumes"
