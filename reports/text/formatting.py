"""Numbers and names as readable text. Untrusted names are cleaned here before they are shown."""

import math
import shlex
import unicodedata
from collections.abc import Callable

from litetuner.search.config.budgets import Budget
from litetuner.search.config.units import BYTES, MICROSECONDS, format_bytes, format_us

Interval = tuple[float, float]
DROPS = ("drop", "test_drop", "conversion_gap")


def clean(text: object, limit: int = 160) -> str:
    """The text on one line, without control and direction characters, shortened in its middle to ``limit``."""
    found = str(text)
    if len(found) > 4 * limit:  # avoids the processing of megabytes
        found = found[: 2 * limit] + found[-2 * limit :]
    if found.isascii() and found.isprintable() and len(found) <= limit:  # the usual case
        return " ".join(found.split())
    kept = "".join(" " if c.isspace() else "\ufffd" if _is_hidden(c) else c for c in found)
    kept = " ".join(kept.split())
    if len(kept) <= limit:
        return kept
    head = limit * 2 // 3
    return f"{kept[:head]}…{kept[-(limit - head - 1) :]}"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def number(value: float | None, digits: int = 4) -> str:
    """A metric's value: by default four decimals below 100, six significant digits above, three for tiny values."""
    if value is None or not math.isfinite(value):
        return "–"
    if 0 < abs(value) < 10 ** (1 - digits):
        return minus(f"{value:.3g}")
    return minus(f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.{digits + 2}g}")


def points(drop: float | None, bounded: bool = True) -> str:
    """A signed drop: 0.0062 is ``0.62`` (points, for bounded metrics) or ``0.62 %`` (relative, for other metrics)."""
    if drop is None:
        return "–"
    return minus(f"{drop * 100 + 0.0:.2f}") + ("" if bounded else " %")


def drop_title(bounded: bool) -> str:
    return "drop, points" if bounded else "drop, relative"


def drop_between(interval: Interval, bounded: bool) -> str:
    """The interval of a drop for a sentence: ``0.48 to 1.19 points``."""
    low, high = (points(bound) for bound in interval)
    return f"{low} to {high} {'points' if bounded else '%'}"


def minus(text: str) -> str:
    """The text with the typographic minus sign. A negative zero loses its sign."""
    if text.startswith("-") and not any(c in "123456789" for c in text):
        return text[1:]
    return text.replace("-", "−", 1) if text.startswith("-") else text


def size(value: float | None) -> str:
    return "–" if value is None else format_bytes(value)


def latency(value: float | None) -> str:
    return "–" if value is None else format_us(value)


def times(ratio: float | None) -> str:
    """A ratio such as 120×, 3.4× or 1.02×: no decimals from 100 on, two decimals below 1.95, else one."""
    if ratio is None or not math.isfinite(ratio):
        return "–"
    if ratio >= 100:
        return f"{ratio:.0f}×"
    return f"{ratio:.1f}×" if ratio >= 1.95 else f"{ratio:.2f}×"


def drop_words(drop: float, bounded: bool) -> str:
    """A drop for a sentence: ``a drop of 0.62 points``, ``a gain of 0.30 points``, ``a drop of 2.10 %``."""
    amount = points(drop)
    return (
        f"a {'gain' if amount.startswith('−') else 'drop'} of {amount.removeprefix('−')} {'points' if bounded else '%'}"
    )


def between(interval: Interval | None, show: Callable[[float], str] = number) -> str:
    """A 95 % interval as ``0.8621 to 0.8800``; empty if there is none."""
    return "" if interval is None else f"{show(interval[0])} to {show(interval[1])}"


