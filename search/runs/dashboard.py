"""optuna-dashboard for a run. It uses an in-memory study filled from the records, so it cannot change the run."""

import contextlib
import dataclasses
import datetime
import io
import json
import math
import socket
import socketserver
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from litetuner.search.runs.folder import RunFolder
from litetuner.search.runs.optuna_trials import final_state, frozen_trial
from litetuner.search.runs.record import RunRecord, read_run
from litetuner.search.trial import Trial
from litetuner.spaces.errors import HostError, RunError
from litetuner.spaces.store import Store

HOST = "127.0.0.1"
EVERY_SECONDS = 5.0  # how often new trials of a running search are added
LOCAL_NAMES = ("127.0.0.1", "localhost")
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Mirror:
    """An in-memory Optuna study that follows a run. What the dashboard writes or deletes changes only this study."""

    def __init__(self, path: Path) -> None:
        import optuna

        self._path = path
        record = read_run(path)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage = optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(
            study_name=record.folder.path.absolute().name,
            storage=self.storage,
            directions=[objective.direction for objective in record.objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.set_metric_names([objective.measurement for objective in record.objectives])
        self._began = _began(path)
        self._known: set[int] = set()
        self._add(record)

    def update(self) -> None:
        """Add the trials that are new in the run. If a record cannot be read yet, the next update adds them."""
        with contextlib.suppress(RunError):
            self._add(read_run(self._path))

    def _add(self, record: RunRecord) -> None:
        for trial in record.trials:
            if trial.number not in self._known:
                self.study.add_trial(self._frozen(trial, record))
                self._known.add(trial.number)

    def _frozen(self, trial: Trial, record: RunRecord) -> Any:
        shown = dataclasses.replace(trial, params=_shown_params(trial, record))
        values = [trial.value(objective.measurement) for objective in record.objectives]
        known = [value for value in values if value is not None]
        complete = trial.state.scored and len(known) == len(values)
        found = frozen_trial(
            shown,
            state=final_state(trial, complete),
            values=known if complete else None,
            constraints=trial.constraints if complete else None,
            user_attrs=_facts(trial),
            # The dashboard reads constraints only from this list. Without it, it shows every trial as feasible.
            system_attrs={"constraints": list(trial.constraints.values())} | _files(trial),
        )
        found.datetime_complete = self._began + datetime.timedelta(seconds=trial.seconds_since_start)
        found.datetime_start = found.datetime_complete - datetime.timedelta(seconds=sum(trial.seconds.values()))
        return found


def _shown_params(trial: Trial, record: RunRecord) -> dict[str, dict[str, Any]]:
    """The choices with the chosen values.

    For an ordered option, the sampler gets its position in the list. People want to see the value itself.
    """
    return {name: _shown(name, entry, record) for name, entry in trial.params.items()}


def _shown(name: str, entry: Mapping[str, Any], record: RunRecord) -> dict[str, Any]:
    chosen = entry.get("chosen")
    if not _is_number(chosen) or "CategoricalDistribution" in str(entry.get("distribution")):
        return dict(entry)
    others = [other.params[name].get("chosen") for other in record.trials if name in other.params]
    numbers = [float(value) for value in (*others, chosen) if _is_number(value)]
    bounds = {"low": min(numbers), "high": max(numbers), "log": False, "step": None}
    distribution = json.dumps({"name": "FloatDistribution", "attributes": bounds})
    return {"chosen": chosen, "value": float(chosen), "distribution": distribution}


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _began(path: Path) -> datetime.datetime:
    """The time of the run's first event, or the time now if there is none."""
    for event in RunFolder(path).events():
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError, OSError):
            return datetime.datetime.fromtimestamp(event["time"])
    return datetime.datetime.now()


def _facts(trial: Trial) -> dict[str, Any]:
    found = {"litetuner trial": trial.number, "label": trial.candidate.label, "state": str(trial.state)}
    found |= {name: value.value for name, value in trial.measurements.items()}
    names = ("origin", "gate", "reason", "duplicate_of", "sha256")
    return found | {name: value for name in names if (value := getattr(trial, name)) is not None}


def _files(trial: Trial) -> dict[str, str]:
    """The trial's file as an artifact that the dashboard offers for download."""
    if trial.sha256 is None:
        return {}
    meta = {
        "artifact_id": trial.sha256,
        "filename": f"trial{trial.number}.tflite",
        "mimetype": "application/octet-stream",
        "encoding": None,
    }
    return {f"artifacts:{trial.sha256}": json.dumps(meta)}


class ReadOnly:
    """The run's files as a read-only artifact store of Optuna. Each file is verified by its sha256 when it is read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open_reader(self, artifact_id: str) -> BinaryIO:
        return io.BytesIO(self._store.get(f"{artifact_id}.tflite"))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        raise PermissionError("the dashboard only shows a run; nothing is written to it")

    def remove(self, artifact_id: str) -> None:
        raise PermissionError("the dashboard only shows a run; nothing is removed from it")


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """Uses one thread for each request. These threads do not keep the process alive."""

    daemon_threads = True
    address_family = socket.AF_INET


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: standard error is for messages to the user."""


@contextlib.contextmanager
def serve(path: Path, port: int) -> Iterator[Server]:
    """Serve a dashboard for a run on the loopback address (port 0: any free port). It follows the run.

    Raises ``HostError`` if optuna-dashboard is not installed or the port is taken, and ``RunError`` if there is no run.
    """
    # The dashboard's chart of importances shows these parameters anyway.
    warnings.filterwarnings("ignore", message="Some regimes for parameter")
    mirror = Mirror(path)
    application = _only_local(_application(mirror, read_run(path)))
    try:
        server = make_server(HOST, port, application, server_class=Server, handler_class=_Silent)
    except OSError as error:
        raise HostError(
            f"dashboard: port {port} cannot be used ({error.strerror}). Give another one with --port, or 0 for any that is free."
        ) from error
    ended = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=_follow, args=(mirror, ended), daemon=True).start()
    try:
        yield server
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def _follow(mirror: Mirror, ended: threading.Event) -> None:
    while not ended.wait(EVERY_SECONDS):
        mirror.update()


def _application(mirror: Mirror, record: RunRecord) -> Application:
    try:
        import optuna_dashboard
    except ImportError as error:
        raise HostError(
            "dashboard: optuna-dashboard is not installed. Install it with: pip install 'litetuner[dashboard]'"
        ) from error
    found: Application = optuna_dashboard.wsgi(mirror.storage, artifact_store=ReadOnly(record.folder.artifacts))
    return found


def _only_local(application: Application) -> Application:
    """Accept only requests whose ``Host`` header names this machine.

    So a web page from elsewhere cannot reach the dashboard under a host name of its own (DNS rebinding).
    """

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        name = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
        if name not in LOCAL_NAMES:
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This dashboard answers on the loopback address only."]
        return application(environ, start)

    return guarded
