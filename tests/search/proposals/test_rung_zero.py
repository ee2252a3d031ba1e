"""Treatments of layers that the sampler and the allocations propose in a simulated search, and their estimates."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from litetuner.reports.model.columns import find_columns
from litetuner.search.history import History
from litetuner.search.proposals import allocations, neighbors, sampler
from litetuner.search.proposals.draws.treatments import Sampled
from litetuner.search.proposals.estimates.estimates import Estimator, base_of, estimated, untrained_estimator
from litetuner.search.proposals.proposal import Spaces
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import State, Trial
from litetuner.spaces.building.fake_builder import LAYERS, layer_statistics
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Stage
from litetuner.spaces.steps.reconstruct import Reconstruct
from tests.search.fakes import fake_search
from tests.search.made_up import SPACES, told

LAYERS_OF_THE_FAKE = layer_statistics()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    path = tmp_path_factory.mktemp("treated") / "run"
    fake_search(path, trials=60, steps="float32,int8,reconstruct,ptq")
    return read_run(path)


def of(record: RunRecord, origin: str) -> list[Trial]:
    return [trial for trial in record.trials if trial.origin == origin]


def test_most_trials_of_the_sampler_are_new_and_within_the_budgets(record: RunRecord) -> None:
    """The budgets are 60 kB and 3 points. Without estimates 0 of 34 trials of a search of ResNet8 kept such budgets."""
    found = of(record, "sampler")
    assert len(found) >= 5
    assert not any(trial.duplicate_of is not None for trial in found)
    assert all(trial.params["reconstruct.form"]["chosen"] == "groups" for trial in found)
    assert all(len(trial.params.keys() - Reconstruct.script().keys()) <= 20 for trial in found), "parameters of a study"
    assert sum(trial.state is State.COMPLETE for trial in found) >= len(found) / 2


def test_estimates_are_near_what_is_measured(record: RunRecord) -> None:
    """Of each treated trial by the trials before it. The fake's sizes are exact sums, so that only rounding is left."""
    history = History([], record.objectives, record.budgets)
    compared = 0
    for trial in record.trials:
        measured = trial.value("compressed_bytes")
        if trial.origin in ("allocation", "sampler") and history.count > 3 and measured is not None:
            told_before = Estimator.of(history, LAYERS_OF_THE_FAKE).measurements(trial.candidate)
            assert told_before["compressed_bytes"] == pytest.approx(measured, abs=10)
            compared += 1
        history.add(trial)
    assert compared >= 5
    assert all(not name.startswith("estimate") for objective in record.objectives for name in [objective.measurement])


def test_what_is_kept_of_estimates_follows_the_trials(record: RunRecord) -> None:
    """An estimator is made once until the next trial is told, and the same as a new one then."""
    history, layers = History([], record.objectives, record.budgets), LAYERS_OF_THE_FAKE
    candidate = of(record, "sampler")[-1].candidate
    told_before = {}
    for trial in record.trials:
        history.add(trial)
        found = untrained_estimator(history, layers)
        assert found is untrained_estimator(history, layers)
        told_before[trial.number] = found.measurements(candidate)
        assert told_before[trial.number] == Estimator.of(history, layers).measurements(candidate)
    assert len({str(told) for told in told_before.values()}) >= 5


def test_estimates_stand_in_the_record_and_are_no_objective(record: RunRecord) -> None:
    told_of = {trial.number for trial in record.trials if trial.value("estimate.compressed_bytes") is not None}
    assert {trial.number for trial in of(record, "sampler") if trial.duplicate_of is None} <= told_of
    for trial in record.trials:
        estimate, measured = trial.value("estimate.compressed_bytes"), trial.value("compressed_bytes")
        if estimate is not None and measured is not None and trial.origin in ("allocation", "sampler"):
            assert estimate == pytest.approx(measured, abs=10)
            assert trial.measurements["estimate.compressed_bytes"].unit == trial.measurements["compressed_bytes"].unit
    columns = find_columns(record, ["fake"])
    assert not any(column.name.startswith("estimate") for column in columns)


