"""The limits of a job: its own time and memory, and what is left of the time budget."""

from litetuner.search.clock import Clock, left
from litetuner.search.config.config import Config
from litetuner.search.config.units import BYTES, parse
from litetuner.search.runtime.executors import EXECUTORS
from litetuner.search.runtime.machine import memory_bytes
from litetuner.spaces.jobs.job import Kind, Limits

SECONDS: dict[Kind, float] = {"train": 900.0, "convert": 900.0, "score": 1800.0, "time": 120.0, "inspect": 1800.0}
OVERRUN_SECONDS = 60.0  # a job may take this long even if less of the time budget is left
MEMORY_SHARE = 0.5  # of this machine's memory, if the user sets no limit: two workers may run at once
LEAST_MEMORY = 2_000_000_000  # bytes; a worker that trained a small model used 1.3 GB, TensorFlow alone 0.6 GB


def job_limits(config: Config, kind: Kind, seconds: float = 0.0, clock: Clock | None = None) -> Limits:
    """The limits of a job; ``seconds`` replaces the usual time of its kind.

    Without ``clock``, the time that is left of the time budget does not limit the job. An inspection, which comes
    first, may use the whole time budget.
    """
    budget = float("inf") if config.seconds is None else max(config.seconds, OVERRUN_SECONDS)
    own = min(SECONDS["inspect"], budget) if kind == "inspect" else seconds or SECONDS[kind]
    # The worst case: every other trial uses all cores too, so that each job takes ``parallel`` times as long.
    own *= 1 if EXECUTORS[config.executor].elsewhere else config.parallel
    ends = None if clock is None or config.seconds is None else max(left(config.seconds, clock), OVERRUN_SECONDS)
    return Limits(own, _memory(config), ends)


def _memory(config: Config) -> int:
    if config.max_job_memory is None:
        return max(LEAST_MEMORY, int(MEMORY_SHARE * memory_bytes()))
    return int(parse(config.max_job_memory, BYTES, "max-job-memory"))
