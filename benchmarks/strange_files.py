"""Hostile files in place of a model or data: code in a pickle, links, pipes, and files larger than the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Maker = Callable[[Path], Path]


def code_that_shows(folder: Path) -> str:
    return f"open({str(folder / 'canary')!r}, 'w').write('x')"


class Pickled:
    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


def plain(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def links(name: str, to: str) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).symlink_to(to)
        return folder / name

    return make


def sparse(name: str) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).touch()
        os.truncate(folder / name, 1 << 40)
        return folder / name

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.keras")
    return folder / "model.keras"
