"""What is published: sdist and wheel are built from a clean copy, described correctly, and run where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from .documents import ROOT

pytestmark = pytest.mark.service


def done(*command: str | Path, cwd: Path, **environment: str) -> str:
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LITETUNER_INSTALLED")}
    how = {"capture_output": True, "text": True, "timeout": 200}
    found = subprocess.run([*map(str, command)], cwd=cwd, env=known | environment, check=False, **how)  # type: ignore[call-overload]
    assert found.returncode == 0, found.stdout[-1500:] + found.stderr[-1500:]
    return str(found.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist of a copy without what only this machine has, and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("packages")
    unwanted = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder / "clone", ignore=unwanted)
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", cwd=folder / "clone")
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


def test_the_index_will_accept_them(built: dict[str, Path], tmp_path: Path) -> None:
    said = done(sys.executable, "-m", "twine", "check", "--strict", *built.values(), cwd=tmp_path)
    assert said.count("PASSED") == 2


def test_they_hold_the_package_and_its_data(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as archive:
        names = set(archive.namelist())
    for path in ("litetuner/__init__.py", "litetuner/py.typed", "litetuner/reports/html/templates/report.css"):
        assert path in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]
    wanted = {path.relative_to(ROOT) for path in (ROOT / "spaces").rglob("*.py")}
    assert {f"litetuner/{path.as_posix()}" for path in wanted} <= names
    with tarfile.open(built["sdist"]) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "api/__init__.py"} <= source


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_runs_where_it_is_installed(built: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """In a new environment that sees the installed libraries; litetuner alone is installed there."""
    done(sys.executable, "-m", "venv", "--without-pip", tmp_path / "new", cwd=tmp_path)
    python = tmp_path / "new" / "bin" / "python"
    (site,) = (tmp_path / "new" / "lib").glob("python*/site-packages")
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    done(*install, "--no-build-isolation", built[kind], cwd=tmp_path, PYTHONPATH=_libraries())
    (site / "libraries.pth").write_text(_libraries() + "\n")
    where = done(python, "-c", "import litetuner; print(litetuner.__file__, litetuner.__version__)", cwd=tmp_path)
    assert where.startswith(str(site))
    assert "search" in done(tmp_path / "new" / "bin" / "litetuner", "--help", cwd=tmp_path)
    assert "litetuner" in done(tmp_path / "new" / "bin" / "litetuner", "--version", cwd=tmp_path)


def _libraries() -> str:
    """The folder of the libraries of this environment."""
    import optuna

    return str(Path(optuna.__file__).parent.parent)
