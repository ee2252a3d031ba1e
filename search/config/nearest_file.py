"""The file that was probably meant by a path that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

NEAR = 0.7  # ratio of difflib: one or two letters differ


def nearest_file(path: Path, names: Iterable[str]) -> str:
    """A `` (did you mean ...?)`` with a file of the same folder and the same suffix or stem, or an empty string."""
    same = [name for name in names if Path(name).suffix.lower() == path.suffix.lower() or Path(name).stem == path.stem]
    found = difflib.get_close_matches(path.name, same, n=1, cutoff=NEAR)
    found = found or [name for name in same if Path(name).stem == path.stem]
    return f" (did you mean {found[0]!r}?)" if found else ""
