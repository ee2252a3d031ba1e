"""The environment of a result: the versions of the packages that determine it, and the machine."""

import dataclasses

from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class Environment(Record):
    """Part of the key of every job and of every trial, because results of different environments may differ."""

    versions: dict[str, str]  # package name: version; includes Python
    machine: str  # the host's name and architecture
    processor: str
