"""Numbers with units: sizes, durations, shares. A number without a unit is rejected with a suggestion."""

import re

from litetuner.spaces.errors import ConfigError, nearest

BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
MICROSECONDS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6}
SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SHARE = {"%": 0.01}


def parse(text: object, units: dict[str, float] | dict[str, int], key: str) -> float:
    """The value of a number with a unit. Raises ``ConfigError``, which names the key and suggests a spelling."""
    written = str(text).strip()
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s0-9.]*)", written)
    if found is None:
        if written.startswith("-"):
            raise ConfigError(f"{key}: {written!r} is negative; it must be 0 or more.")
        example = f"{key} 5{next(iter(units))}"
        raise ConfigError(f"{key}: {written!r} is not a number with a unit; write for example {example}.")
    number, unit = found.groups()
    if unit in units:
        return float(number) * units[unit]
    known = ", ".join(name for name in units if name != "μs")  # the Greek letter looks like the micro sign
    if not unit:
        likely = list(units)[1] if len(units) > 1 else next(iter(units))
        # 0.01 without a percent sign was meant as a share, not as a hundredth of a percent.
        meant = f"{float(number) / SHARE[likely]:g}" if likely in SHARE and float(number) < 0.1 else written
        raise ConfigError(f"{key}: {written!r} has no unit ({known}); did you mean {meant}{likely}?")
    folded = {name.lower(): name for name in units}
    hint = f" (did you mean {number}{folded[unit.lower()]}?)" if unit.lower() in folded else nearest(unit, units)
    raise ConfigError(f"{key}: {unit!r} is an unknown unit ({known}){hint}")


def parse_duration(text: object, key: str) -> float:
    """The seconds of a duration with one or several parts, such as ``30m`` or ``1h30m``."""
    parts = re.findall(r"[0-9.]+\s*[^\s0-9.]+", str(text))
    if len(parts) < 2 or "".join(parts).replace(" ", "") != str(text).replace(" ", ""):
        return parse(text, SECONDS, key)
    return sum(parse(part, SECONDS, key) for part in parts)


def format_bytes(value: float) -> str:
    """Bytes as text, in powers of ten: 59 B, 59.6 kB, 1.20 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.2f} {unit}" if scaled < 10 else f"{scaled:.1f} {unit}"
    return f"{value:.0f} B"


def format_us(value: float) -> str:
    """Microseconds as text: 78.2 µs, 6.81 ms, 1.20 s."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} µs" if value < 100 else f"{value:.0f} µs"


def format_seconds(value: float) -> str:
    """Seconds as text: 4.2 s, 3 min 20 s, 2 h 05 min."""
    if value < 60:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
