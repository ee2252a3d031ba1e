"""Which cuts of channels the recipes try, by the accuracy drop of the last ones; on made-up trials."""

from __future__ import annotations

import dataclasses

import pytest

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.proposals import recipes
from litetuner.search.proposals.channel_cuts import ChannelCuts
from litetuner.search.proposals.estimates.arithmetic import float_is_better
from litetuner.search.proposals.proposal import Proposal, Spaces
from litetuner.search.proposals.recipes import RECIPES
from litetuner.search.trial import State, Trial
from litetuner.spaces.space import ScriptedChoices, Space
from litetuner.spaces.step import Stage
from litetuner.spaces.steps import STEPS
from tests.search.made_up import OBJECTIVES, SPACE, judged, max_drop, min_metric, told, trial

CUTS = POLICY.channels
FIRST = {"channels.ratio": CUTS.first[0], "channels.spread": CUTS.first[1]}
BUDGET = max_drop(0.02)
LATER = POLICY.recipes.trials_before_later_baselines
CHOICES = {"train": "yes", "epochs": 1.0, "learning_rate": 3e-3, "distill": 1.0, "channels": "yes"} | RECIPES[0]
CUT = [number for number, choices in enumerate(RECIPES) if "channels" in choices]


QAT = {"qat": "all", "qat.scales": "tensor"}


def recipe(known: History, space: Space = SPACE) -> Proposal | None:
    return recipes.propose(known, Spaces(space, space), 0)


def cut(number: int, share: tuple[float, str], used: float, **more: str) -> Trial:
    """A trial of a cut, and of no ``more``, that used a share of the allowed drop, which is 2 points."""
    choices = CHOICES | {"channels.ratio": share[0], "channels.spread": share[1]} | more
    return judged(trial(number, 0.02 * used, 500.0 - number, "recipe", **choices), BUDGET)  # type: ignore[arg-type]


def history(*trials: Trial) -> History:
    return told(*trials, budgets=(BUDGET,))


def shares(known: History, space: Space = SPACE) -> list[tuple[str, float]]:
    """What the recipes still propose to cut, in their order: the names of the trained steps, the ratio."""
    found = []
    for number in range(100, 160):
        proposal = recipe(known, space)
        if proposal is None:
            break
        if proposal.candidate.of_stage(Stage.RESHAPE):
            steps = "+".join(step.name for step in proposal.candidate.prefix.steps)
            ratio = float(proposal.candidate.steps[0].knobs()["ratio"])
            found.append((steps, ratio))
        known.add(dataclasses.replace(trial(number, 0.5, 990.0, "variant"), candidate=proposal.candidate))
    return found


@pytest.mark.parametrize(
    ("used", "following"),
    [
        ({CUTS.first: 0.2}, CUTS.more[0]),
        ({CUTS.first: 0.2, CUTS.more: 0.2}, CUTS.most[0]),
        ({CUTS.first: 0.2, CUTS.more: 3.0}, CUTS.between[0]),
        ({CUTS.first: 2.0}, CUTS.less[2][0]),  # the model has no residual blocks, so there are no inner widths
        ({CUTS.first: 8.0, CUTS.less[2]: 2.0}, CUTS.less[3][0]),
    ],
)
def test_the_next_cut_follows_from_the_drop_of_the_last_ones(
    used: dict[tuple[float, str], float], following: float
) -> None:
    trials = [cut(number, share, lost) for number, (share, lost) in enumerate(used.items(), 1)]
    assert shares(history(*trials))[0] == ("channels+finetune", following)


