"""Hostile or broken configurations and targets: each must be accepted, or rejected with a litetuner error.

An audit hook verifies that they write no files, start no processes and open no connections.
"""

import contextlib
import random
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from fault_verdicts import Verdict, judged

from litetuner.objectives.targets import TARGETS
from litetuner.objectives.targets.choice import find_target
from litetuner.search.config.config import Config, make_config
from litetuner.search.config.toml_file import to_toml

FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "socket.connect",
    "os.mkdir",
    "os.remove",
    "os.rename",
)
WORDS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e309",
        "nan",
        "inf",
        "٣",
        "1_000",
        "0x10",
        "1e400kB",
        "-5kB",
        "5 kB",
        "kB",
        "9" * 400 + "kB",
    ),
    *(
        "1%",
        "-1%",
        "1e9%",
        "%",
        "30m",
        "-30m",
        "1e300h",
        "h",
        "1h1h",
        "a=b",
        "=",
        "a==b",
        ",,,",
        ",",
        "host,host",
        "pi=4ms",
    ),
    *(
        "hostile_module:f",
        "hostile_module:",
        ":f",
        "a:b:c",
        "os:system",
        "module.sub:f",
        "accuracy@",
        "accuracy@x@y",
        "mse@1",
    ),
    *(
        "../../x",
        "/etc/passwd",
        "~",
        "~root",
        "$HOME",
        "file:///etc/passwd",
        "sqlite:///x",
        "\0",
        "\n",
        "\x1b[2J",
        "\ud800",
    ),
    *(
        "é" * 300,
        "x" * 5000,
        "(" * 5000,
        "[[" * 2000,
        "{}" * 100,
        "%s%n",
        "{0}",
        "{x.__class__}",
        "‮abc",
        "host?x=1&x=2",
    ),
    *(
        "true",
        "None",
        "null",
        "balanced",
        "0=1,1=4",
        "0=",
        "0=nan",
        "-1=1",
        "float32",
        "int8",
        "any",
        "conv=int8,conv=int4",
    ),
    *(
        "ssh://a@b",
        "adb:x",
        "pi=ssh://a@b:99999",
        "ssh://a:b@c",
        "fake",
        "host?cores=-1",
        "crop",
        "bilinear,crop,pad",
        "mcu",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**30, -(10**30), 0.0, -0.0, 1e308, float("nan"), float("inf"), b"bytes", b"\xff"),
    *(
        (),
        [],
        {},
        [[]],
        [None],
        ["a", 1, None],
        {"a": {"b": []}},
        {1: 2},
        {"step": "x"},
        object(),
        Exception,
        range(3),
        {1, 2},
    ),
    *(["host", "host"], ["a" * 1000] * 100, 10**5000),
)
VALID: dict[str, Any] = {"model": "m.keras", "data": "d.npz"}


class Forbidden(Exception):
    """A process was started, a file was written, or a connection was opened."""


_watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in FORBIDDEN or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        raise Forbidden(f"{event} {arguments!r}"[:200])
    if event == "import" and arguments[0].startswith("hostile_module"):
        raise Forbidden(f"import {arguments[0]}")


sys.addaudithook(_hook)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    global _watching
    _watching = True
    try:
        yield
    finally:
        _watching = False


def configurations(count: int, seed: int, done: int) -> Iterator[Verdict]:
    """Random configurations: two thirds have random keys and values, one third are TOML files with changed text."""
    text = to_toml(make_config(VALID | {"max_drop": "1%", "target": "host,pi=ssh://a@b", "time_budget": "30m"}))
    for index in range(done, count):
        rng = random.Random(seed * 1_000_003 + index)
        what = _changed_toml(rng, text) if index % 3 == 0 else _keys(rng)
        with _watched():
            yield judged("configuration", str(index), lambda what=what: _configure(what))  # type: ignore[misc]


def _configure(what: Any) -> None:
    if isinstance(what, str):
        try:
            what = tomllib.loads(what)
        except (tomllib.TOMLDecodeError, RecursionError):
            return  # ``read_toml`` turns both exceptions into a litetuner error
    config = make_config(what)
    for name in ("budgets", "places", "targets", "advice", "seconds"):
        getattr(config, name)
    tomllib.loads(to_toml(config))


def _keys(rng: random.Random) -> dict[Any, Any]:
    names = list(Config.model_fields)
    found: dict[Any, Any] = dict(VALID) if rng.random() < 0.8 else {}
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        name: Any = (
            rng.choice(names) if rng.random() < 0.95 else rng.choice(("", "modle", 5, "a b", "max_", "\0", None))
        )
        found[name] = rng.choice(VALUES) if rng.random() < 0.3 else _text(rng)
    return found


def _text(rng: random.Random) -> str:
    word = rng.choice(WORDS)
    if rng.random() < 0.3:
        word = rng.choice(WORDS) + rng.choice((",", "=", ":", "@", "", "?")) + word
    if word and rng.random() < 0.2:
        at = rng.randrange(len(word))
        word = (
            word[:at]
            + chr(rng.choice((0, 10, 27, 61, 44, 58, 0x202E, 0x10FFFF, rng.randrange(32, 127))))
            + word[at + 1 :]
        )
    return word


def _changed_toml(rng: random.Random, text: str) -> str:
    changed = list(text)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(changed))
        changed[at : at + rng.choice((0, 1, 1, 10))] = rng.choice(
            ('"', "=", "\n", "[", "]", "'", "#", "\\", "9", "é", _text(rng))
        )
    return "".join(changed)


def targets(count: int, seed: int, done: int) -> Iterator[Verdict]:
    kinds = [*TARGETS, "hots", ""]
    for index in range(done, count):
        rng = random.Random(seed * 1_000_003 + index)
        text = (
            rng.choice(("", "pi=", "=", "a b=", f"{_text(rng)}="))
            + rng.choice(kinds)
            + rng.choice(("", ":", "://", "?"))
        )
        text += "".join(
            rng.choice(
                (_text(rng), "user@host", ":22", "/", "?", "&", "cores=1", "python=/bin/sh", "=", "-oProxyCommand=x")
            )
            for _ in range(rng.choice((0, 1, 1, 2, 4)))
        )
        with _watched():
            yield judged("target", str(index), lambda text=text: _describe(text))  # type: ignore[misc]


def _describe(text: str) -> None:
    find_target(text).target.describe()
