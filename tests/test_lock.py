"""``requirements.lock`` against the requirements of the project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def locked() -> dict[str, str]:
    """Name -> version of requirements.lock; names as the package index compares them."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!-]+", line)]
    assert lines and not wrong, f"requirements.lock holds names and versions only: {wrong}"
    pairs = [line.split("==") for line in lines]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def test_the_lock_holds_names_and_versions_and_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line)[0]).lower() for line in needed}
    lacking = sorted(names - set(locked()) - {"litetuner"})  # `dev` is all extras and more
    assert not lacking, f"not in requirements.lock: {lacking}"
