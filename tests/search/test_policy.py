"""All tunable numbers of the search policy stand in search/policy.py, each with a comment."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from litetuner.search.policy import POLICY

SEARCH = Path(__file__).parents[2] / "search"
FILES = [
    *sorted((SEARCH / "proposals").rglob("*.py")),
    *(SEARCH / f"{name}.py" for name in ("criteria", "front", "history", "hypervolume")),
    SEARCH / "config" / "budgets.py",
    *(SEARCH / "evaluation" / f"{name}.py" for name in ("gates", "upper_bounds", "sensitivity")),
    SEARCH / "finals" / "ablation.py",
]


def constants(path: Path) -> list[str]:
    """Module-level assignments that hold a number other than 0 and 1, and keyword defaults of functions that do."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    defaults = [node.args for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    values = [node.value for node in assigned if node.value is not None]
    values += [value for node in defaults for value in [*node.defaults, *node.kw_defaults] if value is not None]
    numbers = [node for value in values for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return [
        f"{path.name}:{node.lineno}: {node.value}"
        for node in numbers
        if isinstance(node.value, int | float) and not isinstance(node.value, bool) and node.value not in (0, 1)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SEARCH)))
def test_no_tunable_number_stands_elsewhere(path: Path) -> None:
    assert constants(path) == []


def test_every_number_has_a_comment() -> None:
    lines = (SEARCH / "policy.py").read_text(encoding="utf-8").splitlines()
    for part in dataclasses.fields(POLICY):
        for field in dataclasses.fields(getattr(POLICY, part.name)):
            (at,) = [k for k, line in enumerate(lines) if line.startswith(f"    {field.name}: ")][-1:]
            block = []
            while lines[at].strip() and not lines[at].strip().startswith('"""'):
                block.append(lines[at])
                at -= 1
            assert any("# " in line for line in block), f"{part.name}.{field.name} has no comment"
