"""A real PostgreSQL on the loopback address, in a temporary folder, for one test session."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

USER, DATABASE = "tester", "postgres"
OWNER = "postgres"  # who runs the server where the tests are root, which it refuses
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))  # Debian


def lacking() -> str:
    """Why it cannot be started here; nothing where it can."""
    if program("initdb") is None or program("postgres") is None:
        return "PostgreSQL is not installed (Debian: postgresql)"
    if os.geteuid() == 0 and OWNER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"the tests are root, and there is no user {OWNER}"
    return ""


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(FOLDERS)), os.environ["PATH"]]))


class Postgresql:
    """Passwords are required, and only 127.0.0.1 is listened to."""

    def __init__(self) -> None:
        self.password = f"canary{secrets.token_hex(8)}"
        self.folder = Path(tempfile.mkdtemp(prefix="litetuner-postgresql-"))
        self._as: dict[str, object] = {"user": OWNER, "group": OWNER, "extra_groups": []} if os.geteuid() == 0 else {}
        words = self.folder / "password"
        words.write_text(self.password)
        if self._as:
            for path in (self.folder, words):
                shutil.chown(path, OWNER)
        self._run(
            *(str(program("initdb")), "-D", str(self.folder / "data"), "-U", USER, "--no-sync", "-E", "UTF8"),
            *("--locale=C", "--auth=scram-sha-256", f"--pwfile={words}"),
        )
        words.unlink()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB")
        command = [str(program("postgres")), "-D", str(self.folder / "data"), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command, *(part for setting in settings for part in ("-c", setting))],
                cwd="/",
                stdout=log,
                stderr=log,
                **self._as,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), password=self.password).close()
                return
            except psycopg.OperationalError:
                assert self._server.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)

    def url(self, password: str = "") -> str:
        return f"postgresql://{USER}{':' if password else ''}{password}@127.0.0.1:{self.port}/{DATABASE}"

    def stop(self) -> None:
        """As an administrator would, at once: connections are closed."""
        self._server.send_signal(2)
        self._server.wait(30)

    def remove(self) -> None:
        if self._server.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **self._as)  # type: ignore[call-overload]