@pytest.mark.parametrize(
    ("before", "near"),
    [({}, CUTS.first), ({CUTS.first: 0.2}, CUTS.more), ({CUTS.first: 0.2, CUTS.more: 0.2}, CUTS.most)],
)
def test_a_cut_that_was_a_little_too_much_is_first_trained_for_its_quantization(
    before: dict[tuple[float, str], float], near: tuple[float, str]
) -> None:
    trials = [cut(number, share, lost) for number, (share, lost) in enumerate({**before, near: 1.2}.items(), 1)]
    assert shares(history(*trials))[0] == ("channels+finetune+qat", near[0])
    recovered = shares(history(*trials, cut(9, near, 0.6, **QAT)))
    assert {ratio for _, ratio in recovered} == {near[0]}, "it was tolerated so, and the pipelines take it"
    failed = shares(history(*trials, cut(9, near, 1.1, **QAT)))
    assert all(ratio < near[0] for _, ratio in failed), "less is tried, or the deepest that was tolerated"


def test_without_quantization_aware_training_less_is_tried_last() -> None:
    plain = dataclasses.replace(SPACE, around=dataclasses.replace(SPACE.around, steps=frozenset(STEPS) - {"qat"}))
    known = history(cut(1, CUTS.first, 0.2), cut(2, CUTS.more, 1.2))
    found = [ratio for steps, ratio in shares(known, plain) if steps == "channels+finetune"]
    assert found == [CUTS.between[0]]


def test_where_half_of_the_channels_was_far_too_much_less_is_tried_last() -> None:
    known = history(cut(1, CUTS.first, 8.0))
    names = []
    while (proposal := recipe(known)) is not None:
        names.append(bool(proposal.candidate.of_stage(Stage.RESHAPE)))
        known.add(dataclasses.replace(trial(100 + len(names), 0.5, 990.0, "variant"), candidate=proposal.candidate))
    recipes_alone = names[: names.index(True)]
    assert len(recipes_alone) > POLICY.scheduler.first_trials and names[len(recipes_alone)]


@pytest.mark.parametrize(
    ("used", "deepest"),
    [
        ({CUTS.first: 0.8}, CUTS.first[0]),
        ({CUTS.first: 0.2, CUTS.more: 0.8}, CUTS.more[0]),
        ({CUTS.first: 0.2, CUTS.more: 3.0, CUTS.between: 0.8}, CUTS.between[0]),
    ],
)
def test_pipelines_take_the_deepest_cut_that_was_tolerated(
    used: dict[tuple[float, str], float], deepest: float
) -> None:
    trials = [cut(number, share, lost) for number, (share, lost) in enumerate(used.items(), 1)]
    found = shares(history(*trials))
    assert found[0] == ("channels+finetune+qat", deepest), "what int8 costs a narrow model is recovered first"
    assert {ratio for _, ratio in found} == {deepest}
    assert len(found) == len(CUT) - 1, "every recipe that cuts, but for the cut alone"


def test_the_later_baselines_come_after_the_first_recipes() -> None:
    few = [trial(number, 0.5, 990.0, "recipe") for number in range(1, LATER)]
    first = recipe(told(*few))
    assert first is not None and first.origin == "recipe"
    later = recipe(told(*few, trial(LATER, 0.5, 990.0, "recipe")))
    assert later is not None and later.origin == "baseline"
    assert later.candidate == SPACE.suggest(ScriptedChoices({"deploy": "dynamic"}))


def test_when_no_recipe_is_left_another_answer_brings_them_back() -> None:
    known = told()
    while (proposal := recipe(known)) is not None:
        answered = trial(len(known.trials), 0.5, 990.0, "variant")
        known.add(dataclasses.replace(answered, candidate=proposal.candidate))
    assert recipe(known) is None
    known.add(cut(len(known.trials), CUTS.first, 0.2))
    assert recipe(known) is not None, "half of the channels is tolerated: more of them, and pipelines"


