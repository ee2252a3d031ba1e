"""Several targets in a study, with the fake builder: columns, budgets, fronts, the robust pick; a target that goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from litetuner.objectives.targets import TARGETS
from litetuner.reports.files.summary import summary
from litetuner.reports.files.trials_csv import write_csv
from litetuner.reports.model.result import build_result
from litetuner.search.front import front
from litetuner.search.runs.record import read_run
from litetuner.search.runtime import target_availability as availability
from litetuner.search.trial import State
from litetuner.spaces.errors import ConfigError, HostError, ModelError, RunError
from tests.search.fakes import fake_search
from tests.search.flaky import Dead, Flaky, Poor, Strict, Weather

TRIALS = 26


@pytest.fixture(autouse=True)
def targets(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Flaky, Dead, Poor, Strict):
        monkeypatch.setitem(TARGETS, kind.name, kind)
    monkeypatch.setattr(availability, "PAUSES", (0.01,) * 5)
    Weather.forecast()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other without pauses."""
    monkeypatch.setattr(
        availability.TargetAvailability, "__init__", _without_pauses(availability.TargetAvailability.__init__)
    )


def _without_pauses(make: Any) -> Any:
    return lambda self, targets=None, **keys: make(self, targets or {}, **{"pauses": (0.01,), **keys})


def both(out: Path, **keys: Any) -> Any:
    return fake_search(out, **{"target": "near=fake,far=flaky", "trials": TRIALS, **keys})


def test_every_target_is_a_column_a_front_and_part_of_the_robust_pick(tmp_path: Path) -> None:
    record = both(tmp_path / "run").record
    for trial in record.trials:
        if trial.state.scored:
            assert trial.value("latency_us:far") == pytest.approx(2 * (trial.value("latency_us:near") or 0))
            assert trial.value("latency_ratio:far") == pytest.approx(trial.value("latency_ratio:near"))
    assert list(record.fronts) == ["near", "far"]
    assert record.fronts["near"] == record.front == front(record.trials, record.objectives)
    chosen = record.picks["robust"]
    members = [trial for trial in record.trials if trial.state is State.COMPLETE]
    ratios = {t.number: min(t.value("latency_ratio:near") or 0, t.value("latency_ratio:far") or 0) for t in members}
    assert ratios[chosen.number] == max(ratios.values())
    found = summary(record)
    assert set(found["best"]["latency_us"]) == {"near", "far"} and set(found["fronts"]) == {"near", "far"}
    assert found["picks"]["robust"]["trial"] == chosen.number
    assert {"latency_us_near", "latency_us_far", "arena_bytes", "memory_bytes"} <= set(
        write_csv(build_result(record)).splitlines()[0].split(",")
    )
    json.dumps(found, allow_nan=False)


def test_one_target_has_no_robust_pick(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "run", trials=8).record
    assert record.picks and "robust" not in record.picks


