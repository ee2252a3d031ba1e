"""The export: the measured file, the record of its trial, and a model card."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from litetuner.reports.card import write_card
from litetuner.reports.file_names import artifact_name
from litetuner.reports.view import View
from litetuner.reports.words import clean
from litetuner.search.front import PICKS
from litetuner.search.trial import Trial
from litetuner.spaces.errors import ConfigError, RunError, nearest
from litetuner.spaces.store import write_atomic, write_json

if TYPE_CHECKING:
    from litetuner.search.record import RunRecord


def export(record: RunRecord, *, trial: int | None = None, pick: str | None = None, out: Path) -> Path:
    """Write a trial's ``.tflite``, ``trial.json`` and ``MODEL_CARD.md`` to the folder ``out``; returns the ``.tflite``.

    The trial is the one of that number, or a pick by name, else the pick ``best``. The file's sha256 is checked to be
    the measured one before anything is written.

    Raises ``ConfigError`` for a name that is no pick, or both a trial and a pick; ``RunError`` for a trial that does not
    exist or has no file, when nothing is feasible, when the file was altered, and when ``out`` cannot be written.
    """
    view = View(record)
    chosen = _choose(view, trial, pick)
    content = _read(record, chosen)
    name = artifact_name(record.model.name, chosen.candidate.label)
    card = write_card(view, chosen, name, content)
    write_atomic(out / name, content)
    write_json(out / "trial.json", chosen.to_json())
    write_atomic(out / "MODEL_CARD.md", card)
    return out / name


def _choose(view: View, number: int | None, pick: str | None) -> Trial:
    if number is not None and pick is not None:
        raise ConfigError(f"export: give a trial ({number}) or a pick ({clean(pick, 40)!r}), not both.")
    if number is not None:
        return _numbered(view, number)
    name = pick or "best"
    if name not in PICKS:
        raise ConfigError(
            f"export: there is no pick {clean(name, 40)!r}{nearest(name, PICKS)}. The picks are {', '.join(PICKS)}."
        )
    if view.blocked is not None:
        raise RunError(nothing_to_export(view, name))
    if name not in view.picks:
        raise RunError(
            f"{view.record.folder.path}: there is no {name} trial, since latency was not measured. "
            f"The picks of this run are {', '.join(view.picks)}."
        )
    return view.picks[name]


def nothing_to_export(view: View, name: str) -> str:
    """Why there is no pick: the budget that blocks, and what would have to give."""
    blocked = view.blocked
    if blocked is None:
        raise ValueError("something is feasible")
    lines = [f"{view.record.folder.path}: no {name} trial, for nothing is within the budgets. {blocked.reason}"]
    if blocked.settings:
        lines.append(f"Search again with {' '.join(blocked.settings)}")
        if blocked.nearest is not None:
            lines[-1] += f", or export the nearest as it is with --trial {blocked.nearest.number}"
        lines[-1] += "."
    return " ".join(lines)


def _numbered(view: View, number: int) -> Trial:
    record = view.record
    known = {trial.number: trial for trial in record.trials}
    if number not in known:
        exported = [trial.number for trial in record.trials if trial.artifact]
        near = min(exported, key=lambda other: abs(other - number), default=None)
        hint = f" The nearest with a file is trial {near}." if near is not None else ""
        last = f"; they go from {min(known)} to {max(known)}" if known else ""
        raise RunError(f"{record.folder.path}: there is no trial {number}{last}.{hint}")
    return known[number]


def _read(record: RunRecord, trial: Trial) -> bytes:
    """The trial's file, its sha256 checked against the measured one."""
    where = f"{record.folder.path}: trial {trial.number}"
    if trial.artifact is None:
        if trial.duplicate_of is not None:
            raise RunError(f"{where} is the same candidate as trial {trial.duplicate_of}; export that one.")
        reason = f" ({clean(trial.reason, 200)})" if trial.reason else ""
        raise RunError(f"{where} is {trial.state}{reason} and has no file. Choose one of state COMPLETE or INFEASIBLE.")
    name = PurePosixPath(trial.artifact).name
    if trial.sha256 is not None and name.partition(".")[0] != trial.sha256:
        raise RunError(
            f"{where} was altered: its file is {clean(name, 90)}, but the one that was measured has sha256 {trial.sha256}."
        )
    return record.folder.artifacts.get(name)
