"""The gates: a candidate is stopped as soon as it is known that it cannot fit, before what is dear is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litetuner.objectives.measurement import Measurement
from litetuner.search.config.budgets import Budget
from litetuner.search.criteria import PROFILE
from litetuner.search.evaluation.upper_bounds import PEERS, UNTRAINED, dominating, failed_peers, hoped
from litetuner.search.front import Objective
from litetuner.search.history import History
from litetuner.search.runtime.machine import usable_cores
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import Refused, TargetLost
from litetuner.spaces.step import Role
from litetuner.spaces.steps import step_for

if TYPE_CHECKING:
    from litetuner.search.evaluation.pipeline import Work

SUBSET = 512  # samples that an untrained copy is scored on
LEAST_EXCESS = 1e-3  # a candidate that is dominated by a tie is dominated
RUNG_SLACK = 0.1  # of the metric: so much a later training may bring back of what an earlier one lost
CHEAP_SCORING_SECONDS = 5.0  # a file that breaks a budget is still scored when that costs no more


class Gate(Exception):
    """A candidate is stopped before it is scored: by which gate, why, and how far from the budgets."""

    def __init__(self, name: str, reason: str, constraints: dict[str, float]) -> None:
        super().__init__(reason)
        self.name = name
        self.constraints = constraints


class Unsuited(Refused):
    """A file that its machine cannot run: ``gate`` says which profile or target, the message what it lacks."""

    def __init__(self, gate: str, reason: str) -> None:
        super().__init__(reason)
        self.gate = gate


def suits_gate(work: Work, artifact: dict[str, Any]) -> None:
    """Refuse a file for operators without a kernel, or for what its profile does not take. The original is no product."""
    evaluator = work.evaluator
    for name, target in evaluator.availability.targets.items():
        missing = sorted(target.unsupported_operators() & set(artifact["operators"]))
        if missing:
            raise Unsuited(f"target {name}", f"the target {name} has no kernel for {', '.join(missing)}")
    profile = evaluator.terms.profile
    if profile is None or work.is_baseline:
        return
    misfits = profile.misfits(artifact["operators"], ports_of(artifact))
    if misfits:
        raise Unsuited(f"{PROFILE} {profile.name}", "; ".join(misfits))


def ports_of(artifact: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The types of a file's inputs and outputs."""
    return {kind: tuple(port["dtype"] for port in artifact[kind]) for kind in ("inputs", "outputs")}


def probe_gate(work: Work) -> None:
    """Size, memory and latency hardly depend on trained values: measure a one-shot copy, and stop what cannot be worth training.

    That is what cannot fit a budget, what is dominated even if training loses nothing, what its machine could not run, and
    what is likely to lose too much, since easier ones did. A target that is away says nothing here.
    """
    evaluator = work.evaluator
    artifact = evaluator.build(work.candidate, [], True, work)
    suits_gate(work, artifact)
    untrained = _untrained(work, artifact)
    work.known["measurements"] |= {UNTRAINED + name: found for name, found in untrained.items()}
    values = hoped(untrained, evaluator.told)
    budgets = [budget for budget in evaluator.terms.budgets if budget.measurement in values]
    broken = {budget.name: budget.violation(values[budget.measurement]) for budget in budgets}
    worst = [budget for budget in budgets if broken[budget.name] > 0]
    if worst:
        _keep_hopes(work, untrained, values)
        told = ", ".join(f"{b.name} {b.text}: {b.show(values[b.measurement])} at best" for b in worst)
        raise Gate("probe", f"an untrained copy already breaks a budget ({told})", broken)
    better = dominating(values, evaluator.told)
    if better is not None:
        _keep_hopes(work, untrained, values)
        excess = [values[o.measurement] / (better.value(o.measurement) or 1.0) - 1 for o in _costs(evaluator.told)]
        reason = (
            f"even if training loses nothing, trial {better.number} ({better.candidate.label}) is smaller and faster"
        )
        raise Gate("dominated", reason, {"dominated": max(LEAST_EXCESS, min(excess))})
    _peers_gate(work, artifact, untrained)


