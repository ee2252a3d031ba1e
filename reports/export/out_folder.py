"""The output folder of an export. Files of an earlier export are kept."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litetuner.reports.text.formatting import clean
from litetuner.search.trial import Trial
from litetuner.spaces.errors import RunError

# ``trial.json`` identifies the export in a folder, so it is moved away last.
OWN = ("provenance.json", "MODEL_CARD.md", "run_example.py", "trial.json")


def prepare_folder(out: Path, trial: Trial, files: Mapping[str, bytes], force: bool) -> dict[str, Any]:
    """Prepare ``out`` for an export; returns the entries of ``provenance.json`` for earlier files that stay valid.

    Files of an earlier export that is not valid any more are moved to ``earlier-ID`` in ``out``, where ``ID`` is the id
    of its candidate; nothing is deleted. Without ``force``, raises ``RunError`` if ``out`` holds the export of another
    trial, or files with these names and no ``trial.json``.
    """
    record = _read_json(out / "trial.json")
    if record is None:
        foreign = [name for name in (*files, *OWN) if (out / name).exists()]
        if foreign and not force:
            raise RunError(
                f"{out} already contains {clean(foreign[0], 90)}, but no trial.json that names its trial. "
                "Choose another --out, or replace the file with --force."
            )
        return {}
    before = (_read_json(out / "provenance.json") or {}).get("files")
    listed = {name: about for name, about in before.items() if _plain(name)} if isinstance(before, dict) else {}
    same = record.get("key") == trial.candidate.key and record.get("sha256") == trial.sha256
    if not same and not force:
        label = clean(record.get("label"), 80)
        raise RunError(
            f"{out} contains trial {clean(record.get('number'), 20)} ({label}), not trial {trial.number} "
            f"({clean(trial.candidate.label, 80)}). Choose another --out, or replace it with --force."
        )
    present = [name for name in listed if (out / name).is_file()]
    if same and all(_unchanged(listed.get(name), content) for name, content in files.items() if name in listed):
        return {name: listed[name] for name in present if name not in files}
    _set_aside(out, [*present, *(name for name in OWN if (out / name).is_file())], str(record.get("key")))
    return {}


def _unchanged(about: Any, content: bytes) -> bool:
    return isinstance(about, dict) and about.get("sha256") == hashlib.sha256(content).hexdigest()


def _set_aside(out: Path, names: list[str], key: str) -> None:
    """Move the files of an earlier export to a new folder ``earlier-ID`` in ``out``.

    Raises ``RunError`` if that fails.
    """
    identity = "".join(c for c in key[:6] if c.isalnum()) or "export"
    taken = (out / f"earlier-{identity}{ending}" for ending in ("", *(f"-{k}" for k in range(2, 1000))))
    target = next(path for path in taken if not path.exists())
    try:
        target.mkdir()
        for name in names:
            (out / name).rename(target / name)
    except OSError as error:
        raise RunError(f"{out}: the earlier export cannot be moved to {target.name} ({error}).") from error


def _plain(name: Any) -> bool:
    """True if ``name`` is a file name with a suffix that an export writes, and not a path to another folder."""
    suffix = Path(str(name)).suffix
    return isinstance(name, str) and Path(name).name == name and suffix in (".tflite", ".h", ".cc")


def _read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, ``None`` if there is no file. Raises ``RunError`` for any other content."""
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} was not written by an export ({error}). Choose another --out.") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} was not written by an export. Choose another --out.")
    return record
