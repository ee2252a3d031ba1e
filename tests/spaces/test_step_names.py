"""Only the steps themselves, and lists of examples, name steps: everything else asks the registry what a step declares."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from litetuner.spaces.steps import STEPS

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "reports", "search", "objectives", "spaces")
# Lists of examples, and the simulation whose formulas are about known steps.
EXAMPLES = (
    "spaces/steps/",
    "search/proposals/baselines.py",
    "search/proposals/recipes.py",
    "search/proposals/channel_cuts.py",  # of the recipes that prune channels
    "objectives/profiles/",
    "objectives/targets/vela/target.py",  # settings like a profile's
    "spaces/building/fake_builder.py",
)
# Names that are also a type, a kind of recipe, a dimension or a command: only comparisons with a step's name count.
OTHER_MEANINGS = ("float32", "float16", "int8", "dynamic", "channels", "slim")
FILES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.relative_to(ROOT).as_posix().startswith(EXAMPLES)
]


def constants(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and child.value in STEPS:
            yield child.value


def named(tree: ast.AST) -> Iterator[str]:
    """The steps that a file names: imported, looked up in the registry, compared with a name, or in a text of their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("litetuner.spaces.steps."):
            yield f"import from {node.module}"
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "STEPS":
            yield from constants(node.slice)
        elif isinstance(node, ast.Compare) and any(
            isinstance(child, ast.Attribute) and child.attr == "name" for child in ast.walk(node)
        ):
            yield from constants(node)
        elif isinstance(node, ast.Constant):
            yield from (name for name in constants(node) if name not in OTHER_MEANINGS)


def test_no_file_names_a_step() -> None:
    found = {path.relative_to(ROOT).as_posix(): sorted(set(named(ast.parse(path.read_text())))) for path in FILES}
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "code",
    [
        'STEPS["int8"]()',
        'step.name == "int8"',
        'step.name in ("slim", "float32")',
        'knobs["qat"]',
        "from litetuner.spaces.steps.qat import Qat",
    ],
)
def test_the_search_for_names_finds_them(code: str) -> None:
    assert list(named(ast.parse(code)))
    assert not list(named(ast.parse('io = ("float32", "int8")')))
