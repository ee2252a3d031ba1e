"""The content of ``report.html`` as plain dataclasses."""

import dataclasses

from litetuner.reports.model.conditions import RunConditions, find_run_conditions
from litetuner.reports.model.rejections import Rejection, find_rejections
from litetuner.reports.model.result import Result, build_result
from litetuner.reports.model.sections.ablation import Ablation, find_ablation
from litetuner.reports.model.sections.charts import Chart, find_charts
from litetuner.reports.model.sections.choices import Choices, find_choices
from litetuner.reports.model.sections.layers import LayerSensitivity, LayerTable, find_layer_tables, find_sensitivity
from litetuner.reports.model.sections.progress import HypervolumeGrowth, TimeUse, find_hypervolume_growth, find_time_use
from litetuner.reports.model.sections.targets import Targets, find_targets
from litetuner.reports.model.sections.trial_details import TrialDetails, find_trial_details
from litetuner.search.runs.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Report:
    """The result, and the content that only the HTML page shows. Renderers read it and compute nothing.

    ``layers`` holds the layer tables of the baseline, the picks, the Pareto front and the nearest candidate, by trial
    number. Fields that do not apply to the run or were not measured are ``None`` or empty.
    """

    result: Result
    trials: tuple[TrialDetails, ...]
    charts: tuple[Chart, ...]
    targets: Targets | None
    ablation: Ablation | None
    layers: dict[int, LayerTable]
    sensitivity: tuple[LayerSensitivity, ...]
    choices: Choices
    hypervolume: HypervolumeGrowth | None
    rejections: tuple[Rejection, ...]
    time_use: TimeUse | None
    conditions: RunConditions


def build_report(record: RunRecord) -> Report:
    """The report of a run. The layers of files and the importance of choices are cached in the run folder."""
    result = build_result(record)
    front = frozenset(row.trial for row in result.front)
    by_number = {trial.number: trial for trial in record.trials}
    best = None if result.best is None else by_number[result.best.trial]
    shown = [result.baseline, *result.picks.values(), *result.front]
    if result.nothing_feasible is not None and result.nothing_feasible.nearest:
        shown.append(result.nothing_feasible.nearest[0].row)
    return Report(
        result=result,
        trials=find_trial_details(record, result.columns, front),
        charts=find_charts(record, front),
        targets=find_targets(result),
        ablation=find_ablation(record, best),
        layers=find_layer_tables(record, [by_number[row.trial] for row in shown if row is not None]),
        sensitivity=find_sensitivity(record),
        choices=find_choices(record),
        hypervolume=find_hypervolume_growth(record),
        rejections=find_rejections(record.trials, record.budgets),
        time_use=find_time_use(record),
        conditions=find_run_conditions(record, best or record.baseline),
    )
