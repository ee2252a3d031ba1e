"""The remote side of an ssh target. It is sent with every call and never stored, so that it is always up to date.

It needs only Python 3.10. Standard input has one line of JSON, the request, and then stays open. When it is closed, the
local side is gone, and the program that runs here is killed. The answer is one line of JSON after ``MARK``.

Request: ``folder`` (litetuner's folder, relative to the home folder or absolute), ``incoming`` (a folder in it, to
which scp copies files named by their sha256), ``files`` (name in ``folder``: sha256), ``argv`` (the runner and its
arguments, with names of ``files`` in braces) and ``timeout_seconds``.

Answer: ``about`` (this machine's Python) and one of ``missing`` (names of the files to push, with ``free_bytes``, and
``broken``: the files that did not arrive completely), ``error`` (a sentence), ``timeout``, or ``run`` (``code, output,
messages, waited_seconds, safe_path``). If nothing is missing and ``argv`` is empty, the answer is only ``about``.
"""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import stat
import subprocess
import sys
import threading
import time
from typing import Any

MARK = "litetuner-remote "
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")
KEPT_BYTES = 1_000_000_000  # size limit of all models in our folder: the least recently used ones are removed
OLD_SECONDS = 86_400.0  # incoming folders older than this are removed


class Unusable(Exception):
    """The request is not possible on this machine; the message says why."""


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.buffer.readline())
    answer: dict[str, Any] = {"about": describe()}
    try:
        answer |= serve(request)
    except (Unusable, OSError) as error:
        answer["error"] = str(error)
    sys.stdout.write(MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread of ``watch`` still reads standard input


def serve(request: dict[str, Any]) -> dict[str, Any]:
    folder = prepare(request["folder"])
    files = {folder / name: digest for name, digest in request["files"].items()}
    for path in files:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    incoming = folder / request["incoming"]
    arrived = incoming.is_dir()
    broken = receive(incoming, files) if arrived else []
    missing = [path for path, digest in files.items() if sha256(path) != digest]
    if missing:
        if not arrived:
            incoming.mkdir(mode=0o700)
        names = [str(path.relative_to(folder)) for path in missing]
        return {"missing": names, "broken": broken, "free_bytes": shutil.disk_usage(folder).free}
    if not request["argv"]:
        return {}
    argv = [str(folder / part[1:-1]) if part[1:-1] in request["files"] else part for part in request["argv"]]
    try:
        found = run(folder, argv, request["timeout_seconds"])
    except subprocess.TimeoutExpired:
        return {"timeout": request["timeout_seconds"]}
    for path in files:
        os.utime(path)
    tidy(folder, set(files))
    return {"run": found}


def prepare(name: str) -> pathlib.Path:
    """Create litetuner's folder, to which no other user can write."""
    folder = pathlib.Path.home() / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Unusable(f"{folder} is not a folder of our own")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def receive(incoming: pathlib.Path, files: dict[pathlib.Path, str]) -> list[str]:
    """Move complete files to their final names. Incomplete files are removed, and their names are returned."""
    broken = []
    for path, digest in files.items():
        part = incoming / digest
        if sha256(part) == digest:
            part.chmod(0o600)
            part.replace(path)
        elif part.exists():
            broken.append(path.name)
    shutil.rmtree(incoming)
    return broken


def sha256(path: pathlib.Path) -> str | None:
    """The sha256 of one of our files; ``None`` if it does not exist or is not a regular file."""
    if path.is_symlink() or not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def run(folder: pathlib.Path, argv: list[str], timeout_seconds: float) -> dict[str, Any]:
    """Run the runner while no other litetuner process times on this machine, and while the local side is connected.

    Raises ``subprocess.TimeoutExpired`` after it has killed the child.
    """
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    # -P removes the script's folder from the import path. Python before 3.11 does not have this option, which is
    # acceptable because this folder contains only our verified files.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    children: list[subprocess.Popen[str]] = []
    threading.Thread(target=watch, args=(children,), daemon=True).start()
    start = time.monotonic()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waited = time.monotonic() - start
        command = [sys.executable, *safe, "-B", *argv, "--parent", str(os.getpid())]
        child = subprocess.Popen(
            command, env=environment, text=True, errors="replace", cwd=folder, start_new_session=True, **pipes
        )
        children.append(child)
        try:
            output, messages = child.communicate(timeout=timeout_seconds)
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
    found = {"code": child.returncode, "output": output, "messages": messages[-4000:]}
    return found | {"waited_seconds": round(waited, 3), "safe_path": bool(safe)}


def watch(children: list[subprocess.Popen[str]]) -> None:
    """Exit when the local side is gone: nobody reads the result, and the process would only disturb the next timing."""
    while os.read(0, 4096):
        pass
    for child in children:
        child.kill()
    os._exit(1)


def tidy(folder: pathlib.Path, used: set[pathlib.Path]) -> None:
    """Remove old incoming folders, and the least recently used models if they exceed ``KEPT_BYTES``."""
    now = time.time()
    for path in folder.glob("in-*"):
        if now - path.stat().st_mtime > OLD_SECONDS:
            shutil.rmtree(path)
    models = sorted(folder.glob("*.tflite"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in models:
        total += path.stat().st_size
        if total > KEPT_BYTES and path not in used:
            path.unlink()


def describe() -> dict[str, Any]:
    found: dict[str, Any] = {"python": platform.python_version(), "executable": sys.executable}
    for name in ("ai-edge-litert", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found | {"system": platform.system(), "machine": platform.machine(), "home": str(pathlib.Path.home())}


if __name__ == "__main__":
    main()
