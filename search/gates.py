"""The gates: a candidate is stopped as soon as it is known that it cannot fit, before what is dear is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litetuner.objectives.measurement import Measurement
from litetuner.search.machine import usable_cores
from litetuner.search.terms import PROFILE
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import Refused, TargetLost
from litetuner.spaces.steps import STEPS

if TYPE_CHECKING:
    from litetuner.search.work import Work

# A probe is not the trained file: so much over the limit it must be before it is believed (measured: facts within 1 %).
PROBE_MARGIN = {"file_bytes": 0.02, "deflated_bytes": 0.06}
TIME_MARGIN = 0.03  # two measurements of one structure may differ by this much
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
    for name, target in evaluator.presence.targets.items():
        missing = sorted(target.unsupported_operators() & set(artifact["operators"]))
        if missing:
            raise Unsuited(f"target {name}", f"the target {name} has no kernel for {', '.join(missing)}")
    profile = evaluator.terms.profile
    if profile is None or work.untouched:
        return
    misfits = profile.misfits(artifact["operators"], ports_of(artifact))
    if misfits:
        raise Unsuited(f"{PROFILE} {profile.name}", "; ".join(misfits))


def ports_of(artifact: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The types of a file's inputs and outputs."""
    return {kind: tuple(port["dtype"] for port in artifact[kind]) for kind in ("inputs", "outputs")}


def probe_gate(work: Work) -> None:
    """Size, memory and latency hardly depend on trained values: measure a one-shot copy, and stop what cannot fit a budget.

    So is a file that its machine could not run. A target that is away says nothing here.
    """
    evaluator = work.evaluator
    picky = any(target.unsupported_operators() for target in evaluator.presence.targets.values())
    if not (evaluator.terms.budgets or evaluator.terms.profile or picky):
        return
    artifact = evaluator.build(work.candidate, [], True, work)
    suits_gate(work, artifact)
    if not evaluator.terms.budgets:
        return
    values = {name: float(artifact[name]) / (1 + margin) for name, margin in PROBE_MARGIN.items()}
    values |= {name: float(fact["value"]) for name, fact in artifact["facts"].items()}
    for target in evaluator.terms.targets:
        latency = f"latency_us:{target}"
        try:
            values[latency] = evaluator.time(artifact, target, work)[latency].value * (1 - TIME_MARGIN)
        except TargetLost:
            continue  # it is told once the candidate needs that target; presence has noted it
    budgets = [budget for budget in evaluator.terms.budgets if budget.measurement in values]
    broken = {budget.name: budget.violation(values[budget.measurement]) for budget in budgets}
    worst = [budget for budget in budgets if broken[budget.name] > 0]
    if worst:
        probed = {"probe": "an untrained one-shot copy, with the probe's margin taken off"}
        work.known["measurements"] |= {
            f"probe.{budget.measurement}": Measurement(
                values[budget.measurement], "us" if "latency" in budget.measurement else "B", probed
            )
            for budget in budgets
        }
        told = ", ".join(f"{b.name} {b.text}: {b.show(values[b.measurement])} at best" for b in worst)
        raise Gate("probe", f"an untrained copy already breaks a budget ({told})", broken)


def rung_gate(work: Work, prefix: Candidate, checkpoints: list[str]) -> None:
    """Between two trainings: stop when the first one has lost more than the later ones are known to bring back."""
    evaluator = work.evaluator
    budgets = [budget for budget in evaluator.terms.budgets if budget.measurement in ("drop", "metric")]
    if not budgets:
        return
    float_file = Candidate((*prefix.steps, STEPS["float32"]()))
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
