"""The run folder: the only place where a run lives. Whole files are atomic; events are a log, never the truth."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from litetuner.search.config.config import CHANGEABLE, Config, make_config, to_toml
from litetuner.search.trial import FORMAT_VERSION, Trial
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.store import Store, cannot_write, write_atomic, write_json


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run. See ``docs/run-folder.md`` for the formats."""

    path: Path

    @property
    def artifacts(self) -> Store:
        """The finished ``.tflite`` files by sha256."""
        return Store(self.path / "artifacts", durable=True)

    @property
    def blobs(self) -> Store:
        """Everything else that jobs pass on: checkpoints, predictions, raw conversions."""
        return Store(self.path / "cache" / "blobs")

    def workspace(self, sources: Sources | None = None) -> Workspace:
        return Workspace(self.path, self.blobs, self.artifacts, sources or Sources())

    @property
    def study_url(self) -> str:
        return f"sqlite:///{(self.path / 'study.db').absolute()}"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def lock(self) -> filelock.BaseFileLock:
        """Held while a search runs. Raises ``RunError`` when another search of this folder is at work."""
        held = filelock.FileLock(self.path / ".lock")
        try:
            held.acquire(timeout=0)
        except filelock.Timeout as error:
            what = f"{self.path}: another search is running in this folder"
            raise RunError(f"{what}. Wait for it, or choose another --out.") from error
        return held

    def create(self) -> None:
        """Make the folder. Raises ``RunError`` when it cannot be written, ``HostError`` when the disk is full."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise RunError(f"{self.path} is a file, not a folder. Choose another folder with --out.") from error
        except OSError as error:
            raise cannot_write(self.path, error) from error
        write_atomic(self.path / ".writable", b"")
        (self.path / ".writable").unlink()

    def adopt(self, config: Config, identity: dict[str, Any]) -> None:
        """Write the configuration, or check that a resumed run is the same one but for what may change.

        ``identity`` holds the sha256 of the model's file and of the data's: paths may be written in several ways. A run
        that was never inspected is begun anew, so that data can be corrected. Raises ``RunError`` with every difference.
        """
        path = self.path / "identity.json"
        self._check_format()
        keys = {name: value for name, value in config.model_dump(mode="json").items() if name not in CHANGEABLE}
        frozen = {"format_version": FORMAT_VERSION} | {name.replace("_", "-"): keys[name] for name in keys} | identity
        if path.exists():
            differences = _differences(_read_json(path), frozen)
            if differences and self.read("inspection") is None and not self.trials():
                shutil.rmtree(self.path / "cache", ignore_errors=True)
                write_json(path, frozen)
            elif differences:
                raise RunError(
                    f"{self.path} holds another run. What differs: {'; '.join(differences)}. "
                    "Choose another folder with --out, or leave --out away to get one of its own."
                )
        else:
            foreign = [item.name for item in self.path.iterdir() if item.name not in (".lock", "litetuner.toml")]
            if foreign:
                names = ", ".join(sorted(foreign)[:3])
                what = f"{self.path} is no run folder and is not empty ({names})"
                raise RunError(f"{what}. Choose another folder with --out.")
            write_json(path, frozen)
        write_atomic(self.path / "litetuner.toml", to_toml(config))

    def config(self) -> Config:
        """The resolved configuration. Raises ``RunError`` when this is no run folder."""
        self._check_format()
        path = self.path / "litetuner.toml"
        if not path.is_file():
            what = f"{self.path} is no run folder: it has no litetuner.toml"
            raise RunError(f"{what}. Give the folder that a search printed.")
        return make_config(tomllib.loads(path.read_text(encoding="utf-8")), where=str(path))

    def _check_format(self) -> None:
        """Raise ``RunError`` for a run folder of another format, before anything of it is read or changed."""
        path = self.path / "identity.json"
        version = _parsed(path).get("format_version", 1) if path.exists() else FORMAT_VERSION
        if version != FORMAT_VERSION:
            raise RunError(_other_format(self.path, version))

    def write_trial(self, trial: Trial) -> None:
        """Write a trial's record; done before Optuna is told."""
        write_json(self.trial_folder(trial.number) / "trial.json", trial.to_json())

    def trial_folder(self, number: int) -> Path:
        return self.path / "trials" / f"{number:04d}"

    def trials(self) -> list[Trial]:
        found = sorted((self.path / "trials").glob("[0-9]*/trial.json"), key=lambda path: int(path.parent.name))
        return [Trial.from_json(_read_json(path)) for path in found]

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON record of the run (``inspection``, ``sensitivity``, ``finals``, ``environment``), ``None`` if not there yet."""
        path = self.path / f"{name}.json"
        return _read_json(path) if path.exists() else None

    def write(self, name: str, record: dict[str, Any]) -> None:
        write_json(self.path / f"{name}.json", {"format_version": FORMAT_VERSION} | record)

    def note(self, event: str, **values: Any) -> None:
        """Append to ``events.jsonl``. Raises ``HostError`` when the disk is full."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values})
        path = self.path / "events.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise cannot_write(path, error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that can be read; a torn tail is ignored."""
        path = self.path / "events.jsonl"
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue


def _differences(known: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    for key in sorted(known | now):
        if key in ("model", "data", "format_version") or known.get(key) == now.get(key):
            continue
        what = key.removesuffix("_content")
        sides = [
            f"{side.get(what)}" + (f" (sha256 {side[key][:12]})" if _hashed(side, key) else "") for side in (known, now)
        ]
        found.append(f"{what}: {sides[0]} there, {sides[1]} now")
    return found


def _hashed(side: dict[str, Any], key: str) -> bool:
    return key.endswith("_content") and side.get(key) not in (None, side.get(key.removesuffix("_content")))


def _read_json(path: Path) -> dict[str, Any]:
    record = _parsed(path)
    version = record.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise RunError(_other_format(path, version))
    return record


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}). Remove it, or the whole run folder, and search again.") from error


def _other_format(path: Path, version: object) -> str:
    return (
        f"{path} has format {version}, and this version of litetuner reads format {FORMAT_VERSION}: "
        "search again into a new folder, or use the version of litetuner that wrote it."
    )
