"""The Ray cluster that this process is connected to. Ray is an extra, and imported inside functions."""

import os
import signal
import threading
from typing import Any

from litetuner.spaces.errors import HostError

DEVICE = "target:"  # begins the name of a Ray resource: a device that a node offers


def load_ray() -> Any:
    """The ``ray`` module, which reports no usage statistics. Raises ``HostError`` where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's own advice, which it else prints
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
    ray = load_ray()
    if ray.is_initialized():
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address == "local":
            ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HostError(
            f"no Ray cluster answers at {address!r}: {first[:200]}. Start one with `ray start --head`, or one on this "
            "machine for this search only with --ray-address local."
        ) from error
    finally:
        _silence(ray)
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray sets a handler of its own
    _ours.add(address)


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
