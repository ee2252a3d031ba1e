"""The choices of the trials: the importance of each choice, and the axes for parallel coordinates."""

import dataclasses
import json
from typing import Any

from litetuner.reports.model.columns import make_column
from litetuner.reports.text.formatting import clean
from litetuner.search.runs.importance import Importances, kept_importances
from litetuner.search.runs.record import RunRecord

MOST_RANKED = 16
MOST_AXES = 9


@dataclasses.dataclass(frozen=True)
class ChoiceAxis:
    """One choice: its options in order, and for each trial the index of its option (``None``: no such choice)."""

    title: str
    options: tuple[str, ...]
    values: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Choices:
    """The importance of choices. ``ranked`` are the most important ones with a share for each of ``goals``.

    ``hidden`` counts the other choices. The importance is for being among the best ``top`` of ``scored`` trials.
    ``problem`` says why there is no importance, if a record is damaged. ``varied`` is true if any choice has more than
    one option.
    """

    goals: tuple[str, ...]
    ranked: tuple[tuple[str, tuple[float, ...]], ...]
    hidden: int
    top: int
    scored: int
    problem: str
    varied: bool
    axes: tuple[ChoiceAxis, ...]


def find_choices(record: RunRecord) -> Choices:
    """The choices of a run. Importances that were computed before are read from the run's cache."""
    importances = kept_importances(record.folder, record.trials, record.objectives)
    found = importances.found
    names = list(found[0].shares) if found else []
    ranked = sorted(names, key=lambda name: -max(item.shares.get(name, 0.0) for item in found))[:MOST_RANKED]
    ranked.sort(key=names.index)
    return Choices(
        goals=tuple(
            "reaching the front"
            if item.goal == "front"
            else make_column(record, record.config.targets, item.goal).title
            for item in found
        ),
        ranked=tuple((name, tuple(item.shares.get(name, 0.0) for item in found)) for name in ranked),
        hidden=len(names) - len(ranked),
        top=found[0].top if found else 0,
        scored=found[0].trials if found else 0,
        problem=clean(importances.problem, 300),
        varied=len({str(e.get("chosen")) for t in record.trials for e in t.params.values()}) > 1,
        axes=_axes(record, importances),
    )


def _axes(record: RunRecord, importances: Importances) -> tuple[ChoiceAxis, ...]:
    """Axes for the most important choices, then for those with the most options."""
    options: dict[str, dict[str, Any]] = {}
    for trial in record.trials:
        for name, entry in trial.params.items():
            options.setdefault(name, {}).setdefault(str(entry.get("chosen")), entry.get("chosen"))
    varied = {name: found for name, found in options.items() if len(found) > 1}
    rank = list(importances.found[0].shares) if importances.found else []
    names = sorted(varied, key=lambda n: (rank.index(n) if n in rank else len(rank), -len(varied[n]), n))
    return tuple(_axis(record, name, varied[name]) for name in names[:MOST_AXES])


def _axis(record: RunRecord, name: str, found: dict[str, Any]) -> ChoiceAxis:
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.values())
    order = _order(record, name)
    options = sorted(found, key=lambda text: (found[text] if numeric else order.get(text, len(order)), text))
    position = {text: at for at, text in enumerate(options)}
    values = tuple(
        position.get(str(trial.params[name].get("chosen"))) if name in trial.params else None for trial in record.trials
    )
    return ChoiceAxis(clean(name, 40), tuple(clean(text, 24) for text in options), values)


def _order(record: RunRecord, name: str) -> dict[str, int]:
    """The position of each option of a categorical choice, in the order of the search space (``no`` first)."""
    entry = next(trial.params[name] for trial in record.trials if name in trial.params)
    try:
        options = json.loads(entry.get("distribution") or "{}")["attributes"]["choices"]
    except (ValueError, KeyError, TypeError):  # a numeric choice, or a damaged record
        return {}
    if not isinstance(options, list):
        return {}
    return {str(option): at for at, option in enumerate(options)}