@pytest.mark.parametrize(
    ("budget", "drop", "tolerated"),
    [
        (max_drop(0.2), 0.15, True),
        (max_drop(0.2), 0.21, False),
        (max_drop(0.0), 0.0, True),
        (max_drop(0.0), 0.005, False),
        (min_metric(0.7), 0.15, True),  # the baseline has 0.9
        (min_metric(0.7), 0.21, False),
        (min_metric(0.95), -0.06, True),
        (min_metric(0.95), 0.0, False),
    ],
)
def test_a_cut_is_tolerated_when_its_budget_holds(budget: Budget, drop: float, tolerated: bool) -> None:
    made = judged(trial(1, drop, 400.0, "recipe", **CHOICES | FIRST), budget)  # type: ignore[arg-type]
    known = told(made, budgets=(budget,))
    assert (ChannelCuts.of([made], known.allowed_drop).alone[CUTS.first] <= 1) == tolerated


def test_a_feasible_cut_is_used_by_the_pipelines_whatever_the_budget() -> None:
    budget = max_drop(0.2)
    made = judged(trial(1, 0.15, 400.0, "recipe", **CHOICES | FIRST), budget)  # type: ignore[arg-type]
    assert made.state is State.COMPLETE
    found = shares(told(made, budgets=(budget,)))
    assert {ratio for _, ratio in found} == {CUTS.first[0]} and len(found) == len(CUT) - 1


UNTRAINED = {"narrow": "yes", "deploy": "reconstruct", "reconstruct.form": "even"}
LADDER = POLICY.channels.untrained


@pytest.mark.parametrize(
    ("used", "found"),
    [
        ({}, (0.25, "sensitivity")),
        ({1: 0.3}, (0.5, "sensitivity")),
        ({1: 1.2}, (0.125, "sensitivity")),
        ({2: 0.3}, (0.5, "even")),
        ({2: 0.3, 4: 0.9}, (0.75, "even")),
        ({2: 0.3, 4: 0.9, 5: 0.9}, None),
        ({2: 0.3, 4: 1.2}, (0.5, "sensitivity")),
        ({2: 0.3, 4: 1.2, 3: 0.9}, None),
        ({2: 5.0}, (0.125, "sensitivity")),
        ({2: 5.0, 0: 2.0}, None),
        ({2: 5.0, 0: 0.2}, (0.25, "sensitivity")),
    ],
)
def test_without_training_the_largest_cut_is_searched_that_is_tolerated(
    used: dict[int, float], found: tuple[float, str] | None
) -> None:
    """Halfway between what was tolerated and what was not; ``used`` are shares of the allowed drop by the number of a cut."""
    cuts = ChannelCuts({}, {}, {LADDER[at]: share for at, share in used.items()})
    wanted = [] if found is None else [{"narrow.ratio": found[0], "narrow.spread": found[1]}]
    assert cuts.next(UNTRAINED, SPACE, last=False) == wanted


FLOAT_CUT = UNTRAINED | {
    "narrow.ratio": 0.375,
    "narrow.spread": "sensitivity",
    "reconstruct.arithmetic": "float32",
}


def rewriting(proposal: Proposal) -> list[str]:
    return [step.name for step in proposal.candidate.of_stage(Stage.REWRITE)]


def slow(number: int, microseconds: float, drop: float = 0.0, **choices: object) -> Trial:
    made = trial(number, drop, 500.0, "recipe", **choices or {"deploy": "int8"})
    return dataclasses.replace(
        made, measurements=made.measurements | {"latency_us:host": Measurement(microseconds, "us", {"made": "up"})}
    )


def test_where_integers_are_no_faster_channels_come_first() -> None:
    """The float model takes 100 us. Where int8 does too, fewer channels with float arithmetic are tried before all else."""
    first = recipe(history(slow(1, 99.0)))
    assert first is not None and rewriting(first) == ["narrow", "reconstruct", "slim"]
    assert first.candidate.steps[-2].knobs()["arithmetic"] == "float32"
    usual = recipe(history(slow(1, 60.0)))
    assert usual is not None and not any(step.name == "narrow" for step in usual.candidate.steps)
    assert recipe(history()) == recipe(history(slow(1, 60.0))), "before int8 was timed nothing is known"


