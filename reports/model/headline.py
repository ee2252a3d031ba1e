"""The headline: what you had, what you get."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from litetuner.reports.text.formatting import (
    between,
    budget_text,
    drop_words,
    latency,
    loss_between,
    number,
    plain,
    points,
    size,
    times,
)

if TYPE_CHECKING:
    from litetuner.reports.model.view import View


@dataclasses.dataclass(frozen=True)
class Gain:
    """One of the three large figures: ``3.4×``, ``smaller``, and what stands behind it."""

    name: str
    figure: str
    words: str
    before: str
    after: str
    note: str


@dataclasses.dataclass(frozen=True)
class Headline:
    """``gains`` are size, latency and metric of the best against the baseline; ``test`` says what the test split says.

    ``also`` is everything else that both have and of which less is better: the other size, other targets, memory, energy.
    """

    gains: tuple[Gain, ...]
    rule: str
    test: str | None
    test_misses: bool
    also: tuple[Gain, ...] = ()


def find_headline(view: View) -> Headline | None:
    """The headline of the best trial, ``None`` where there is no best or no baseline."""
    if view.best is None or view.baseline is None:
        return None
    gains = [gain for gain in (_size(view), _latency(view), _metric(view)) if gain is not None]
    test, misses = _test(view)
    return Headline(tuple(gains), _rule(view), test, misses, _also(view))


def _also(view: View) -> tuple[Gain, ...]:
    """What was measured of both files beside the three large figures."""
    best, baseline = view.best_trial, view.record.baseline
    shown = {view.size_measurement, f"latency_us:{view.target}", "metric", "drop", "test_metric", "test_drop"}
    found = []
    for column in view.columns:
        if column.name in shown or not column.minimize or best is None or baseline is None:
            continue
        before, after = view.finite(baseline, column.name), view.finite(best, column.name)
        if before is None or after is None or before <= 0 or after <= 0:
            continue
        ratio = before / after
        word = "the same" if 0.995 < ratio < 1.005 else "less" if ratio > 1 else "more"
        had, has = (plain(value, column.name, column.unit) for value in (before, after))
        figure = "" if word == "the same" else times(max(ratio, 1 / ratio))
        found.append(Gain(column.title, figure, word, had, has, ""))
    return tuple(found)


def _size(view: View) -> Gain | None:
    before, after = view.sizes
    if not before or not after:
        return None
    ratio = before / after
    words = "as large" if 0.995 < ratio < 1.005 else "smaller" if ratio > 1 else "larger"
    note = "compressed, what a download carries" if view.size_measurement == "compressed_bytes" else "bytes of the file"
    return Gain("Size", times(max(ratio, 1 / ratio)), words, size(before), size(after), note)


def _latency(view: View) -> Gain | None:
    best, baseline = view.best, view.baseline
    if best is None or baseline is None:
        return None
    target = view.target
    before, after = baseline.latency_us.get(target), best.latency_us.get(target)
    ratio = best.latency_ratio.get(target)
    if ratio is None and before and after:
        ratio = before / after
    if ratio is None or ratio <= 0 or after is None:
        return None
    measured = view.best_trial.measurements.get(f"latency_ratio:{target}") if view.best_trial else None
    interval = measured.interval if measured else None
    undecided = interval is not None and interval[0] <= 1 <= interval[1]
    words = "as fast, within the noise" if undecided else "faster" if ratio > 1 else "slower"
    if interval is not None:
        note = f"on {target}, ratio {between(interval, times)}"
    elif (spread := best.latency_interval_us.get(target)) is not None:
        note = f"on {target}, {between(spread, latency)}"
    else:
        note = f"on {target}"
    return Gain("Latency", times(ratio if ratio >= 1 else 1 / ratio), words, latency(before), latency(after), note)


def _metric(view: View) -> Gain | None:
    best, baseline = view.best, view.baseline
    if best is None or baseline is None or best.metric is None:
        return None
    drop = best.drop
    if drop is None:
        figure, words = number(best.metric), view.metric_name
    else:
        figure = points(abs(drop)) if not view.bounded else f"{abs(drop) * 100:.2f}"
        phrase = drop_words(drop, view.bounded)
        figure, words = (
            ("0.00", phrase) if phrase.startswith("no ") else (figure, phrase.split(" ", 1)[1].removeprefix("% "))
        )
    interval = view.drop_interval
    if interval is not None:
        note = f"search split, loss {loss_between(interval, view.bounded)}"
    elif best.metric_interval is not None:
        note = f"search split, {between(best.metric_interval)}"
    else:
        note = "search split"
    return Gain(view.metric_name.capitalize(), figure, words, number(baseline.metric), number(best.metric), note)


def _rule(view: View) -> str:
    within = "within the budgets" if view.budgets else "of the front"
    if view.metric_is_limited:
        return f"The best is the smallest candidate {within}, or a faster one that is at most 5 % larger."
    return f"The best is the candidate {within} with the best {view.metric_name}; no budget limits the metric."


def _test(view: View) -> tuple[str | None, bool]:
    best = view.best
    if best is None or best.test_metric is None:
        return None, False
    text = f"On the test split, which selects nothing, {view.metric_name} is {number(best.test_metric)}"
    if best.test_drop is not None:
        text += f": {drop_words(best.test_drop, view.bounded)}"
        if best.test_drop_interval is not None:
            text += f" (95 % interval of the loss {loss_between(best.test_drop_interval, view.bounded)})"
    missed = []
    for budget in view.budgets:
        value = {"drop": best.test_drop, "metric": best.test_metric}.get(budget.measurement)
        if value is not None and budget.violation(value) > 0:
            missed.append(budget_text(budget))
    if missed:
        return f"{text}. There it misses {' and '.join(missed)}; it is reported, not replaced.", True
    return text + ".", False
