"""Shell completion by typer: the script for bash is run in bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRY = """eval "$SCRIPT"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMPREPLY=()
_litetuner_completion litetuner; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shell that finds ``litetuner``, with the completion script for bash in ``SCRIPT``."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "litetuner"
    command.write_text(f"#!{sys.executable}\nfrom litetuner.cli import main\nmain()\n")
    command.chmod(0o755)
    found = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    source = found | {"_LITETUNER_COMPLETE": "source_bash"}
    script = subprocess.run(["litetuner"], env=source, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "complete -o" in script
    return found | {"SCRIPT": script}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("litetuner re", {"rebuild", "report"}),
        ("litetuner search --max-dr", {"--max-drop"}),
        ("litetuner search --size ''", {"compressed", "file", "flash"}),
        ("litetuner export x --pick sm", {"smallest"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", TRY.format(words=words)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
        timeout=60,
    )
    assert set(done.stdout.split()) == expected and done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_script_for_the_current_shell_is_shown(environment: dict[str, str]) -> None:
    command = "litetuner --show-completion bash; echo $?"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert "_litetuner_completion" in done.stdout and done.stdout.endswith("\n0\n")


def test_completing_loads_nothing_heavy() -> None:
    code = """
import sys
from litetuner.cli import run
assert run([]) == 0
print("LOADED", sorted(set(sys.modules) & {"tensorflow", "keras", "tf_keras", "optuna"}))
"""
    asked = {"_LITETUNER_COMPLETE": "complete_bash", "COMP_WORDS": "litetuner search --max-dr", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | asked, timeout=60
    )
    assert done.stdout.split() == ["--max-drop", "LOADED", "[]"]
