"""A job: one stage of work on one model, as a frozen dataclass that crosses to a worker as JSON."""

import dataclasses
import functools
from typing import Any, ClassVar, Generic, Literal, TypeVar

from litetuner.spaces.candidate import digest
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.record import Record

Kind = Literal["inspect", "train", "convert", "score", "time"]
KINDS: tuple[Kind, ...] = ("inspect", "train", "convert", "score", "time")
NOT_IN_KEY = {"in_key": False}  # metadata of a field that does not determine the result
R = TypeVar("R", bound=Record)


@dataclasses.dataclass(frozen=True)
class Limits(Record):
    """What a job may use: wall seconds and resident bytes of its process, and the seconds after which it is for nothing."""

    seconds: float
    memory_bytes: int
    budget_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(Record, Generic[R]):
    """Subclasses set ``kind``, ``verb`` and ``result``. Their fields are all that determines the result.

    Blobs are named by sha256, and no field that is part of the key holds a path of one machine. Jobs of equal ``key`` have
    equal results, so a result is cached by it. ``limits`` only bound a job.
    """

    kind: ClassVar[Kind]  # what its seconds count as
    verb: ClassVar[str]  # which function of a worker does it
    result: ClassVar[type[Record]]
    environment: Environment
    limits: Limits = dataclasses.field(metadata=NOT_IN_KEY)

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits that jobs of equal results share."""
        left_out = [field.name for field in dataclasses.fields(self) if not field.metadata.get("in_key", True)]
        return digest([self.verb, {name: value for name, value in self.to_json().items() if name not in left_out}])

    def read(self, record: dict[str, Any]) -> R:
        """The job's result from its JSON."""
        found: R = self.result.from_json(record)  # type: ignore[assignment]
        return found