def _untrained(work: Work, artifact: dict[str, Any]) -> dict[str, Measurement]:
    """What an untrained copy measures, but for the metric."""
    copy = {"of": "an untrained one-shot copy"}
    found = {name: Measurement(artifact[name], "B", copy) for name in ("file_bytes", "compressed_bytes")}
    found |= {name: Measurement.from_json(fact) for name, fact in artifact["facts"].items()}
    for target in work.evaluator.terms.targets:
        latency = f"latency_us:{target}"
        try:
            found[latency] = work.evaluator.time(artifact, target, work)[latency]
        except TargetLost:
            continue  # it is told once the candidate needs that target; presence has noted it
    return found


def _peers_gate(work: Work, artifact: dict[str, Any], untrained: dict[str, Measurement]) -> None:
    """Score the untrained copy on a subset; stop where all that stood better lost too much for all their training."""
    evaluator = work.evaluator
    budgets = _of_the_metric(work)
    if not budgets:
        return
    scored = evaluator.score(artifact["artifact"], "search", work, work.candidate, limit=SUBSET)
    untrained["metric"] = Measurement.from_json(scored["metric"])
    work.known["measurements"][UNTRAINED + "metric"] = untrained["metric"]
    peers = failed_peers(work.candidate, untrained, budgets, evaluator.told)
    if not peers:
        return
    best = min(peers, key=lambda trial: trial.value("drop") or 0.0)
    work.known["measurements"] |= {
        f"probe.{budget.measurement}": best.measurements[budget.measurement] for budget in budgets
    }
    broken = {budget.name: budget.violation(best.measurements[budget.measurement].value) for budget in budgets}
    numbers = ", ".join(str(trial.number) for trial in peers[:PEERS])
    raise Gate("untrained", f"trials {numbers} stood better untrained, and lost too much", broken)


def _keep_hopes(work: Work, untrained: dict[str, Measurement], values: dict[str, float]) -> None:
    judged = {"probe": "an untrained one-shot copy, with the probe's margin taken off"}
    work.known["measurements"] |= {
        f"probe.{name}": Measurement(value, untrained[name].unit, judged) for name, value in values.items()
    }


def _costs(told: History) -> list[Objective]:
    return [objective for objective in told.objectives if objective.measurement != "metric"]


def _of_the_metric(work: Work) -> list[Budget]:
    return [budget for budget in work.evaluator.terms.budgets if budget.measurement in ("drop", "metric")]


def rung_gate(work: Work, prefix: Candidate, checkpoints: list[str]) -> None:
    """Between two trainings: stop when the first one has lost more than the later ones are known to bring back."""
    evaluator, budgets = work.evaluator, _of_the_metric(work)
    if not budgets:
        return
    float_file = Candidate((*prefix.steps, step_for(Role.FLOAT)()))
    artifact = evaluator.build(float_file, checkpoints, False, work)
    found = evaluator.measure_quality(artifact["artifact"], float_file, work)
    better = RUNG_SLACK if evaluator.metric.bounded else RUNG_SLACK * abs(found["metric"].value)
    sign = 1.0 if evaluator.metric.direction == "maximize" else -1.0
    hopeful = {"drop": found["drop"].value - RUNG_SLACK, "metric": found["metric"].value + sign * better}
    broken = {budget.name: budget.violation(hopeful[budget.measurement]) for budget in budgets}
    if any(value > 0 for value in broken.values()):
        conditions = {"rung": f"the float file after {prefix.label}, {RUNG_SLACK:.0%} better"}
        work.known["measurements"] |= {
            f"probe.{name}": Measurement(value, found[name].unit, conditions) for name, value in hopeful.items()
        }
        lost = f"{prefix.label} alone loses {found['drop'].value:.1%}"
        raise Gate("rung", f"{lost}, more than the steps after it bring back", broken)


def latency_gate(work: Work) -> None:
    """A file that breaks a latency budget is not scored when that would take long."""
    evaluator, measured = work.evaluator, work.known["measurements"]
    budgets = [budget for budget in evaluator.terms.budgets if budget.measurement.startswith("latency_us")]
    broken = {b.name: b.violation(measured[b.measurement].value) for b in budgets if b.measurement in measured}
    latencies = [measured[name].value for name in measured if name.startswith("latency_us")]
    seconds = min(latencies, default=0.0) * 1e-6 * evaluator.inspection.data.counts["search"] / usable_cores()
    if (
        any(value > 0 for value in broken.values())
        and seconds > CHEAP_SCORING_SECONDS
        and evaluator.baseline is not None
    ):
        reason = f"it breaks the latency budget, and scoring it would take about {seconds:.0f} s"
        raise Gate("latency", reason, broken)
