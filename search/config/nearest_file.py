"""Which file was meant by a path that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

NEAR = 0.7  # of difflib's ratio: a letter or two, not another word


def nearest_file(path: Path, names: Iterable[str]) -> str:
    """A `` (did you mean ...?)`` of the files beside it: one of its suffix, or of its stem with another; else nothing."""
    same = [name for name in names if Path(name).suffix.lower() == path.suffix.lower() or Path(name).stem == path.stem]
    found = difflib.get_close_matches(path.name, same, n=1, cutoff=NEAR)
    found = found or [name for name in same if Path(name).stem == path.stem]
    return f" (did you mean {found[0]!r}?)" if found else ""
