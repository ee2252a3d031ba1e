"""``litetuner doctor``: what works on each configured target, and what to do about what does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from litetuner import diagnosis
from litetuner.cli import run as cli
from litetuner.objectives.targets.host import Host
from litetuner.objectives.targets.target import Finding


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take half a minute to import, and are looked at by one test alone."""
    monkeypatch.setattr(diagnosis, "IMPORTS", {"optuna": "import optuna"})


def test_targets_of_a_configuration_and_of_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "search.toml"
    config.write_text('model = "a.keras"\ntarget = ["host?max_seconds=1", "pi=ssh://127.0.0.1:1"]\n')
    assert cli(["doctor", str(config), "--target", "pretended=fake", "--json"]) == 3
    document = json.loads(capfd.readouterr().out)
    assert document["schema_version"] == 1 and list(document["targets"]) == ["host", "pi", "pretended"]
    host, pi, fake = document["targets"].values()
    assert host[0]["status"] == "works" and "tiny model" in host[0]["text"]
    assert pi[0]["status"] == "fails" and "refused" in pi[0]["text"] and "ssh -p 1 127.0.0.1" in pi[0]["remedy"]
    assert fake[0]["status"] == "note"
    assert len(document["problems"]) == 1 and document["problems"][0].startswith("pi: connection")


def test_the_text_for_people(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("timing", "works", "well"),
        Finding("clock", "note", "the clock follows the load", "as root: x"),
    ]
    monkeypatch.setattr(Host, "check", lambda self: findings)
    assert cli(["doctor", "--target", "host"]) == 0
    out = capfd.readouterr().out
    assert "target host\n  ok      timing: well\n  note    clock: the clock follows the load -> as root: x\n" in out
    assert out.endswith("A search can run here and on these targets.\n")
    findings[0] = dataclasses.replace(findings[0], status="fails", remedy="mend it")
    assert cli(["doctor", "--target", "host"]) == 3
    assert "PROBLEM timing: well -> mend it" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('target = "hots"', "did you mean 'host'"),
        ("target = 3", "list of texts"),
        ("target", "cannot read"),
        (None, "cannot read"),
    ],
)
def test_a_wrong_target_or_file_ends_it_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    config = tmp_path / "search.toml"
    if content is not None:
        config.write_text(content)
    assert cli(["doctor", str(config)]) == 2
    assert words in capfd.readouterr().err


def test_two_targets_of_one_name_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["doctor", "--target", "pi=host", "--target", "pi=fake"]) == 2
    assert "two are called 'pi'" in capfd.readouterr().err


def test_without_targets_the_machine_alone_is_looked_at(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["doctor"]) == 0
    out = capfd.readouterr().out
    assert "optuna" in out and "A search can run here.\n" in out
