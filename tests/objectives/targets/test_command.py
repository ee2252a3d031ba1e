"""The target ``command``: its contract, by programs that keep it and programs that break it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from litetuner.objectives.targets.choice import find_target
from litetuner.objectives.targets.command import Command
from litetuner.spaces.errors import BuildFailed, ConfigError, HostError, Lost, TargetLost

HEAD = f"#!{sys.executable}\nimport json, os, sys, time\nasked = json.load(sys.stdin)\n"
FAST = (0.0, 0.0, 0.0)
Make = Callable[..., Command]


@pytest.fixture
def tool(tmp_path: Path) -> Make:
    """A target whose program has this body."""

    def make(body: str, **options: object) -> Command:
        path = tmp_path / "my tool.py"
        path.write_text(HEAD + body)
        path.chmod(0o755)
        return dataclasses.replace(Command(str(path), pauses_seconds=FAST), **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"12345")
    return path


def answering(**answer: object) -> str:
    return f"print(json.dumps({ {'contract': 1, **answer}!r}))"


def test_what_the_program_tells_becomes_measurements(tool: Make, file: Path) -> None:
    body = "size = os.path.getsize(asked['file'])\n" + "print(json.dumps({'contract': 1, 'latency_us': 10 * size, "
    body += "'latency_interval_us': [49, 51], 'baseline_latency_us': 100, 'sram_bytes': 2048, 'energy_uj': 1.5, "
    body += "'device': asked['argument'], 'version': '7', 'estimate': 'of a simulator'}))"
    timing = tool(body, argument="board 3").time(file, file)
    assert timing.latency_us is not None
    assert (timing.latency_us.value, timing.latency_us.interval, timing.ratio) == (50, (49, 51), 2.0)
    assert {name: it.value for name, it in timing.others.items()} == {"sram_bytes": 2048, "energy_uj": 1.5}
    around = timing.latency_us.environment
    assert (around["device"], around["version"], around["estimate"]) == ("board 3", "7", "of a simulator")


def test_it_gets_one_json_object_and_no_shell(tool: Make, file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "asked.json"
    body = f"json.dump([asked, sys.argv[1:], os.getcwd()], open({str(kept)!r}, 'w'))\n" + answering(latency_us=1)
    tool(body, argument="$(touch x); `y`").time(file, file, threads=2)
    asked, arguments, folder = json.loads(kept.read_text())
    assert asked["contract"] == 1 and asked["argument"] == "$(touch x); `y`" and asked["threads"] == 2
    assert asked["file"] == asked["baseline"] == str(file) and len(asked["sha256"]) == 64 and arguments == []
    assert not Path(folder).exists(), "it ran in a temporary folder"


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (answering(error="no such layer", kind="file"), BuildFailed, "no such layer"),
        (answering(error="log in first", kind="setup"), HostError, "log in first"),
        (answering(error="board 3 is off", kind="device"), TargetLost, "did not come back in 4 tries"),
        ("print('hello')", HostError, "printed no JSON object"),
        ("print('{}')", HostError, 'must print a JSON object with "contract": 1'),
        ("print(json.dumps({'contract': 2, 'latency_us': 1}))", HostError, '"contract": 1'),
        (answering(latency_us="fast"), HostError, "latency_us must be a number"),
        (answering(latency_us=0.0), HostError, "an inference takes time"),
        (answering(sram_bytes=-1), HostError, "sram_bytes must be a number at or above 0"),
        (answering(device="x"), HostError, "reported no number"),
        ("sys.exit('out of paper')", BuildFailed, "ended with code 1: out of paper"),
        ("os.abort()", BuildFailed, "crashed with SIGABRT"),
    ],
)
def test_what_goes_wrong_says_whose_fault_it_is(
    tool: Make, file: Path, body: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        tool(body).time(file, file)


def test_a_program_that_hangs_is_stopped(tool: Make, file: Path) -> None:
    with pytest.raises(BuildFailed, match=r"did not end within 0.5 s"):
        tool("time.sleep(60)", timeout_seconds=0.5).time(file, file)


def test_operators_that_it_does_not_run_are_named(tool: Make, file: Path) -> None:
    timing = tool(answering(unsupported=["SIGN", "ERF"], flash_bytes=7)).time(file, file)
    assert timing.latency_us is None and timing.misfit == "it does not run SIGN, ERF"
    assert timing.others["flash_bytes"].value == 7


def test_the_check_asks_the_program(tool: Make, tmp_path: Path, file: Path) -> None:
    (found,) = tool("assert asked['check']\n" + answering(device="board 3")).check()
    assert found.status == "works" and "board 3" in found.text
    (found,) = tool(answering(error="no licence", kind="setup")).check()
    assert found.status == "fails" and "no licence" in found.text
    (found,) = Command(str(tmp_path / "none")).check()
    assert found.status == "fails" and "chmod +x" in found.remedy
    with pytest.raises(Lost, match="cannot read"):
        tool(answering(latency_us=1)).time(file.with_name("gone.tflite"), file)


def test_its_text() -> None:
    place = find_target("farm=command:/opt/farm/client?argument=board%203&timeout_seconds=20")
    assert isinstance(place.target, Command) and place.target.argument == "board 3"
    assert find_target("command:/opt/farm/client.py").name == "client"
    for text, said in (("command", "name a program"), ("command:tool", "must be an absolute path")):
        with pytest.raises(ConfigError, match=said):
            find_target(text)