def test_the_largest_cut_is_searched_first_then_the_usual_recipes_follow_in_float() -> None:
    lossy = recipe(history(slow(1, 110.0), judged(slow(2, 60.0, 0.1, **FLOAT_CUT), BUDGET)))
    assert lossy is not None and lossy.candidate.of_stage(Stage.REWRITE)[0].knobs()["ratio"] == 0.125
    faster = recipe(history(slow(1, 110.0), slow(2, 70.0, **FLOAT_CUT)))
    assert faster is not None and faster.candidate.of_stage(Stage.REWRITE)[0].knobs()["ratio"] == 0.5
    known, found = history(slow(1, 110.0)), []
    for number in range(2, 9):
        proposal = recipe(known)
        assert proposal is not None
        found.append(proposal)
        lost = judged(slow(number, 60.0, 0.1, **FLOAT_CUT), BUDGET)
        script = proposal.script.script  # type: ignore[union-attr]
        params = {name: {"chosen": script[name]} for name in ("narrow.ratio", "narrow.spread") if name in script}
        known.add(dataclasses.replace(lost, candidate=proposal.candidate, params=params))
    treated = [item.candidate.steps[-2].knobs() for item in found if "reconstruct" in rewriting(item)]
    assert len(treated) > 3 and {knobs["arithmetic"] for knobs in treated} == {"float32"}
    assert sum("narrow" in rewriting(item) for item in found) == 2


def test_a_file_with_float_arithmetic_that_cannot_run_says_nothing_of_its_cut() -> None:
    refused = dataclasses.replace(slow(2, 50.0, **FLOAT_CUT), state=State.INVALID, measurements={})
    known, found = history(slow(1, 110.0), refused), []
    for number in range(3, 12):
        proposal = recipe(known)
        assert proposal is not None
        found.append(proposal)
        answer = dataclasses.replace(slow(number, 110.0), origin="variant", candidate=proposal.candidate, params={})
        known.add(answer)
    narrow = [item for item in found if any(step.name == "narrow" for step in item.candidate.steps)]
    assert narrow and narrow[0].candidate.of_stage(Stage.REWRITE)[0].knobs()["ratio"] == 0.25
    assert narrow[0].candidate.steps[-2].knobs()["arithmetic"] == "int8"


@pytest.mark.parametrize(
    ("costs", "better"),
    [
        ({"latency_us:host": 110.0}, True),
        ({"latency_us:host": 60.0, "macs": 1.0}, False),
        ({"latency_us:host": 110.0, "latency_us:board": 60.0}, False),
        ({"latency_us:host": 110.0, "latency_us:board": 99.0}, True),
        ({"macs": 1.0}, False),
    ],
)
def test_only_latencies_say_whether_float_is_better(costs: dict[str, float], better: bool) -> None:
    """As many MACs as the float model has every int8 file. The float model takes 100 us on both targets."""
    baseline, int8 = trial(0, 0.0, 1000.0, "baseline"), trial(1, 0.0, 500.0, deploy="int8")
    usual = {"latency_us:host": 100.0, "latency_us:board": 100.0, "macs": 1.0}

    def measured(made: Trial, values: dict[str, float]) -> Trial:
        found = {name: Measurement(value, "1", {"made": "up"}) for name, value in values.items()}
        return dataclasses.replace(made, measurements=made.measurements | found)

    goals = (*OBJECTIVES[:2], *(Objective(name, "minimize") for name in costs))
    trials = (measured(baseline, {name: usual[name] for name in costs}), measured(int8, costs))
    assert float_is_better(History(trials, goals, (BUDGET,))) == better


def test_what_was_not_timed_does_not_call_integers_slow() -> None:
    untimed = dataclasses.replace(slow(1, 99.0), measurements={"drop": slow(1, 99.0).measurements["drop"]})
    assert recipe(history(untimed)) == recipe(history())
