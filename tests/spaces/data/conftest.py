"""Modules of the user for the tests of this folder."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module of the user into the working folder and returns its name."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(source: str) -> str:
        name = f"user_data_{len(names)}_{os.getpid()}"
        names.append(name)
        (tmp_path / f"{name}.py").write_text("import numpy as np\n" + textwrap.dedent(source))
        return name

    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in names:
        sys.modules.pop(name, None)
