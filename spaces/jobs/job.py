"""A job: one stage of work on one model, as a frozen dataclass that is sent to a worker as JSON."""

import dataclasses
import functools
from typing import Any, ClassVar, Generic, Literal, TypeVar

from litetuner.spaces.candidate import digest
from litetuner.spaces.jobs.environment import Environment
from litetuner.spaces.jobs.record import Record

Kind = Literal["inspect", "train", "convert", "score", "time"]
KINDS: tuple[Kind, ...] = ("inspect", "train", "convert", "score", "time")
NOT_IN_KEY = {"in_key": False}  # metadata of a field that does not influence the result
R = TypeVar("R", bound=Record)


@dataclasses.dataclass(frozen=True)
class Limits(Record):
    """The limits of a job: wall seconds, resident memory of its process, and the seconds left in the time budget."""

    seconds: float
    memory_bytes: int
    budget_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(Record, Generic[R]):
    """Subclasses set ``kind``, ``verb`` and ``result``. Their fields are everything that determines the result.

    Blobs are named by their sha256, and no field of the key contains a local path. Jobs with equal ``key`` have equal
    results, so results are cached by key. ``limits`` do not influence the result and are not part of the key.
    """

    kind: ClassVar[Kind]  # the category that the seconds of this job are added to
    verb: ClassVar[str]  # the name of the worker function that runs this job
    result: ClassVar[type[Record]]
    environment: Environment
    limits: Limits = dataclasses.field(metadata=NOT_IN_KEY)

    @functools.cached_property
    def key(self) -> str:
        """16 hex digits, a digest of the verb and of all fields that influence the result."""
        left_out = [field.name for field in dataclasses.fields(self) if not field.metadata.get("in_key", True)]
        return digest([self.verb, {name: value for name, value in self.to_json().items() if name not in left_out}])

    def read(self, record: dict[str, Any]) -> R:
        """Create the result of the job from its JSON."""
        found: R = self.result.from_json(record)  # type: ignore[assignment]
        return found
