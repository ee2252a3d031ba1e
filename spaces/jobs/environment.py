"""What a result was computed with: versions of the packages that determine it, and the machine."""

import dataclasses

from litetuner.spaces.jobs.record import Record


@dataclasses.dataclass(frozen=True)
class Environment(Record):
    """Part of every job's key and of every trial: results of different environments are not the same results."""

    versions: dict[str, str]  # by package, also Python's
    machine: str  # the host's name and architecture
    processor: str
