"""The Ray cluster that this process is connected to. Ray is an optional dependency and is imported inside functions."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from litetuner.spaces.errors import HostError

CLIENT = "ray://"  # prefix of the address of a cluster that this machine does not belong to
TOKEN = Path.home() / ".ray" / "auth_token"
ATTEMPTS = 3  # attempts to get a server process for this client
_NOT_STARTED = "Starting Ray client server failed"
DEVICE = "target:"  # prefix of the name of a Ray resource: a device that a node offers


def load_ray() -> Any:
    """The ``ray`` module, with usage statistics turned off. Raises ``HostError`` if Ray is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without it, Ray prints a message to set it
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's default of 15 gives all other processes priority
    try:
        import ray
    except ImportError as error:
        raise HostError("Ray is not installed: pip install 'litetuner[ray]'.") from error
    return ray


_ours: set[str] = set()  # addresses that ``connect`` has connected this process to


def connect(address: str) -> None:
    """Connect this process to a cluster, unless it is connected already. ``local`` starts a cluster on this machine.

    Raises ``HostError`` if there is no cluster at the address.
    """
    if address.startswith(CLIENT) and TOKEN.is_file():  # by default, Ray sends it only to clusters at ``HOST:PORT``
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
            signal.signal(signal.SIGTERM, before)  # Ray has replaced the handler
    _ours.add(address)


def _join(ray: Any, address: str) -> None:
    """Connect to a running cluster. Retry if the head node could not start the server process for this client."""
    for attempt in range(ATTEMPTS):
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
            return
        except ConnectionError as error:
            if _NOT_STARTED not in str(error) or attempt == ATTEMPTS - 1:
                raise


def _reason(error: Exception) -> str:
    """The message of an error, at most 200 characters; for a traceback, its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    chosen = lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines
    return " ".join(" ".join(chosen).split())[:200].rstrip(".")


def disconnect() -> None:
    """Disconnect from the cluster, and stop a local one, but only if ``connect`` has made the connection."""
    if _ours:
        load_ray().shutdown()
        _ours.clear()


def _silence(ray: Any) -> None:
    """Stop Ray from printing messages of dead nodes to standard output, which breaks ``--json``. Ray has no option."""
    private: Any = getattr(ray._private, "worker", None)
    if hasattr(private, "print_to_stdstream"):
        private.print_to_stdstream = lambda *_, **__: None


def offered(name: str) -> int:
    """The number of devices with this name that the nodes of the cluster offer."""
    return int(load_ray().cluster_resources().get(DEVICE + name, 0))
