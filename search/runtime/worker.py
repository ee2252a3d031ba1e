"""A worker process: reads jobs as JSON lines from standard input, and writes answers as JSON lines to its own channel.

It ends when its parent ends (on Linux also while it is suspended). ``build`` workers import TensorFlow, ``score``
workers only LiteRT.
"""

import ctypes
import dataclasses
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from litetuner.objectives.runner.machine import die_with
from litetuner.search.runs.folder import RunFolder
from litetuner.spaces.errors import HostError, LitetunerError, to_json
from litetuner.spaces.jobs.python_functions import receive
from litetuner.spaces.jobs.record import Record
from litetuner.spaces.jobs.workspace import Sources, Workspace
from litetuner.spaces.store import DISK_REFUSES, cannot_write

Handler = Callable[[dict[str, Any]], dict[str, Any]]
J = TypeVar("J", bound=Record)


def build_handlers(workspace: Workspace) -> dict[str, Handler]:
    """The functions of a ``build`` worker, by verb. TensorFlow is imported here, so that no job's time includes it."""
    from litetuner.objectives.files.costs import file_costs
    from litetuner.objectives.scoring.scorer import describe_metric
    from litetuner.spaces import tf
    from litetuner.spaces.building.convert import convert
    from litetuner.spaces.building.describe import describe
    from litetuner.spaces.building.finish import finish
    from litetuner.spaces.building.inspect import inspect
    from litetuner.spaces.building.jobs import (
        ConvertJob,
        DescribeJob,
        FinishJob,
        FinishResult,
        InspectJob,
        MeasureLayersJob,
        TrainJob,
        TrainResult,
    )
    from litetuner.spaces.building.measure_layers import measure_layers
    from litetuner.spaces.building.train import train
    from litetuner.spaces.jobs.device import on_cpu, prepare_gpus

    gpus = prepare_gpus(tensorflow := tf.load())

    def convert_on_cpu(kind: type[J], do: Callable[[J], Record]) -> Handler:
        return handler(kind, on_cpu(tensorflow, gpus, do))

    def train_on(job: TrainJob) -> TrainResult:
        if job.device == "gpu" and not gpus:
            raise HostError("TensorFlow sees no GPU in this worker. `--device cpu` trains without.")
        found = train(job, workspace)
        on = (f"trained on {gpus[0]}",) if job.device == "gpu" else ()
        return dataclasses.replace(found, notes=(*found.notes, *on))

    def finish_with_costs(job: FinishJob) -> FinishResult:
        found = finish(job, workspace)
        costs = file_costs(workspace.artifacts.get(found.name))
        return dataclasses.replace(found, costs={name: cost.to_json() for name, cost in costs.items()})

    return {
        "inspect": handler(InspectJob, lambda job: inspect(job, describe_metric(job.metric), workspace)),
        "describe": handler(DescribeJob, lambda job: describe(workspace)),
        "train": handler(TrainJob, train_on),
        "convert": convert_on_cpu(ConvertJob, lambda job: convert(job, workspace)),
        "finish": convert_on_cpu(FinishJob, finish_with_costs),
        "measure_layers": convert_on_cpu(MeasureLayersJob, lambda job: measure_layers(job, workspace)),
    }


def score_handlers(workspace: Workspace) -> dict[str, Handler]:
    from litetuner.objectives.scoring.flash import measure_flash
    from litetuner.objectives.scoring.jobs import CompareJob, FlashJob, ScoreJob, TargetScoreJob
    from litetuner.objectives.scoring.scorer import compare, score_file

    return {
        "score": handler(ScoreJob, lambda job: score_file(job, workspace)),
        "score_on": handler(TargetScoreJob, lambda job: score_file(job, workspace)),
        "compare": handler(CompareJob, lambda job: compare(job, workspace)),
        "flash": handler(FlashJob, lambda job: measure_flash(job, workspace)),
    }


def handler(kind: type[J], do: Callable[[J], Record]) -> Handler:
    """Wrap a function of jobs: the result takes a job as JSON and returns its result as JSON."""
    return lambda record: do(kind.from_json(record)).to_json()


ROLES: dict[str, Callable[[Workspace], dict[str, Handler]]] = {
    "build": build_handlers,
    "score": score_handlers,
}


def main(arguments: list[str]) -> None:
    """``worker ROLE RUN_FOLDER PARENT_PID``: do jobs until standard input ends.

    The first line of standard input holds the sources (``Sources``). Each other line is a job.
    """
    role, path, parent = arguments
    die_with(int(parent))
    _adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own, jobs = os.getpid(), os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull) as nothing:  # processes that a job starts must not read the next jobs
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what libraries print goes to the log, never into an answer
    started = time.perf_counter()
    sources = Sources.from_json(json.loads(jobs.readline()))
    receive(sources.functions)
    handlers = ROLES[role](RunFolder(Path(path)).workspace(sources))
    _answer(answers, {"ready": True, "seconds": time.perf_counter() - started})
    for line in jobs:
        given = json.loads(line)
        answer = do_job(handlers[given["verb"]], given["job"])
        if os.getpid() != own:
            os._exit(0)  # this is a process that the job forked, and that returned here, too
        _answer(answers, answer)


def _adopt_orphans() -> None:
    """Adopt descendants whose parents end (Linux only), so that they are counted and ended like all others."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # 36: PR_SET_CHILD_SUBREAPER


def do_job(handler: Handler, job: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": handler(job)}
    except LitetunerError as error:
        return {"error": to_json(error)}
    except OSError as error:
        if error.errno in DISK_REFUSES:  # the machine's fault, not the candidate's
            return {"error": to_json(cannot_write(Path(str(error.filename or "a temporary file")), error))}
        return _failed(error)
    except MemoryError as error:
        return {"error": {"type": "BuildFailed", "message": f"it ran out of memory ({error})"}}
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # also of user code; the log gets the traceback
        return _failed(error)


def _failed(error: BaseException) -> dict[str, Any]:
    traceback.print_exception(error)
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return {"error": {"type": "BuildFailed", "message": f"{type(error).__name__}: {first[:300]} (at {place})"}}


def _answer(channel: Any, record: dict[str, Any]) -> None:
    channel.write(json.dumps(record) + "\n")
    channel.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
