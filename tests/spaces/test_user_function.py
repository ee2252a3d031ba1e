"""The user's modules are found last, and a name that is taken is an error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from litetuner.spaces.errors import ConfigError
from litetuner.spaces.jobs.safe_path import (
    USER_FOLDERS,
    installed_path,
    python_command,
    python_environment,
    user_folders,
)
from litetuner.spaces.user_function import check_named, load_function

SHADOWED = ("tensorflow", "h5py", "random", "numpy", "keras", "optuna", "litetuner")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with modules that are called as installed ones."""
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.mark.parametrize("entries", [[""], ["."], ["src"], ["{cwd}"], ["", "{cwd}/"]])
def test_a_child_imports_nothing_from_the_working_folder(
    folder: Path, entries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [entry.format(cwd=folder) for entry in entries]
    (folder / "src").mkdir()
    (folder / "src" / "h5py.py").write_text("raise SystemExit('run')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*entries, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(sys, "path", [*(str(folder / entry) for entry in entries), *sys.path])
    code = f"import litetuner, importlib.util as util; print([util.find_spec(name).origin for name in {SHADOWED}])"
    done = subprocess.run(
        python_command("-c", code), env=python_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert str(folder) not in done.stdout
    assert not {str(folder), str(folder / "src")} & set(installed_path())
    assert str(folder) in user_folders() and (str(folder / "src") in user_folders()) == (entries == ["src"])


def test_the_folder_of_the_script_is_the_users(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "scripts" / "train.py"
    script.parent.mkdir()
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    assert user_folders()[:2] == [str(folder), str(script.parent)]
    assert str(script.parent) not in installed_path()
    assert python_environment()[USER_FOLDERS].split(os.pathsep) == user_folders()


def test_the_users_folder_comes_last_and_only_with_a_function(folder: Path) -> None:
    (folder / "only_mine.py").write_text("def score(y, z):\n    import random\n    return random.random()\n")
    assert str(folder) not in sys.path
    assert 0 <= load_function("only_mine:score", "--metric")(1, 2) <= 1
    assert sys.path[-1] == str(folder)


@pytest.mark.parametrize("name", ["random", "numpy", "statistics"])
def test_a_file_called_as_an_installed_module_is_an_error_that_says_so(folder: Path, name: str) -> None:
    (folder / f"{name}.py").write_text("def score(y, z): return 1.0\n")
    with pytest.raises(
        ConfigError, match=rf"--metric: .*{name}\.py is not used, because Python .*{name}.*Rename the file"
    ):
        load_function(f"{name}:score", "--metric")


def test_a_module_that_is_nowhere_names_the_folders(folder: Path) -> None:
    with pytest.raises(ConfigError, match=rf"there is no module 'nowhere' .*{folder}"):
        load_function("nowhere:score", "--metric")


def test_what_certainly_does_not_exist_is_told_without_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITETUNER_USER_FOLDERS", raising=False)
    texts = {
        "looked_at": "raise SystemExit\ndef scale(x): return x\n",
        "dynamic": "globals()['scale'] = abs\ndef scales(x): return x\n",
        "broken": "def scale(:\n",
        "other": "x = 1\n",
        "assigned": "scale = lambda x: x\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    for spec in ("looked_at:scale", "dynamic:scale", "broken:scale", "other:scale", "assigned:scale", "json:loads"):
        check_named(spec, "--preprocess")
    for spec, part in (
        ("looked_at:scal", "has no function 'scal' (did you mean 'scale'?)"),
        ("nowhere_at_all:scale", "there is no module 'nowhere_at_all'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(part)):
            check_named(spec, "--preprocess")