def test_a_budget_and_an_objective_of_another_target(tmp_path: Path) -> None:
    slow = both(tmp_path / "free", trials=8).record.baseline.value("latency_us:far")
    limit = f"far={slow * 0.3:.1f}us"
    record = both(tmp_path / "run", max_latency=limit, objective="latency_us:far", trials=40).record
    assert [item.measurement for item in record.objectives][-1] == "latency_us:far"
    assert record.baseline.state is State.INFEASIBLE and record.baseline.constraints["max-latency far"] > 0
    assert any("max-latency far" in (trial.reason or "") for trial in record.trials if trial.gate == "probe")
    assert all((trial.value("latency_us:far") or 0) <= slow * 0.3 for trial in record.front)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"target": "fake,fake"}, "two are called 'fake'"),
        ({"target": "a=fake", "max_latency": "b=1ms"}, "no target 'b'"),
        ({"objective": "latency_us:pi"}, "there is no measurement 'latency_us:pi'"),
        ({"target": "a b=fake"}, "cannot be a name"),
    ],
)
def test_names_are_checked(tmp_path: Path, keys: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fake_search(tmp_path / "run", **keys)


def test_a_target_that_does_not_work_ends_the_search_before_anything(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match=r"the target pi does not work. connection: no route to host. Is it switched on"
    ):
        fake_search(tmp_path / "run", target="fake,pi=dead")
    assert not (tmp_path / "run").exists()


def test_a_name_means_one_place(tmp_path: Path) -> None:
    both(tmp_path / "run", trials=6)
    with pytest.raises(RunError, match="far is kind flaky, and now kind fake"):
        both(tmp_path / "run", target="near=fake,far=fake")


def test_a_search_that_ended_before_its_first_trial_binds_no_name(tmp_path: Path) -> None:
    """As where the executor refuses a target, which is then corrected."""
    with (
        pytest.raises(HostError, match="no cluster"),
        mock.patch("litetuner.search.run.open_session", side_effect=HostError("no cluster")),
    ):
        both(tmp_path / "run", trials=4)
    record = both(tmp_path / "run", target="near=fake,far=fake", trials=4).record
    assert len(record.trials) == 4


def test_a_target_that_comes_later_is_measured_on_what_is_known(tmp_path: Path) -> None:
    before = fake_search(tmp_path / "run", target="near=fake", trials=10).record
    record = both(tmp_path / "run", target="far=flaky,near=fake", trials=14).record
    assert record.config.latency_measurement == "latency_us:far"
    scored = {trial.candidate.key for trial in before.trials if trial.state.scored}
    now = {trial.candidate.key: trial for trial in record.trials if trial.state.scored}
    assert scored <= set(now) and record.baseline is not None
    assert all(now[key].value("latency_us:far") for key in scored)


def told(path: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """What became of each baseline and recipe, whatever its number; what comes after them depends on what was told before."""
    return {
        trial.candidate.key: (
            str(trial.state),
            {
                name: item.value
                for name, item in trial.measurements.items()
                if not name.startswith(("untrained.", "estimate.", "test_"))
            },
        )
        for trial in read_run(path).trials
        if trial.state is not State.LOST and trial.origin in ("baseline", "recipe")
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("first", "needs"), [(1, {}), (6, {"max_latency": "far=1s"}), (5, {"target": "far=flaky,near=fake"})]
)
def test_what_a_lost_target_stops_waits_and_nothing_is_lost(tmp_path: Path, first: int, needs: dict[str, str]) -> None:
    both(tmp_path / "calm", **needs)
    Weather.forecast(range(first, first + 2), blind_looks=1)
    # What waits is asked again later, and others come before it: in the end none is missing.
    outcome = both(tmp_path / "storm", **needs, trials=TRIALS + 8)
    lost = [trial for trial in outcome.record.trials if trial.state is State.LOST]
    assert lost and all(trial.waits_for == "far" and "until far answers" in (trial.reason or "") for trial in lost)
    assert outcome.reason == f"all {TRIALS + 8} trials are done"
    calm, storm = told(tmp_path / "calm"), told(tmp_path / "storm")
    for key in set(calm) & set(storm):
        (state, found), (then, expected) = storm[key], calm[key]
        # Only the front is scored on test, and a run of more trials may have another front.
        finals = {name for name in set(found) ^ set(expected) if name.startswith("test_")}
        assert state == then
        assert {name: found[name] for name in set(found) - finals} == {n: expected[n] for n in set(expected) - finals}
    answered = {trial.candidate.key for trial in outcome.record.trials if trial.state is not State.LOST}
    assert {trial.candidate.key for trial in lost} <= answered and outcome.record.baseline is not None


@pytest.mark.usefixtures("quick")
def test_other_candidates_go_on_while_a_target_is_away(tmp_path: Path) -> None:
    """What needs it waits with its training done; once it answers, only the timing is left."""
    Weather.forecast(range(5, 6), blind_looks=6)
    record = both(tmp_path / "run", max_latency="far=1s", trials=TRIALS + 8).record
    waited = [trial for trial in record.trials if trial.waits_for]
    assert 1 < len(waited) <= 8
    assert all(trial.value("metric") is not None for trial in waited), "it was scored meanwhile"
    answers = {t.candidate.key: t for t in record.trials if t.state is not State.LOST and t.duplicate_of is None}
    assert all(trial.candidate.key in answers for trial in waited)
    assert any(t.candidate.prefix.steps for t in waited) or len(waited) < 5


@pytest.mark.usefixtures("quick")
def test_a_column_that_nothing_needs_is_left_empty(tmp_path: Path) -> None:
    Weather.forecast(range(4, 6), blind_looks=2)
    record = both(tmp_path / "run").record
    assert not any(trial.state is State.LOST for trial in record.trials)
    empty = [
        t for t in record.trials if t.state.scored and t.duplicate_of is None and t.value("latency_us:far") is None
    ]
    noted = [trial for trial in record.trials if any("not timed on far" in note for note in trial.notes)]
    assert noted and {trial.number for trial in empty} <= {trial.number for trial in noted}
    assert all(trial.value("latency_us:far") for trial in record.front), "the finals fill the front"


@pytest.mark.usefixtures("quick")
def test_a_target_that_stays_away_ends_the_search_with_all_that_is_known(tmp_path: Path) -> None:
    keys = {"max_latency": "far=1s"}
    Weather.forecast(range(6, 10**6), blind_looks=10**6)
    outcome = both(tmp_path / "run", **keys, trials=60)
    assert outcome.reason.startswith("the target far is gone, and 8 trials wait for it (no answer)")
    assert outcome.record.baseline is not None and outcome.record.picks
    Weather.forecast()
    resumed = both(tmp_path / "run", **keys, trials=60)
    assert resumed.reason == "all 60 trials are done"
    answered = {trial.candidate.key for trial in resumed.record.trials if trial.state is not State.LOST}
    assert all(trial.candidate.key in answered for trial in outcome.record.trials)
    assert all("latency_us:far" in trial.measurements for trial in resumed.record.front)


@pytest.mark.usefixtures("quick")
def test_a_target_that_is_lost_in_the_finals_is_measured_by_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "run"
    both(tmp_path / "count")
    Weather.forecast(range(Weather.timings, 10**6), blind_looks=10**6)  # the last timing of the finals
    both(path)
    assert json.loads((path / "finals.json").read_text())["waiting"]
    Weather.forecast()
    both(path)
    assert not json.loads((path / "finals.json").read_text())["waiting"]


def test_only_the_files_that_a_target_cannot_run_are_refused_and_before_they_are_trained(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "run", target="fake,strict", trials=60).record
    refused = [trial for trial in record.trials if trial.state is State.INVALID]
    assert any(trial.candidate.prefix.steps for trial in refused)
    for trial in refused:
        assert trial.reason == "the target strict has no kernel for QUANTIZE"
        assert "train" not in trial.seconds
    fine = [trial for trial in record.trials if trial.state.scored]
    assert any(step.knobs().get("io") == "int8" for trial in fine for step in trial.candidate.steps) and all(
        "QUANTIZE" not in t.operators for t in fine
    )


def test_operators_without_a_kernel_are_refused_early_and_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the target poor has no kernel for CONV_2D"):
        fake_search(tmp_path / "run", target="fake,poor")
