"""The folder of an export: it holds one trial, and the files of another trial are never overwritten without --force."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial
from litetuner.spaces.errors import RunError

OWN = ("trial.json", "provenance.json", "MODEL_CARD.md", "run_example.py")


def prepare_folder(out: Path, trial: Trial, files: Collection[str], force: bool) -> None:
    """Check that ``out`` has no export yet, or one of the same candidate.

    With ``force``, the files of another export there are removed, and no other files. Raises ``RunError`` when ``out``
    holds another trial, or files with these names that no export wrote.
    """
    record = _read(out / "trial.json")
    if record is None:
        foreign = [name for name in (*files, *OWN) if (out / name).exists()]
        if foreign and not force:
            raise RunError(
                f"{out} already contains {clean(foreign[0], 90)}, but no trial.json that names its trial. "
                "Choose another --out, or replace the file with --force."
            )
        return
    known = _read(out / "provenance.json") or {}
    before = known.get("files")
    listed = set(before) if isinstance(before, dict) else set()
    same = record.get("key") == trial.candidate.key and record.get("sha256") == trial.sha256
    if not same and not force:
        label = clean(record.get("label"), 80)
        raise RunError(
            f"{out} contains trial {clean(record.get('number'), 20)} ({label}), not trial {trial.number} "
            f"({clean(trial.candidate.label, 80)}). Choose another --out, or replace it with --force."
        )
    for name in listed - set(files):
        if _plain(name) and (out / name).is_file():
            (out / name).unlink()


def _plain(name: Any) -> bool:
    """Is this the name of a file that an export writes, not a path to another folder?"""
    suffix = Path(str(name)).suffix
    return isinstance(name, str) and Path(name).name == name and suffix in (".tflite", ".h", ".cc")


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; ``None`` where there is no file. Anything else was not written by an export."""
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} was not written by an export ({error}). Choose another --out.") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} was not written by an export. Choose another --out.")
    return record
