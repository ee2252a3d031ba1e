"""The Ray cluster that this process is connected to. Ray is an extra, and imported inside functions."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import HostError

CLIENT = "ray://"  # begins the address of a cluster that this machine is no part of
TOKEN = Path.home() / ".ray" / "auth_token"
ATTEMPTS = 3  # at a server for this client
_NOT_STARTED = "Starting Ray client server failed"
DEVICE = "target:"  # begins the name of a Ray resource: a device that a node offers


def load_ray() -> Any:
    """The ``ray`` module, which reports no usage statistics. Raises ``HostError`` where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's own advice, which it else prints
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 would let everything else go first
    try:
        import ray
    except ImportError as error:
        raise HostError("Ray is not installed: pip install 'litetuner[ray]'.") from error
    return ray


_ours: set[str] = set()  # addresses that this process was connected to by us


def connect(address: str) -> None:
    """Connect this process to a cluster, or (``local``) start one on this machine, unless it is connected already.

    Raises ``HostError`` where there is none.
    """
    if address.startswith(CLIENT) and TOKEN.is_file():  # Ray itself sends it to clusters of ``HOST:PORT`` only
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = load_ray()
    if ray.is_initialized():
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address == "local":
            ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            _join(ray, address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        token = (
            " Ray 2.60 needs --ray-client-server-port and --runtime-env-agent-port, both, when the first machine is started."
            f" A cluster that asks for a token does not answer without it: copy {TOKEN.name} of its first machine to "
            f"{TOKEN.parent}, or set RAY_AUTH_TOKEN and RAY_AUTH_MODE=token."
        )
        raise HostError(
            f"no Ray cluster answers at {address!r}: {_reason(error)}. Start one with `ray start --head`, or one on this "
            f"machine for this search only with --ray-address local.{token if address.startswith(CLIENT) else ''}"
        ) from error
    finally:
        _silence(ray)
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray sets a handler of its own
    _ours.add(address)


def _join(ray: Any, address: str) -> None:
    """Connect to a cluster that is there. A head forks a server for each client, which may die at once: it is asked again."""
    for attempt in range(ATTEMPTS):
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
            return
        except ConnectionError as error:
            if _NOT_STARTED not in str(error) or attempt == ATTEMPTS - 1:
                raise


def _reason(error: Exception) -> str:
    """What a cluster says, at most 200 characters; of a traceback its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    chosen = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
    return " ".join(" ".join(chosen).split())[:200].rstrip(".")


def disconnect() -> None:
    """End the connection, and a cluster that was started by it, unless somebody else has connected this process."""
    if _ours:
        load_ray().shutdown()
        _ours.clear()


def _silence(ray: Any) -> None:
    """Ray prints the last words of dead nodes to standard output, where ``--json`` stands; no option changes that."""
    private: Any = getattr(ray._private, "worker", None)
    if hasattr(private, "print_to_stdstream"):
        private.print_to_stdstream = lambda *_, **__: None


def offered(name: str) -> int:
    """How many devices of that name the nodes of the cluster offer."""
    return int(load_ray().cluster_resources().get(DEVICE + name, 0))
