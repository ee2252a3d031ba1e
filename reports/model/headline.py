"""The headline of a result: the best file compared with the baseline."""

import dataclasses
from collections.abc import Sequence

from litetuner.reports.model.columns import Column
from litetuner.reports.model.rejections import exceeded_budgets
from litetuner.reports.model.rows import Row, finite_value, metric_name
from litetuner.reports.text.formatting import (
    between,
    budget_text,
    clean,
    drop_between,
    drop_words,
    latency,
    number,
    plain,
    points,
    size,
    times,
)
from litetuner.search.picks.best import standard_errors
from litetuner.search.runs.record import RunRecord
from litetuner.search.trial import State, Trial

# If the baseline's latency beside a file differs by more than this from its latency alone, the machine's speed has
# changed.
OTHER_SPEED = 0.05
MUCH_FASTER = 1.25  # smallest ratio of latencies at which a faster file is mentioned


@dataclasses.dataclass(frozen=True)
class Gain:
    """One comparison with the baseline: ``figure`` (``3.4×``), ``words`` (``smaller``), both values, and a note."""

    name: str
    figure: str
    words: str
    before: str
    after: str
    note: str


@dataclasses.dataclass(frozen=True)
class Headline:
    """The comparison of the best file with the baseline.

    ``gains`` are size, latency and metric. ``rule`` says how the best was chosen. ``test`` is a sentence about the test
    split, and ``test_misses`` is true if the best exceeds a budget there. ``also`` are all other measurements of both
    files for which lower is better: the other size, other targets, memory, energy.
    """

    gains: tuple[Gain, ...]
    rule: str
    test: str | None
    test_misses: bool
    also: tuple[Gain, ...] = ()
    remark: str | None = None  # a sentence: another file is much faster, or the best is the baseline itself


def find_headline(record: RunRecord, best: Row | None, base: Row | None, columns: Sequence[Column]) -> Headline | None:
    """The headline of the best trial, ``None`` if there is no best trial or no baseline."""
    if best is None or base is None:
        return None
    trial = record.trial(best.trial)
    sized, timed = _size(record, best, base), _latency(record, best, base, trial)
    gains = (sized, timed, _metric(record, best, base, trial))
    test, misses = _test(record, best, trial)
    return Headline(
        gains=tuple(gain for gain in gains if gain is not None),
        rule=_rule(record),
        test=test,
        test_misses=misses,
        also=_also(record, trial, record.trial(base.trial), columns),
        remark=_only_baseline(record, trial) or _faster(record),
    )


def _only_baseline(record: RunRecord, best: Trial) -> str | None:
    """Why the best is the baseline itself; ``None`` if it is not, or if the baseline was chosen for its metric."""
    if record.baseline is None or best.number != record.baseline.number:
        return None
    others = [trial.state for trial in record.trials if trial.state.scored and trial.number != best.number]
    if State.COMPLETE in others:
        return None  # other files are within the budgets too, but the baseline has the best metric
    if others:
        return f"The baseline itself is the best: none of {len(others)} compressed files is within the budgets."
    return "Only the baseline has been measured; nothing is compressed yet. Repeat the command with more --time-budget."


def _faster(record: RunRecord) -> str | None:
    """Mentions a file that is nearly as small as the best and much faster, but was not chosen because of its metric."""
    best, metric = record.best, metric_name(record)
    size_name, latency_name = record.config.size_measurement, record.config.latency_measurement
    if best is None or any(budget.measurement == latency_name for budget in record.budgets):
        return None
    timed = [(finite_value(trial, latency_name), trial) for trial in best.small]
    took = finite_value(best.trial, latency_name)
    quickest, other = min(
        ((value, trial) for value, trial in timed if value), default=(None, None), key=lambda pair: pair[0]
    )
    if quickest is None or other is None or took is None or took < MUCH_FASTER * quickest:
        return None
    pairs = [
        (name, show(finite_value(other, key)), show(finite_value(best.trial, key)))
        for name, key, show in ((metric, "metric", number), ("size", size_name, size))
    ]
    instead = ", ".join(f"{name} {theirs} instead of {ours}" for name, theirs, ours in pairs)
    return (
        f"Trial {other.number} ({clean(other.candidate.label, 80)}) is {times(took / quickest)} faster: {instead}. If that suits "
        f"you, export it with --trial {other.number}, or set --max-latency."
    )


def _also(record: RunRecord, best: Trial, baseline: Trial, columns: Sequence[Column]) -> tuple[Gain, ...]:
    """The measurements of both files for which lower is better, without those in ``gains``."""
    latency_measurement = f"latency_us:{record.config.targets[0]}"
    shown = {record.config.size_measurement, latency_measurement, "metric", "drop", "test_metric", "test_drop"}
    found = []
    for column in columns:
        if column.name in shown or not column.minimize:
            continue
        before, after = finite_value(baseline, column.name), finite_value(best, column.name)
        if before is None or after is None or before <= 0 or after <= 0:
            continue
        change = after / before - 1
        word = "the same" if abs(change) < 0.005 else "less" if change < 0 else "more"
        had, has = (plain(value, column.name, column.unit) for value in (before, after))
        figure = "" if word == "the same" else f"{abs(change):.0%}".replace("%", " %")
        found.append(Gain(column.title, figure, word, had, has, ""))
    return tuple(found)


