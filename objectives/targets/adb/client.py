"""Run the system's ``adb`` with the user's server and keys, and explain its failures."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import selectors
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from litetuner.objectives.targets.connection import Dropped
from litetuner.spaces.errors import HostError

NETWORK = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")  # a serial that ``adb connect`` accepts
# Printed before the exit code of a command, because the adb of old devices does not return exit codes. If this text is
# missing, the connection broke.
EXIT = "litetuner-exit:"
FIXED = "cmd power set-fixed-performance-mode-enabled"
ON, OFF = "litetuner-on:", "litetuner-off:"
# Runs until its standard input or the connection is closed, and turns the mode off however it ends.
HOLD = (
    f"trap '{FIXED} false >/dev/null 2>&1; echo {OFF}$?' EXIT; trap 'exit 1' HUP INT TERM PIPE; "
    f"{FIXED} true 2>&1; c=$?; [ $c = 0 ] || trap - EXIT; echo {ON}$c; [ $c = 0 ] && read line"
)
ANSWER_SECONDS = 60.0
RELEASE_SECONDS = 15.0


@dataclasses.dataclass(frozen=True)
class AdbClient:
    """A device by its adb serial, ``None`` for the only device. The target has validated the serial."""

    serial: str | None

    def by_hand(self, *words: str) -> str:
        """A command that the user can type to check the device."""
        return shlex.join(["adb", *(["-s", self.serial] if self.serial else []), *(words or ("devices", "-l"))])

    def devices(self) -> dict[str, str]:
        """Serials and states (``device``, ``offline``, ``unauthorized``, ...) of all devices that the server knows."""
        code, output, messages = self._finish(["adb", "devices"], ANSWER_SECONDS)
        if code:
            raise HostError(f"`adb devices` fails: {' '.join((output + messages).split())[-400:]}")
        rows = [line.split(None, 1) for line in output.splitlines() if "\t" in line]
        return {row[0]: row[1].strip() for row in rows if len(row) == 2}

    def find(self) -> AdbClient:
        """The client for one device that is ready. Raises ``HostError`` or ``Dropped``."""
        wanted = self.serial or os.environ.get("ANDROID_SERIAL")
        states = self.devices()
        if wanted and states.get(wanted) != "device" and NETWORK.fullmatch(wanted):
            if wanted in states:  # adb keeps a dead connection as offline, and reports it as "already connected"
                self._finish(["adb", "disconnect", wanted], ANSWER_SECONDS)
            _, said, _ = self._finish(["adb", "connect", wanted], ANSWER_SECONDS)
            states = self.devices()
            if wanted not in states:
                raise Dropped(f"adb: {' '.join(said.split())[-200:]}")
        if not wanted:
            if len(states) > 1:
                names = ", ".join(f"{name} ({state})" for name, state in sorted(states.items()))
                raise HostError(f"adb: several devices, and no serial: {names}. Name one: adb:SERIAL?...")
            wanted = next(iter(states), None)
        if wanted is None or wanted not in states:
            others = ", ".join(sorted(states)) or "none"
            about = f"device {wanted!r} is not there (there: {others})" if wanted else "no device is there"
            raise Dropped(f"adb: {about}")
        state = states[wanted]
        if state.startswith(("unauthorized", "no permissions")):
            raise HostError(f"adb: {wanted} is {state}. {_remedy(state)}")
        if state != "device":
            raise Dropped(f"adb: {wanted} is {state}")
        return AdbClient(wanted)

    def shell(self, command: str, timeout_seconds: float = ANSWER_SECONDS) -> tuple[int, str]:
        """Run a command in the device's shell. Returns exit code and output. Raises ``Dropped`` or ``HostError``.

        ``command`` consists of constants, hashes and numbers. Text from the user is never part of it.
        """
        argv = ["adb", *self._chosen(), "shell", f"( {command}\n) 2>&1; echo {EXIT}$?"]
        _, output, messages = self._finish(argv, timeout_seconds)
        text, mark, code = output.replace("\r\n", "\n").rpartition(EXIT)
        if not mark or not code.strip().isdecimal():
            raise self.explain(f"{output[-300:]} {messages}")
        return int(code), text

    def push(self, file: Path, place: str, timeout_seconds: float) -> None:
        """Copy a file to a path on the device. Raises ``Dropped`` or ``HostError``."""
        argv = ["adb", *self._chosen(), "push", "--", str(file.absolute()), place]
        code, output, messages = self._finish(argv, timeout_seconds)
        if code:
            raise self.explain(f"{output} {messages}")

    @contextlib.contextmanager
    def fixed_performance(self) -> Iterator[str]:
        """Turn on fixed-performance mode (clocks that the device can sustain). Yields ``on``, or why it is not on.

        The mode is always turned off afterwards. A shell on the device turns the mode on and off. It ends, and turns
        the mode off, when this process ends in any way or when the connection breaks. Raises ``Dropped`` or
        ``HostError``, also if the mode may still be on.
        """
        argv = ["adb", *self._chosen(), "shell", HOLD]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        child = self._start(argv, pipes)
        try:
            said = _read_until(child, ON, ANSWER_SECONDS)
            about, mark, code = said.rpartition(ON)
            if not mark:
                raise self.explain(said)
            on = code.strip() == "0"
            yield "on" if on else f"not there: {' '.join(about.split())[-200:]}"
            if on and (off := self._release(child)) != "0":
                hand = self.by_hand("shell", *FIXED.split(), "false")
                about = f"adb: {self.serial}: fixed-performance mode may still be on. By hand: {hand}"
                raise HostError(about) if off else Dropped(about)  # after ``Dropped``, a retry turns it off
        finally:
            if child.poll() is None:  # after an error, which an exception from turning off would hide
                self._release(child)
            for stream in (child.stdin, child.stdout):
                if stream:
                    stream.close()
            if child.poll() is None:
                child.kill()
            child.wait()

    def _release(self, child: subprocess.Popen[bytes]) -> str | None:
        """End the shell on the device. Returns the exit code of turning the mode off, ``None`` if it is unknown."""
        if not child.stdin or not child.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # the shell has already ended; its output is read below
                if child.stdin:
                    child.stdin.write(b"\n")
                    child.stdin.close()
        found = re.search(rf"{OFF}([0-9]+)", _read_until(child, OFF, RELEASE_SECONDS))
        return found[1] if found else None

    def explain(self, said: str) -> Dropped | HostError:
        """The error to raise if ``adb`` itself failed with the message ``said``."""
        said = " ".join(said.split())[-400:]
        if remedy := _remedy(said):
            return HostError(f"adb: {self.serial}: {said}. {remedy}")
        return Dropped(f"adb: {self.serial}: {said or 'the connection ended'}")

    def _chosen(self) -> list[str]:
        return ["-s", self.serial] if self.serial else []

    def _start(self, argv: list[str], pipes: dict[str, int]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(argv, start_new_session=True, **pipes)  # type: ignore[call-overload]
        except OSError as error:
            raise HostError(
                f"cannot start 'adb' here: {error.strerror}. Install Android's platform tools (Debian: apt install adb)."
            ) from error

    def _finish(self, argv: list[str], timeout_seconds: float) -> tuple[int, str, str]:
        """Run a command. Returns exit code, standard output and standard error."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self._start(argv, pipes) as child:
            try:
                output, messages = child.communicate(timeout=timeout_seconds)
            except subprocess.TimeoutExpired as error:
                raise Dropped(f"adb: {self.serial}: no answer for {timeout_seconds:g} s") from error
            finally:
                if child.poll() is None:
                    child.kill()
        return child.returncode, output.decode(errors="replace"), messages.decode(errors="replace")


