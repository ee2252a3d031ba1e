from __future__ import annotations

import contextlib
import datetime
import math
import random
import re
import tomllib
from pathlib import Path

import pytest

from litetuner.search.config.config import CHANGEABLE, Config, keys, make_config
from litetuner.search.config.toml_file import read_toml, to_toml
from litetuner.spaces.errors import ConfigError

BASE = {"model": "m.keras", "data": "d.npz"}


NUMBERS = (True, False, 0, 1, -1, 2**70, -(2**70), 1e308, math.inf, math.nan, datetime.date(2026, 1, 1))
SIZES = ("", "%", "1%", "-1%", "1e999kB", "kB", "0x10kB", "1kB", "1_0kB", "nanms", "inf%", "1h30m", "1e400s", "5")
TARGETS = ("=", "a=", "x=fake?", "fake?a=b", "ssh://[", "adb:?", "??a=b&", "host?core=1e9", "pi==1", ",,", "host,host")
NAMES = ("latency_us:", "accuracy@@x", "@", ":", ":b", "a:b@c", "\u202e", "\ud800", "x" * 5000, "conv=", "mcu")
HOSTILE = (*NUMBERS, *SIZES, *TARGETS, *NAMES, [], [[]], {}, {"a": 1}, ["host", ["x"]], [None])


def test_a_configuration_survives_toml() -> None:
    config = make_config(
        BASE | {"max-latency": ["2ms"], "max-drop": "1%", "trials": 7, "out": 'a "b"\\c', "json": True}
    )
    assert make_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize(
    ("key", "meant"), [("max-siz", "max-size"), ("modle", "model"), ("time_budgets", "time-budget")]
)
def test_a_misspelt_key_is_refused_with_the_nearest(key: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        make_config(BASE | {key: "1"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max-size": "300"}, "max-size: '300' has no unit"),
        ({"max-drop": "0.01"}, "max-drop"),
        ({"max-latency": "pi=2ms"}, "no target 'pi'"),
        ({"max-latency": ["1ms", "host=2ms"]}, "names one twice"),
        ({"trials": "many"}, "trials"),
        ({"trials": 0}, "trials"),
        ({"size": "tiny"}, "size"),
        ({"time-budget": "0s"}, "time-budget: must be positive"),
        ({"max-size": "0kB"}, "max-size: must be positive"),
        ({"max-latency": "0ms"}, "max-latency: must be positive"),
        ({"min-metric": 99}, "min-metric: 99 is impossible: accuracy is at most 1; did you mean 0.99?"),
        ({"min-metric": 2, "metric": "r2"}, "min-metric: 2 is impossible: r2 is at most 1"),
        ({"min-metric": -1, "metric": "mae"}, "min-metric: -1 is impossible: mae is at least 0"),
        ({"max-drop": "150%"}, "max-drop: 150% is impossible"),
        ({"max-size": True}, "max-size: input should be a valid string"),
        ({"trials": True}, "trials: input should be a number"),
        ({"max-latency": True}, "max-latency: input should be a valid tuple"),
        ({"max-latency": 2}, "max-latency: '2' has no unit"),
        ({"out": ""}, "out is empty"),
        ({"calibration": 10**5000}, "calibration: input should be less than or equal to"),
        ({"max-size": 10**5000}, "max-size: exceeds the limit (4300 digits)"),
    ],
)
def test_bad_values_name_their_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        make_config(BASE | values)


@pytest.mark.parametrize("key", ["out", "model", "data"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "control characters"),
        ("\x1b[31m", "control characters"),
        ("\udcff.npz", "not UTF-8"),
        ("a\0", "control characters"),
        ("ä" * 128, "longer than the 255 bytes"),
        ("a/" * 3000, "longer than"),
    ],
)
def test_a_name_that_nothing_can_hold_is_refused(key: str, name: str, reason: str) -> None:
    values = {"model": "m.keras", "data": "d.npz"} | {key: name}
    with pytest.raises(ConfigError, match=f"{key}: .*{reason}") as caught:
        make_config(values)
    assert str(caught.value).isprintable()


def test_hostile_values_are_configuration_errors() -> None:
    """Any type at any key, and texts that no parser expects: never another exception."""
    rng = random.Random(0)
    for _ in range(3000):
        given = {rng.choice(list(keys())): rng.choice(HOSTILE) for _ in range(rng.choice((1, 1, 2, 3)))}
        with contextlib.suppress(ConfigError):
            config = make_config({"model": "m.keras", "data": "d.npz"} | given)
            assert make_config(tomllib.loads(to_toml(config))) == config


def test_a_missing_model_is_said() -> None:
    with pytest.raises(ConfigError, match="model is missing; give --model"):
        make_config({"data": "d.npz"})


def test_the_default_limit_is_half_an_hour_unless_trials_limit() -> None:
    assert make_config(BASE).seconds == 1800
    assert make_config(BASE | {"trials": 5}).seconds is None


def test_toml_tables_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[search]\nmodel = "m.keras"\n')
    assert read_toml(path) == {"model": "m.keras"}
    path.write_text("model = ")
    with pytest.raises(ConfigError, match="is not a TOML file"):
        read_toml(path)
    with pytest.raises(ConfigError, match="does not exist"):
        read_toml(tmp_path / "none.toml")


def test_every_changeable_key_exists() -> None:
    assert set(Config.model_fields) >= CHANGEABLE
    assert set(keys().values()) == set(Config.model_fields)


def test_resizing_is_bilinear_unless_it_is_named() -> None:
    for given, expected in (
        ({}, ("bilinear",)),
        ({"resize": ()}, ("bilinear",)),
        ({"resize": "area,pad"}, ("area", "pad")),
    ):
        assert make_config({"model": "m.keras", "data": "photos"} | given).resize == expected
    with pytest.raises(ConfigError, match=r"resize: bilinera is not known \(did you mean 'bilinear'\?\)"):
        make_config({"model": "m.keras", "data": "photos", "resize": "bilinera"})