@pytest.mark.parametrize("deploy", ["reconstruct", "ptq_static_wi8_ai8"])
def test_channels_go_before_a_file_is_quantized(deploy: str) -> None:
    chosen = {"deploy": deploy, "narrow": "yes", "narrow.ratio": 0.25, "narrow.spread": "inner"}
    names = [step.name for step in SPACES.whole.suggest(ScriptedChoices(chosen)).steps]
    assert names == ["float32", "narrow", deploy.partition("_")[0], "slim"]
    for other in ({"train": "yes"}, {"deploy": "int8"}, {"deploy": "float32"}, {"narrow": "no"}):
        assert "narrow" not in [step.name for step in SPACES.whole.suggest(ScriptedChoices(chosen | other)).steps]


def test_files_with_fewer_channels_are_treated_as_well(tmp_path: Path) -> None:
    """Once a recipe has cut channels of a front member, its layers are treated, and estimated by those of the model."""
    fake_search(tmp_path / "run", trials=60, steps="float32,int8,reconstruct,ptq,narrow", max_drop="20%")
    record = read_run(tmp_path / "run")
    found = [trial for trial in record.trials if "narrow" in str(trial.candidate.to_json())]
    assert {"recipe", "allocation", "sampler"} <= {trial.origin for trial in found}
    assert found[0].origin == "recipe"
    treated = [trial for trial in found if trial.origin in ("allocation", "sampler")]
    assert all(trial.candidate.of_stage(Stage.REWRITE)[1].knobs()["layers"] for trial in treated)
    for trial in treated:
        assert trial.value("estimate.compressed_bytes") == pytest.approx(trial.value("compressed_bytes"), rel=0.25)
    history = History(record.trials, record.objectives, record.budgets)
    proposals = [neighbors.propose(history, SPACES, seed) for seed in range(40)]
    near = {item.candidate.label for item in proposals if item is not None and item.candidate is not None}
    assert any("channels" in label for label in near)


def test_an_allocation_of_the_model_is_taken_over_where_its_drop_is_allowed(tmp_path: Path) -> None:
    """The first allocation of a base has treatments that the model had before; later ones have sizes of their own."""
    fake_search(tmp_path / "run", trials=60, steps="float32,int8,reconstruct,ptq,narrow", max_drop="20%")
    by_base: dict[str, list[Trial]] = {}
    for trial in of(read_run(tmp_path / "run"), "allocation"):
        by_base.setdefault(base_of(trial.candidate).key, []).append(trial)
    (model, *others) = by_base.values()
    assert not base_of(model[0].candidate).steps and others

    def layers(trial: Trial) -> object:
        return next(step.knobs()["layers"] for step in trial.candidate.steps if step.name == "reconstruct")

    for first, *later in others:
        assert layers(first) in [layers(trial) for trial in model if trial.number < first.number]
        assert all(layers(trial) != layers(first) for trial in later)
        estimate = first.measurements["estimate.drop"].value
        assert estimate <= 0.2


def test_trained_and_other_candidates_have_no_estimate(record: RunRecord) -> None:
    for trial in record.trials:
        treats = any(step.name == "reconstruct" for step in trial.candidate.steps)
        assert treats or estimated(trial.candidate, LAYERS_OF_THE_FAKE) is None


def test_allocations_end_at_the_smallest_size_that_is_allowed(record: RunRecord) -> None:
    first, *others = of(record, "allocation")
    assert first.number == 2, "after the baselines"
    limit = 60_000
    assert any(0.93 * limit <= (trial.value("compressed_bytes") or 0) <= limit for trial in (first, *others))
    kept = min(trial.value("compressed_bytes") or 0 for trial in (first, *others) if trial.state is State.COMPLETE)
    lost = [trial.value("compressed_bytes") or 0 for trial in others if (trial.value("drop") or 0) > 0.03]
    assert lost and max(size for size in lost if size < kept) > kept / 1.25


