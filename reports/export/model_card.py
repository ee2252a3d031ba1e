"""The model card: what a colleague has to know of an exported file, in Markdown."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from litetuner.reports.model.conditions import find_conditions, flatten
from litetuner.reports.model.view import View
from litetuner.reports.text import formatting as words
from litetuner.reports.text.formatting import budget_text, clean
from litetuner.search.trial import Trial
from litetuner.spaces.errors import BuildFailed
from litetuner.spaces.info import TensorInfo
from litetuner.spaces.tflite.artifact import read_artifact
from litetuner.spaces.tflite.operators import Operator, read_operators

MOST_OPERATORS = 120  # lines of the table of precisions
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>#|~!&"})


def write_card(view: View, trial: Trial, file_name: str, content: bytes) -> str:
    """The card of a trial whose file holds ``content``. A file that cannot be read as ``.tflite`` is said to be so."""
    ports: list[tuple[str, TensorInfo]] = []
    unreadable = ""
    precisions: list[Operator] = []
    try:
        precisions = [operator for operator in read_operators(content) if operator.weight_index is not None]
        artifact = read_artifact(content)
        ports = [("input", port) for port in artifact.inputs] + [("output", port) for port in artifact.outputs]
    except BuildFailed as error:
        unreadable = str(error)
    kept = [(budget, value) for budget in view.budgets if (value := view.finite(trial, budget.measurement)) is not None]
    return str(
        _environment()
        .get_template("card.md")
        .render(
            view=view,
            trial=trial,
            remarks=list(dict.fromkeys((*trial.candidate.details, *trial.notes))),
            row=view.row(trial),
            file_name=file_name,
            ports=ports,
            quantized=any(port.scale for _, port in ports),
            unreadable=unreadable,
            precisions=precisions[:MOST_OPERATORS],
            precisions_left=max(0, len(precisions) - MOST_OPERATORS),
            budgets=[
                (budget_text(b), words.plain(v, b.measurement), "broken" if b.violation(v) > 0 else "kept")
                for b, v in kept
            ],
            on_test=_on_test(view, trial),
            conditions=find_conditions(trial),
            environment=list(flatten(view.record.environment)),
            model=view.record.model,
            data=view.record.data,
            config=view.record.config,
            points_of=words.points,
            latency_of=words.latency,
        )
    )


def _on_test(view: View, trial: Trial) -> list[str]:
    """The budgets on the metric that the trial misses on the test split."""
    missed = []
    for budget in view.budgets:
        value = view.finite(trial, f"test_{budget.measurement}")
        if value is not None and budget.violation(value) > 0:
            missed.append(f"{budget_text(budget)} ({words.plain(value, f'test_{budget.measurement}')} there)")
    return missed


def markdown(value: Any, limit: int = 200) -> str:
    """A value as Markdown text in which nothing is markup."""
    return clean(value, limit).translate(SPECIAL)


def code(value: Any, limit: int = 200) -> str:
    """A value as inline code, also in a table."""
    return "`" + clean(value, limit).replace("`", "'").replace("|", "\\|") + "`"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # Markdown: `text` and `code` escape what came from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "text": markdown,
        "code": code,
        "number": words.number,
        "points": words.points,
        "size": words.size,
        "latency": words.latency,
        "times": words.times,
        "between": words.between,
    }
    return environment
