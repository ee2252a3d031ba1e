"""The whole loop with the fake builder and target: order, states, duplicates, limits, resume, changed budgets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from litetuner.search.clock import Clock
from litetuner.search.evaluation.limits import OVERRUN_SECONDS, job_limits
from litetuner.search.policy import POLICY
from litetuner.search.proposals.scheduler import STRATEGIES
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import read_run
from litetuner.search.runtime.executors.fake import Fake
from litetuner.search.trial import State, Trial, find_baseline
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import ConfigError, RunError, TimeUp
from litetuner.spaces.steps import STEPS
from tests.search.fakes import fake_config, fake_search

TRIALS = 60  # enough for the sampler's turn after baselines, recipes and variants


def told(path: Path) -> list[tuple[str, str, dict[str, float]]]:
    """Candidates, states and values of a run as they were told, in order, without what was lost."""
    return [
        (trial.candidate.key, str(trial.state), {name: item.value for name, item in trial.measurements.items()})
        for trial in RunFolder(path).trials()
        if trial.state is not State.LOST
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("loop") / "run"
    fake_search(path, trials=TRIALS, database=True)
    return path


def test_baselines_come_first_and_trial_0_is_baseline(run: Path) -> None:
    trials = read_run(run).trials
    assert [trial.candidate.label for trial in trials[:2]] == ["float32", "int8"]
    labels = [t.candidate.label for t in trials if t.origin == "baseline"]
    assert labels == ["float32", "int8", "dynamic int8", "float16"]
    first = POLICY.scheduler.first_trials
    origins = {trial.origin for trial in trials[2 : 2 + first]}
    assert origins <= {"allocation", "recipe"}, "which give more than the later baselines"
    baseline = read_run(run).trials[0].candidate
    assert [step.name for step in baseline.steps] == ["float32"], "the baseline is not even slimmed"


def test_recipes_variants_and_the_sampler_take_their_turns(run: Path) -> None:
    origins = [trial.origin for trial in read_run(run).trials]
    assert {"baseline", *STRATEGIES} == set(origins)
    assert origins.index("recipe") < origins.index("sampler")


def test_a_trained_prefix_is_trained_once(run: Path) -> None:
    """One training for each different start of a pipeline, however many candidates begin with it."""
    scored = [trial for trial in read_run(run).trials if trial.state.scored and trial.duplicate_of is None]
    begun = [
        Candidate(trial.candidate.prefix.steps[: length + 1]).key
        for trial in scored
        for length in range(len(trial.candidate.prefix.steps))
    ]
    trained = [
        path for path in (run / "cache").glob("*/result.json") if json.loads(path.read_text())["kind"] == "train"
    ]
    stopped = sum(1 for trial in read_run(run).trials if trial.gate == "rung")
    ablated = len(json.loads((run / "finals.json").read_text())["ablation"]["steps"])
    assert len(set(begun)) <= len(trained) <= len(set(begun)) + 3 * (stopped + ablated)
    assert len(trained) < len(begun), "variants share trainings"


def test_states_follow_the_budgets(run: Path) -> None:
    record = read_run(run)
    for trial in record.trials:
        broken = any(value > 0 for value in trial.constraints.values())
        assert trial.state is not State.COMPLETE or not broken
        assert trial.state is not State.INFEASIBLE or broken
        assert trial.state is not State.PRUNED or (trial.gate and trial.reason and broken)


def test_duplicates_are_answered_and_not_counted(run: Path) -> None:
    trials = read_run(run).trials
    keys = [trial.candidate.key for trial in trials if trial.duplicate_of is None]
    assert len(keys) == len(set(keys)) == TRIALS
    for trial in trials:
        if trial.duplicate_of is not None:
            known = trials[trial.duplicate_of]
            assert (known.candidate.key, known.measurements) == (trial.candidate.key, trial.measurements)
            assert trial.seconds == {}


def test_optuna_was_told_what_the_table_of_states_says(run: Path) -> None:
    optuna = pytest.importorskip("optuna")
    url = f"sqlite:///{run / 'study.db'}"
    (name,) = optuna.get_all_study_names(url)
    study = optuna.load_study(study_name=name, storage=url)
    states = {State.COMPLETE: "COMPLETE", State.INFEASIBLE: "COMPLETE", State.LOST: "FAIL"}
    for trial, theirs in zip(read_run(run).trials, study.trials, strict=True):
        assert theirs.state.name == states.get(trial.state, "PRUNED")
        constraints = [value for key, value in theirs.system_attrs.items() if key.startswith("constraints:")]
        assert (trial.state is State.COMPLETE) == all(value <= 0 for value in constraints)
        assert json.loads(theirs.user_attrs["proposal"])["candidate"] == trial.candidate.to_json()


def test_the_finals_measure_the_front_and_score_the_test_split(run: Path) -> None:
    record = read_run(run)
    assert record.front
    for trial in record.front:
        assert {"test_metric", "test_drop"} <= set(trial.measurements)


def test_a_run_in_two_parts_equals_an_undisturbed_one(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "parts"
    fake_search(path, trials=11, database=True)
    fake_search(path, trials=TRIALS, database=True)
    assert told(path) == told(run)


def test_another_seed_proposes_other_candidates(run: Path, tmp_path: Path) -> None:
    fake_search(tmp_path / "other", seed=1, trials=TRIALS)
    assert {key for key, _, _ in told(tmp_path / "other")} != {key for key, _, _ in told(run)}


def test_a_finished_run_changes_nothing_when_it_is_repeated(run: Path) -> None:
    before = told(run)
    fake_search(run, trials=TRIALS, database=True)
    assert told(run) == before


def test_new_budgets_judge_old_measurements_anew(tmp_path: Path) -> None:
    path = tmp_path / "budgets"
    tight = fake_search(path, trials=30, max_compressed_size="30kB").record
    assert any(trial.gate == "probe" for trial in tight.trials)
    known = len(tight.trials)
    loose = fake_search(path, trials=60, max_compressed_size="900kB", max_drop="50%").record
    assert all(trial.state is not State.INFEASIBLE for trial in loose.trials)
    asked_again = {trial.candidate.key for trial in loose.trials[:known] if trial.state is State.LOST}
    assert asked_again, "what the probe stopped is no answer under the new budgets"
    assert asked_again & {trial.candidate.key for trial in loose.trials[known:]}
    back = fake_search(path, trials=60, max_compressed_size="30kB").record
    assert [t.state for t in back.trials[:known] if t.state.scored] == [t.state for t in tight.trials if t.state.scored]


def test_under_new_budgets_what_is_trained_is_deployed_before_anything_else_is_trained(tmp_path: Path) -> None:
    path, steps = tmp_path / "deployed", ",".join(sorted(set(STEPS) - {"reconstruct"}))  # which trains nothing
    known = len(fake_search(path, trials=8, max_drop="1%", steps=steps).record.trials)
    first = fake_search(path, trials=16, max_drop="50%", steps=steps).record.trials[known]
    assert first.origin == "variant" and not first.seconds["train"]


@pytest.mark.parametrize(
    ("keys", "what"), [({"seed": 5}, "seed"), ({"model": "fake:other"}, "model"), ({"metric": "macro-f1"}, "metric")]
)
def test_a_folder_of_another_run_is_refused_with_the_difference(run: Path, keys: dict[str, object], what: str) -> None:
    with pytest.raises(RunError, match=what):
        fake_search(run, **keys)


def test_a_folder_in_use_is_refused(run: Path) -> None:
    with RunFolder(run).lock(), pytest.raises(RunError, match="another search is running"):
        fake_search(run)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(RunError, match=r"precious\.txt"):
        fake_search(tmp_path)
    assert [item.name for item in tmp_path.iterdir() if item.name != ".lock"] == ["precious.txt"]


def test_an_impossible_budget_ends_with_no_pick_and_the_nearest_scored(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "impossible", trials=8, max_size="1B").record
    assert record.picks == {}
    assert any(trial.state is State.INFEASIBLE for trial in record.trials)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_sampler_goes_through_the_loop(tmp_path: Path, sampler: str) -> None:
    record = fake_search(tmp_path / sampler, sampler=sampler, trials=52, max_compressed_size=None, max_drop=None).record
    assert sum(1 for trial in record.trials if trial.origin == "sampler") >= 1


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    for keys, meant in (({"sampler": "tpee"}, "tpe"), ({"steps": "prun"}, "prune"), ({"target": "hosst"}, "host")):
        with pytest.raises(ConfigError, match=meant):
            fake_search(tmp_path / "x", **keys)


def test_a_baseline_that_takes_all_the_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(executor: Fake, job: object) -> None:
        raise TimeUp("score was stopped after 60 s: the time budget was used up")

    with monkeypatch.context() as patch:
        patch.setattr(Fake, "_score", score)
        with pytest.raises(
            ConfigError, match=r"0.001s ended before the baseline was scored: score .* whether it returns"
        ):
            fake_search(tmp_path / "run", trials=None, time_budget="0.001s")
    (lost,) = RunFolder(tmp_path / "run").trials()
    assert lost.state is State.LOST
    assert find_baseline(fake_search(tmp_path / "run", trials=3).record.trials) is not None


def test_a_job_of_the_loop_is_bounded_by_the_time_budget_and_one_of_the_finals_is_not(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    clock = Clock(folder)
    config = fake_config(tmp_path / "run", time_budget="10m")
    assert 595 < (job_limits(config, "score", clock=clock).budget_seconds or 0) <= 600
    assert job_limits(config, "score").budget_seconds is None
    clock._started -= 3600
    assert job_limits(config, "score", clock=clock).budget_seconds == OVERRUN_SECONDS
    assert job_limits(config, "inspect").seconds == 600


def test_steps_limit_the_space(tmp_path: Path) -> None:
    record = fake_search(tmp_path / "steps", steps="int8,prune", trials=12, max_compressed_size=None).record
    used = {step.name for trial in record.trials for step in trial.candidate.steps}
    assert used <= {"float32", "int8", "prune", "slim"}


def test_a_record_comes_back_as_it_was(run: Path) -> None:
    for trial in read_run(run).trials:
        assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


def test_it_stops_when_a_file_is_within_all_budgets(tmp_path: Path) -> None:
    outcome = fake_search(tmp_path / "run", trials=40, until_met=True)
    (met,) = [trial for trial in outcome.record.trials[1:] if trial.state is State.COMPLETE]
    assert met is outcome.record.trials[-1]
    assert outcome.reason == f"trial {met.number} is within all budgets"


def test_it_stops_when_the_front_no_longer_grows(tmp_path: Path) -> None:
    outcome = fake_search(tmp_path / "run", trials=400, patience=12)
    assert outcome.reason == "the last 12 trials did not enlarge the front"
    newest = max(trial.number for trial in outcome.record.front)
    after = [trial for trial in outcome.record.trials if trial.number > newest and trial.duplicate_of is None]
    assert len(after) == 12
    more = fake_search(tmp_path / "run", trials=400, patience=20)
    assert len(more.record.trials) > len(outcome.record.trials)


def test_until_met_needs_a_budget(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no budget to meet"):
        fake_search(tmp_path / "run", until_met=True, max_drop=None, max_compressed_size=None)


def test_a_setting_that_the_model_refuses_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nolayer"):
        fake_search(tmp_path / "run", precision=("nolayer=int4",))
    assert not (tmp_path / "run").exists()