def _size(record: RunRecord, best: Row, baseline: Row) -> Gain | None:
    before, after = (row.size(record.config.size_measurement) for row in (baseline, best))
    if not before or not after:
        return None
    ratio = before / after
    words = "as large" if 0.995 < ratio < 1.005 else "smaller" if ratio > 1 else "larger"
    note = {"compressed": "compressed size (zlib)", "file": "file size", "flash": "flash"}[record.config.size]
    return Gain("Size", times(max(ratio, 1 / ratio)), words, size(before), size(after), note)


def _latency(record: RunRecord, best: Row, baseline: Row, trial: Trial) -> Gain | None:
    target = record.config.targets[0]
    before, after = baseline.latency_us.get(target), best.latency_us.get(target)
    ratio = best.latency_ratio.get(target)
    if ratio is None and before and after:
        ratio = before / after
    if ratio is None or ratio <= 0 or after is None:
        return None
    measured = trial.measurements.get(f"latency_ratio:{target}")
    interval = measured.interval if measured else None
    undecided = interval is not None and interval[0] <= 1 <= interval[1]
    same = undecided or 0.995 < ratio < 1.005
    words = "no measurable difference" if same else "faster" if ratio > 1 else "slower"
    if interval is not None:
        note = f"on {target}, 95 % interval {between(interval, times)}"
    elif (spread := best.latency_interval_us.get(target)) is not None:
        note = f"on {target}, 95 % interval {between(spread, latency)}"
    else:
        note = f"on {target}"
    beside = ratio * after  # latency of the baseline when it was measured in alternation with this file
    if before and abs(beside / before - 1) > OTHER_SPEED:
        note += f"; at another speed of the machine the baseline took {latency(before)}"
        before = beside
    return Gain("Latency", times(ratio if ratio >= 1 else 1 / ratio), words, latency(before), latency(after), note)


def _metric(record: RunRecord, best: Row, baseline: Row, trial: Trial) -> Gain | None:
    if best.metric is None:
        return None
    drop, name, bounded = best.drop, metric_name(record), record.metric.bounded
    if drop is None:
        figure, words = number(best.metric), name
    else:
        figure = points(drop, bounded)
        kind = "gain" if figure.startswith("−") else "drop"
        figure, words = figure.removeprefix("−"), f"{'points' if bounded else 'relative'} {kind}"
    measured = trial.measurements.get("drop")
    if measured is not None and measured.interval is not None:
        note = f"search split, 95 % interval {drop_between(measured.interval, bounded)}"
    elif best.metric_interval is not None:
        note = f"search split, 95 % interval {between(best.metric_interval)}"
    else:
        note = "search split"
    return Gain(name.capitalize(), figure, words, number(baseline.metric), number(best.metric), note)


def _rule(record: RunRecord) -> str:
    """How the best was chosen: how many files each step of the rule kept (``search/picks/best.py``)."""
    best, metric = record.best, metric_name(record)
    assert best is not None  # without a best there is no headline
    within = f"{_files(best.within)} within the budgets" if record.budgets else f"{_files(best.within)}"
    if not best.small:
        return f"How it was chosen: of {within}, the one with the best {metric}; no budget limits the metric."
    if best.safe:
        margin = f"a margin of {standard_errors(len(best.within)):.1f} standard errors to the limit on {metric}"
        parts = [f"{len(best.safe)} with {margin}, so that it holds on new data too"]
    else:
        parts = [f"none with enough margin to the limit on {metric} to hold on new data too (not proven)"]
    parts.append(f"{len(best.small)} at most 5 % larger than the smallest")
    cap = "paired 95 % interval" + (", at most 0.1 points below" if record.metric.bounded else "")
    equal = f"{len(best.equal)} whose {metric} equals the best of these ({cap})"
    if best.unpaired:
        otherwise = "the 0.1 points alone decide" if record.metric.bounded else "only the same value counts as equal"
        equal += f" (for {best.unpaired} without per-sample values {otherwise})"
    parts.append(equal)
    if best.quick != best.equal:
        parts.append(f"{len(best.quick)} at most 2 % slower than the fastest")
    return f"How it was chosen: of {within}, {'; '.join(parts)}; the smallest of these."


def _files(trials: Sequence[Trial]) -> str:
    return "1 file" if len(trials) == 1 else f"{len(trials)} files"


def _test(record: RunRecord, best: Row, trial: Trial) -> tuple[str | None, bool]:
    if best.test_metric is None:
        return None, False
    bounded = record.metric.bounded
    text = f"On the test split, which selects nothing, {metric_name(record)} is {number(best.test_metric)}"
    if best.test_drop is not None:
        text += f", {drop_words(best.test_drop, bounded)}"
        if best.test_drop_interval is not None:
            text += f" (95 % interval {drop_between(best.test_drop_interval, bounded)})"
    if missed := [budget_text(budget) for budget, _ in exceeded_budgets(trial, record.budgets, "test_")]:
        return f"{text}. On this split it is not within {' and '.join(missed)}; the best is not replaced.", True
    return text + ".", False