def _read_until(child: subprocess.Popen[bytes], mark: str, seconds: float) -> str:
    """The child's output until a line with ``mark`` is complete, the child ends, or ``seconds`` have passed."""
    found, deadline = b"", time.monotonic() + seconds
    if child.stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not re.search(re.escape(mark.encode()) + rb"[0-9]+\s", found):
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                break
            part = os.read(child.stdout.fileno(), 65536)
            if not part:
                break
            found += part
    return found.decode(errors="replace")


def _remedy(said: str) -> str:
    return next((remedy for pattern, remedy in MEANINGS.items() if re.search(pattern, said, re.IGNORECASE)), "")


MEANINGS = {  # message of adb: what the user should do; with any other message the connection counts as dropped
    r"unauthorized": "Unlock its screen and allow USB debugging for this computer, then repeat.",
    r"no permissions|insufficient permissions": "Its USB device cannot be opened: add the udev rules "
    "(Debian: apt install android-sdk-platform-tools-common), and join the group plugdev.",
    r"more than one (device|emulator)": "Name one: adb:SERIAL?...",
    r"no space left": "Make room there: its /data is full.",
    r"read-only file system|permission denied|operation not permitted": "Its /data/local/tmp must be writable for adb's shell.",
    r"cannot stat|cannot open|can't open": "The file to push cannot be read here.",
    r"cannot connect to daemon|failed to start daemon|could not (install|bind)|address already in use": "adb's server does "
    "not start; see its log in the folder of temporary files (adb.UID.log).",
}
