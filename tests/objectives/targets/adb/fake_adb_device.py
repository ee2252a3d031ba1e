"""A stand-in for an Android device: speaks adb's transport protocol over loopback TCP and runs commands in a folder.

After AOSP's ``protocol.txt``, ``SYNC.TXT`` and ``shell_protocol.h``: CNXN, AUTH, OPEN, OKAY, WRTE, CLSE; the services ``shell``
(version 2: packets for each of the streams, and the exit code) and ``sync`` (STAT, SEND, DATA, DONE, QUIT). ``/data/local/tmp``
is a folder of the test's; its programs are those of ``device_programs.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.objectives.targets.adb.device_programs import SCRIPTS, TOOL

ADB = shutil.which("adb")
REASON = "not installed: adb (Debian: adb)"
CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (name.encode() for name in ("CNXN", "AUTH", "OPEN", "OKAY", "CLSE", "WRTE"))
VERSION, LARGEST = 0x01000001, 64 * 1024
STDIN, STDOUT, EXIT, CLOSE_STDIN = 0, 1, 3, 4


class FakeDevice:
    """Listens until ``stop``. ``drops`` is how often still the line breaks when what is opened or typed fits ``drop_at``."""

    def __init__(self, folder: Path, authorized: bool = True, model: str = "standin") -> None:
        self.folder, self.authorized, self.model = folder, authorized, model
        self.tmp = folder / "tmp"
        (folder / "bin").mkdir(parents=True)
        self.tmp.mkdir()
        for name, body in SCRIPTS.items():
            (folder / "bin" / name).write_text("#!/bin/sh\n" + body.replace("{folder}", str(folder)) + "\n")
            (folder / "bin" / name).chmod(0o755)
        self.behave()
        self.drops, self.drop_at = 0, re.compile("$^")
        self.damage = 0  # how often still a pushed file arrives with another last byte
        self.full = False
        self.opened: list[str] = []
        self.connections: list[Connection] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def fixed(self) -> list[str]:
        """What fixed-performance mode was set to, in turn."""
        path = self.folder / "fixed"
        return path.read_text().split() if path.exists() else []

    @property
    def timed(self) -> list[dict[str, str]]:
        """The flags of every run of the stand-in tool."""
        path = self.tmp / "timed"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def files(self) -> Path:
        return self.tmp / "litetuner"

    def behave(self, **what: object) -> None:
        """Set what the stand-in tool does from now on; without words, what it should."""
        (self.tmp / "behaviour.json").write_text(json.dumps(what))

    def tool(self, more: str = "") -> Path:
        """The stand-in tool as a file of the developer's, ``more`` making it another one."""
        path = self.folder / "benchmark_model"
        path.write_text(TOOL.format(python=sys.executable) + more)
        return path

    def drop(self, at: str, times: int) -> None:
        self.drop_at, self.drops = re.compile(at, re.DOTALL), times

    def breaks(self, said: str) -> bool:
        """Whether the line breaks at this; counts it."""
        fits = self.drops > 0 and self.drop_at.search(said) is not None
        self.drops -= fits
        return fits

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed by stop
            while True:
                self.connections.append(Connection(self, self.server.accept()[0]))

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for connection in self.connections:
            connection.close()


class Connection:
    """One line to an adb server, with its streams by our numbers."""

    def __init__(self, device: FakeDevice, line: socket.socket) -> None:
        self.device, self.line, self.lock = device, line, threading.Lock()
        self.streams: dict[int, Stream] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        word = struct.unpack("<I", command)[0]
        head = struct.pack("<6I", word, first, second, len(data), sum(data) & 0xFFFFFFFF, word ^ 0xFFFFFFFF)
        with self.lock, contextlib.suppress(OSError):  # the line is gone
            self.line.sendall(head + data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)
        self.line.close()

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.line.recv(size - len(found))
            if not part:
                raise EOFError
            found += part
        return found

    def _read(self) -> None:
        try:
            while True:
                command, first, second, size = struct.unpack("<4s3I", self._exactly(24)[:16])
                self._take(command, first, second, self._exactly(size))
        except (OSError, EOFError):
            for stream in self.streams.values():
                stream.end()

    def _take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command in (CNXN, AUTH) and not self.device.authorized:
            if command == CNXN or first == 2:  # neither its signature, nor any key, is known here
                self.send(AUTH, 1, 0, b"12345678901234567890")
        elif command == CNXN:
            name = f"device::ro.product.name=x;ro.product.model={self.device.model};ro.product.device=x;features=shell_v2,cmd"
            self.send(CNXN, VERSION, LARGEST, name.encode())
        elif command == OPEN:
            self._open(first, data.rstrip(b"\0").decode())
        elif second in self.streams and command == OKAY:
            self.streams[second].acknowledged.set()
        elif second in self.streams and command == WRTE:
            self.streams[second].incoming.put(data)
            self.send(OKAY, second, first)
        elif second in self.streams and command == CLSE:
            self.streams[second].end()

    def _open(self, theirs: int, service: str) -> None:
        device = self.device
        device.opened.append(service)
        ours = len(self.streams) + 1
        kind = service.partition(":")[0].partition(",")[0]
        if kind not in ("shell", "sync"):
            self.send(CLSE, 0, theirs)
            return
        stream = self.streams[ours] = Stream(self, ours, theirs)
        self.send(OKAY, ours, theirs)
        work = stream.sync if kind == "sync" else stream.shell
        threading.Thread(target=work, args=(service,), daemon=True).start()
        if device.breaks(service):
            threading.Timer(0.1, self.close).start()


