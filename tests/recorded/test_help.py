"""What ``--help`` of every command says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer

from litetuner.cli import app, run

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compare: Callable[[str, str], None]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    texts = []
    for arguments in ([], *([command] for command in COMMANDS)):
        assert run([*arguments, "--help"]) == 0
        texts.append(f"$ litetuner {' '.join([*arguments, '--help'])}\n{capsys.readouterr().out.rstrip()}\n")
    compare("help.txt", "\n".join(texts))
