"""The details of each trial: its state, steps, notes, numbers as text, stages and seconds."""

import dataclasses
import functools
import json
from collections.abc import Container, Sequence

from litetuner.reports.model.columns import Column
from litetuner.reports.model.conditions import flatten
from litetuner.reports.model.rejections import why_rejected
from litetuner.reports.model.rows import finite_interval, finite_value, latency_source, shown_labels
from litetuner.reports.model.sections.charts import Group, group_of, plotted
from litetuner.reports.model.sections.invariants import invariant_lines
from litetuner.reports.text.formatting import between, clean, plain
from litetuner.reports.text.layers import split_by_layer
from litetuner.reports.text.steps import knob_help, step_words
from litetuner.search.config.units import format_seconds
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import Trial
from litetuner.spaces.step import Stage, Step

STATES = ("baseline", "front", "complete", "infeasible", "pruned", "invalid", "failed", "lost", "repeated")
NOTHING = 0.05  # shorter times (in seconds) are shown as 0.0 s
DONE = {"train": "trained", "time": "timed"}


@dataclasses.dataclass(frozen=True)
class StepDetails:
    """A step of a candidate: its knobs as (name, value, help), and in ``meaning`` what the technique does."""

    name: str
    stage: str
    knobs: tuple[tuple[str, str, str], ...]
    meaning: str
    label: str


@dataclasses.dataclass(frozen=True)
class TrialDetails:
    """The details of a trial. ``state`` is one of ``STATES``, ``group`` its kind of mark in charts (``None``: no mark).

    ``values``, ``texts`` and ``intervals`` have one entry for each column. If the trial was stopped early, ``plotted``
    holds the values that a probe measured, by column index. ``by_layer`` are the requests for single layers as (layer,
    text). ``types`` are the weight types that its steps produce.
    """

    number: int
    label: str
    state: str
    group: Group | None
    why: str
    origin: str
    finished_after: str
    stages: tuple[tuple[str, str], ...]
    steps: tuple[StepDetails, ...]
    notes: tuple[str, ...]
    by_layer: tuple[tuple[str, str], ...]
    types: tuple[str, ...]
    invariants: tuple[str, ...]
    has_file: bool
    values: tuple[float | None, ...]
    texts: tuple[str | None, ...]
    intervals: tuple[str, ...]
    plotted: dict[int, float]


def find_trial_details(record: RunRecord, columns: Sequence[Column], front: frozenset[int]) -> tuple[TrialDetails, ...]:
    """The details of all trials, in the order of the record."""
    names = [column.name for column in columns]
    probes = [names.index(o.measurement) for o in record.objectives if o.measurement in names]
    budgets, labels, found = record.budgets, shown_labels(record.trials, 160), []
    layers = frozenset(layer.name for layer in record.model.layers)
    for trial, stages in zip(record.trials, stage_words(record.trials), strict=True):
        by_layer, notes = split_by_layer(_notes(trial), layers)
        found.append(
            TrialDetails(
                number=trial.number,
                label=labels[trial.number],
                state=state_word(trial, front),
                group=None if trial.duplicate_of is not None else group_of(trial, front),
                why=why_rejected(trial, budgets),
                origin=clean(trial.origin, 30),
                finished_after=format_seconds(trial.seconds_since_start),
                stages=tuple(stages),
                steps=tuple(_step(step) for step in trial.candidate.steps),
                notes=tuple(clean(note, 300) for note in notes),
                by_layer=tuple((clean(layer, 60), clean(text, 200)) for layer, text in by_layer),
                types=tuple(sorted({kind for step in trial.candidate.steps if (kind := step.precision(""))})),
                invariants=tuple(invariant_lines(trial)),
                has_file=trial.artifact is not None,
                values=tuple(finite_value(trial, name) for name in names),
                texts=tuple(_text(trial, name) for name in names),
                intervals=tuple(_interval(trial, name) for name in names),
                plotted={
                    at: value
                    for at in probes
                    if trial.value(names[at]) is None and (value := plotted(trial, names[at])) is not None
                },
            )
        )
    return tuple(found)


def _notes(trial: Trial) -> list[str]:
    sources = {name.partition(":")[2] for name in trial.measurements if name.startswith("latency_us:")}
    found = {target: latency_source(trial, target) for target in sorted(sources)}
    borrowed = [
        f"latency on {target} measured on the file of {name}, same structure" for target, name in found.items() if name
    ]
    return list(dict.fromkeys((*trial.candidate.details, *trial.notes, *borrowed)))


def state_word(trial: Trial, front: Container[int]) -> str:
    """One of ``STATES``; ``front`` holds the numbers of the front's trials."""
    if trial.duplicate_of is not None:
        return "repeated"
    if trial.number in front:
        return "front"
    if trial.number == 0 and trial.state.scored:
        return "baseline"
    return str(trial.state).lower()


def _text(trial: Trial, name: str) -> str | None:
    value = finite_value(trial, name)
    return None if value is None else plain(value, name, trial.measurements[name].unit)


def _interval(trial: Trial, name: str) -> str:
    return between(finite_interval(trial, name), lambda value: plain(value, name, trial.measurements[name].unit))


@functools.lru_cache(maxsize=4096)
def _step(step: Step) -> StepDetails:
    knobs: list[tuple[str, str, str]] = []
    for name, value in step.knobs().items():
        if value is None or value is False or value == ():
            continue
        if isinstance(value, tuple) and all(isinstance(item, tuple) for item in value):
            continue  # a value for each layer: the details of the candidate describe it
        knobs += ((title, text, knob_help(step, name)) for title, text in flatten({name: value}))
    label = clean(step.label() or step.name, 80)
    return StepDetails(clean(step.name, 40), step.stage.name.lower(), tuple(knobs), step_words(step), label)


def stage_words(trials: Sequence[Trial]) -> list[list[tuple[str, str]]]:
    """For each trial its stages as (stage, text).

    The text is a duration such as ``40 s``, ``trained in trial 3``, or ``from the cache`` if no other trial did the
    work.
    """
    first: dict[tuple[str, str], int] = {}
    for trial in trials:
        for kind in DONE:
            if trial.seconds.get(kind, 0.0) >= NOTHING and (key := _work(trial, kind)):
                first.setdefault((kind, key), trial.number)
    return [_stages(trial, first) for trial in trials]


def _stages(trial: Trial, first: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    found = []
    for kind, value in trial.seconds.items():
        text = format_seconds(value)
        if kind in DONE and value < NOTHING and (key := _work(trial, kind)):
            other = first.get((kind, key))
            text = "from the cache" if other in (None, trial.number) else f"{DONE[kind]} in trial {other}"
        found.append((clean(kind, 40), text))
    return found


def _work(trial: Trial, kind: str) -> str:
    """A key for the work of a stage: equal for trials that share the work, empty if there was nothing to do."""
    if kind == "time":  # trials with the same structure and types share one latency
        return trial.structure or ""
    steps = [step for step in trial.candidate.steps if step.stage in (Stage.RESHAPE, Stage.TRAIN)]
    trained = any(step.stage is Stage.TRAIN for step in steps)
    return json.dumps([step.to_json() for step in steps], sort_keys=True) if trained else ""