def plain(value: float, measurement: str, unit: str = "") -> str:
    """The value of a measurement as text. Its name decides the format, or its unit if the name is unknown."""
    if measurement.partition(":")[0].endswith("_bytes"):
        return size(value)
    if measurement.startswith("latency_us"):
        return latency(value)
    if measurement.startswith("latency_ratio"):
        return times(value)
    if measurement in DROPS:
        return points(value, bounded=unit in ("points", "1", ""))
    if measurement in ("metric", "test_metric", "keras_metric") or not unit or unit == "1":
        return number(value)
    if unit == "B":
        return size(value)
    if unit == "MAC":
        return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k"
    shown = "µJ" if unit == "uJ" else clean(unit, 20)
    return latency(value) if unit == "us" else f"{minus(f'{value:.3g}')} {shown}"


def with_unit(value: float, measurement: str, unit: str = "") -> str:
    """Like ``plain``, but drops get their unit, for use outside of tables: ``0.62 points``."""
    text = plain(value, measurement, unit)
    return f"{text} points" if unit == "points" and measurement in DROPS else text


def interval_words(interval: Interval | None, measurement: str, unit: str = "") -> str:
    """An interval with its unit, for use outside of tables: ``0.48 to 1.19 points``."""
    points_unit = " points" if interval is not None and unit == "points" and measurement in DROPS else ""
    return between(interval, lambda value: plain(value, measurement, unit)) + points_unit


def shell(path: object) -> str:
    """A path as one quoted word for a shell. Hidden characters are escaped, so that the shown command is what runs."""
    text = str(path)
    if any(_is_hidden(c) or (c.isspace() and c != " ") for c in text):
        escaped = "".join(_escape(c) for c in text)
        return f"$'{escaped}'"
    return shlex.quote(text)


def _escape(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if _is_hidden(character) or (character.isspace() and character != " "):
        return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return character


def beyond(violation: float) -> str:
    """How much a value exceeds a limit: 3.3 %, 394 %, 2,650 %."""
    share = violation * 100
    return f"{share:.1f} %" if share < 10 else f"{share:,.0f} %"


def budget_text(budget: Budget) -> str:
    """A budget as a command-line flag: ``--max-compressed-size 60kB``."""
    named = f"{budget.target}={budget.text}" if budget.target else budget.text
    return f"--{budget.key} {named}"


def budget_words(budget: Budget) -> str:
    """A budget for a sentence: ``max-compressed-size 60kB``."""
    return budget_text(budget).removeprefix("--")


def budget_for(budget: Budget, value: float) -> str:
    """The flag that accepts a trial with this value: ``--max-compressed-size 24.2kB``. It is rounded to that side."""
    if budget.measurement.partition(":")[0].endswith("_bytes"):
        text = _ceiling(value, {name: BYTES[name] for name in ("B", "kB", "MB", "GB")})
        text = f"{budget.target}={text}" if budget.target else text
    elif budget.measurement.startswith("latency_us"):
        text = _ceiling(value, {name: MICROSECONDS[name] for name in ("us", "ms", "s")})
        text = f"{budget.target}={text}" if budget.target else text
    elif budget.measurement == "drop":
        text = f"{math.ceil(round(value * 1e4, 6)) / 100:g}%"
    else:
        rounded = math.floor(value * 1e4) if budget.sense == "at least" else math.ceil(value * 1e4)
        text = f"{rounded / 1e4:g}"
    return f"--{budget.key} {text}"


def _ceiling(value: float, units: dict[str, float] | dict[str, int]) -> str:
    """The smallest number with three digits and a unit that is at least ``value``."""
    name, unit = max(
        ((n, u) for n, u in units.items() if value >= u), key=lambda pair: pair[1], default=next(iter(units.items()))
    )
    scaled = value / unit
    step = 10.0 ** (math.floor(math.log10(scaled)) - 2) if scaled > 0 else 1.0
    if unit == 1 and name == "B":
        step = max(step, 1.0)
    return f"{math.ceil(round(scaled / step, 6)) * step:.10g}{name}"


# Filters for templates, by name.
FILTERS: dict[str, Callable[..., str]] = {
    show.__name__: show for show in (clean, number, points, drop_words, size, latency, times, between, beyond)
}
