from __future__ import annotations

import pytest

from litetuner.search.config.units import (
    BYTES,
    MICROSECONDS,
    format_bytes,
    format_seconds,
    format_us,
    parse,
    parse_duration,
)
from litetuner.spaces.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        ("60kB", BYTES, 60_000),
        ("1 KiB", BYTES, 1024),
        ("1.5MB", BYTES, 1_500_000),
        ("150us", MICROSECONDS, 150),
        ("2ms", MICROSECONDS, 2000),
    ],
)
def test_numbers_with_units(text: str, units: dict[str, float], value: float) -> None:
    assert parse(text, units, "key") == value


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1h30m", 5400), ("45s", 45), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "time-budget") == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("60", "60kB"),
        ("60kb", "60kB"),
        ("60 kilo", "kB"),
        ("much", "a number with a unit"),
        ("-5kB", "is negative"),
    ],
)
def test_a_missing_or_wrong_unit_is_refused_with_a_suggestion(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="max-size") as failure:
        parse(text, BYTES, "max-size")
    assert hint in str(failure.value)


def test_formats_for_people() -> None:
    assert (format_bytes(59_600), format_bytes(999), format_bytes(1_200_000)) == ("59.6 kB", "999 B", "1.20 MB")
    assert (format_us(78.21), format_us(254.3), format_us(6810)) == ("78.2 µs", "254 µs", "6.81 ms")
    assert (format_seconds(4.2), format_seconds(200), format_seconds(7500)) == ("4.2 s", "3 min 20 s", "2 h 05 min")
