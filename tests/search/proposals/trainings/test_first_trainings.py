"""First trainings: what was solved for without training is trained with the same choices, in ways that Optuna draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals.proposal import Proposal, RecordedChoices, Spaces
from litetuner.search.proposals.trainings import promotions
from litetuner.search.proposals.trainings.first_trainings import fixed_choices, solved_step
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_study import ChoiceRecorder
from litetuner.search.trial import State, Trial
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.choices import FOLDED_RATE
from litetuner.spaces.reconstruction.allocation.statistics import INT4, SPARSITIES, VALUES, LayerStatistics, Statistics
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Stage
from litetuner.spaces.steps.reconstruct import Reconstruct
from tests.search.fakes import fake_search
from tests.search.made_up import SPACE, SPACES, told, trial

GRID = tuple((1.0,) * len(SPARSITIES) for _ in (*VALUES, INT4))
BY_LAYER = Reconstruct.script({"file/conv0": (256, 0.5), "file/conv1": (16, 0.0), "file/conv2": (7, 0.8)})
SOLVED = {"deploy": "reconstruct", "reconstruct.form": "even", "reconstruct.bits": 8, "reconstruct.sparsity": 0.7}


def promote(history: History) -> Proposal | None:
    return promotions.propose(history, SPACES, 0)


def knobs(candidate: Candidate, name: str) -> dict[str, Any]:
    return next((step.knobs() for step in candidate.steps if step.name == name), {})


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, {"prune": {"sparsity": 0.7, "recover": "second_order", "skip": ()}}),
        (
            {"reconstruct.sparsity": 0.4, "reconstruct.keep": 2},
            {"prune": {"sparsity": 0.4, "skip": ("conv0", "conv1")}},
        ),
        (
            {"reconstruct.form": "counted", "reconstruct.clusters": 16},
            {"prune": {"sparsity": 0.7}, "cluster": {"count": 16, "recover": "second_order"}},
        ),
        ({"reconstruct.bits": 4}, {"qat": {"int4_layers": ("conv0", "conv1", "conv2", "conv3")}}),
    ],
)
def test_choices_that_were_solved_for_stay(choices: dict[str, Any], expected: dict[str, dict[str, Any]]) -> None:
    before = trial(1, 0.04, 300.0, interval=(0.03, 0.05), **SOLVED | choices)
    found = promote(told(before))
    assert found is not None and found.candidate is not None and found.origin == "promotion"
    assert isinstance(found.script, ScriptedChoices) and SPACE.suggest(found.script) == found.candidate
    for name, wanted in expected.items():
        assert knobs(found.candidate, name).items() >= wanted.items(), name
    trained = {step.name for step in found.candidate.of_stage(Stage.TRAIN)} - {"qat"}
    assert trained == set(expected) - {"qat"} | ({"prune"} if found.candidate.of_stage(Stage.TRAIN) else set())
    epochs = {step.knobs()["epochs"] for step in found.candidate.of_stage(Stage.TRAIN)}
    assert epochs == {SPACE.epochs[0]}, "short first"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"drop": 0.6, "interval": (0.55, 0.65)}, "its accuracy would drop too much even so"),
        ({"drop": 0.02, "size": 1100.0}, "it is larger than the baseline"),
        ({"drop": 0.04, "size": 300.0, "reconstruct.bits": 2}, "a grid of two bits is not trained"),
    ],
)
def test_what_cannot_reach_the_front_is_not_trained(case: dict[str, Any], reason: str) -> None:
    assert promote(told(trial(1, **SOLVED | case))) is None, reason


def test_a_budget_that_training_cannot_keep_and_a_space_without_training_stop_it() -> None:
    broken = dataclasses.replace(trial(1, 0.04, 300.0, **SOLVED), state=State.INFEASIBLE)
    assert promote(told(dataclasses.replace(broken, constraints={"max-size": 0.1}))) is None
    assert promote(told(dataclasses.replace(broken, constraints={"max-drop": 0.1}))) is not None
    plain = dataclasses.replace(SPACE, train=False)
    assert (
        promotions.propose(told(trial(1, 0.04, 300.0, **SOLVED)), dataclasses.replace(SPACES, affordable=plain), 0)
        is None
    )
    without = dataclasses.replace(
        SPACE, around=dataclasses.replace(SPACE.around, steps=frozenset({"reconstruct", "int8"}))
    )
    assert fixed_choices(trial(1, 0.04, 300.0, **SOLVED), without) is None


def with_statistics(keras_layers: Sequence[str]) -> Space:
    found = [
        LayerStatistics(f"file/conv{at}", "CONV_2D", (16, 3, 3, 8), True, GRID, GRID, 0.1, name)
        for at, name in enumerate(keras_layers)
    ]
    return dataclasses.replace(SPACE, statistics=Statistics(tuple(found)))


def of_space(space: Space, number: int, **choices: Any) -> Trial:
    """A trial whose candidate has another space than the usual one."""
    recorded = RecordedChoices(ScriptedChoices(choices))
    candidate = space.suggest(recorded)
    params = {name: {"chosen": value} for name, value in recorded.chosen.items()}
    return dataclasses.replace(trial(number, 0.04, 300.0, interval=(0.03, 0.05)), candidate=candidate, params=params)


def test_layers_that_were_treated_differently_are_trained_so() -> None:
    """Three layers of four are in the file's statistics; the fourth stays as it is."""
    space = with_statistics(["conv0", "conv1", "conv2"])
    solved = of_space(space, 1, **BY_LAYER)
    found = promotions.propose(told(solved), Spaces(space, space), 0)
    assert found is not None and found.candidate is not None
    prune, cluster = knobs(found.candidate, "prune"), knobs(found.candidate, "cluster")
    assert dict(prune["targets"]) == {"conv0": 0.5, "conv2": 0.8} and prune["skip"] == ("conv1", "conv3")
    assert prune["sparsity"] == 0.65 and prune["recover"] == cluster["recover"] == "second_order"
    assert (cluster["count"], cluster["counts"], cluster["skip"]) == (16, (("conv2", 4),), ("conv0", "conv3"))
    assert cluster["preserve_sparsity"] and "by layer" in found.candidate.label
    assert found.candidate.deployment[0].knobs()["scales"] == "tensor" or knobs(found.candidate, "qat")
    ways = set()
    history = told(solved)
    for number in range(2, 2 + POLICY.promotions.first_trainings):
        found = promotions.propose(history, Spaces(space, space), 0)
        assert found is not None and found.candidate is not None
        ways.add(found.candidate.key)
        params = recorder_params(found, space)
        promoted = trial(number, 0.2, 300.0, "promotion")
        history.add(dataclasses.replace(promoted, candidate=found.candidate, params=params))
    assert len(ways) == POLICY.promotions.first_trainings


