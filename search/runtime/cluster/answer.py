"""What crosses between the search and a node."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from litetuner.spaces.jobs.workspace import Sources

STORES = ("cache/blobs", "artifacts")  # of a run: where jobs find and leave files that are named by their sha256


@dataclasses.dataclass(frozen=True)
class Shipment:
    """What every node needs of a run, whose id is ``run``: the user's files by their path below ``user``.

    ``hidden`` are the folders of the user's modules on the machine of the search, which Ray has nodes import from. ``store``
    is a folder for results, see ``ResultStore``; ``device`` what trainings run on.
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
    """What a node gives for a job: its result or its error as JSON, what it logged, and the files that it made, by path."""

    log: bytes
    error: dict[str, str] | None = None
    result: dict[str, Any] | None = None
    seconds: float = 0.0
    start_seconds: float = 0.0
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
