"""Connecting to a Ray cluster: what is said where none can be used."""

from __future__ import annotations

import types

import pytest

from litetuner.objectives import cluster
from litetuner.spaces.errors import HostError

SERVER = """Initialization failure from server:
Traceback (most recent call last):
  File "proxier.py", line 772, in Datapath
    raise RuntimeError(
RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.
"""


@pytest.mark.parametrize(
    ("address", "raised", "told", "hint"),
    [
        ("ray://gpu1:10001", SERVER, "10001': RuntimeError: Starting Ray client server failed.", True),
        ("ray://gpu1:10001", "ray client\nconnection timeout", "10001': ray client connection timeout. Start", True),
        ("gpu1:6379", "", "6379': ConnectionError. Start one", False),
        ("gpu1:6379", 300 * "x", f"6379': {200 * 'x'}. Start one", False),
    ],
)
def test_an_error_of_ray_says_why_and_what_to_do(
    address: str, raised: str, told: str, hint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback of the server is told by its last line."""

    def init(*_: object, **__: object) -> None:
        raise ConnectionError(raised)

    ray = types.SimpleNamespace(is_initialized=lambda: False, init=init, _private=None)
    monkeypatch.setattr(cluster, "load_ray", lambda: ray)
    with pytest.raises(HostError) as error:
        cluster.connect(address)
    assert told in str(error.value)
    assert ("--runtime-env-agent-port" in str(error.value)) == hint
    assert "ray start --head" in str(error.value)


@pytest.mark.parametrize(("failures", "raised", "calls"), [(2, SERVER, 3), (5, SERVER, 3), (1, "no route to host", 1)])
def test_a_server_that_dies_as_it_is_started_is_asked_for_again(
    failures: int, raised: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray 2.60 forks one for each client, beside threads of its own; in a test the child died after 14 ms."""
    asked: list[str] = []

    def init(address: str, **_: object) -> None:
        asked.append(address)
        if len(asked) <= failures:
            raise ConnectionAbortedError(raised)

    ray = types.SimpleNamespace(is_initialized=lambda: False, init=init, _private=None)
    monkeypatch.setattr(cluster, "load_ray", lambda: ray)
    monkeypatch.setattr(cluster, "_ours", set())
    if failures < calls:
        cluster.connect("ray://gpu1:10001")
    else:
        with pytest.raises(HostError):
            cluster.connect("ray://gpu1:10001")
    assert len(asked) == calls