def test_layers_that_the_keras_model_has_not_for_certain_are_not_trained() -> None:
    space = with_statistics(["conv0", "", "conv2"])
    assert fixed_choices(of_space(space, 1, **BY_LAYER), space) is None
    assert fixed_choices(of_space(space, 1, **SOLVED), space) is not None, "all layers alike"


def test_layers_alike_stay_alike_where_layers_could_differ() -> None:
    space = with_statistics(["conv0", "conv1", "conv2", "conv3"])
    history = told(of_space(space, 1, **SOLVED))
    for number in range(2, 2 + POLICY.promotions.first_trainings):
        found = promotions.propose(history, Spaces(space, space), 0)
        assert found is not None and found.candidate is not None
        assert not knobs(found.candidate, "prune")["targets"]
        params = recorder_params(found, space)
        promoted = trial(number, 0.2, 300.0, "promotion")
        history.add(dataclasses.replace(promoted, candidate=found.candidate, params=params))


def recorder_params(found: Proposal, space: Space) -> dict[str, Any]:
    assert found.script is not None
    recorder = ChoiceRecorder(found.script)
    assert space.suggest(recorder) == found.candidate
    return recorder.params


def answered(number: int, found: Proposal, drop: float) -> Trial:
    """A promotion as the loop records it."""
    recorder = ChoiceRecorder(found.script)
    assert SPACE.suggest(recorder) == found.candidate
    made = trial(number, drop, 300.0, "promotion", **{name: entry["chosen"] for name, entry in recorder.params.items()})
    return dataclasses.replace(made, params=recorder.params)


def test_one_file_is_trained_in_different_ways_and_not_for_ever() -> None:
    history = told(trial(1, 0.04, 300.0, interval=(0.03, 0.05), **SOLVED))
    seen = []
    for number in range(2, 20):
        found = promote(history)
        if found is None or found.candidate is None or knobs(found.candidate, "prune")["epochs"] > SPACE.epochs[0]:
            break
        seen.append(found.candidate.key)
        history.add(answered(number, found, 0.2))  # too bad to be trained for longer
    assert len(seen) == len(set(seen)) == POLICY.promotions.first_trainings


@pytest.mark.parametrize(
    ("broken", "times"),
    [({"max-compressed-size": 0.1}, 1), ({"max-drop": 0.1}, POLICY.promotions.first_trainings)],
    ids=["no training makes it smaller", "another one may lose less"],
)
def test_a_training_that_a_gate_stopped_counts(broken: dict[str, float], times: int) -> None:
    history = told(trial(1, 0.04, 300.0, interval=(0.03, 0.05), **SOLVED))
    for number in range(2, 2 + times):
        found = promote(history)
        assert found is not None and found.candidate is not None
        stopped = {"state": State.PRUNED, "gate": "probe", "measurements": {}, "constraints": broken}
        history.add(dataclasses.replace(answered(number, found, 0.2), **stopped))
    assert promote(history) is None


