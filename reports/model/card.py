"""The content of the model card of an exported file: inputs and outputs, operators, budgets, measurement conditions."""

import dataclasses

from litetuner.reports.model.budget_checks import BudgetCheck, check_budgets
from litetuner.reports.model.conditions import Condition, find_conditions, flatten
from litetuner.reports.model.rejections import exceeded_budgets
from litetuner.reports.model.result import Result
from litetuner.reports.model.rows import Row, measured_words
from litetuner.reports.model.sections.invariants import value_words
from litetuner.reports.text.formatting import budget_text
from litetuner.reports.text.layers import with_layer_names
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.operators import Operator, read_operators


@dataclasses.dataclass(frozen=True)
class Card:
    """The content of a model card.

    ``ends`` are the inputs and outputs, each as (role, tensor). ``operators`` are the operators with weights.
    ``unreadable`` is the reason why the file cannot be read, else empty. ``budgets`` are those of the run with the
    trial's values. ``missed_on_test`` are the budgets that the trial exceeds on the test split. ``invariants`` are
    (layer, property, requested, verified).
    """

    result: Result
    trial: Trial
    row: Row
    ends: tuple[tuple[str, TensorInfo], ...]
    unreadable: str
    operators: tuple[Operator, ...]
    notes: tuple[str, ...]
    invariants: tuple[tuple[str, str, str, str], ...]
    budgets: tuple[BudgetCheck, ...]
    missed_on_test: tuple[str, ...]
    conditions: tuple[Condition, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def quantized(self) -> bool:
        return any(port.scale for _, port in self.ends)


def build_card(result: Result, trial: Trial, content: bytes) -> Card:
    """The card of a trial; ``content`` is its exported file."""
    ends: tuple[tuple[str, TensorInfo], ...] = ()
    operators: tuple[Operator, ...] = ()
    unreadable = ""
    try:
        operators = tuple(operator for operator in read_operators(content) if operator.weight_index is not None)
        artifact = read_artifact(content)
        ends = (*(("input", port) for port in artifact.inputs), *(("output", port) for port in artifact.outputs))
    except BuildFailed as error:
        unreadable = str(error)
    record = result.record
    layers = frozenset(layer.name for layer in record.model.layers)
    return Card(
        result=result,
        trial=trial,
        row=result.rows[trial.number],
        ends=ends,
        unreadable=unreadable,
        operators=operators,
        notes=tuple(dict.fromkeys(with_layer_names(line, layers) for line in (*trial.candidate.details, *trial.notes))),
        invariants=tuple(
            (
                str(i.get("layer")),
                str(i.get("property")),
                value_words(i.get("requested")),
                value_words(i.get("verified")),
            )
            for i in trial.invariants
        ),
        budgets=check_budgets(trial, record.budgets),
        missed_on_test=tuple(
            f"{budget_text(budget)} ({measured_words(trial, f'test_{budget.measurement}')} there)"
            for budget, _ in exceeded_budgets(trial, record.budgets, "test_")
        ),
        conditions=find_conditions(trial),
        environment=tuple(flatten(record.environment)),
    )
