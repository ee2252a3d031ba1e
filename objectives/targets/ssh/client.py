"""Run the system's ``ssh`` and ``scp`` with the user's configuration and keys, and explain their failures."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import threading
from pathlib import Path
from typing import Any

from litetuner.objectives.targets.connection import Dropped
from litetuner.objectives.targets.ssh import remote
from litetuner.spaces.errors import HostError

# These settings override only what could block the connection or let the remote side act here: no questions, no
# forwarding, no terminal, no remote command. A dead connection is detected after 15 s. Host keys are checked as
# configured.
SETTINGS = """
    BatchMode=yes ClearAllForwardings=yes ForwardAgent=no ForwardX11=no PermitLocalCommand=no RemoteCommand=none
    RequestTTY=no ServerAliveInterval=5 ServerAliveCountMax=3
"""
# Reads the length of a program and the program itself from standard input, and runs it. The home folder is removed from
# the import path, because it may contain any files, such as a json.py.
BOOT = (
    "import os, sys; sys.version_info < (3, 10) and sys.exit('litetuner needs Python 3.10 or newer, this is ' + sys.version); "
    "sys.path[:] = [p for p in sys.path if p not in ('', os.getcwd())]; "
    "exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())), 'litetuner-remote', 'exec'))"
)


@dataclasses.dataclass(frozen=True)
class SshClient:
    """The address of a remote machine for ``ssh`` and ``scp``. The target has validated all fields."""

    host: str
    user: str | None
    port: int | None
    config: Path | None
    connect_seconds: float

    @property
    def address(self) -> str:
        """``user@host:port``, without the parts that the user did not specify."""
        return self.destination + (f":{self.port}" if self.port else "")

    @property
    def destination(self) -> str:
        """``user@host``, with brackets around an IPv6 address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" if self.user else host

    def by_hand(self) -> str:
        """A command that the user can type to check the connection."""
        return shlex.join(["ssh", *self._config(), *(["-p", str(self.port)] if self.port else []), self._plain()])

    def call(self, python: str, request: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Run ``remote.py`` on the remote machine and return its answer. Raises ``Dropped`` or ``HostError``."""
        program = Path(remote.__file__).read_bytes()
        payload = b"%d\n%s%s\n" % (len(program), program, json.dumps(request).encode())
        argv = ["ssh", "-T", *self._options(), *(["-p", str(self.port)] if self.port else []), "--", self._plain()]
        code, output, messages = self._finish([*argv, shlex.join([python, "-c", BOOT])], payload, timeout_seconds)
        for line in reversed(output.splitlines()):  # there may be output of a login script before the answer
            if line.startswith(remote.MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(remote.MARK))
                return answer
        raise self.explain(code, messages, python)

    def push(self, files: list[Path], folder: str, timeout_seconds: float) -> None:
        """Copy files to a remote folder under their own names. Raises ``Dropped`` or ``HostError``."""
        argv = ["scp", "-q", *self._options(), *(["-P", str(self.port)] if self.port else []), "--"]
        argv += [*map(str, files), f"{self.destination}:{folder}/"]
        code, _, messages = self._finish(argv, b"", timeout_seconds)
        if code:
            raise self.explain(code, messages, "scp")

    def explain(self, code: int, messages: str, program: str) -> Dropped | HostError:
        """The error to raise if ``ssh`` or ``scp`` has exited without a result."""
        said = " ".join(messages.split())
        tail = said[-400:]
        for pattern, remedy in MEANINGS.items():
            if re.search(pattern, said, re.IGNORECASE):
                known = self.host if self.port in (None, 22) else f"[{self.host}]:{self.port}"
                place = {"by_hand": self.by_hand(), "known": shlex.quote(known)}
                return HostError(f"{self.address}: {tail} {remedy.format(**place)}")
        if code == 127:
            return HostError(f"{self.address}: there is no {program!r} ({tail}). {PYTHON_REMEDY}")
        if code == 255 or program == "scp" or code < 0:
            return Dropped(f"{self.address}: {tail or 'the connection ended'}")
        return HostError(f"{self.address}: {program!r} ended with code {code}: {tail} {PYTHON_REMEDY}")

    def _plain(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    def _config(self) -> list[str]:
        return ["-F", str(self.config)] if self.config else []

    def _options(self) -> list[str]:
        settings = (*SETTINGS.split(), f"ConnectTimeout={max(round(self.connect_seconds), 1)}")
        return [*self._config(), *(part for setting in settings for part in ("-o", setting))]

    def _finish(self, argv: list[str], payload: bytes, timeout_seconds: float) -> tuple[int, str, str]:
        """Run a command whose standard input stays open until it ends; returns exit code, standard output and error."""
        reader, writer = os.pipe()
        pipes: dict[str, Any] = {"stdin": reader, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        feeder = threading.Thread(target=_feed, args=(writer, payload), daemon=True)
        try:
            child = subprocess.Popen(argv, text=True, errors="replace", start_new_session=True, **pipes)
        except OSError as error:
            os.close(writer)
            raise HostError(
                f"cannot start {argv[0]!r} here: {error.strerror}. Install the OpenSSH client (Debian: openssh-client)."
            ) from error
        finally:
            os.close(reader)
        try:
            feeder.start()
            output, messages = child.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise Dropped(f"{self.address}: no answer for {timeout_seconds:g} s") from error
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
            feeder.join()  # all copies of the reader are closed now, so a blocked write ends
            os.close(writer)
        return child.returncode, output, messages


def _feed(writer: int, payload: bytes) -> None:
    """Write the whole payload. Stop if the reader has ended: its exit code then says why."""
    view = memoryview(payload)
    try:
        while view:
            view = view[os.write(writer, view) :]
    except BrokenPipeError:
        return


PYTHON_REMEDY = (
    "A Python of 3.10 or newer with ai-edge-litert is needed there: name it by ?python=/path/to/python3, or make one: "
    "python3 -m venv ~/litert && ~/litert/bin/pip install ai-edge-litert"
)
MEANINGS = {  # message of ssh: what the user should do; with any other message the connection counts as dropped
    r"identification has changed": "The machine's key is not the one that you know. If it was set up anew: "
    "ssh-keygen -R {known}, and connect by hand: {by_hand}",
    r"host key verification failed|no .{1,40} host key is known": "Connect once by hand, compare the fingerprint and accept it: "
    "{by_hand}",
    r"permission denied \(": "Nobody can type a password here: ssh-copy-id, or an agent with the key. It must work without a "
    "question: {by_hand}",
    r"too many authentication failures": "Name the one key for this host in ~/.ssh/config (IdentityFile, IdentitiesOnly yes).",
    r"bad configuration option|bad owner or permissions|can't open user config|terminating, \d+ bad": "Fix the configuration "
    "of ssh.",
    r"subsystem request failed|sftp-server": "scp needs an sftp server there (Debian: openssh-sftp-server).",
    r"scp: .*(failure|no space left)": "Is its disk full?",
    r"scp: .*permission denied": "Its folder is not writable: choose another with ?folder=/path.",
    r"litetuner needs python": PYTHON_REMEDY.replace("{", "{{").replace("}", "}}"),
}
