"""Typical mistakes: each is told with what to do, before a worker is started; ``benchmarks/mistakes.py`` measures the seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.typical_mistakes import MISTAKES, make_files
from litetuner.cli import run as cli
from litetuner.objectives.targets.host import Host
from litetuner.search.runtime.executors import EXECUTORS


class Started(AssertionError):
    """A worker or a target was needed."""


def test_mistakes_are_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def start(*given: Any) -> None:
        raise Started

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EXECUTORS["local"], "__init__", start)
    monkeypatch.setattr(Host, "check", start)
    make_files(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    wrong = []
    for mistake in MISTAKES:
        code = cli(list(mistake.command))
        out, err = capfd.readouterr()
        lacking = [part for part in mistake.parts if part not in err]
        if code != 2 or out or lacking or len(err.strip().splitlines()) != 1:
            wrong.append(f"{mistake.shown}\n  exit code {code}, lacks {lacking}: {err.strip()[:400]}{out[:200]}")
    assert len(MISTAKES) >= 30 and not wrong, "\n" + "\n".join(wrong)
    assert sorted(tmp_path.rglob("*")) == before, "a refused search leaves nothing behind"


def test_what_is_right_gets_as_far_as_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks refuse no model and data that fit."""

    def start(*given: Any) -> None:
        raise Started

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Host, "check", start)
    make_files(tmp_path)
    for more in ([], ["--metric", "own:f1"], ["--max-drop", "1%", "--max-latency", "2ms"], ["--no-json"]):
        assert cli(["search", "model.keras", "--data", "data.npz", *more]) == 4  # Started is no error of a user
