"""The folder of an export: it holds one trial, and another one's files are never overwritten unasked."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial
from litetuner.spaces.errors import RunError

OWN = ("trial.json", "provenance.json", "MODEL_CARD.md", "run_example.py")


def make_room(out: Path, trial: Trial, files: Collection[str], force: bool) -> None:
    """See that ``out`` may take the export of a trial: a folder that has none yet, or the same candidate's.

    With ``force`` the files of another export there are removed, those only. Raises ``RunError`` when ``out`` holds another
    trial, or files of these names that no export wrote.
    """
    record = _read(out / "trial.json")
    if record is None:
        foreign = [name for name in (*files, *OWN) if (out / name).exists()]
        if foreign and not force:
            raise RunError(
                f"{out} already has {clean(foreign[0], 90)}, and no trial.json that says of which trial. "
                "Choose another --out, or replace it with --force."
            )
        return
    known = _read(out / "provenance.json") or {}
    before = known.get("files")
    listed = set(before) if isinstance(before, dict) else set()
    same = record.get("key") == trial.candidate.key and record.get("sha256") == trial.sha256
    if not same and not force:
        label = clean(record.get("label"), 80)
        raise RunError(
            f"{out} holds trial {clean(record.get('number'), 20)} ({label}), and this is trial {trial.number} "
            f"({clean(trial.candidate.label, 80)}). Choose another --out, or replace it with --force."
        )
    for name in listed - set(files):
        if _plain(name) and (out / name).is_file():
            (out / name).unlink()


def _plain(name: Any) -> bool:
    """Is this the name of a file that an export writes, and no path to somewhere else?"""
    suffix = Path(str(name)).suffix
    return isinstance(name, str) and Path(name).name == name and suffix in (".tflite", ".h", ".cc")


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; ``None`` where there is no file. One that is something else is somebody else's."""
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} is not what an export writes ({error}). Choose another --out.") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} is not what an export writes. Choose another --out.")
    return record
