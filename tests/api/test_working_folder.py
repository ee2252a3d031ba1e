"""No command runs a file of the working folder that is called as a library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.api.conftest import band_arrays, band_model

NAMES = "tensorflow tf_keras keras h5py numpy scipy optuna sqlalchemy pandas psutil typer random json litetuner"
FAKE = "--model fake:model --data fake:data --executor fake --target fake --trials 3 --out run"
COMMANDS = ("inspect model/m.keras --data model/d.npz", f"search {FAKE}", "status run", "report run")


def test_no_command_runs_a_file_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    band_model().save(tmp_path / "model" / "m.keras")  # type: ignore[attr-defined]
    np.savez(tmp_path / "model" / "d.npz", **band_arrays())  # type: ignore[arg-type]
    for name in NAMES.split():
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    program = tmp_path / "bin" / "litetuner"  # as pip writes it
    program.parent.mkdir()
    program.write_text("from litetuner.cli import main\nmain()\n")
    for command in COMMANDS:
        how = {"cwd": tmp_path, "env": os.environ, "capture_output": True, "text": True, "timeout": 120}
        done = subprocess.run([sys.executable, str(program), *command.split()], check=False, **how)  # type: ignore[call-overload]
        assert done.returncode in (0, 1), done.stderr
        assert not (tmp_path / "ran").exists(), f"{command} ran {(tmp_path / 'ran').read_text()}"
