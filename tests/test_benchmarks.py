"""Benchmarks are run by hand and rarely: what they import, and what they patch by name, must exist."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
DOTTED = re.compile(r"litetuner(\.\w+)+")


def names(tree: ast.Module) -> Iterator[str]:
    """``module:name`` of every import from the library, and the dotted names in texts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("litetuner"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("litetuner"):
            yield from (f"{node.module}:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            yield node.value


def exists(name: str) -> bool:
    module, _, attribute = name.partition(":")
    try:
        found = pkgutil.resolve_name(module)
        if attribute and not hasattr(found, attribute):
            importlib.import_module(f"{module}.{attribute}")
    except (ImportError, AttributeError):
        return False
    return True


def test_what_benchmarks_import_and_patch_exists() -> None:
    used = {
        (path.name, name)
        for path in sorted(BENCHMARKS.glob("*.py"))
        for name in names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(used) > 50, "the benchmarks were not found"
    lacking = [f"{file}: {name}" for file, name in sorted(used) if not exists(name)]
    assert not lacking, "\n".join(lacking)


def test_siblings_exist() -> None:
    """A benchmark is started as ``python benchmarks/NAME.py``: its own folder is on the path, the repository if it says so."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in BENCHMARKS.glob("*.py")}
    modules = {name: ast.parse(text) for name, text in texts.items()}
    found = [node for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [node.module for node in found if node.level or (node.module or "").startswith("benchmarks")]
    for name, tree in modules.items():
        uses = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests")
        ]
        assert not uses or "sys.path.insert(0, str(ROOT))" in texts[name], name
    for node in found:
        if node.module in modules:
            body = modules[node.module].body
            defined = {getattr(each, "name", None) for each in body}
            assigned = [each for each in body if isinstance(each, ast.Assign | ast.AnnAssign)]
            defined |= {name.id for each in assigned for name in ast.walk(each) if isinstance(name, ast.Name)}
            assert {alias.name for alias in node.names} <= defined, node.module
