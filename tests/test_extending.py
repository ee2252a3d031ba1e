"""The units of docs/development/extending.md, in a copy of the package: found, tested by the contracts, searched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .documents import ROOT, blocks

pytestmark = pytest.mark.service

FOLDERS = ("spaces", "objectives", "search", "reports")

FOUND = """
from litetuner.objectives.metrics import METRICS
from litetuner.objectives.targets import TARGETS
from litetuner.spaces.steps import STEPS
print("max-error" in METRICS, "slowed" in TARGETS, "shrink" in STEPS)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is installed (``litetuner`` is ``api/``, the other folders are inside), with the page's files."""
    folder = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "api", folder / "litetuner", ignore=unwanted)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "litetuner" / name, ignore=unwanted)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=unwanted)
    shutil.copy(ROOT / "pyproject.toml", folder)
    written = [block for block in blocks(ROOT / "docs" / "development" / "extending.md") if block.language == "python"]
    assert len(written) == 3
    for block in written:
        assert block.file is not None
        (folder / "litetuner" / block.file).write_text(block.text, encoding="utf-8")
    return folder


def done(tree: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(tree)}
    how = {"capture_output": True, "text": True, "timeout": 300}
    found = subprocess.run([sys.executable, *command], cwd=tree, env=environment, check=False, **how)  # type: ignore[call-overload]
    assert found.returncode == 0, found.stdout + found.stderr
    return str(found.stdout)


def test_the_units_are_found(tree: Path) -> None:
    assert done(tree, "-c", FOUND).split() == ["True"] * 3


def test_the_contract_tests_run_on_them_and_pass(tree: Path) -> None:
    files = (
        "spaces/steps/test_contract.py",
        "objectives/metrics/test_metrics.py",
        "objectives/targets/test_targets.py",
    )
    told = done(tree, "-m", "pytest", *(f"tests/{file}" for file in files), "-k", "shrink or max-error or slowed")
    assert int(told.split(" passed")[0].split()[-1]) >= 8


def test_a_search_tries_the_step_in_its_stage(tree: Path) -> None:
    script = """
import numpy as np, litetuner
from tests.search.fakes import studies_in_memory
rng = np.random.default_rng(0)
np.savez("d.npz", x_train=rng.normal(size=(40, 3)), y_train=rng.integers(0, 2, 40))
open("m.keras", "wb").close()
with studies_in_memory():
    run = litetuner.tune("m.keras", "d.npz", executor="fake", target=("fake",), trials=60, max_drop="30%", sampler="random")
names = [[step.name for step in trial.candidate.steps] for trial in run.record().trials]
later = ("prune", "cluster", "qat")
with_it = [found for found in names if "shrink" in found]
print(len(with_it), all(found.index("shrink") < found.index(name) for found in with_it for name in later if name in found))
"""
    count, in_order = done(tree, "-c", script).split()[-2:]
    assert int(count) >= 3 and in_order == "True"


def test_a_search_uses_metric_and_target(tree: Path) -> None:
    """The simulated search takes the target's text and the metric's name; the target's own timing is the host's."""
    script = """
import numpy as np, litetuner
from litetuner.objectives.targets.choice import find_target
rng = np.random.default_rng(0)
np.savez("d.npz", x_train=rng.normal(size=(40, 3)), y_train=rng.normal(size=40))
open("m.keras", "wb").close()
run = litetuner.tune("m.keras", "d.npz", executor="fake", metric="max-error", target=("slowed?factor=3",), trials=3)
print(run.summary()["metric"], find_target("slowed?factor=3").target.describe())
"""
    told = done(tree, "-c", script)
    assert "'max-error', 'direction': 'minimize'" in told and "'factor': 3.0" in told
