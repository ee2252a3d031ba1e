"""Messages between the search and the nodes of a cluster."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.spaces.jobs.workspace import Sources

STORES = ("cache/blobs", "artifacts")  # folders of a run for the files of jobs, which are named by sha256


@dataclasses.dataclass(frozen=True)
class Shipment:
    """What every node needs of the run with the id ``run``.

    ``files`` are the user's files, by path below the folder ``user/<user>`` of a node. ``hidden`` are the folders of
    the user's modules on the machine of the search. Ray adds them to the import path of nodes, and nodes remove them
    there. ``store`` is a folder for results, see ``ResultStore``. ``device`` is the kind of device for trainings.
    """

    run: str
    sources: Sources
    user: str
    files: Mapping[str, bytes]
    hidden: Sequence[str]
    store: str | None
    device: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a node returns for a job: its result or error as JSON, its log, and the files that it made, by path."""

    log: bytes
    error: dict[str, str] | None = None
    result: dict[str, Any] | None = None
    seconds: float = 0.0
    start_seconds: float = 0.0
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