class Stream:
    """One service that was opened."""

    def __init__(self, connection: Connection, ours: int, theirs: int) -> None:
        self.connection, self.ours, self.theirs = connection, ours, theirs
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged, self.ended, self.rest = threading.Event(), threading.Event(), b""

    def end(self) -> None:
        self.ended.set()
        self.incoming.put(None)
        self.acknowledged.set()

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), LARGEST):
            self.acknowledged.clear()
            if self.ended.is_set():
                return
            self.connection.send(WRTE, self.ours, self.theirs, data[at : at + LARGEST])
            self.acknowledged.wait(10)

    def read(self, size: int) -> bytes:
        while len(self.rest) < size:
            part = self.incoming.get()
            if part is None:
                raise EOFError
            self.rest += part
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def place(self, text: str) -> str:
        return text.replace("/data/local/tmp", str(self.connection.device.tmp))

    def shell(self, service: str) -> None:
        device = self.connection.device
        command = self.place(service.partition(":")[2])
        variables = {"PATH": f"{device.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(device.folder)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(["sh", "-c", command], env=variables, cwd=device.folder, **pipes)
        threading.Thread(target=self._feed, args=(child,), daemon=True).start()
        while part := os.read(child.stdout.fileno(), LARGEST - 5):
            if self.ended.is_set():
                break
            self.write(struct.pack("<BI", STDOUT, len(part)) + part)
        child.stdout.close()
        code = child.wait()
        self.write(struct.pack("<BIB", EXIT, 1, code & 0xFF))
        self.connection.send(CLSE, self.ours, self.theirs)

    def _feed(self, child: subprocess.Popen[bytes]) -> None:
        """Standard input, until the other side closes it or the line breaks."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                kind, size = struct.unpack("<BI", self.read(5))
                data = self.read(size)
                if kind == CLOSE_STDIN:
                    break
                if kind == STDIN:
                    if self.connection.device.breaks(data.decode()):
                        self.connection.close()
                    child.stdin.write(data)
                    child.stdin.flush()
        with contextlib.suppress(OSError):
            child.stdin.close()

    def sync(self, _service: str) -> None:
        with contextlib.suppress(EOFError):
            while True:
                command, size = struct.unpack("<4sI", self.read(8))
                if command == b"QUIT":
                    break
                path = self.read(size).decode()
                if command in (b"STAT", b"LSTA"):
                    self.write(self._stat(Path(self.place(path))))
                elif command == b"SEND":
                    self._receive(*path.rsplit(",", 1))
        self.connection.send(CLSE, self.ours, self.theirs)

    def _stat(self, path: Path) -> bytes:
        found = path.lstat() if path.exists() else None
        numbers = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
        return b"STAT" + struct.pack("<3I", *numbers)

    def _receive(self, path: str, mode: str) -> None:
        device, content = self.connection.device, b""
        while True:
            command, size = struct.unpack("<4sI", self.read(8))
            if command == b"DONE":
                break
            content += self.read(size)
        place = Path(self.place(path))
        if device.full:
            message = b"couldn't write file: No space left on device"
            self.write(b"FAIL" + struct.pack("<I", len(message)) + message)
            return
        if device.damage:
            device.damage -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(int(mode) & 0o777)
        self.write(b"OKAY" + struct.pack("<I", 0))


@contextlib.contextmanager
def adb_server(folder: Path) -> Iterator[dict[str, str]]:
    """Variables for an adb server of the test's own: its port, its keys, no search for emulators. Ended by its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    home = {name: str(folder) for name in ("HOME", "TMPDIR", "ANDROID_USER_HOME", "ANDROID_SDK_HOME")}
    yield home | {"ANDROID_ADB_SERVER_PORT": port, "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553"}
    subprocess.run([ADB, "-P", port, "kill-server"], env=os.environ | home, capture_output=True, timeout=30)
