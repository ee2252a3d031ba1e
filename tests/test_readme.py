"""What the README shows exists: commands, flags, keys, folders and links."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from litetuner.cli import run
from litetuner.search.config.config import keys, make_config

pytestmark = pytest.mark.service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("litetuner ")]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_and_flag_exists(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command[0], "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in (part for part in command if part.startswith("--")):
        assert flag in shown


def test_the_three_ways_are_the_same_search() -> None:
    (toml,) = blocks("toml")
    from_toml = make_config(tomllib.loads(toml))
    (search,) = [command for command in commands() if command[0] == "search"]
    from_flags = make_config(
        {"model": search[1]}
        | {flag.removeprefix("--"): value for flag, value in zip(search[2::2], search[3::2], strict=True)}
    )
    (call,) = [
        node
        for node in ast.walk(ast.parse(blocks("python")[0]))
        if isinstance(node, ast.Call) and "tune" in ast.unparse(node.func)
    ]
    arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
    model, data = (ast.literal_eval(argument) for argument in call.args)
    assert from_toml == from_flags == make_config({"model": model, "data": data, **arguments})
    assert set(arguments) <= set(keys().values())


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"`make (?:PYTHON=\S+ )?([a-z-]+)`|^make ([a-z-]+)", README, flags=re.M)
    assert len(named) >= 4
    for target in (first or second for first, second in named):
        assert f"\n{target}:" in makefile, target


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_and_named_files_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    for named in re.findall(r"`((?:api|reports|search|objectives|spaces|tests|benchmarks|docs)/[\w./]*)`", text):
        if "/x." not in named:
            assert (ROOT / named).exists(), named
