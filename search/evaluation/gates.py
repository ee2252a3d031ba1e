"""Gates stop a candidate before expensive work, as soon as it cannot meet the budgets or reach the Pareto front.

Each gate takes measurements, the history and the criteria, and raises ``Gate`` or ``Unsuited``; none runs a job.
"""

from collections.abc import Mapping, Sequence

from litetuner.objectives.measurement import Measurement
from litetuner.objectives.targets.target import Target
from litetuner.search.config.budgets import Budget
from litetuner.search.criteria import PROFILE, Criteria
from litetuner.search.evaluation.upper_bounds import dominating, failed_peers, upper_bounds
from litetuner.search.history import History
from litetuner.search.policy import POLICY
from litetuner.search.runtime.machine import usable_cores
from litetuner.spaces.candidate import Candidate
from litetuner.spaces.errors import Refused
from litetuner.spaces.jobs.metric_info import MetricInfo

PROBE = "probe."  # prefix of a measurement's name: the value that a gate judged


class Gate(Exception):
    """Raised to stop a candidate before it is scored, with the gate's name, reason, constraints and judged values."""

    def __init__(
        self,
        name: str,
        reason: str,
        constraints: dict[str, float],
        measurements: Mapping[str, Measurement] | None = None,
    ) -> None:
        super().__init__(reason)
        self.name = name
        self.constraints = constraints
        self.measurements = {PROBE + key: value for key, value in (measurements or {}).items()}


class Unsuited(Refused):
    """Raised for a file that a target or the profile cannot run: ``gate`` names which one, and the message says why."""

    carries = ("gate",)

    def __init__(self, reason: str, gate: str = "") -> None:
        super().__init__(reason)
        self.gate = gate


def suits_gate(
    operators: Mapping[str, int],
    types: Mapping[str, tuple[str, ...]],
    targets: Mapping[str, Target],
    criteria: Criteria,
    *,
    is_baseline: bool,
) -> None:
    """Raise ``Unsuited`` if a target has no kernel for an operator, or if the file does not fit the profile.

    The baseline need not fit the profile.
    """
    for name, target in targets.items():
        missing = sorted(target.unsupported_operators() & set(operators))
        if missing:
            raise Unsuited(f"the target {name} has no kernel for {', '.join(missing)}", f"target {name}")
    profile = criteria.profile
    if profile is None or is_baseline:
        return
    misfits = profile.misfits(dict(operators), dict(types))
    if misfits:
        raise Unsuited("; ".join(misfits), f"{PROFILE} {profile.name}")


def cost_gate(untrained: Mapping[str, Measurement], history: History, criteria: Criteria) -> None:
    """Stop a candidate that cannot meet a budget, or that is dominated even without an accuracy drop."""
    values = upper_bounds(untrained, history)
    judged = {"probe": "an untrained one-shot copy, with the probe's margin taken off"}
    found = {name: Measurement(value, untrained[name].unit, judged) for name, value in values.items()}
    budgets = [budget for budget in criteria.budgets if budget.measurement in values]
    broken = {budget.name: budget.violation(values[budget.measurement]) for budget in budgets}
    worst = [budget for budget in budgets if broken[budget.name] > 0]
    if worst:
        told = ", ".join(f"{b.name} {b.text}: {b.show(values[b.measurement])} at best" for b in worst)
        raise Gate("probe", f"an untrained copy already breaks a budget ({told})", broken, found)
    better = dominating(values, history)
    if better is not None:
        costs = [item.measurement for item in history.objectives if item.measurement != "metric"]
        excess = min(values[name] / (better.value(name) or 1.0) - 1 for name in costs)
        trial = f"trial {better.number} ({better.candidate.label})"
        reason = f"even if training loses nothing, {trial} is smaller and faster"
        raise Gate("dominated", reason, {"dominated": max(POLICY.gates.least_excess, excess)}, found)


def peers_gate(
    candidate: Candidate, untrained: Mapping[str, Measurement], history: History, criteria: Criteria
) -> None:
    """Stop a candidate if all similar ones with higher accuracy before training still had too large a drop after it."""
    budgets = of_the_metric(criteria)
    peers = failed_peers(candidate, untrained, budgets, history)
    if not peers:
        return
    best = min(peers, key=lambda trial: trial.value("drop") or 0.0)
    found = {budget.measurement: best.measurements[budget.measurement] for budget in budgets}
    broken = {budget.name: budget.violation(found[budget.measurement].value) for budget in budgets}
    numbers = ", ".join(str(trial.number) for trial in peers[: POLICY.upper_bounds.failed_peers])
    raise Gate("untrained", f"trials {numbers} had higher accuracy before training and too large a drop", broken, found)


def rung_gate(prefix: Candidate, found: Mapping[str, Measurement], metric: MetricInfo, criteria: Criteria) -> None:
    """Between two trainings: stop if the drop is larger than later trainings usually recover (``rung_slack``)."""
    budgets = of_the_metric(criteria)
    slack = POLICY.gates.rung_slack
    better = slack if metric.bounded else slack * abs(found["metric"].value)
    sign = 1.0 if metric.direction == "maximize" else -1.0
    hopeful = {"drop": found["drop"].value - slack, "metric": found["metric"].value + sign * better}
    broken = {budget.name: budget.violation(hopeful[budget.measurement]) for budget in budgets}
    if any(value > 0 for value in broken.values()):
        conditions = {"rung": f"the float file after {prefix.label}, {slack:.0%} better"}
        values = {name: Measurement(value, found[name].unit, conditions) for name, value in hopeful.items()}
        lost = f"{prefix.label} alone loses {found['drop'].value:.1%}"
        raise Gate("rung", f"{lost}, more than the steps after it bring back", broken, values)


def latency_gate(measured: Mapping[str, Measurement], samples: int, criteria: Criteria) -> None:
    """Stop a file that breaks a latency budget if scoring it on this many ``samples`` would take long."""
    budgets = [budget for budget in criteria.budgets if budget.measurement.startswith("latency_us")]
    broken = {b.name: b.violation(measured[b.measurement].value) for b in budgets if b.measurement in measured}
    latencies = [measured[name].value for name in measured if name.startswith("latency_us")]
    seconds = min(latencies, default=0.0) * 1e-6 * samples / usable_cores()
    if any(value > 0 for value in broken.values()) and seconds > POLICY.gates.cheap_scoring_seconds:
        reason = f"it breaks the latency budget, and scoring it would take about {seconds:.0f} s"
        raise Gate("latency", reason, broken)


def of_the_metric(criteria: Criteria) -> Sequence[Budget]:
    return [budget for budget in criteria.budgets if budget.measurement in ("drop", "metric")]
