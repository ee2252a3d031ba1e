"""The fenced blocks of README and docs, and how to run them as a reader would."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = ("console", "sh", "bash")
LANGUAGES = (*COMMANDS, "python", "toml")

_BLOCK = re.compile(r"(?:<!-- (?P<say>.*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_FILE = re.compile(r"# (\S+\.(?:py|toml))\b")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block; ``say`` is the HTML comment right before it, such as ``not run: it needs a phone``."""

    page: Path
    line: int
    language: str
    text: str
    say: str

    @property
    def runs(self) -> bool:
        return self.language in LANGUAGES and not self.say.startswith("not run:")

    @property
    def file(self) -> str | None:
        """The file that the block's first line names: the block is what it holds."""
        named = _FILE.match(self.text)
        return named[1] if named and " search " not in self.text.partition("\n")[0] else None

    @property
    def lines(self) -> list[list[str]]:
        """The words of each command; comments and, in a console, what it answers are left out."""
        text = self.text.replace("\\\n", " ")
        typed = [line for line in text.splitlines() if self.language != "console" or line.startswith("$ ")]
        words = [shlex.split(line.removeprefix("$ "), comments=True) for line in typed]
        return [line for line in words if line]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"], found["say"] or "")
        for found in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def parse(words: list[str]) -> None:
    """Read a ``litetuner`` command by its own parser, without doing it; a search's keys are checked too."""
    import typer

    from litetuner.cli import app
    from litetuner.search.config.config import keys, make_config

    group: Any = typer.main.get_command(app)
    name, *rest = words
    command = group.commands[name]
    context = command.make_context(name, list(rest))
    source = context.params.get("source")
    if name == "search" and not (source or "").endswith(".toml"):
        given = context.params | ({"model": source} if source else {})
        make_config(
            {key: value for key, value in given.items() if key in keys().values() and value not in (None, [], ())}
        )


class Reader:
    """Runs the blocks of a page in the working folder. Python blocks of a page share one namespace."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "page"}

    def do(self, block: Block) -> None:
        """Run a block. A command that fails raises ``AssertionError``."""
        if block.file is not None:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "toml":
            Path("search.toml").write_text(block.text, encoding="utf-8")
            self.command(["litetuner", "search", "search.toml"])
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, str(block.page), "exec"), self.namespace)
        else:
            for words in block.lines:
                said = re.findall(r"\d", block.say.partition(":")[0]) if block.say.startswith("exits with ") else ["0"]
                self.command(words, [int(code) for code in said])

    def command(self, words: list[str], codes: Sequence[int] = (0,)) -> None:
        from litetuner.cli import run

        program, *given = words
        arguments = [path for word in given for path in (sorted(glob.glob(word)) if "*" in word else [word])]
        if program == "litetuner":
            assert run(arguments) in codes, shlex.join(words)
        elif program == "python" and arguments[0] != "-m":
            run_script(arguments)
        else:
            command = [sys.executable, *arguments] if program == "python" else words
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


def run_script(arguments: list[str]) -> None:
    """``python SCRIPT ARGUMENTS`` in this process, so that what is patched here holds there."""
    before, path = sys.argv, list(sys.path)
    options = [argument for argument in arguments if argument != "-P"]
    try:
        sys.argv = options
        sys.path.insert(0, str(Path(options[0]).parent.absolute()))
        runpy.run_path(options[0], run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before, path


@contextlib.contextmanager
def own_folder(folder: Path) -> Any:
    """Work in a folder; its modules are forgotten afterwards."""
    before, path, modules = Path.cwd(), list(sys.path), set(sys.modules)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]
