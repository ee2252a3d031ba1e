"""Completion scripts: the one for bash is run in bash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from litetuner.cli import run as cli

TRY = """source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMPREPLY=(); _litetuner; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    with pytest.MonkeyPatch.context() as patch:
        for shell in ("bash", "zsh", "fish"):
            written: list[str] = []
            patch.setattr("typer.echo", lambda text, nl=True, to=written: to.append(text))
            assert cli(["completion", shell]) == 0
            (folder / shell).write_text("".join(written))
    return folder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("litetuner reb", {"rebuild"}),
        ("litetuner re", {"rebuild", "report"}),
        ("litetuner search --max-dr", {"--max-drop"}),
        ("litetuner export x --pick sm", {"smallest"}),
        ("litetuner completion z", {"zsh"}),
        ("litetuner status ''", {"known"}),
        ("litetuner status --", {"--json", "--help"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], scripts: Path, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    (tmp_path / "known").mkdir()
    text = TRY.format(script=scripts / "bash", words=words)
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=20)
    assert set(done.stdout.split()) == expected and done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_read_by_its_shell(shell: str, scripts: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", str(scripts / shell)], check=True, timeout=20)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_every_command_is_in_it(shell: str, scripts: Path) -> None:
    text = (scripts / shell).read_text()
    for command in ("search", "export", "rebuild", "compare", "status"):
        assert command in text
    assert "max-drop" in text and "smallest" in text


def test_another_shell(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli(["completion", "powershell"]) == 2
    assert "bash, zsh, fish" in capfd.readouterr().err
