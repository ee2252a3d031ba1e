"""Sends files to the nodes of a cluster.

The user's files are sent once. Blobs and artifacts are put into Ray's object store once, and sent as references.
"""

import dataclasses
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np

from litetuner.objectives.cluster import load_ray
from litetuner.search.config.config import Config
from litetuner.search.evaluation.identity import named_functions, source_files, user_functions
from litetuner.search.runs.folder import RunFolder
from litetuner.search.runtime.cluster.answer import STORES, Shipment
from litetuner.search.runtime.jobs import blob_names
from litetuner.spaces.jobs.job import Job
from litetuner.spaces.jobs.safe_path import user_folders
from litetuner.spaces.jobs.workspace import Sources


class Shipping:
    """Ray's references to the files of a run. Any thread may use it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._references: dict[str, Any] = {}  # by path below the run folder
        self._named: dict[str, list[str]] = {}  # the names in each JSON blob

    def files(self, job: Job[Any]) -> dict[str, Any]:
        """References to all files that a job needs, by path below the run folder."""
        names = list(blob_names(job.to_json()))
        for name in [name for name in names if name.endswith(".json")]:
            names += self._inside(name)
        paths = [f"{store}/{name}" for name in dict.fromkeys(names) for store in STORES]
        return {path: self._reference(path) for path in paths if (self._folder.path / path).is_file()}

    def forget(self) -> None:
        """Forget all references after a node was lost. Files are put into the object store again when needed."""
        with self._lock:
            self._references.clear()

    def _inside(self, name: str) -> list[str]:
        if name not in self._named:
            self._named[name] = list(blob_names(json.loads(self._folder.blobs.get(name))))
        return self._named[name]

    def _reference(self, path: str) -> Any:
        with self._lock:
            if path not in self._references:
                file = self._folder.path / path
                content = np.memmap(file, np.uint8, "r") if file.stat().st_size else np.zeros(0, np.uint8)
                self._references[path] = load_ray().put(np.asarray(content))
            return self._references[path]


def pack(folder: RunFolder, config: Config, sources: Sources, device: str) -> Shipment:
    """The shipment for nodes: the model and the modules of the user's functions, as far as they are files."""
    found = _modules(config)
    model = Path(config.model)
    if model.is_file():
        found[f"model/{model.name}"] = model
    elif model.is_dir():
        found |= {f"model/{model.name}/{path.relative_to(model)}": path for path in model.rglob("*") if path.is_file()}
    files = {path: file.read_bytes() for path, file in sorted(found.items())}
    named = hashlib.sha256(
        json.dumps({path: hashlib.sha256(text).hexdigest() for path, text in files.items()}).encode()
    )
    if model.exists():
        sources = dataclasses.replace(sources, model=f"model/{model.name}", data="")
    return Shipment(folder.id, sources, named.hexdigest()[:16], files, user_folders(), config.store, device)


def _modules(config: Config) -> dict[str, Path]:
    """The files of the user's functions outside installed packages, by path relative to the import folder."""
    found: dict[str, Path] = {}
    for given in user_functions(config).values():
        for spec in named_functions(given):
            for path in source_files(spec.partition(":")[0]):
                places = [Path(folder, path) for folder in user_folders() if Path(folder, path).is_file()]
                if places:
                    found[path] = places[0]
    return found
