"""The house holds: packages are folders, arrows look down only, heavy libraries are imported late, files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"api": "litetuner", "reports": "litetuner.reports", "search": "litetuner.search"} | {
    "objectives": "litetuner.objectives",
    "spaces": "litetuner.spaces",
}
MAY_IMPORT = {
    "spaces": {"spaces"},
    "objectives": {"objectives", "spaces"},
    "search": {"search", "objectives", "spaces"},
    "reports": {"reports", "search", "objectives", "spaces"},
}
LATE = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization", "optuna"}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Modules that a file imports, anywhere or (``top_level``) when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if (top_level and inner) or typing_only:
            skipped |= set(ast.walk(node)) - {node}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_look_down_only(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    own = {name.split(".")[1] if "." in name else "" for name in imports(path) if name.split(".")[0] == "litetuner"}
    if folder in MAY_IMPORT:
        assert own <= MAY_IMPORT[folder]
    if path.parent.name != "cli":
        assert not any(name.startswith("litetuner.cli") for name in imports(path)), "nobody imports the command line"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_late(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path, top_level=True)}
    assert not roots & LATE
    everywhere = {name.split(".")[0] for name in imports(path)}
    if path.relative_to(ROOT).parts[0] != "search":
        assert "optuna" not in everywhere
    if path.parent not in (ROOT / "search" / "config", ROOT / "search" / "runs"):
        assert "pydantic" not in everywhere
    if path.relative_to(ROOT).parts[0] == "reports":
        assert not everywhere & LATE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_silent(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 400
    assert "import pickle" not in text


def test_the_package_list_is_the_folders() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        ".".join([FOLDERS[path.relative_to(ROOT).parts[0]], *path.relative_to(ROOT).parts[1:-1]])
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == found
    assert setuptools["package-dir"] == {name: folder for folder, name in FOLDERS.items()}


def test_no_public_name_hides_a_folder() -> None:
    import litetuner

    assert not set(litetuner.__all__) & set(FOLDERS)
    assert all(hasattr(litetuner, name) for name in litetuner.__all__)


@pytest.mark.parametrize(
    "code",
    [
        "import litetuner",
        "from litetuner.cli import run; run(['--help'])",
        "from litetuner.cli import run; run(['search', '--help'])",
    ],
)
def test_importing_and_helping_load_nothing_heavy(code: str) -> None:
    check = f"import sys; {code}; print('LOADED', sorted(set(sys.modules) & {LATE!r}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("LOADED []")


def test_the_lock_carries_names_and_versions_only() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert lines and all(len(line.split("==")) == 2 and "/" not in line for line in lines)