def test_every_qat_variant_and_schedule_is_drawn() -> None:
    """Four files of equal worth: plain, pruned, clustered, both. Their first trainings are QAT, PQAT, CQAT and PCQAT, or none."""
    counted = {"reconstruct.form": "counted", "reconstruct.clusters": 16}
    forms = ({"reconstruct.sparsity": 0.0}, {}, counted | {"reconstruct.sparsity": 0.0}, counted)
    solved = [trial(at, 0.04, 300.0 + at, interval=(0.03, 0.05), **SOLVED | form) for at, form in enumerate(forms, 1)]
    history, begun = told(*solved), []
    for number in range(5, 5 + 4 * POLICY.promotions.first_trainings):
        found = promote(history)
        assert found is not None and found.candidate is not None
        history.add(answered(number, found, 0.2))
        begun.append(found.candidate)
    assert len({candidate.key for candidate in begun}) >= 10
    made = [(bool(knobs(each, "prune")), bool(knobs(each, "cluster")), bool(knobs(each, "qat"))) for each in begun]
    assert set(made) >= {(pruned, clustered, True) for pruned in (False, True) for clustered in (False, True)}
    assert not all(quantized for *_, quantized in made), "some are quantized after training"
    for each in begun:
        qat = knobs(each, "qat")
        if qat:
            assert qat["preserve_sparsity"] == bool(knobs(each, "prune"))
            assert qat["preserve_clusters"] == bool(knobs(each, "cluster"))
    assert {knobs(each, "prune").get("schedule") for each in begun} >= {"constant", "polynomial"}
    assert {bool(knobs(each, "qat").get("skip")) for each in begun} == {False, True}, "selective or not"
    folded = {FOLDED_RATE * rate for rate in POLICY.promotions.first_rates}
    rates = {step.knobs()["learning_rate"] for each in begun for step in each.of_stage(Stage.TRAIN)}
    assert len(rates) >= 3 and rates <= set(POLICY.promotions.first_rates) | folded


def test_a_simulated_search_trains_in_ten_different_ways(tmp_path: Path) -> None:
    """Schedules and QAT variants: at least 10 different first trainings, and longer ones of what does well."""
    fake_search(tmp_path / "run", trials=160, max_drop="2%")
    trials = {item.number: item for item in RunFolder(tmp_path / "run").trials()}
    promoted = [item for item in trials.values() if item.origin == "promotion" and item.duplicate_of is None]
    begun = [
        item for item in promoted if any(step.knobs().get("recover") == "second_order" for step in item.candidate.steps)
    ]
    assert len({item.candidate.key for item in begun}) >= 10
    schedules = {knobs(item.candidate, "prune").get("schedule") for item in begun}
    assert schedules >= {"constant", "polynomial"}
    qat = [knobs(item.candidate, "qat") for item in begun]
    variants = {
        (each["preserve_sparsity"], each["preserve_clusters"], bool(each["skip"]), each["scales"])
        for each in qat
        if each
    }
    assert len(variants) >= 3, "quantization-aware for all layers or for some, with scales by channel or by tensor"
    assert len({step.knobs()["epochs"] for item in begun for step in item.candidate.of_stage(Stage.TRAIN)}) >= 2

    def treatment(item: Trial) -> frozenset[tuple[str, Any]]:
        return frozenset(
            (name, each["chosen"]) for name, each in item.params.items() if name.startswith("reconstruct.")
        )

    def made(item: Trial) -> tuple[float, int]:
        return knobs(item.candidate, "prune").get("sparsity", 0), knobs(item.candidate, "cluster").get("count", 0)

    near = [item for item in trials.values() if item.origin == "neighbor"]  # what they change may be trained for longer
    solved = near + [item for item in trials.values() if solved_step(item) is not None]
    kinds = [knobs(item.candidate, "reconstruct") for item in solved]
    alike = {(each["sparsity"], each["clusters"]) for each in kinds if each} | {made(item) for item in near}
    differing = 0
    for item in begun:
        assert any(treatment(item) <= treatment(source) for source in solved), f"what trial {item.number} begins with"
        if item.params["reconstruct.form"]["chosen"] in ("even", "counted"):
            assert made(item) in alike, f"trial {item.number} has a counterpart that was solved for"
        else:
            differing += 1
    assert differing, "layers that were treated differently are trained so"
