"""The gates: a candidate is stopped as soon as it is known that it cannot fit, before what is dear is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litetuner.objectives.measurement import Measurement
from litetuner.search.machine import usable_cores
from litetuner.spaces.candidate import Candidate
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


def probe_gate(work: Work) -> None:
    """Size and latency hardly depend on trained values: measure a one-shot copy, and stop what cannot fit a budget."""
    evaluator = work.evaluator
    if not evaluator.config.budgets:
        return
    artifact = evaluator.build(work.candidate, [], True, work)
    values = {name: float(artifact[name]) / (1 + margin) for name, margin in PROBE_MARGIN.items()}
    for target in evaluator.config.target:
        latency = f"latency_us:{target}"
        values[latency] = evaluator.time(artifact, target, work)[latency].value * (1 - TIME_MARGIN)
    budgets = [budget for budget in evaluator.config.budgets if budget.measurement in values]
    broken = {budget.name: budget.violation(values[budget.measurement]) for budget in budgets}
    worst = [budget for budget in budgets if broken[budget.name] > 0]
    if worst:
        probed = {"probe": "an untrained one-shot copy, with the probe's margin taken off"}
        work.known["measurements"] |= {
            f"probe.{name}": Measurement(value, "us" if "latency" in name else "B", probed)
            for name, value in values.items()
        }
        told = ", ".join(f"{b.name} {b.text}: {b.show(values[b.measurement])} at best" for b in worst)
        raise Gate("probe", f"an untrained copy already breaks a budget ({told})", broken)


def rung_gate(work: Work, prefix: Candidate, checkpoints: list[str]) -> None:
    """Between two trainings: stop when the first one has lost more than the later ones are known to bring back."""
    evaluator = work.evaluator
    budgets = [budget for budget in evaluator.config.budgets if budget.measurement in ("drop", "metric")]
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
    budgets = [budget for budget in evaluator.config.budgets if budget.measurement.startswith("latency_us")]
    broken = {budget.name: budget.violation(measured[budget.measurement].value) for budget in budgets}
    latency = measured[evaluator.config.latency_measurement].value
    seconds = latency * 1e-6 * evaluator.inspection.data.counts["search"] / usable_cores()
    if (
        any(value > 0 for value in broken.values())
        and seconds > CHEAP_SCORING_SECONDS
        and evaluator.baseline is not None
    ):
        reason = f"it breaks the latency budget, and scoring it would take about {seconds:.0f} s"
        raise Gate("latency", reason, broken)