def test_allocations_leave_no_wide_gaps_between_their_sizes(record: RunRecord) -> None:
    """A middle that is as far from both sizes as sizes are told apart (8 %) is tried; estimates of sizes are 1 % off."""
    sizes = sorted(size for trial in of(record, "allocation") if (size := trial.value("compressed_bytes")) is not None)
    kept = sorted(trial.value("compressed_bytes") or 0 for trial in of(record, "allocation") if trial.state.scored)
    assert sizes == kept and len(kept) >= 6
    assert max(large / small for small, large in itertools.pairwise(kept)) < 1.08**2 * 1.01


def test_gaps_above_a_new_budget_are_not_filled(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fake_search(path, trials=14, max_compressed_size="200kB")
    fake_search(path, trials=18, max_compressed_size="40kB")
    record = read_run(path)
    sizes = sorted(trial.value("compressed_bytes") or 0 for trial in of(record, "allocation"))
    assert any(large / small > 1.08**2 and large > 45_000 for small, large in itertools.pairwise(sizes)), "gaps"
    space = dataclasses.replace(SPACES.whole, statistics=LAYERS_OF_THE_FAKE)
    history = History([*record.trials], record.objectives, record.budgets)
    assert not allocations.owed(history, Spaces(space, space))
    assert allocations.propose(history, Spaces(space, space), 0) is None


def test_a_new_budget_on_an_old_run_is_answered_first(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fake_search(path, trials=12)
    fake_search(path, trials=16, max_compressed_size="40kB")
    new = RunFolder(path).trials()[12:]
    treated = [trial for trial in new if trial.origin != "variant"]  # what is trained is deployed before
    assert treated[0].origin == "allocation"
    assert 0.9 * 40_000 <= (treated[0].value("compressed_bytes") or 0) <= 40_000


def test_without_statistics_there_is_no_allocation_and_the_sampler_has_the_whole_space() -> None:
    history = told()
    assert allocations.propose(history, SPACES, 0) is None
    assert not allocations.owed(history, SPACES)
    found = sampler.propose(history, SPACES, 0)
    assert found is not None and found.script is None


def test_optuna_learns_from_all_trials_that_treat_layers(record: RunRecord) -> None:
    """As trials of groups: with the price of a byte and the weights that lead nearest to their treatments."""
    space = Space(SPACES.whole.around, (), statistics=LAYERS_OF_THE_FAKE)
    history = History(record.trials, record.objectives, record.budgets)
    names = {name for trial in of(record, "sampler") for name in trial.params if ".weight." in name or ".price" in name}
    assert len(names) >= 2
    told_of = {trial.number: params for trial, params in history.view(Sampled).told(space, names)}
    assert {record.trials[number].origin for number in told_of} >= {"allocation", "sampler", "recipe"}
    own = [trial for trial in of(record, "sampler") if trial.number in told_of]
    assert own and all(told_of[trial.number][name] == trial.params[name] for trial in own for name in names)


def test_what_is_trained_is_treated_as_well(tmp_path: Path) -> None:
    """The trained part of a front member is a file like the model's, and its treatments are estimated by those of the model."""
    fake_search(tmp_path / "run", trials=90, max_drop="20%")
    record = read_run(tmp_path / "run")
    treated = [trial for trial in record.trials if trial.origin == "sampler" and trial.candidate.prefix.steps]
    assert treated
    told_of = [trial for trial in treated if trial.value("estimate.compressed_bytes") is not None]
    assert told_of
    for trial in told_of:
        assert trial.value("estimate.compressed_bytes") == pytest.approx(trial.value("compressed_bytes"), rel=0.25)


def test_the_same_history_and_seed_give_the_same_draw(record: RunRecord) -> None:
    space = Space(SPACES.whole.around, (), statistics=LAYERS_OF_THE_FAKE)
    history = History(record.trials, record.objectives, record.budgets)
    first, second, other = (sampler.propose(history, Spaces(space, space), seed) for seed in (1, 1, 2))
    assert first is not None and second is not None and other is not None
    assert first.candidate == second.candidate != other.candidate
    assert first.candidate is not None and len(first.candidate.steps[1].knobs()["layers"]) == LAYERS
