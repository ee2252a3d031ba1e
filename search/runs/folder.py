"""The run folder: reads and writes all records of a run, also ``trial.json``.

Whole files are written atomically. The events are only a log.
"""

import dataclasses
import functools
import json
import os
import re
import secrets
import shutil
import time
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from litetuner.search.config.config import CHANGEABLE, Config, make_config
from litetuner.search.config.toml_file import to_toml
from litetuner.search.runs.records import PATHS, Anything, checked, identity_differences, kind_of
from litetuner.search.trial import FORMAT_VERSION, State, Trial
from litetuner.spaces.candidate import digest
from litetuner.spaces.errors import RunError
from litetuner.spaces.jobs.collection import few_collections
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.store import (
    Store,
    append,
    cannot_write,
    check_size,
    read_end,
    read_json,
    seal_of,
    seal_text,
    write_atomic,
    write_json,
)

CRC = ', "crc32": '
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")  # temporary files of a search that was killed or is just starting
DEPTH = 3  # levels of folders that are checked: trials/0007, cache/blobs
AGAIN = "Remove it and repeat the search command:"
REMEDIES = {
    "identity": f"{AGAIN} with the same model, data and settings it is written again.",
    "clock": f"{AGAIN} nothing but the time that was counted so far is lost.",
    "targets": f"{AGAIN} the targets are named again.",
    "finals": f"{AGAIN} the final measurements are made again.",
    "trials": f"{AGAIN} only this trial is asked and measured again.",
    "cache": "It is made again.",
}
REBUILD = (
    "Repeat the search command: it builds the files of the baseline, the Pareto front and the picks again. For another "
    "trial use `litetuner rebuild`."
)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run. See ``docs/reference/run-folder.md`` for the formats."""

    path: Path

    @functools.cached_property
    def id(self) -> str:
        """The run's id, part of the checksum of its records. A copied folder has the same id. Empty without a run."""
        record = self.read("identity")
        return "" if record is None else str(record["run"])

    @property
    def artifacts(self) -> Store:
        """The finished ``.tflite`` files by sha256."""
        return Store(self.path / "artifacts", durable=True, remedy=REBUILD)

    @property
    def blobs(self) -> Store:
        """All other files that jobs pass on to later jobs: checkpoints, predictions, raw conversions."""
        return Store(self.path / "cache" / "blobs")

    def workspace(self, sources: Sources | None = None) -> Workspace:
        return Workspace(self.path, self.blobs, self.artifacts, sources or Sources())

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def lock(self) -> filelock.BaseFileLock:
        """Acquire the lock that a search holds while it runs. Raises ``RunError`` if another search holds it."""
        self.check_contents()
        held = filelock.FileLock(self.path / ".lock")
        try:
            held.acquire(timeout=0)
        except filelock.Timeout as error:
            what = f"{self.path}: another search is running in this folder"
            raise RunError(f"{what}. Wait for it, or choose another --out.") from error
        return held

    def check_contents(self) -> None:
        """Raise ``RunError`` if the folder contains anything but files and folders.

        Symbolic links could lead to files outside of the run. Reading a pipe could hang.
        """
        for path in _strange(self.path, DEPTH) if self.path.is_dir() else ():
            raise RunError(
                f"{path} is {'a symbolic link' if path.is_symlink() else 'neither a file nor a folder'}, and a run holds only "
                "files and folders of its own. Remove it, or put what it points to in its place."
            )

    def create(self) -> None:
        """Create the folder. Raises ``RunError`` if it cannot be written, ``HostError`` if the disk is full."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise RunError(f"{self.path} is a file, not a folder. Choose another folder with --out.") from error
        except OSError as error:
            raise cannot_write(self.path, error) from error
        trial = self.path / f".writable.{secrets.token_hex(4)}"  # other processes may do this at the same time
        write_atomic(trial, b"")
        trial.unlink()

    def adopt(self, config: Config, identity: dict[str, Any]) -> None:
        """Write the configuration. For a resumed run, first check that only keys that may change are different.

        ``identity`` contains the sha256 of the model, the data and the user's functions. These are compared instead of
        paths, because a path can be written in several ways.
        A run without a scored trial starts from the beginning if its inputs have changed or its baseline has failed, so
        that the user can correct both. Raises ``RunError`` with every difference.
        """
        keys = {name: value for name, value in config.model_dump(mode="json").items() if name not in CHANGEABLE}
        now = {name.replace("_", "-"): keys[name] for name in keys} | identity
        named = digest({name: value for name, value in now.items() if name not in PATHS})
        known, sealed = self.read("identity"), self._sealed()
        run = self._own(sealed, named) if known is None else known["run"]
        if known is not None and sealed is not None and not sealed.startswith(run):
            raise RunError(f"{self.path}: identity.json and litetuner.toml belong to different runs.")
        differences = [] if known is None else identity_differences(known, now)
        if known is not None and self._begins_anew(differences):
            self._clear()
            known = None
        elif differences:
            raise RunError(
                f"{self.path} holds another run. What differs: {'; '.join(differences)}. Numbers of both would be mixed in "
                "one front. Choose another folder with --out, or leave --out away to get one of its own."
            )
        if known is None:
            self.write("identity", now | {"run": run})
            self.__dict__.pop("id", None)
        write_atomic(self.path / "litetuner.toml", seal_text(to_toml(config), f"{run}-{named}"))

    def _begins_anew(self, differences: list[str]) -> bool:
        failed = False
        for trial in self._each({}):  # reads only the first trial in nearly all runs: it is scored
            if trial.state.scored:
                return False
            failed = failed or (trial.is_baseline and trial.state is State.FAILED)
        return bool(differences or failed)

    def _own(self, sealed: str | None, named: str) -> str:
        """The id of a run without ``identity.json``: a new one, or that of the lost file.

        Raises ``RunError`` if the folder has other content.
        """
        run, _, before = (sealed or "").partition("-")
        names = {item.name for item in self.path.iterdir()} - {".lock", "litetuner.toml"}
        foreign = [name for name in names if not TEMPORARY.fullmatch(name)]
        if not foreign or before == named:
            return run or secrets.token_hex(8)
        what = f"{self.path} is not a run folder and is not empty ({', '.join(sorted(foreign)[:3])})"
        if sealed is not None:
            what = f"{self.path} has lost its identity.json, and had another model, other data or settings"
        raise RunError(f"{what}. Choose another folder with --out.")

    def _sealed(self) -> str | None:
        """Run id and identity hash in the seal of ``litetuner.toml``; ``None`` if it has no valid seal."""
        path = self.path / "litetuner.toml"
        try:
            return seal_of(path.read_bytes()) if path.is_file() else None
        except ValueError:
            return None

    def _clear(self) -> None:
        """Remove everything that an earlier session wrote, except the lock and ``litetuner.toml``."""
        for item in self.path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item.name not in (".lock", "litetuner.toml"):
                item.unlink(missing_ok=True)

    def config(self) -> Config:
        """The resolved configuration. Raises ``RunError`` if this is not a run folder or the file is damaged."""
        path = self.path / "litetuner.toml"
        if not path.is_file():
            what = f"{self.path} is not a run folder: it has no litetuner.toml"
            raise RunError(f"{what}. Give the folder that a search printed.")
        self.check_contents()
        check_size(path, "It is not a configuration.")
        if self.read("identity") is None:
            raise RunError(f"{self.path} has no identity.json. Repeat the search command: it writes it again.")
        if (self._sealed() or "").partition("-")[0] != self.id:
            raise RunError(
                f"{path} is damaged, was edited, or belongs to another run: its checksum does not match. "
                "Repeat the search command, with all its options: it writes the file again."
            )
        return make_config(tomllib.loads(path.read_text(encoding="utf-8")), where=str(path))

    def write_trial(self, trial: Trial) -> None:
        """Write a trial's record. This must happen before Optuna is told."""
        self.write(f"trials/{trial.number:04d}/trial", trial.to_json())

    def trial_folder(self, number: int) -> Path:
        return self.path / "trials" / f"{number:04d}"

    def trials(self, known: Sequence[Trial] = ()) -> list[Trial]:
        """All trials, sorted by number. Records of ``known`` trials (read or written before) are not read again."""
        with few_collections():
            return list(self._each({trial.number: trial for trial in known}))

    def _each(self, known: Mapping[int, Trial]) -> Iterator[Trial]:
        found = sorted((self.path / "trials").glob("[0-9]*/trial.json"), key=lambda path: int(path.parent.name))
        names = (path.parent.name for path in found)
        return (known.get(int(name)) or self.trial(name) for name in names)

    def trial(self, name: str) -> Trial:
        """The trial in a folder of ``trials/``. Raises ``RunError`` if its record is damaged."""
        path = self.path / f"trials/{name}/trial.json"
        found = checked(path, Trial, self.read(f"trials/{name}/trial") or {}, REMEDIES["trials"])
        if found.number != int(name):
            raise RunError(f"{path} is the record of trial {found.number}. {REMEDIES['trials']}")
        return found

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON record of the run (``inspection``, ``trials/0007/trial``), ``None`` if it does not exist yet.

        Raises ``RunError`` if it is damaged, was written for another run or name, has another format, or has a value of
        a wrong type.
        """
        path = self.path / f"{name}.json"
        remedy = REMEDIES.get(name.partition("/")[0], f"{AGAIN} it is written again.")
        try:
            found = read_json(path, seal=self._seal(name), remedy=remedy)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except RunError:
            check_size(path, remedy)
            _check_format(path)
            raise
        if (kind := kind_of(name)) is not None:
            checked(path, kind, found, remedy)
            checked(path, Anything, {"record": found}, remedy)
        return found

    def write(self, name: str, record: dict[str, Any], *, durable: bool = True) -> None:
        record = {"format_version": FORMAT_VERSION} | record
        write_json(self.path / f"{name}.json", record, seal=self._seal(name), durable=durable)

    def _seal(self, name: str) -> str:
        return name if name == "identity" else f"{self.id}/{name}"

    def note(self, event: str, **values: Any) -> None:
        """Append an event and its checksum to ``events.jsonl``. Raises ``HostError`` if the disk is full."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values})
        append(self.path / "events.jsonl", f"{line[:-1]}{CRC}{zlib.crc32(line.encode())}}}\n".encode())

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that can be read. Incomplete or damaged lines are ignored."""
        path = self.path / "events.jsonl"
        for line in read_end(path).splitlines() if path.exists() else ():
            body, _, crc = line.rpartition(CRC.encode())
            if crc == f"{zlib.crc32(body + b'}')}}}".encode():
                yield json.loads(body + b"}")


def _strange(folder: Path, depth: int) -> Iterator[Path]:
    """Everything in a folder that is neither a file nor a folder: symbolic links, pipes, sockets, devices."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _strange(Path(entry.path), depth - 1) if depth else ()
            elif not entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _check_format(path: Path) -> None:
    """Raise ``RunError`` if a record has another format: then its checksum is missing or of another kind."""
    try:
        version = json.loads(path.read_bytes()).get("format_version", 1)
    except (ValueError, AttributeError, RecursionError):
        return
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path} has format {version}, and this version of litetuner reads format {FORMAT_VERSION}: "
            "search again into a new folder, or use the version of litetuner that wrote it."
        )
